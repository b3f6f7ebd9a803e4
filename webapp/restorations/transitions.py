"""How a job changes its state: one conditional UPDATE per step, allowed by the table in `states.py`.

`hold` is the lock of everything below a job: a write to the job's row, first in each transaction, so that two
transactions on one job follow each other on both databases and never wait for each other crosswise.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from webapp.restorations import events
from webapp.restorations.events import EventKind
from webapp.restorations.models import Job, WorkItem
from webapp.restorations.states import ItemState, JobState, sources_of

__all__ = ["drop_items", "fail", "hold", "move", "pause_by_fault", "settle"]


def hold(job_id: UUID) -> Job | None:
    """Take the job's row for the rest of the transaction and return it as it stands; None if it is gone."""
    if not Job.objects.filter(pk=job_id).update(event_number=F("event_number")):
        return None
    return Job.objects.get(pk=job_id)


def move(job_id: UUID, target: JobState, sources: Iterable[JobState] | None = None, **fields: Any) -> bool:
    """Change the state if the job stands in one of `sources` (by default: wherever the table allows it).

    False: it stood elsewhere.  Raises ValueError for a step that the table does not know.
    """
    allowed = sources_of(target)
    asked = allowed if sources is None else frozenset(sources)
    if not asked <= allowed:
        raise ValueError(f"a job can't go from {sorted(asked - allowed)} to {target}")
    return bool(Job.objects.filter(pk=job_id, state__in=asked).update(state=target, **fields))


def fail(job_id: UUID, reason: str, fault_class: str = "") -> bool:
    """End the job: it can't go on, and `reason` says why."""
    moved = move(job_id, JobState.FAILED, reason=reason, fault_class=fault_class, finished_at=timezone.now())
    if moved:
        drop_items(job_id)
        events.append(job_id, EventKind.FAILED, {"reason": reason})
    return moved


def pause_by_fault(job_id: UUID, reason: str, fault_class: str) -> bool:
    """Pause a job that infrastructure faults keep from going on; the owner decides how."""
    sources = {JobState.RUNNING, JobState.FINISHING, JobState.PAUSING}
    moved = move(
        job_id, JobState.PAUSED, sources, reason=reason, fault_class=fault_class, paused_at=timezone.now()
    )
    if moved:
        events.append(job_id, EventKind.PAUSED, {"reason": reason, "fault_class": fault_class})
    return moved


def settle(job_id: UUID) -> None:
    """Complete a pause or a cancellation once no worker holds anything of the job."""
    state = Job.objects.values_list("state", flat=True).get(pk=job_id)
    if state not in (JobState.PAUSING, JobState.CANCELLING):
        return
    if WorkItem.objects.filter(job_id=job_id, state=ItemState.LEASED).exists():
        return
    now = timezone.now()
    if state == JobState.PAUSING:
        if move(job_id, JobState.PAUSED, {JobState.PAUSING}, paused_at=now, reason="", fault_class=""):
            events.append(job_id, EventKind.PAUSED, {"reason": "", "fault_class": ""})
    elif move(job_id, JobState.CANCELLED, {JobState.CANCELLING}, finished_at=now):
        drop_items(job_id)
        events.append(job_id, EventKind.CANCELLED)


def drop_items(job_id: UUID) -> int:
    """Take back all work of a job that ends; workers that still compute find their lease gone."""
    return WorkItem.objects.filter(job_id=job_id, state__in=(ItemState.WAITING, ItemState.LEASED)).update(
        state=ItemState.DROPPED, lease_token="", lease_until=None
    )
