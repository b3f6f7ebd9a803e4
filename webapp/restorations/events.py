"""Numbered events of a job: rows that commit in order and without holes.

The number is counted under the job's own row, in the transaction of what the event tells; so a reader that
has seen number N never finds a smaller one later (a global counter would allow that on PostgreSQL).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import Any, TypedDict, cast
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Subquery
from django.db.models.functions import Now

from webapp.restorations import notify
from webapp.restorations.models import Event, Job

__all__ = ["PAGE", "SHAPES", "EventKind", "after", "append", "recently"]

PAGE = 200
"""Most events of one answer."""


class EventKind(StrEnum):
    """What events tell."""

    QUEUED = "queued"
    STARTED = "started"
    GENERATION_OPENED = "generation_opened"
    RUNG_OPENED = "rung_opened"
    EVALUATED = "evaluated"
    PROGRESS = "progress"
    BEST = "best"
    GENERATION_CLOSED = "generation_closed"
    FINISHING = "finishing"
    FINAL_PROGRESS = "final_progress"
    LEARNING = "learning"
    BASELINE = "baseline"
    DONE = "done"
    PAUSING = "pausing"
    PAUSED = "paused"
    RESUMED = "resumed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    FAILED = "failed"
    FAULT = "fault"
    MOVED = "moved"


class Bare(TypedDict):
    """An event that says all by its kind."""


class GenerationOpened(TypedDict):
    """A population was drawn or bred.

    population: how many genomes it has; networks: how many of them are new to the job and get an `evaluated`, those of
    its first rung where there is a race.
    """

    generation: int
    population: int
    networks: int


class RungOpened(TypedDict):
    """The best networks of the rung before, or all new ones, are trained for a `share` of the iterations.

    rung: from 0, of so many `rungs`; networks: how many of it get an `evaluated`.
    """

    generation: int
    rung: int
    rungs: int
    share: float
    networks: int


class Evaluated(TypedDict):
    """A genome of the open generation has its fitness, in [0, 1]; reason: why it is 0, or null.

    rung: the one it was trained to, from 0; with a race a genome may get several, the last one counts.
    """

    generation: int | None
    rung: int
    slot_genome: str
    fitness: float
    reason: str | None
    held_out_psnr: float | None


class Progress(TypedDict):
    """A fit goes on; preview: digest of a picture file, or ""."""

    generation: int | None
    genome: str
    iteration: int
    of: int
    held_out_psnr: float | None
    preview: str


class Best(TypedDict):
    """A new best fitness of the search."""

    fitness: float
    genome: str
    preview: str
    held_out_psnr: float | None


class GenerationClosed(TypedDict):
    """Every genome of the generation has a fitness."""

    generation: int
    best: float
    mean: float
    worst: float


class FinalProgress(TypedDict):
    """A final fit goes on.

    tile: which of so many `tiles` of the picture it is of, from 0; done: so many final fits are done, of `fits`.
    """

    tile: int
    tiles: int
    done: int
    fits: int
    genome: str
    iteration: int
    of: int
    held_out_psnr: float | None
    preview: str


class Learning(TypedDict):
    """What came to the final fit that can be watched (`learning`).

    tile: which of so many `tiles` of the picture it is of, from 0.  of: its most iterations.  curve: [iteration,
    held-out PSNR in dB] of looks.  stills: [iteration, digest of a file].  best_iteration: after which its output was taken,
    and iterations: how many it did; null while it goes on, and when not, curve and stills are all that there are.
    refit_iterations: of the second fit that followed, once that is known.
    """

    genome: str
    tile: int
    tiles: int
    of: int
    curve: list[list[float]]
    stills: list[list[Any]]
    best_iteration: int | None
    iterations: int | None
    refit_iterations: int | None


class Baseline(TypedDict):
    """The training-free reference was computed, and scored on the same held-out observations (dB)."""

    method: str
    held_out_psnr: float | None


class Done(TypedDict):
    """The restoration is there."""

    result: str


class Paused(TypedDict):
    """The job stands still: by its owner (fault_class "") or because of faults."""

    reason: str
    fault_class: str


class Failed(TypedDict):
    """The job can't go on."""

    reason: str


class Moved(TypedDict):
    """The owner lets other machines go on; fingerprint: the numerics that the job had so far."""

    fingerprint: dict[str, Any]


FaultEvent = TypedDict("FaultEvent", {"class": str, "genome": str, "detail": str})

SHAPES: dict[EventKind, type] = {
    EventKind.QUEUED: Bare,
    EventKind.STARTED: Bare,
    EventKind.GENERATION_OPENED: GenerationOpened,
    EventKind.RUNG_OPENED: RungOpened,
    EventKind.EVALUATED: Evaluated,
    EventKind.PROGRESS: Progress,
    EventKind.BEST: Best,
    EventKind.GENERATION_CLOSED: GenerationClosed,
    EventKind.FINISHING: Bare,
    EventKind.FINAL_PROGRESS: FinalProgress,
    EventKind.LEARNING: Learning,
    EventKind.BASELINE: Baseline,
    EventKind.DONE: Done,
    EventKind.PAUSING: Bare,
    EventKind.PAUSED: Paused,
    EventKind.RESUMED: Bare,
    EventKind.CANCELLING: Bare,
    EventKind.CANCELLED: Bare,
    EventKind.FAILED: Failed,
    EventKind.FAULT: FaultEvent,
    EventKind.MOVED: Moved,
}
"""The data that each kind carries."""


def append(job_id: UUID, kind: EventKind, data: Mapping[str, Any] | None = None) -> int:
    """Write the job's next event inside the caller's transaction; returns its number, 0 if the job is gone.

    Raises TypeError for data of another shape than the kind's, and RuntimeError outside a transaction.
    """
    data = dict(data or {})
    expected = cast("Any", SHAPES[kind]).__required_keys__
    if data.keys() != expected:
        raise TypeError(f"event {kind} needs {sorted(expected)}, got {sorted(data)}")
    if not connection.in_atomic_block:
        raise RuntimeError(f"event {kind} must be written in the transaction of what it tells")
    if not Job.objects.filter(pk=job_id).update(event_number=F("event_number") + 1):
        return 0
    number: int = Job.objects.values_list("event_number", flat=True).get(pk=job_id)
    event = Event.objects.create(job_id=job_id, number=number, kind=kind, data=data)
    transaction.on_commit(partial(notify.event_sent, job_id, number, _shown(event)))
    return number


def after(job_id: UUID, number: int, limit: int = PAGE) -> list[dict[str, Any]]:
    """The events after `number`, oldest first, at most `limit` (and never more than PAGE)."""
    rows = Event.objects.filter(job_id=job_id, number__gt=number).order_by("number")
    return [_shown(event) for event in rows[: max(0, min(limit, PAGE))]]


def recently(job_id: UUID, kind: EventKind, seconds: float) -> bool:
    """Whether the job has an event of that kind younger than `seconds`; one from before the clock was set back is not."""
    since = Now() - timedelta(seconds=seconds)
    # From the end, along the index of numbers: a job may have many thousands.
    newest = Event.objects.filter(job_id=job_id, kind=kind).order_by("-number").values("pk")[:1]
    return Event.objects.filter(pk=Subquery(newest), at__gt=since, at__lte=Now()).exists()


def _shown(event: Event) -> dict[str, Any]:
    return {**event.data, "number": event.number, "kind": event.kind, "at": event.at.isoformat()}
