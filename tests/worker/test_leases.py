"""What if a worker dies?  An outcome counts once, a lease comes back, and only the right faults decide anything."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.auth.models import User
from django.db import connections

from tests.worker.cast import FINGERPRINT, Trouble, drive, outcome_of, queue, record, take, take_one
from webapp.restorations import control, generations, leases, turns
from webapp.restorations.models import Event, Job, WorkItem
from webapp.restorations.states import ItemState, JobState


def state(job: Job) -> str:
    return Job.objects.get(pk=job.pk).state


def open_generation(job: Job) -> None:
    drive(job, until=lambda row: row.generation == 0)


def expire(settings: Any) -> None:
    settings.ENVIRONMENT = replace(site.ENVIRONMENT, lease_seconds=-1.0)


def test_each_waiting_item_is_leased_once_to_many_takers_at_the_same_moment(job: Job) -> None:
    open_generation(job)
    waiting = set(WorkItem.objects.filter(job=job, state=ItemState.WAITING).values_list("pk", flat=True))
    assert len(waiting) == 4
    takers, got, barrier = 8, [], threading.Barrier(8)

    def taker(number: int) -> None:
        barrier.wait()
        got.extend(lease.item_id for lease in take(1, f"worker {number}"))
        connections.close_all()

    threads = [threading.Thread(target=taker, args=(number,)) for number in range(takers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(waiting)


def test_an_outcome_is_written_by_the_holder_of_the_lease_alone(
    job: Job, leases_expire_at_once: None
) -> None:
    open_generation(job)
    slow = take_one("slow")
    assert leases.sweep() == 1
    quick = take_one("quick")
    assert quick.item_id == slow.item_id
    assert not generations.record(slow, outcome_of(slow) | {"fitness": 0.99})
    assert not leases.give_back(slow, Trouble("crash"))
    assert not leases.extend(slow)
    assert not leases.wanted(slow)
    assert record(quick)
    assert not record(quick), "an outcome is written once"
    row = WorkItem.objects.get(pk=quick.item_id)
    assert (row.state, row.outcome["fitness"], row.crashes) == (
        ItemState.DONE,
        outcome_of(quick)["fitness"],
        0,
    )
    assert Event.objects.filter(job=job, kind="evaluated").count() == 1


def test_a_lease_that_is_extended_is_not_swept(job: Job, settings: Any) -> None:
    before = settings.ENVIRONMENT
    expire(settings)
    lease = take_one()
    settings.ENVIRONMENT = before
    assert leases.extend(lease)
    assert leases.sweep() == 0
    assert leases.wanted(lease)


def test_an_extension_between_the_sweeps_look_and_its_hand_wins(job: Job, settings: Any) -> None:
    before = settings.ENVIRONMENT
    expire(settings)
    lease = take_one()
    seen = list(leases._ids(WorkItem.objects.filter(job=job)))
    settings.ENVIRONMENT = before
    assert leases.extend(lease)
    assert leases._lose(seen, "late", expired_only=True) == 0
    assert leases.wanted(lease)


def test_two_sweeps_that_saw_the_same_lease_take_it_back_once(job: Job, leases_expire_at_once: None) -> None:
    take_one()
    seen = list(leases._ids(WorkItem.objects.filter(job=job)))
    assert leases._lose(seen, "gone", expired_only=True) == 1
    assert leases._lose(seen, "gone", expired_only=True) == 0
    assert WorkItem.objects.get(job=job).losses == 1


def test_a_dead_workers_leases_come_back_at_once_and_nobody_elses(job: Job) -> None:
    open_generation(job)
    dead, alive = take_one("dead"), take_one("alive")
    assert leases.give_back_worker("dead") == 1
    assert not leases.wanted(dead)
    assert leases.wanted(alive)
    assert take_one().item_id == dead.item_id


def test_a_job_is_served_by_one_kind_of_numerics(job: Job) -> None:
    take_one()
    assert Job.objects.get(pk=job.pk).fingerprint == FINGERPRINT
    leases.give_back_worker("recorder")
    assert take(1, "other", {"torch": "another", "threads": 1}) == []
    assert len(take(1, "same")) == 1


def test_given_back_without_a_fault_counts_nothing(job: Job) -> None:
    for _ in range(5):
        assert leases.give_back(take_one())
    row = WorkItem.objects.get(job=job)
    assert (row.attempts, row.losses, row.crashes, row.state) == (0, 0, 0, ItemState.WAITING)
    assert not Event.objects.filter(job=job, kind="fault").exists()


def test_two_native_crashes_give_fitness_0_with_the_reason_and_cost_nothing_else(job: Job) -> None:
    open_generation(job)
    victim = take_one()
    assert leases.give_back(victim, Trouble("crash", "SIGSEGV"))
    row = WorkItem.objects.get(pk=victim.item_id)
    assert (row.state, row.crashes) == (ItemState.WAITING, 1)
    again = take_one()
    assert again.item_id == victim.item_id
    assert leases.give_back(again, Trouble("crash", "SIGSEGV"))
    row.refresh_from_db()
    assert row.state == ItemState.POISONED
    assert row.outcome["fitness"] == 0
    assert "SIGSEGV" in row.outcome["reason"]
    assert "cpu" in row.outcome["reason"]
    assert drive(job).state == JobState.DONE


@pytest.mark.parametrize("kind", ["killed", "hang", "memory", "error", "host_lost", "disk_full"])
def test_three_infrastructure_faults_pause_the_job_and_decide_no_fitness(job: Job, kind: str) -> None:
    open_generation(job)
    for _ in range(3):
        assert state(job) == JobState.RUNNING
        assert leases.give_back(take_one(), Trouble(kind, "no luck"))
    row = Job.objects.get(pk=job.pk)
    assert (row.state, row.fault_class) == (JobState.PAUSED, kind)
    assert "no luck" in row.reason
    assert not WorkItem.objects.filter(job=job, outcome__fitness=0).exists()
    assert take() == []


def test_a_lease_lost_with_its_worker_counts_apart_and_pauses_at_ten(job: Job) -> None:
    open_generation(job)
    leases.give_back(take_one(), Trouble("hang"))
    leases.give_back(take_one(), Trouble("hang"))
    for count in range(10):
        assert state(job) == JobState.RUNNING, count
        take_one("doomed")
        assert leases.give_back_worker("doomed") == 1
    row = Job.objects.get(pk=job.pk)
    assert (row.state, row.fault_class) == (JobState.PAUSED, "worker_lost")


def test_an_item_finished_in_between_sets_the_count_back(job: Job) -> None:
    open_generation(job)
    unlucky = take_one()
    other = take_one()
    leases.give_back(unlucky, Trouble("hang"))
    leases.give_back(take_one(), Trouble("hang"))
    assert WorkItem.objects.get(pk=unlucky.item_id).attempts == 2
    assert record(other)
    assert WorkItem.objects.get(pk=unlucky.item_id).attempts == 0
    assert leases.give_back(take_one(), Trouble("hang"))
    assert state(job) == JobState.RUNNING


def test_a_crash_is_not_forgotten_when_others_finish(job: Job) -> None:
    open_generation(job)
    victim = take_one()
    other = take_one()
    leases.give_back(victim, Trouble("crash"))
    assert record(other)
    leases.give_back(take_one(), Trouble("crash"))
    assert WorkItem.objects.get(pk=victim.item_id).state == ItemState.POISONED


def test_going_on_after_faults_starts_the_counts_anew(job: Job, alice: User) -> None:
    open_generation(job)
    for _ in range(3):
        leases.give_back(take_one(), Trouble("hang"))
    control.resume(job.pk, alice)
    assert not WorkItem.objects.filter(job=job, attempts__gt=0).exists()
    assert drive(job).state == JobState.DONE


def test_going_on_without_the_genome_is_an_input_of_the_search(job: Job, alice: User) -> None:
    open_generation(job)
    for _ in range(3):
        failing = take_one()
        leases.give_back(failing, Trouble("hang"))
    control.go_on_without(job.pk, alice)
    row = WorkItem.objects.get(pk=failing.item_id)
    assert (row.state, row.outcome["reason"]) == (ItemState.REFUSED, "excluded by owner")
    done = drive(job)
    assert done.state == JobState.DONE
    assert [entry["genome"] for entry in done.run["excluded"]] == [failing.genome]
    slot = done.run["generations"][0]["genomes"].index(failing.genome)
    assert float.fromhex(done.run["generations"][0]["fitness_hex"][slot]) == 0


def test_a_crash_while_opening_ends_the_job_with_the_cause(job: Job) -> None:
    leases.give_back(take_one(), Trouble("crash", "SIGILL"))
    leases.give_back(take_one(), Trouble("crash", "SIGILL"))
    row = Job.objects.get(pk=job.pk)
    assert row.state == JobState.FAILED
    assert "SIGILL" in row.reason


def test_a_job_that_this_version_cannot_read_fails_and_holds_nobody_up(alice: User) -> None:
    broken, sound = queue(alice), queue(alice)
    Job.objects.filter(pk=broken.pk).update(settings=broken.settings | {"colour": 1})
    assert take_one().job_id == sound.pk
    row = Job.objects.get(pk=broken.pk)
    assert row.state == JobState.FAILED
    assert "colour" in row.reason


def test_people_take_turns_and_each_ones_jobs_come_in_order(alice: User, bob: User) -> None:
    first, second, bobs = queue(alice), queue(alice), queue(bob)
    order = turns.order(FINGERPRINT, "cpu")
    assert order == [first.pk, bobs.pk, second.pk]
    assert take_one().job_id == first.pk
    assert take_one().job_id == bobs.pk
    assert take_one().job_id == second.pk


def test_one_process_at_a_time_has_the_turn(database: str) -> None:
    assert turns.claim("sweep", "one", 30)
    assert not turns.claim("sweep", "two", 30)
    assert turns.claim("sweep", "one", -1), "its holder may keep it"
    assert turns.claim("sweep", "two", 30), "and it is free once it has run out"
    turns.release("sweep", "two")
    assert turns.claim("sweep", "three", 30)
