"""What the owner asks is one step of the table, now or as soon as the workers have let go."""

from __future__ import annotations

import contextlib
import threading

import pytest
from django.contrib.auth.models import User
from django.db import connections

from tests.worker.cast import Trouble, drive, queue, record, take, take_one
from webapp.pictures import storage
from webapp.pictures.models import Picture
from webapp.restorations import control, files, leases
from webapp.restorations.control import NotPossible
from webapp.restorations.models import Job, JobFile, WorkItem
from webapp.restorations.snapshot import snapshot
from webapp.restorations.states import ItemState, JobState


def test_a_queued_job_pauses_at_once_and_goes_on(job: Job, alice: User) -> None:
    assert control.pause(job.pk, alice).state == JobState.PAUSED
    assert take() == []
    resumed = control.resume(job.pk, alice)
    assert resumed.state == JobState.QUEUED
    assert resumed.seconds_paused > 0
    assert drive(job).state == JobState.DONE


def test_a_running_job_is_pausing_until_the_last_lease_is_back(job: Job, alice: User) -> None:
    drive(job, until=lambda row: row.generation == 0)
    one, two = take_one(), take_one()
    assert control.pause(job.pk, alice).state == JobState.PAUSING
    assert not leases.wanted(one), "this is what stops the fit"
    assert leases.give_back(one, Trouble("cancelled"))
    assert Job.objects.get(pk=job.pk).state == JobState.PAUSING
    assert leases.give_back(two, Trouble("cancelled"))
    assert Job.objects.get(pk=job.pk).state == JobState.PAUSED
    assert not WorkItem.objects.filter(job=job, attempts__gt=0).exists()


def test_the_sweep_completes_a_pause_whose_worker_died(
    job: Job, alice: User, leases_expire_at_once: None
) -> None:
    take_one()
    assert control.pause(job.pk, alice).state == JobState.PAUSING
    leases.sweep()
    assert Job.objects.get(pk=job.pk).state == JobState.PAUSED


def test_cancelling_drops_the_work_and_late_outcomes_are_thrown_away(job: Job, alice: User) -> None:
    drive(job, until=lambda row: row.generation == 0)
    one, two = take_one(), take_one()
    assert control.cancel(job.pk, alice).state == JobState.CANCELLING
    assert leases.give_back(one, Trouble("cancelled"))
    leases.give_back_worker("recorder")
    assert Job.objects.get(pk=job.pk).state == JobState.CANCELLED
    assert set(WorkItem.objects.filter(job=job, outcome__isnull=True).values_list("state", flat=True)) == {
        ItemState.DROPPED
    }
    assert not record(two)


@pytest.mark.parametrize("act", [control.pause, control.resume, control.cancel])
def test_an_act_twice_is_harmless_and_after_the_end_impossible(job: Job, alice: User, act: object) -> None:
    assert callable(act)
    if act is control.resume:
        control.pause(job.pk, alice)
    assert act(job.pk, alice).state == act(job.pk, alice).state
    if act is not control.cancel:
        if act is control.pause:
            control.resume(job.pk, alice)
        assert drive(job).state == JobState.DONE
        with pytest.raises(NotPossible, match="done"):
            act(job.pk, alice)


@pytest.mark.parametrize("act", [control.pause, control.resume, control.cancel, control.go_on_without])
def test_another_persons_job_does_not_exist(job: Job, bob: User, act: object) -> None:
    assert callable(act)
    with pytest.raises(Job.DoesNotExist):
        act(job.pk, bob)


def test_pause_and_cancel_at_the_same_moment_end_in_one_of_both(job: Job, alice: User) -> None:
    drive(job, until=lambda row: row.generation == 0)
    lease = take_one()
    barrier = threading.Barrier(2)

    def act(what: object) -> None:
        assert callable(what)
        barrier.wait()
        with contextlib.suppress(NotPossible):
            what(job.pk, alice)
        connections.close_all()

    threads = [threading.Thread(target=act, args=(what,)) for what in (control.pause, control.cancel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    leases.give_back(lease)
    assert Job.objects.get(pk=job.pk).state == JobState.CANCELLED


def test_deleting_takes_the_files_that_nobody_else_has(alice: User, bob: User) -> None:
    mine, other = drive(queue(alice)), drive(queue(bob))
    assert mine.result_digest == other.result_digest, "equal pictures are one file"
    own = files.keep(mine.pk, b"alice's alone")
    shared = set(JobFile.objects.filter(job=other).values_list("digest", flat=True))
    control.delete(mine)
    assert not Job.objects.filter(pk=mine.pk).exists()
    assert not storage.exists(own)
    assert all(storage.exists(digest) for digest in shared)
    assert not Picture.objects.filter(owner=alice).exists()
    assert storage.exists(Picture.objects.get(owner=bob).digest)
    control.delete(other)
    left = [file for file in storage.path("0" * 64).parent.parent.rglob("*") if file.is_file()]
    assert [file.name for file in left] == [".lock"]


def test_a_running_job_is_not_deleted(job: Job) -> None:
    take_one()
    with pytest.raises(NotPossible, match="cancel it first"):
        control.delete(Job.objects.get(pk=job.pk))


def test_a_file_of_a_deleted_job_is_not_kept(job: Job) -> None:
    control.delete(job)
    with pytest.raises(files.JobGone):
        files.keep(job.pk, b"too late")


def test_the_snapshot_tells_what_the_events_tell(job: Job) -> None:
    drive(job, until=lambda row: row.generation == 1)
    shown = snapshot(job)
    assert shown["state"] == "running"
    assert [point["generation"] for point in shown["curve"]] == [0]
    assert shown["last_event"] == Job.objects.get(pk=job.pk).event_number
    done = drive(job)
    shown = snapshot(done)
    assert (shown["state"], len(shown["curve"]), shown["seconds_left"]) == ("done", 3, None)
    assert shown["best_fitness"] == done.run["best_fitness"]
