"""What if a worker dies?  Leases: who computes an item, for how long, and what follows when it fails.

A lease is a token with a deadline in database time.  It is taken, extended, given back and swept by
conditional UPDATEs; zero rows means that somebody was first, which is a normal answer.  What follows from a
fault stands in `faults`.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from nasdip_engine.devices import fingerprint_for
from nasdip_engine.errors import NasDipError
from webapp.restorations import notify, turns
from webapp.restorations.assignments import Lease, assignment
from webapp.restorations.faults import LOST, judge
from webapp.restorations.generations import begin
from webapp.restorations.models import Job, WorkItem
from webapp.restorations.states import WORKING, Failure, ItemState, JobState
from webapp.restorations.transitions import fail, hold, settle

__all__ = [
    "Lease",
    "extend",
    "give_back",
    "give_back_worker",
    "sweep",
    "take",
    "wanted",
]

logger = logging.getLogger(__name__)


class Reported(Protocol):
    """A fault as the guard tells it."""

    @property
    def kind(self) -> Any:
        """One of the failures of `states.Failure`, as text."""

    @property
    def detail(self) -> str:
        """One line."""


def take(
    worker: str,
    fingerprint: Mapping[str, Any] | None,
    limit: int = 1,
    device_class: str = "cpu",
    abilities: Mapping[str, Any] | None = None,
) -> list[Lease]:
    """Lease up to `limit` waiting items to `worker`; an empty list means that there is nothing to do.

    A job is pinned to the numerics fingerprint of its first lease: only workers that have it get its items,
    since another kind of processor gives other bits. A worker gets none of a job whose threads or precision
    its `abilities` lack.
    """
    taken: list[Lease] = []
    for job_id in turns.order(fingerprint, device_class, abilities):
        if len(taken) >= limit:
            break
        try:
            taken += _take_from(job_id, worker, fingerprint, limit - len(taken), device_class)
        except (NasDipError, LookupError, TypeError, ValueError) as error:
            # Rows that this version can't read would stand first in the queue for ever, before everybody's jobs.
            logger.exception("job %s can't be served", job_id)
            with transaction.atomic():
                if hold(job_id) is not None:
                    fail(job_id, f"This version can't go on with the job: {type(error).__name__}: {error}")
    return taken


def _take_from(
    job_id: UUID, worker: str, fingerprint: Mapping[str, Any] | None, limit: int, device_class: str
) -> list[Lease]:
    with transaction.atomic():
        job = hold(job_id)
        if job is None or job.state not in turns.SERVED:
            return []
        fingerprint = fingerprint_for(fingerprint, job.settings.get("threads", 1))
        if job.fingerprint is None:
            Job.objects.filter(pk=job_id).update(fingerprint=fingerprint)
        elif job.fingerprint != fingerprint:
            return []
        waiting = WorkItem.objects.filter(job_id=job_id, state=ItemState.WAITING, device_class=device_class)
        items = list(waiting.order_by("id")[:limit])
        leases = []
        for item in items:
            token = secrets.token_hex(16)
            if WorkItem.objects.filter(pk=item.pk, state=ItemState.WAITING).update(
                state=ItemState.LEASED,
                lease_token=token,
                lease_until=_deadline(),
                worker=worker,
                updated_at=timezone.now(),
            ):
                leases.append(assignment(job, item, token))
        if leases:
            begin(job)
    return leases


def extend(lease: Lease) -> bool:
    """Keep the lease for another while; False: it is lost, stop and throw the work away."""
    return bool(_held(lease).update(lease_until=_deadline()))


def wanted(lease: Lease) -> bool:
    """Whether the work is still wanted: the lease holds, and the job is not being paused or cancelled."""
    return _held(lease).filter(job__state__in=WORKING).exists()


def give_back(lease: Lease, fault: Reported | None = None) -> bool:
    """Return an unfinished item, and judge what happened; False: the lease was lost already."""
    with transaction.atomic():
        job = hold(lease.job_id)
        item = _held(lease).first()
        if job is None or item is None:
            return False
        failure = Failure.CANCELLED if fault is None else Failure(str(fault.kind))
        judge(job, item, failure, "" if fault is None else fault.detail)
        settle(job.pk)
    return True


def give_back_worker(name: str) -> int:
    """Give back everything that a worker holds, because it is known to be dead; returns how many items."""
    return _lose(
        list(_ids(WorkItem.objects.filter(worker=name))), "the worker process ended", expired_only=False
    )


def sweep() -> int:
    """Hand out expired leases again and complete what waits for them; returns how many leases were lost.

    Harmless when several processes do it at once: each step compares before it sets.
    """
    expired = WorkItem.objects.filter(lease_until__lt=Now())
    lost = _lose(list(_ids(expired)), LOST, expired_only=True)
    stuck = Job.objects.filter(state__in=(JobState.PAUSING, JobState.CANCELLING))
    for job_id in stuck.values_list("pk", flat=True):
        with transaction.atomic():
            if hold(job_id) is not None:
                settle(job_id)
    ready = WorkItem.objects.filter(state=ItemState.WAITING, job__state__in=turns.SERVED).count()
    notify.look(min(ready, 8))
    return lost


def _ids(rows: Any) -> Any:
    return rows.filter(state=ItemState.LEASED).values_list("pk", "job_id", "lease_token")


def _lose(leased: list[tuple[int, UUID, str]], detail: str, *, expired_only: bool) -> int:
    lost = 0
    for item_id, job_id, token in leased:
        with transaction.atomic():
            job = hold(job_id)
            rows = WorkItem.objects.filter(pk=item_id, lease_token=token, state=ItemState.LEASED)
            if expired_only:  # an extension may have come in between: then the worker lives
                rows = rows.filter(lease_until__lt=Now())
            item = rows.first()
            if job is None or item is None:
                continue
            judge(job, item, Failure.WORKER_LOST, detail)
            settle(job_id)
            lost += 1
    return lost


def _held(lease: Lease) -> Any:
    return WorkItem.objects.filter(pk=lease.item_id, lease_token=lease.token, state=ItemState.LEASED)


def _deadline() -> Any:
    return Now() + timedelta(seconds=settings.ENVIRONMENT.lease_seconds)
