"""Progress of a fit, as at most two events a second and job; previews are files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction

from webapp.restorations import events
from webapp.restorations.assignments import Lease
from webapp.restorations.events import EventKind
from webapp.restorations.finals import final_fits
from webapp.restorations.models import Job, WorkItem
from webapp.restorations.states import WORKING, ItemKind, ItemState
from webapp.restorations.transitions import hold

__all__ = ["SECONDS_APART", "report"]

SECONDS_APART = 0.5


def report(lease: Lease, progress: Mapping[str, Any], preview: str) -> bool:
    """Tell how far a leased fit is; False when nothing was told (too soon, or the lease was lost).

    progress: the evaluator's.  preview: digest of a stored picture of the current output, or "".
    """
    final = lease.kind is ItemKind.FINISH
    kind = EventKind.FINAL_PROGRESS if final else EventKind.PROGRESS
    if events.recently(lease.job_id, kind, SECONDS_APART):  # most reports end here, without a write
        return False
    with transaction.atomic():
        job = hold(lease.job_id)
        held = WorkItem.objects.filter(pk=lease.item_id, lease_token=lease.token, state=ItemState.LEASED)
        if job is None or job.state not in WORKING or not held.exists():
            return False
        if events.recently(job.pk, kind, SECONDS_APART):
            return False
        if preview:
            Job.objects.filter(pk=job.pk).update(preview_digest=preview)
        told = {
            "genome": lease.genome,
            "iteration": progress["iteration"],
            "of": progress["of"],
            "held_out_psnr": progress["held_out_psnr"],
            "preview": preview,
        }
        events.append(job.pk, kind, told | (_of_finals(lease) if final else {"generation": lease.generation}))
    return True


def _of_finals(lease: Lease) -> dict[str, int]:
    return {"tile": lease.tile, "tiles": lease.tiles, **final_fits(lease.job_id)}
