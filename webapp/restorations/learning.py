"""The final fit that can be watched: its curve and its stills, told in numbered events, so thin that all can be kept.

One fit of a job is watched, that of the best network; of a picture that is fitted in parts, that of the first one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction

from nasdip_engine.learning import Learning, learning_record
from webapp.restorations import events
from webapp.restorations.assignments import Lease
from webapp.restorations.events import EventKind
from webapp.restorations.models import Event, Job, WorkItem
from webapp.restorations.states import WORKING, ItemKind, ItemState
from webapp.restorations.transitions import hold

__all__ = ["learning_of", "stills_of", "tell", "tell_end"]


def tell(lease: Lease, news: Learning, stills: Mapping[int, str]) -> bool:
    """Tell what came to a leased fit since the last time; False when the lease was lost, and nothing was told.

    news: the looks that are new; all of them once it has stopped.  stills: digests of stored files by iteration.
    """
    with transaction.atomic():
        job = hold(lease.job_id)
        held = WorkItem.objects.filter(pk=lease.item_id, lease_token=lease.token, state=ItemState.LEASED)
        if job is None or job.state not in WORKING or not held.exists():
            return False
        told = {
            "of": news["of"],
            "curve": [list(look) for look in news["curve"]],
            "best_iteration": news["best_iteration"],
            "iterations": news["iterations"],
            "refit_iterations": None,
        }
        _append(job.pk, lease, told, stills)
    return True


def tell_end(job: Job, lease: Lease, outcome: Mapping[str, Any]) -> None:
    """Tell all of a fit whose outcome is being recorded.  The caller holds the job."""
    record = learning_record(outcome)
    if record is None or "still_files" not in outcome:
        return
    told = {name: value for name, value in record.items() if name != "tile"}
    stills = {int(iteration): digest for iteration, digest in outcome["still_files"].items()}
    _append(job.pk, lease, {"of": record["iterations"], **told}, stills)


def _append(job_id: UUID, lease: Lease, told: Mapping[str, Any], stills: Mapping[int, str]) -> None:
    shown = {"stills": [[iteration, stills[iteration]] for iteration in sorted(stills)]}
    fit = {"genome": lease.genome, "tile": lease.tile, "tiles": lease.tiles}
    events.append(job_id, EventKind.LEARNING, {**fit, **told, **shown})


def learning_of(job_id: UUID) -> dict[str, Any] | None:
    """All that the events told so far, as one event would tell it; None where no fit was watched yet."""
    rows = Event.objects.filter(job_id=job_id, kind=EventKind.LEARNING).order_by("number")
    known: dict[str, Any] | None = None
    for told in rows.values_list("data", flat=True):
        known = _with(known, told)
    return known


def _with(known: dict[str, Any] | None, told: dict[str, Any]) -> dict[str, Any]:
    """An event of a fit that has stopped tells all; others add, also where a fit had to begin again: equal bits."""
    if known is None or told["best_iteration"] is not None:
        return told
    added = {
        name: sorted(map(list, (dict(known[name]) | dict(told[name])).items()))
        for name in ("curve", "stills")
    }
    return told | added


def stills_of(job: Job) -> tuple[str, dict[int, str]] | None:
    """The genome of the watched fit of a job and the digests of its stills by iteration; None where there are none."""
    rows = WorkItem.objects.filter(job=job, kind=ItemKind.FINISH, state=ItemState.DONE).order_by("id")
    for genome, outcome in rows.values_list("genome", "outcome"):
        if outcome and outcome.get("still_files"):
            return genome, {int(number): digest for number, digest in outcome["still_files"].items()}
    return None
