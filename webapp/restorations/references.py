"""The references of a job: what its workers made to lie beside the result, and what is said of one that they did not."""

from __future__ import annotations

from typing import Any

from nasdip_engine.baseline_names import baseline_of_key, baselines_of, left_out_record
from webapp.restorations.models import Job, WorkItem
from webapp.restorations.plan import Plan
from webapp.restorations.states import ItemKind, ItemState

__all__ = ["left_out", "made_references", "method_of"]


def made_references(job: Job) -> list[dict[str, Any]]:
    """The outcomes of the references that were made so far, in the order of a report.

    Each has `method`, `held_out_psnr` in dB and `picture`, the digest of its file.
    """
    rows = WorkItem.objects.filter(job=job, kind=ItemKind.BASELINE, state=ItemState.DONE).order_by("id")
    outcomes = [row.outcome or {} for row in rows]
    return [outcome for outcome in outcomes if not outcome.get("left_out")]


def method_of(job: Job, item: WorkItem) -> str:
    """The reference that an item makes, by name; the task's own for the only item of an older job."""
    task = Plan.of(job).task
    return baseline_of_key(task, item.key) or baselines_of(task)[0]


def left_out(job: Job, item: WorkItem, reason: str) -> dict[str, Any]:
    """The outcome of a reference that is given up; reason goes on after "it"."""
    method = method_of(job, item)
    return left_out_record(method, f"{method}: it {reason}.")
