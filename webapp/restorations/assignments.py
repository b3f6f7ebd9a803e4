"""What a leased item asks of a worker: frozen values, files by path, no rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings as site

from nasdip_engine.baseline_names import baseline_of_key
from nasdip_engine.evolution.search import stop_at
from nasdip_engine.finals import tile_of_key
from nasdip_engine.genome.cost import cost
from nasdip_engine.genome.genome import Genome
from nasdip_engine.liveness import heartbeat_limit
from webapp.pictures import storage
from webapp.restorations.models import Job, WorkItem
from webapp.restorations.plan import Plan, frames_of_final, largest_of_final
from webapp.restorations.states import ItemKind, ItemState

__all__ = ["Lease", "assignment", "finished"]


@dataclass(frozen=True)
class Lease:
    """One item under lease.  `token` is the right to write its outcome; it is void once the lease is lost.

    request: what the guard's evaluator takes (OPEN: what `gpu_worker.opening` takes).
    heartbeat_limit: seconds without an iteration after which the evaluation counts as hanging.
    memory_need: bytes that an EVALUATE or FINISH takes by the model; else 0, and a slot's share does.
    tile, tiles: which of how many parts of the picture a FINISH fits, from 0.
    rung: the one at which an EVALUATE is stopped, from 0.
    """

    item_id: int
    token: str
    job_id: UUID
    kind: ItemKind
    genome: str
    generation: int | None
    request: dict[str, Any]
    heartbeat_limit: float
    memory_need: int = 0
    tile: int = 0
    tiles: int = 1
    rung: int = 0


def assignment(job: Job, item: WorkItem, token: str) -> Lease:
    """The lease of `item` under `token`."""
    kind = ItemKind(item.kind)
    plan = Plan.of(job)
    return Lease(
        item_id=item.pk,
        token=token,
        job_id=job.pk,
        kind=kind,
        genome=item.genome,
        generation=item.generation,
        request=_request(job, plan, item, kind, token),
        heartbeat_limit=_heartbeat_limit(job, plan, item, kind),
        memory_need=_memory_need(job, plan, item, kind),
        tile=tile_of_key(item.key) if kind is ItemKind.FINISH else 0,
        tiles=len(frames_of_final(job)) if kind is ItemKind.FINISH else 1,
        rung=item.rung,
    )


def _request(job: Job, plan: Plan, item: WorkItem, kind: ItemKind, token: str) -> dict[str, Any]:
    if kind is ItemKind.OPEN:
        return _upload(job) | {
            "kind": str(kind),
            "task": plan.task.to_json(),
            "settings": plan.settings.to_json(),
        }
    frames = frames_of_final(job)
    asked: dict[str, Any] = {
        **plan.to_json(),
        "kind": str(kind),
        "genome": item.genome or None,
        "method": None,
        "hook": None,
        "stop": stop_at(item.genome, plan.settings, item.rung) if kind is ItemKind.EVALUATE else None,
    }
    if kind in (ItemKind.EVALUATE, ItemKind.FINISH):
        frame = (job.frames or {})["search"] if kind is ItemKind.EVALUATE else frames[tile_of_key(item.key)]
        asked |= _files(frame) | _form(job) | {"output": str(storage.scratch(f"{token}.npy"))}
        return asked | {"stills": str(storage.scratch(f"{token}.stills")) if _watched(item) else None}
    if kind is ItemKind.BASELINE:
        asked["method"] = baseline_of_key(plan.task, item.key)
    upload = _upload(job)
    asked["bit_depth"] = job.bit_depth
    if len(frames) > 1:
        # The evaluator puts the whole picture together; where there is a mask, its holes are pasted.
        parts = [_part(frame, fits) for frame, fits in zip(frames, finished(job), strict=True)]
        files = {"picture": upload["upload"], "mask": upload["upload_mask"]}
        size = [(job.frames or {})["final"][side] for side in ("height", "width")]
        output = {"output": str(storage.scratch(f"{token}.npy")), "paste": upload | {"frame": None}}
        return asked | files | output | {"parts": parts, "size": size}
    asked |= _files(frames[0]) | {"output": str(storage.scratch(f"{token}.png"))}
    asked["paste"] = upload | {"frame": frames[0]}
    if kind is ItemKind.COMBINE:
        (finals,) = finished(job)
        asked["inputs"] = [str(storage.path(outcome["array"])) for _, outcome in finals]
        asked["genomes"] = [genome for genome, _ in finals]
    return asked


def _watched(item: WorkItem) -> bool:
    """Whether a final fit is the one that can be watched: the first of all, the best network's."""
    if item.kind != ItemKind.FINISH:
        return False
    earlier = WorkItem.objects.filter(job_id=item.job_id, kind=ItemKind.FINISH, pk__lt=item.pk)
    return not earlier.exists()


def finished(job: Job) -> list[list[tuple[str, dict[str, Any]]]]:
    """For each frame of the final fit: (genome, outcome) of the fits that gave a restoration, best network first."""
    rows = WorkItem.objects.filter(job=job, kind=ItemKind.FINISH, state=ItemState.DONE).order_by("id")
    made: list[list[tuple[str, dict[str, Any]]]] = [[] for _ in frames_of_final(job)]
    for row in rows:
        if row.outcome and row.outcome.get("array"):
            made[tile_of_key(row.key)].append((row.genome, row.outcome))
    return made


def _files(frame: dict[str, Any]) -> dict[str, Any]:
    mask = frame["mask"]
    return {
        "picture": str(storage.path(frame["picture"])),
        "mask": str(storage.path(mask)) if mask else None,
    }


def _form(job: Job) -> dict[str, Any]:
    """What previews have of the upload; jobs opened by older versions do not say it."""
    opened = job.frames or {}
    profile = opened.get("profile")
    return {"grey": opened.get("grey", False), "profile": str(storage.path(profile)) if profile else None}


def _part(frame: dict[str, Any], fits: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """One frame of several, as the evaluator's request names it (`nasdip_engine.request.Part`)."""
    return _files(frame) | {
        "box": frame["box"],
        "scale": frame["scale"],
        "inputs": [str(storage.path(outcome["array"])) for _, outcome in fits],
        "genomes": [genome for genome, _ in fits],
    }


def _upload(job: Job) -> dict[str, Any]:
    return {
        "upload": str(storage.path(job.picture.digest)),
        "upload_mask": str(storage.path(job.mask_digest)) if job.mask_digest else None,
    }


def _heartbeat_limit(job: Job, plan: Plan, item: WorkItem, kind: ItemKind) -> float:
    """The site's setting, or more where an iteration may take long (reliability, sec. 3)."""
    least = float(site.ENVIRONMENT.heartbeat_seconds)
    if kind not in (ItemKind.EVALUATE, ItemKind.FINISH):
        return heartbeat_limit(None, 0, 0, plan.settings.input_channels, least)
    height, width = _fitted_size(job, kind)
    return heartbeat_limit(item.genome, height, width, plan.settings.input_channels, least)


def _memory_need(job: Job, plan: Plan, item: WorkItem, kind: ItemKind) -> int:
    if kind not in (ItemKind.EVALUATE, ItemKind.FINISH):
        return 0
    phenotype = Genome.parse(item.genome).phenotype()  # one that describes no network is never leased
    return cost(phenotype, *_fitted_size(job, kind), plan.settings.input_channels).peak_bytes


def _fitted_size(job: Job, kind: ItemKind) -> tuple[int, int]:
    """(height, width) in output pixels of what an EVALUATE fits, or of the largest that a FINISH does."""
    if kind is not ItemKind.EVALUATE:
        return largest_of_final(job)
    search = (job.frames or {})["search"]
    return search["height"] * job.factor, search["width"] * job.factor
