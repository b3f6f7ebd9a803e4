"""What the owner asks is one step of the table, now or as soon as the workers have let go."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.db.models import RestrictedError

from tests.worker.cast import (
    FINGERPRINT,
    SETTINGS,
    Trouble,
    drive,
    let_leases_run_out,
    queue,
    record,
    take,
    take_one,
)
from webapp.api import jobs
from webapp.api.problems import ProblemError
from webapp.api.schemas import JobIn
from webapp.pictures import intake, storage
from webapp.pictures.models import Picture
from webapp.restorations import control, files, generations, leases, submission, workers
from webapp.restorations.control import NotPossible
from webapp.restorations.leases import Lease
from webapp.restorations.models import Event, Job, JobFile, WorkItem
from webapp.restorations.snapshot import snapshot
from webapp.restorations.states import ItemKind, ItemState, JobState

OWNERS_ACTS = [control.pause, control.resume, control.cancel, control.go_on_without, control.go_on_here]


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


def test_the_sweep_completes_a_pause_whose_worker_died(job: Job, alice: User) -> None:
    take_one()
    assert control.pause(job.pk, alice).state == JobState.PAUSING
    let_leases_run_out()
    leases.sweep()
    assert Job.objects.get(pk=job.pk).state == JobState.PAUSED


@pytest.mark.parametrize(
    ("act", "state"), [(control.pause, JobState.PAUSED), (control.cancel, JobState.CANCELLED)]
)
def test_without_any_worker_the_owner_need_not_wait_for_a_sweep(
    job: Job, alice: User, act: Callable[[UUID, User], Job], state: JobState
) -> None:
    drive(job, until=lambda row: row.generation == 0)
    take_one()
    assert act(job.pk, alice).state != state, "the worker may still live"
    let_leases_run_out()
    assert act(job.pk, alice).state == state
    assert WorkItem.objects.filter(job=job, losses=1).count() == 1


def test_a_job_whose_worker_died_while_it_was_cancelled_is_deleted(job: Job, alice: User) -> None:
    take_one()
    control.cancel(job.pk, alice)
    with pytest.raises(NotPossible, match="cancelling"):
        control.delete(job)
    let_leases_run_out()
    control.delete(job)
    assert not Job.objects.exists()


def give_up(lease: Lease, kind: str = "memory") -> Lease:
    """Let the item of a lease fault until its job pauses; nothing else may wait meanwhile."""
    while True:
        assert leases.give_back(lease, Trouble(kind, "out of it"))
        if Job.objects.get(pk=lease.job_id).state == JobState.PAUSED:
            return lease
        lease = next(again for again in take() if again.item_id == lease.item_id)


def finals_of(job: Job) -> dict[ItemKind, list[Lease]]:
    drive(job, until=lambda row: row.state == JobState.FINISHING)
    found: dict[ItemKind, list[Lease]] = {ItemKind.FINISH: [], ItemKind.BASELINE: []}
    for lease in take():
        found[lease.kind].append(lease)
    return found


def test_a_final_fit_that_always_faults_is_left_out(job: Job, alice: User) -> None:
    finals = finals_of(job)
    failing, other = finals[ItemKind.FINISH]
    give_up(failing)
    assert control.go_on_without(job.pk, alice).state == JobState.FINISHING
    assert record(other)
    for reference in finals[ItemKind.BASELINE]:
        assert record(reference)
    done = drive(job)
    assert (done.state, done.reason) == (JobState.DONE, "")
    (entry,) = done.run["excluded"]
    assert (entry["kind"], entry["genome"]) == ("finish", failing.genome)
    assert entry["key"].startswith("finish:")
    assert [network["genome"] for network in done.run["final"]["networks"]] == [other.genome]


def test_the_last_final_fit_is_not_left_out(job: Job, alice: User) -> None:
    finals = finals_of(job)
    one, other = finals[ItemKind.FINISH]
    give_up(one)
    control.go_on_without(job.pk, alice)
    give_up(other)
    with pytest.raises(NotPossible, match="No other network"):
        control.go_on_without(job.pk, alice)
    assert Job.objects.get(pk=job.pk).state == JobState.PAUSED


def test_a_job_whose_machines_are_gone_goes_on_with_others(job: Job, alice: User) -> None:
    other = {"torch": "another", "threads": 1}
    drive(job, until=lambda row: row.generation == 0)
    with pytest.raises(NotPossible, match="no running worker"):
        control.go_on_here(job.pk, alice)  # there is none at all
    workers.beat("other", pid=1, slots=1, fingerprint=other, device="cpu", first=True)
    assert take(1, "other", other) == []
    assert snapshot(job)["may_go_on_here"]
    held = take_one()
    with pytest.raises(NotPossible, match="still holds"):
        control.go_on_here(job.pk, alice)
    leases.give_back(held)
    assert control.go_on_here(job.pk, alice).fingerprint is None
    while taken := take(1, "other", other):
        assert record(taken[0])
    done = Job.objects.get(pk=job.pk)
    assert done.state == JobState.DONE
    assert done.run["fingerprints"] == [FINGERPRINT, other]
    assert done.run["fingerprint"] == other
    assert Event.objects.get(job=job, kind="moved").data == {"fingerprint": FINGERPRINT}


def test_a_job_stays_with_its_machines_while_one_of_them_is_up(job: Job, alice: User) -> None:
    drive(job, until=lambda row: row.generation == 0)
    for name, fingerprint in (("other", {"torch": "another"}), ("same", FINGERPRINT)):
        workers.beat(name, pid=1, slots=1, fingerprint=fingerprint, device="cpu", first=True)
    assert not snapshot(job)["may_go_on_here"]
    with pytest.raises(NotPossible, match="no running worker"):
        control.go_on_here(job.pk, alice)
    assert "fingerprints" not in drive(job).run


@pytest.mark.parametrize(
    ("act", "state"), [(control.pause, JobState.PAUSED), (control.cancel, JobState.CANCELLED)]
)
def test_an_input_that_cannot_be_restored_gives_its_lease_back_to_a_job_on_its_way_out(
    job: Job, alice: User, act: Callable[[UUID, User], Job], state: JobState
) -> None:
    lease = take_one()
    act(job.pk, alice)
    assert generations.abandon(lease, "all of it is hole")
    assert Job.objects.get(pk=job.pk).state == state
    assert not WorkItem.objects.filter(job=job, state=ItemState.LEASED).exists()


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


@pytest.mark.parametrize("act", OWNERS_ACTS)
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


def at_once(*acts: Callable[[], object]) -> list[object]:
    """What each of the acts, begun at the same moment on connections of their own, gave or raised."""
    barrier = threading.Barrier(len(acts))
    ended: list[object] = ["died"] * len(acts)

    def do(number: int, act: Callable[[], object]) -> None:
        barrier.wait()
        try:
            ended[number] = act()
        except (ProblemError, RestrictedError) as error:
            ended[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=do, args=one) for one in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ended


def test_two_jobs_of_one_picture_deleted_at_once_take_it_along(alice: User) -> None:
    for _ in range(10):
        one = queue(alice)
        other = submission.submit(
            alice, picture=one.picture, task="denoise", seed=4, mask_digest=None, overrides=SETTINGS
        )
        for job in (one, other):
            control.cancel(job.pk, alice)
        rows = [Job.objects.get(pk=job.pk) for job in (one, other)]
        assert at_once(*(partial(control.delete, row) for row in rows)) == [None, None]
        assert not Picture.objects.exists()


def test_a_picture_is_deleted_or_restored_never_both(alice: User) -> None:
    for _ in range(10):
        first = queue(alice)
        picture, content = first.picture, storage.read(first.picture.digest)
        control.cancel(first.pk, alice)
        Job.objects.filter(pk=first.pk).delete()
        ask = partial(submitted, alice, Picture.objects.get(pk=picture.pk))
        job, gone = at_once(ask, partial(intake.forget, picture))
        if isinstance(job, Job):
            assert isinstance(gone, RestrictedError)
            assert storage.read(picture.digest) == content
        else:
            assert isinstance(job, ProblemError) and job.status == 404
            assert gone is None and not Picture.objects.exists()
        Job.objects.all().delete()
        Picture.objects.all().delete()


def submitted(owner: User, picture: Picture) -> Job:
    """What the API's operation does."""
    order = JobIn(picture=picture.pk, task="denoise", preset="preview", settings=SETTINGS)
    return jobs._submit(owner, order, None)


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
