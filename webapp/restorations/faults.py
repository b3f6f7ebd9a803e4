"""What an unfinished item means: what may decide a fitness, and what only costs another try.

The table of `judge` is the one of reliability: native crashes are the item's own, all else is the
infrastructure's and decides no fitness.
"""

from __future__ import annotations

from typing import Any

from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from nasdip_engine.outcome import CRASHES_TO_POISON
from webapp.restorations import events, notify
from webapp.restorations.events import EventKind
from webapp.restorations.generations import poison
from webapp.restorations.models import Job, WorkItem
from webapp.restorations.references import method_of
from webapp.restorations.states import Failure, ItemKind, ItemState
from webapp.restorations.transitions import fail, pause_by_fault, settle

__all__ = ["LOST", "MOST_ATTEMPTS", "MOST_LOSSES", "judge", "take_back_expired"]

LOST = "the worker did not report any more"
MOST_ATTEMPTS = 3
"""Evaluators lost under a living worker, in a row, after which the job pauses, or does without a reference."""
MOST_LOSSES = 10
"""Leases lost together with their worker, in a row, after which the job pauses."""


def take_back_expired(job: Job) -> int:
    """Take back the job's leases that ran out, as the sweep would; returns how many.  The caller holds the job.

    Without any worker nobody sweeps, and what the owner asks must not wait for one.
    """
    expired = WorkItem.objects.filter(job=job, state=ItemState.LEASED, lease_until__lt=Now())
    lost = 0
    for item in list(expired.order_by("id")):
        judge(job, item, Failure.WORKER_LOST, LOST)
        lost += 1
    settle(job.pk)
    return lost


def judge(job: Job, item: WorkItem, failure: Failure, detail: str) -> None:
    """Hand the item out again or settle it (reliability, sec. 3).  The caller holds the job.

    Given back: nothing.  Native crash, twice: the item is to blame (a genome gets fitness 0).  Anything else
    is the infrastructure's fault and costs another try; when tries run out the job pauses, but for a reference:
    the result can do without, so that is left out.  A full disk keeps everything from going on and pauses the job.
    """
    counts: dict[str, Any] = {}
    if failure is not Failure.CANCELLED:
        column = {Failure.CRASH: "crashes", Failure.WORKER_LOST: "losses"}.get(failure, "attempts")
        counts = {column: F(column) + 1, "fault_class": failure}
    WorkItem.objects.filter(pk=item.pk).update(
        state=ItemState.WAITING, lease_token="", lease_until=None, updated_at=timezone.now(), **counts
    )
    if not counts:
        return
    item.refresh_from_db()
    told = {"class": str(failure), "genome": item.genome, "detail": detail}
    events.append(job.pk, EventKind.FAULT, told)
    if item.crashes >= CRASHES_TO_POISON:
        reason = f"crashed {item.crashes} fresh evaluators on {item.device_class}: {detail}"
        if item.kind in (ItemKind.OPEN, ItemKind.COMBINE):
            fail(job.pk, f"The step “{item.kind}” {reason}.", str(failure))
        else:
            poison(job, item, reason)
    elif item.attempts >= MOST_ATTEMPTS:
        tries = f"{item.attempts} tries failed, the last one so: {detail}"
        if item.kind == ItemKind.BASELINE and failure is not Failure.DISK_FULL:
            poison(job, item, f"could not be computed: {tries}")
        else:
            pause_by_fault(job.pk, f"{_name(job, item)}: {tries}", str(failure))
    elif item.losses >= MOST_LOSSES:
        lost = f"lost {item.losses} times with its worker ({detail})"
        pause_by_fault(job.pk, f"{_name(job, item)}: {lost}", str(failure))
    else:
        notify.look()


def _name(job: Job, item: WorkItem) -> str:
    """The item as its owner knows it."""
    if item.kind == ItemKind.BASELINE:
        return f"the reference “{method_of(job, item)}”"
    return f"genome {item.genome}" if item.genome else f"the step “{item.kind}”"
