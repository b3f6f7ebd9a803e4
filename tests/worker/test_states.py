"""The table of states is what code and database hold to."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from tests.worker.cast import drive, take_one
from webapp.restorations.models import Generation, Job, WorkItem
from webapp.restorations.states import (
    ENDED,
    JOB_TRANSITIONS,
    GenerationState,
    ItemKind,
    ItemState,
    JobState,
    may_become,
    sources_of,
)
from webapp.restorations.transitions import move

REQUIRED = {  # what the design says, word by word; "deleted" is no state
    "queued": {"running", "paused", "cancelled", "failed"},
    "running": {"pausing", "finishing", "cancelling", "failed", "paused"},
    "pausing": {"paused", "cancelling"},
    "paused": {"queued", "cancelled"},
    "finishing": {"done", "cancelling", "failed", "paused"},
    "cancelling": {"cancelled"},
    "done": set(),
    "cancelled": set(),
    "failed": set(),
}


def fields(state: JobState) -> dict[str, Any]:
    """What the constraints ask of a job in that state."""
    now = timezone.now()
    return {
        "state": state,
        "started_at": None if state == JobState.QUEUED else now,
        "finished_at": now if state in ENDED else None,
        "paused_at": now if state == JobState.PAUSED else None,
        "reason": "why" if state == JobState.FAILED else "",
        "result_digest": "d" * 64 if state == JobState.DONE else "",
        "run": {"format": 1} if state == JobState.DONE else None,
    }


def test_the_table_is_the_designs() -> None:
    assert {str(state): {str(to) for to in targets} for state, targets in JOB_TRANSITIONS.items()} == REQUIRED


def test_nothing_leaves_an_end() -> None:
    assert {state for state, targets in JOB_TRANSITIONS.items() if not targets} == ENDED


@pytest.mark.parametrize("target", JobState)
def test_a_job_moves_as_the_table_says_and_not_otherwise(job: Job, target: JobState) -> None:
    wanted = fields(target)
    del wanted["state"]
    for source in JobState:
        Job.objects.filter(pk=job.pk).update(**fields(source))
        if may_become(source, target):
            assert move(job.pk, target, {source}, **wanted)
            assert Job.objects.get(pk=job.pk).state == target
            continue
        with pytest.raises(ValueError, match="can't go from"):
            move(job.pk, target, {source}, **wanted)
        if sources_of(target):
            assert not move(job.pk, target, **wanted)
        assert Job.objects.get(pk=job.pk).state == source


@pytest.mark.parametrize(
    ("state", "change", "constraint"),
    [
        (JobState.QUEUED, {"state": "resting"}, "job_state"),
        (JobState.QUEUED, {"task": "sharpen"}, "job_task"),
        (JobState.QUEUED, {"factor": 9}, "job_factor"),
        (JobState.QUEUED, {"finished_at": timezone.now()}, "job_ended_has_end"),
        (JobState.CANCELLED, {"finished_at": None}, "job_ended_has_end"),
        (JobState.RUNNING, {"started_at": None}, "job_running_has_start"),
        (JobState.PAUSED, {"paused_at": None}, "job_paused_since"),
        (JobState.RUNNING, {"paused_at": timezone.now()}, "job_paused_since"),
        (JobState.DONE, {"result_digest": ""}, "job_done_has_result"),
        (JobState.DONE, {"run": None}, "job_done_has_result"),
        (JobState.FAILED, {"reason": ""}, "job_failed_has_reason"),
    ],
)
def test_the_database_refuses_a_job_that_cannot_be(
    job: Job, state: JobState, change: dict[str, Any], constraint: str
) -> None:
    Job.objects.filter(pk=job.pk).update(**fields(state))
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Job.objects.filter(pk=job.pk).update(**change)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"state": "lost", "lease_token": "", "lease_until": None}, "item_"),
        ({"kind": "dream"}, "item_kind"),
        ({"lease_token": ""}, "item_leased_has_lease"),
        ({"lease_until": None}, "item_leased_has_lease"),
        ({"state": ItemState.WAITING}, "item_leased_has_lease"),
        ({"state": ItemState.DONE, "lease_token": "", "lease_until": None}, "item_settled_has_outcome"),
        ({"outcome": {"fitness": 1.0}}, "item_settled_has_outcome"),
    ],
)
def test_the_database_refuses_an_item_that_cannot_be(
    job: Job, change: dict[str, Any], constraint: str
) -> None:
    lease = take_one()
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        WorkItem.objects.filter(pk=lease.item_id).update(**change)


def test_a_key_stands_once_in_a_job(job: Job) -> None:
    (item,) = WorkItem.objects.filter(job=job)
    with pytest.raises(IntegrityError), transaction.atomic():
        WorkItem.objects.create(job=job, kind=ItemKind.EVALUATE, key=item.key)


def test_a_job_has_one_open_generation_and_each_number_once(job: Job) -> None:
    drive(job, until=lambda row: row.generation == 1)
    for number in (1, 7):
        with pytest.raises(IntegrityError), transaction.atomic():
            Generation.objects.create(job=job, number=number, genomes=[])


def test_a_closed_generation_has_its_fitness(job: Job) -> None:
    drive(job, until=lambda row: row.generation == 0)
    rows = Generation.objects.filter(job=job, number=0)
    with pytest.raises(IntegrityError, match="generation_closed_has_fitness"), transaction.atomic():
        rows.update(state=GenerationState.CLOSED)
