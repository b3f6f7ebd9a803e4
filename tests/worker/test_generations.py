"""A generation advances once, by whoever records its last outcome, and to the same rows in any order."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections, transaction

from nasdip_engine.evolution.search import Converged, first_generation, next_generation
from tests.worker.cast import SETTINGS, Trouble, drive, outcome_of, queue, record, take, take_one
from webapp.restorations import control, generations, leases
from webapp.restorations.leases import Lease
from webapp.restorations.models import Event, Generation, Job, WorkItem
from webapp.restorations.plan import Plan
from webapp.restorations.states import ItemKind, ItemState, JobState


def story(job: Job) -> list[tuple[Any, ...]]:
    """Everything that a search decided."""
    rows = Generation.objects.filter(job=job).order_by("number")
    return [
        (row.number, row.genomes, row.elites, row.fitness, row.evaluations, row.iterations) for row in rows
    ]


def test_a_job_goes_from_the_queue_to_the_result(job: Job) -> None:
    done = drive(job)
    assert (done.state, done.generation) == (JobState.DONE, 2)
    assert done.result_digest
    assert done.run["final"]["choice"] == "mean"
    assert done.run["best_genome"] == done.best_genome
    assert len(done.run["generations"]) == 3
    kinds = list(Event.objects.filter(job=job).order_by("number").values_list("kind", flat=True))
    assert kinds[:3] == ["queued", "started", "generation_opened"]
    assert kinds[-1] == "done"
    assert kinds.count("generation_closed") == 3


def test_the_rows_are_what_the_engine_alone_would_breed(job: Job) -> None:
    """The database adds nothing to the search: same populations as the pure functions give."""
    done = drive(job)
    plan = Plan.of(done)
    history = generations.history_of(done)
    assert history[0].generation.genomes == first_generation(plan.settings, plan.seeds).genomes
    for number in (1, 2):
        bred = next_generation(plan.settings, plan.seeds, history[:number])
        assert history[number].generation == bred
    assert isinstance(next_generation(plan.settings, plan.seeds, history), Converged)


def test_the_order_in_which_outcomes_come_in_decides_nothing(alice: User) -> None:
    def backwards(taken: Sequence[Lease]) -> Sequence[Lease]:
        return taken[::-1]

    def interleaved(taken: Sequence[Lease]) -> Sequence[Lease]:
        return [*taken[1::2], *taken[::2]]

    stories = [
        story(drive(queue(alice))),
        story(drive(queue(alice), order=backwards)),
        story(drive(queue(alice), order=interleaved)),
    ]
    assert stories[0] == stories[1] == stories[2]


def test_two_workers_that_record_the_last_outcomes_together_breed_one_generation(job: Job) -> None:
    drive(job, until=lambda row: row.generation == 0)
    *early, last, lastest = take()
    for lease in early:
        assert record(lease)
    written, commit, recorded = threading.Event(), threading.Event(), []

    def first() -> None:
        with transaction.atomic():
            recorded.append(record(last))
            written.set()
            assert commit.wait(10)
        connections.close_all()

    def second() -> None:
        recorded.append(record(lastest))
        connections.close_all()

    # The second worker comes while the first one's outcome is written and not committed: neither can see
    # that the other's is there, unless one waits for the other.
    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert written.wait(10)
    threads[1].start()
    threads[1].join(0.5)
    assert threads[1].is_alive(), "the second waits for the first one's commit"
    commit.set()
    for thread in threads:
        thread.join()
    assert recorded == [True, True]
    assert list(Generation.objects.filter(job=job).values_list("number", "state").order_by("number")) == [
        (0, "closed"),
        (1, "open"),
    ]
    assert Event.objects.filter(job=job, kind="generation_closed").count() == 1


def test_an_error_after_the_outcome_takes_the_outcome_back_with_it(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recording and breeding are one transaction: a worker killed between them has recorded nothing."""
    drive(job, until=lambda row: row.generation == 0)
    *early, last = take()
    for lease in early:
        record(lease)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(generations, "_open", killed)
        record(last)
    assert WorkItem.objects.get(pk=last.item_id).state == ItemState.LEASED
    assert Generation.objects.get(job=job).state == "open"
    assert record(last), "and whoever holds the lease records it again"


def test_genomes_of_one_phenotype_are_trained_once(job: Job) -> None:
    done = drive(job)
    rows = Generation.objects.filter(job=job)
    keys = [key for row in rows for key in row.keys]
    items = WorkItem.objects.filter(job=job, kind=ItemKind.EVALUATE)
    assert len(keys) == 12
    assert items.count() == len(set(keys)) < 12, "elites came again and were not trained again"
    assert sum(row["evaluations"] for row in done.run["generations"]) == items.count()


def test_a_genome_over_the_cost_cap_is_a_row_without_work(alice: User) -> None:
    job = queue(alice, overrides=SETTINGS | {"redraw": False, "starter_share": 0.0, "population": 12})
    drive(job, until=lambda row: row.generation == 0)
    refused = WorkItem.objects.filter(job=job, state=ItemState.REFUSED)
    assert refused.exists(), "uniform genomes hold invalid and expensive ones"
    assert all(row.outcome["fitness"] == 0 and row.outcome["reason"] for row in refused)
    assert {lease.item_id for lease in take()}.isdisjoint(refused.values_list("pk", flat=True))


def test_a_search_without_any_fitness_fails_and_says_so(job: Job) -> None:
    take_open = take_one()
    record(take_open)
    while taken := take():
        for lease in taken:
            outcome = outcome_of(lease) | {
                "fitness": 0.0,
                "fitness_hex": (0.0).hex(),
                "reason": "diverged: NaN",
            }
            assert generations.record(lease, outcome)
    failed = Job.objects.get(pk=job.pk)
    assert failed.state == JobState.FAILED
    assert "every fitness is 0" in failed.reason


def test_a_search_in_which_every_genome_is_refused_goes_through_its_generations_and_says_so(
    alice: User,
) -> None:
    """No generation has any work, so nothing comes in that could close one: opening the job does all."""
    job = queue(alice, overrides=SETTINGS | {"redraw": False, "starter_share": 0.0, "cost_cap": 1})
    record(take_one())
    failed = Job.objects.get(pk=job.pk)
    assert failed.state == JobState.FAILED
    assert "every fitness is 0" in failed.reason
    rows = Generation.objects.filter(job=job).order_by("number")
    assert [(row.number, row.state, row.evaluations, row.best) for row in rows] == [
        (number, "closed", 0, 0.0) for number in range(3)
    ]
    assert take() == []


def test_such_a_search_that_is_just_being_paused_fails_when_it_is_resumed(job: Job, alice: User) -> None:
    drive(job, until=lambda row: row.generation == 0)
    nothing = {"fitness": 0.0, "fitness_hex": (0.0).hex(), "reason": "diverged: NaN"}
    while (taken := take()) and Job.objects.get(pk=job.pk).generation != 2:
        for lease in taken:
            generations.record(lease, outcome_of(lease) | nothing)
    control.pause(job.pk, alice)
    for lease in taken:
        generations.record(lease, outcome_of(lease) | nothing)
    assert Job.objects.get(pk=job.pk).state == JobState.PAUSED
    control.resume(job.pk, alice)
    assert Job.objects.get(pk=job.pk).state == JobState.FAILED


def test_a_final_fit_that_diverges_leaves_the_others(job: Job) -> None:
    drive(job, until=lambda row: row.state == JobState.FINISHING)
    finish = [lease for lease in take() if lease.kind is ItemKind.FINISH]
    assert len(finish) == 2
    assert generations.record(finish[0], outcome_of(finish[0]) | {"reason": "diverged: NaN", "array": None})
    assert record(finish[1])
    leases.give_back_worker("recorder")
    done = drive(job)
    assert done.state == JobState.DONE
    assert [network["reason"] for network in done.run["final"]["networks"]] == ["diverged: NaN", None]


def test_when_every_final_fit_diverges_the_job_fails_with_the_reason(job: Job) -> None:
    drive(job, until=lambda row: row.state == JobState.FINISHING)
    for lease in take():
        if lease.kind is ItemKind.FINISH:
            generations.record(lease, outcome_of(lease) | {"reason": "diverged: NaN", "array": None})
    failed = Job.objects.get(pk=job.pk)
    assert failed.state == JobState.FAILED
    assert "diverged: NaN" in failed.reason


def test_a_job_paused_with_its_last_outcome_under_way_goes_on_finishing(job: Job, alice: User) -> None:
    drive(job, until=lambda row: row.generation == 2)
    *early, last = take()
    for lease in early:
        record(lease)
    control.pause(job.pk, alice)
    assert Job.objects.get(pk=job.pk).state == JobState.PAUSING
    assert record(last), "what is done is kept"
    assert Job.objects.get(pk=job.pk).state == JobState.PAUSED
    assert take() == []
    control.resume(job.pk, alice)
    take_one()
    assert Job.objects.get(pk=job.pk).state == JobState.FINISHING
    leases.give_back_worker("recorder")
    assert drive(job).state == JobState.DONE


def test_a_job_whose_last_step_came_in_while_it_stood_still_is_done_on_resume(job: Job, alice: User) -> None:
    drive(job, until=lambda row: row.state == JobState.FINISHING)
    for lease in take():
        if lease.kind is ItemKind.FINISH:
            record(lease)
    combine = next(lease for lease in take() if lease.kind is ItemKind.COMBINE)
    held, *others = WorkItem.objects.filter(job=job, kind=ItemKind.BASELINE)
    for other in others:
        lease = Lease(
            other.pk, other.lease_token, job.pk, ItemKind.BASELINE, "", None, {"method": None}, 60.0
        )
        assert record(lease)
    baseline = Lease(held.pk, held.lease_token, job.pk, ItemKind.BASELINE, "", None, {}, 60.0)
    for _ in range(3):
        leases.give_back(baseline, Trouble("disk_full"))
        if Job.objects.get(pk=job.pk).state == JobState.PAUSED:
            break
        baseline = take_one()
    assert Job.objects.get(pk=job.pk).state == JobState.PAUSED
    assert record(combine)
    control.resume(job.pk, alice)
    assert drive(job).state == JobState.DONE
