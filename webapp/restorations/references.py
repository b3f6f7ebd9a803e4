"""The references that a job's workers made: what lies beside its result."""

from __future__ import annotations

from typing import Any

from webapp.restorations.models import Job, WorkItem
from webapp.restorations.states import ItemKind, ItemState

__all__ = ["made_references"]


def made_references(job: Job) -> list[dict[str, Any]]:
    """The outcomes of the references that were made so far, in the order of a report.

    Each has `method`, `held_out_psnr` in dB and `picture`, the digest of its file.
    """
    rows = WorkItem.objects.filter(job=job, kind=ItemKind.BASELINE, state=ItemState.DONE).order_by("id")
    outcomes = [row.outcome or {} for row in rows]
    return [outcome for outcome in outcomes if not outcome.get("left_out")]
