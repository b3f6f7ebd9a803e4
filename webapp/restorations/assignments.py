"""What a leased item asks of a worker: frozen values, files by path, no rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings as site

from nasdip_engine.liveness import heartbeat_limit
from webapp.pictures import storage
from webapp.restorations.estimates import pixels_of
from webapp.restorations.models import Job, WorkItem
from webapp.restorations.plan import Plan
from webapp.restorations.states import ItemKind, ItemState

__all__ = ["Lease", "assignment"]


@dataclass(frozen=True)
class Lease:
    """One item under lease.  `token` is the right to write its outcome; it is void once the lease is lost.

    request: what the guard's evaluator takes (OPEN: what `gpu_worker.opening` takes).
    heartbeat_limit: seconds without an iteration after which the evaluation counts as hanging.
    """

    item_id: int
    token: str
    job_id: UUID
    kind: ItemKind
    genome: str
    generation: int | None
    request: dict[str, Any]
    heartbeat_limit: float


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
    )


def _request(job: Job, plan: Plan, item: WorkItem, kind: ItemKind, token: str) -> dict[str, Any]:
    if kind is ItemKind.OPEN:
        return _upload(job) | {
            "kind": str(kind),
            "task": plan.task.to_json(),
            "settings": plan.settings.to_json(),
        }
    frames = job.frames or {}
    frame = frames["search" if kind is ItemKind.EVALUATE else "final"]
    request: dict[str, Any] = {
        **plan.to_json(),
        "kind": str(kind),
        "genome": item.genome or None,
        "picture": str(storage.path(frame["picture"])),
        "mask": str(storage.path(frame["mask"])) if frame["mask"] else None,
        "method": None,
        "hook": None,
    }
    fitted = kind in (ItemKind.EVALUATE, ItemKind.FINISH)
    request["output"] = str(storage.scratch(f"{token}.{'npy' if fitted else 'png'}"))
    if kind in (ItemKind.BASELINE, ItemKind.COMBINE):
        request["bit_depth"] = job.bit_depth
        request["paste"] = _upload(job) | {"frame": frame}
    if kind is ItemKind.COMBINE:
        finals = finished(job)
        request["inputs"] = [str(storage.path(outcome["array"])) for _, outcome in finals]
        request["genomes"] = [genome for genome, _ in finals]
    return request


def finished(job: Job) -> list[tuple[str, dict[str, Any]]]:
    """(genome, outcome) of each final fit that gave a restoration, best of the search first."""
    rows = WorkItem.objects.filter(job=job, kind=ItemKind.FINISH, state=ItemState.DONE).order_by("id")
    return [(row.genome, row.outcome) for row in rows if row.outcome and row.outcome.get("array")]


def _upload(job: Job) -> dict[str, Any]:
    return {
        "upload": str(storage.path(job.picture.digest)),
        "upload_mask": str(storage.path(job.mask_digest)) if job.mask_digest else None,
    }


def _heartbeat_limit(job: Job, plan: Plan, item: WorkItem, kind: ItemKind) -> float:
    """The site's setting, or more where an iteration may take long (reliability, sec. 3)."""
    fits = kind in (ItemKind.EVALUATE, ItemKind.FINISH)
    height, width = pixels_of(job, "search" if kind is ItemKind.EVALUATE else "final") if fits else (0, 0)
    least = float(site.ENVIRONMENT.heartbeat_seconds)
    return heartbeat_limit(item.genome if fits else None, height, width, plan.settings.input_channels, least)
