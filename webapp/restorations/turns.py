"""Whose turn it is: which job a free slot serves next, and which process does what only one should do.

Fair among people, first come first served for each: the owner with the least work under lease is next, with
the oldest of their jobs that has anything to hand out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, Q
from django.db.models.functions import Now

from nasdip_engine.devices import fingerprint_for, lacking
from webapp.restorations.models import Job, Turn, WorkItem
from webapp.restorations.states import WORKING, ItemState, JobState

__all__ = ["claim", "order", "place_in_queue", "release"]

SERVED = WORKING | {JobState.QUEUED}


def order(
    fingerprint: Mapping[str, Any] | None, device_class: str, abilities: Mapping[str, Any] | None = None
) -> list[UUID]:
    """Jobs with waiting items that a worker of this numerics fingerprint may and can serve, next one first.

    abilities: what its evaluator can compute with, as its hello says; None: whatever a job asks for.
    """
    jobs = list(
        Job.objects.filter(
            Q(items__state=ItemState.WAITING, items__device_class=device_class), state__in=SERVED
        )
        .distinct()
        .order_by("queued_at", "id")
        .values_list("id", "owner_id", "fingerprint", "settings")
    )
    busy = dict(
        WorkItem.objects.filter(state=ItemState.LEASED)
        .order_by()
        .values_list("job__owner_id")
        .annotate(leased=Count("id"))
    )
    served: Counter[int] = Counter()
    ranked: list[tuple[int, int, int, UUID]] = []
    for place, (job_id, owner, pinned, settings) in enumerate(jobs):
        if pinned is not None and pinned != fingerprint_for(fingerprint, settings.get("threads", 1)):
            continue
        if abilities is not None and lacking(settings, abilities):
            continue
        ranked.append((served[owner], busy.get(owner, 0), place, job_id))
        served[owner] += 1
    return [job_id for *_, job_id in sorted(ranked)]


def place_in_queue(job: Job) -> int | None:
    """1 for the queued job that is next, None for a job that is not queued."""
    if job.state != JobState.QUEUED:
        return None
    return 1 + Job.objects.filter(state=JobState.QUEUED, queued_at__lt=job.queued_at).count()


def claim(name: str, token: str, seconds: float) -> bool:
    """Take, or keep, the turn `name` for so many seconds; False while another process has it."""
    Turn.objects.bulk_create([Turn(name=name)], ignore_conflicts=True)
    free = Q(until__isnull=True) | Q(until__lt=Now()) | Q(token=token)
    return bool(
        Turn.objects.filter(free, name=name).update(token=token, until=Now() + timedelta(seconds=seconds))
    )


def release(name: str, token: str) -> None:
    """Give the turn back early."""
    Turn.objects.filter(name=name, token=token).update(token="", until=None)
