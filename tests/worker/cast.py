"""People, pictures, jobs, and a worker that records outcomes as the evaluator would have sent them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.db.models.functions import Now

from gpu_worker import opening
from nasdip_engine.picture import encode_png
from webapp.pictures import storage
from webapp.pictures.models import Picture
from webapp.restorations import files, generations, leases, submission
from webapp.restorations.leases import Lease
from webapp.restorations.models import Job, WorkItem
from webapp.restorations.states import ItemKind, ItemState

__all__ = [
    "FINGERPRINT",
    "Trouble",
    "drive",
    "let_leases_run_out",
    "outcome_of",
    "person",
    "queue",
    "record",
    "take",
    "take_one",
]

FINGERPRINT = {"torch": "recorded", "threads": 1}
SETTINGS = {"population": 4, "generations": 3, "iterations": 20, "final_iterations": 30, "crop": 32}


@dataclass(frozen=True)
class Trouble:
    """A fault as the guard reports it."""

    kind: str
    detail: str = "as recorded"


def person(name: str) -> User:
    """One of the cast, who never signs in here (hashing a password takes most of a second)."""
    user = User(username=name)
    user.set_unusable_password()
    user.save()
    return user


def queue(owner: User, *, width: int = 40, height: int = 32, **changes: Any) -> Job:
    """Queue a small job on a new picture, of 40 x 32 pixels unless another size is asked for."""
    content = encode_png(picture_pixels(height, width))
    picture = Picture.objects.create(
        owner=owner, name="beach.png", digest=storage.digest_of(content), width=width, height=height
    )
    storage.put(content)
    asked: dict[str, Any] = {
        "task": "denoise",
        "seed": 3,
        "mask_digest": None,
        "overrides": SETTINGS,
        **changes,
    }
    return submission.submit(owner, picture=picture, **asked)


def picture_pixels(height: int = 32, width: int = 40) -> np.ndarray:
    """uint8 (height, width, 3): two gradients and a stripe."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 7, columns * 6, (rows + columns) * 3], axis=-1).astype(np.uint8)


def take(limit: int = 100, worker: str = "recorder", fingerprint: Any = None) -> list[Lease]:
    """Lease what there is."""
    return leases.take(worker, fingerprint or FINGERPRINT, limit)


def take_one(worker: str = "recorder") -> Lease:
    """Lease one item, which must be there."""
    (lease,) = take(1, worker)
    return lease


def let_leases_run_out() -> None:
    """As if every worker had been silent for longer than a lease lasts."""
    leased = WorkItem.objects.filter(state=ItemState.LEASED)
    assert leased.update(lease_until=Now() - timedelta(seconds=1))


def outcome_of(lease: Lease) -> dict[str, Any]:
    """What the evaluator would have sent: a pure function of genome and rung, rising with it, as in the real one."""
    if lease.kind is ItemKind.BASELINE:
        kept = files.keep(lease.job_id, encode_png(picture_pixels()))
        method = lease.request["method"] or "non-local means"
        return {"method": method, "held_out_psnr": 21.5, "digest": "b" * 64, "picture": kept}
    if lease.kind is ItemKind.COMBINE:
        kept = files.keep(lease.job_id, encode_png(255 - picture_pixels()))
        parts = lease.request.get("parts") or ()
        tiles = {"tiles": [{"choice": "mean", "held_out_psnr": 25.0} for _ in parts]} if parts else {}
        return {"choice": "mean", "held_out_psnr": 25.0, "digest": "c" * 64, "result": kept, **tiles}
    share = int.from_bytes(hashlib.sha256(lease.genome.encode()).digest()[:4], "big") / 2**32
    fitness = 0.1 + 0.8 * share + 0.01 * lease.rung
    iterations = lease.request.get("stop") or 20
    outcome = {
        "fitness": fitness,
        "fitness_hex": fitness.hex(),
        "reason": None,
        "held_out_psnr": 10 + 40 * fitness,
        "iterations": iterations,
        "best_iteration": iterations,
        "still_falling": False,
        "curve": [[iterations, 10 + 40 * fitness]],
        "multiply_adds": 1000,
        "pixels": 1280,
        "seconds": 0.5,
    }
    if lease.kind is ItemKind.FINISH:
        outcome["array"] = files.keep(
            lease.job_id, f"float picture of {lease.genome}, tile {lease.tile}".encode()
        )
    return outcome


def record(lease: Lease) -> bool:
    """Record the outcome of a lease as the worker does."""
    if lease.kind is not ItemKind.OPEN:
        return generations.record(lease, outcome_of(lease))
    return generations.open_job(lease, opening.make_frames(lease))


def drive(
    job: Job,
    until: Callable[[Job], bool] | None = None,
    order: Callable[[Sequence[Lease]], Sequence[Lease]] = list,
) -> Job:
    """Serve everything that can be leased, in the given order, until `until` holds or nothing is left."""
    while until is None or not until(Job.objects.get(pk=job.pk)):
        taken = take(100 if order is not list else 1)
        if not taken:
            break
        for lease in order(taken):
            assert record(lease)
    return Job.objects.get(pk=job.pk)
