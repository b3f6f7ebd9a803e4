"""Events are numbered 1, 2, 3, ... per job, without holes, in the order of commit."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.db.models.functions import Now
from django.utils import timezone

from tests.worker.cast import drive, take_one
from webapp.restorations import events, leases, progress
from webapp.restorations.events import SHAPES, EventKind
from webapp.restorations.models import Event, Job

TICK = {"iteration": 3, "of": 20, "held_out_psnr": None}


def numbers(job: Job) -> list[int]:
    return list(Event.objects.filter(job=job).order_by("number").values_list("number", flat=True))


def test_many_writers_leave_no_hole_and_no_double(job: Job) -> None:
    writers, each = 4, 25
    barrier = threading.Barrier(writers)

    def write(name: int) -> None:
        barrier.wait()
        for count in range(each):
            with transaction.atomic():
                told = {"class": "error", "genome": "", "detail": f"{name}.{count}"}
                events.append(job.pk, EventKind.FAULT, told)
        connections.close_all()

    threads = [threading.Thread(target=write, args=(name,)) for name in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(job) == list(range(1, 2 + writers * each))
    assert Job.objects.get(pk=job.pk).event_number == 1 + writers * each


def test_a_reader_that_has_seen_a_number_never_finds_a_smaller_one_later(job: Job) -> None:
    """Commit order: a transaction that took its number first commits first, the other waits for it."""
    took_number, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            events.append(job.pk, EventKind.FAILED, {"reason": "slow"})
            took_number.set()
            assert go_on.wait(10)
        connections.close_all()

    def quick() -> None:
        with transaction.atomic():
            events.append(job.pk, EventKind.FAILED, {"reason": "quick"})
        connections.close_all()

    first, second = threading.Thread(target=slow), threading.Thread(target=quick)
    first.start()
    assert took_number.wait(10)
    second.start()
    second.join(0.5)
    assert second.is_alive(), "the second writer must wait for the first one's commit"
    assert numbers(job) == [1]
    go_on.set()
    first.join()
    second.join()
    reasons = [row.data.get("reason") for row in Event.objects.filter(job=job).order_by("number")]
    assert reasons == [None, "slow", "quick"]


def test_an_event_goes_back_with_what_it_tells(job: Job) -> None:
    with pytest.raises(RuntimeError, match="undone"), transaction.atomic():
        events.append(job.pk, EventKind.FAILED, {"reason": "not yet"})
        raise RuntimeError("undone")
    assert numbers(job) == [1]
    with transaction.atomic():
        assert events.append(job.pk, EventKind.RESUMED) == 2


def test_an_event_outside_a_transaction_is_refused(job: Job) -> None:
    with pytest.raises(RuntimeError, match="transaction"):
        events.append(job.pk, EventKind.RESUMED)


@pytest.mark.parametrize("kind", EventKind)
def test_each_kind_has_one_shape(job: Job, kind: EventKind) -> None:
    with pytest.raises(TypeError, match=f"event {kind}"), transaction.atomic():
        events.append(job.pk, kind, {"surprise": 1})
    data = dict.fromkeys(SHAPES[kind].__required_keys__, "")  # type: ignore[attr-defined]
    with transaction.atomic():
        events.append(job.pk, kind, data)
    assert events.after(job.pk, 1)[0].items() >= {"number": 2, "kind": kind, **data}.items()


def test_an_answer_has_at_most_200_events(job: Job) -> None:
    with transaction.atomic():
        for _ in range(210):
            events.append(job.pk, EventKind.RESUMED)
    page = events.after(job.pk, 0, limit=1000)
    assert [event["number"] for event in page] == list(range(1, 201))
    assert [event["number"] for event in events.after(job.pk, 200)] == list(range(201, 212))


def test_progress_is_told_twice_a_second_at_most(job: Job) -> None:
    drive(job, until=lambda row: row.generation == 0)
    one, two = take_one(), take_one()
    assert progress.report(one, TICK, "")
    assert not progress.report(one, TICK, "")
    assert not progress.report(two, TICK, ""), "all fits of a job share the two"
    assert Event.objects.filter(job=job, kind="progress").count() == 1


def test_events_have_the_databases_time(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose clock is wrong tells neither too often nor too rarely."""
    drive(job, until=lambda row: row.generation == 0)
    lease = take_one()
    late = timezone.now() - timedelta(hours=1)
    with monkeypatch.context() as patch:
        patch.setattr(timezone, "now", lambda: late)
        assert progress.report(lease, TICK, "")
    assert events.recently(job.pk, EventKind.PROGRESS, 600)
    # The machine's clock may have been set back since: what it called an hour from now is no news.
    Event.objects.filter(job=job, kind="progress").update(at=Now() + timedelta(hours=1))
    assert not events.recently(job.pk, EventKind.PROGRESS, 600)
    told = events.after(job.pk, 0)[-1]
    assert (told["kind"], told["at"] > late.isoformat()) == ("progress", True)


def test_progress_of_a_lost_lease_is_not_told(job: Job) -> None:
    drive(job, until=lambda row: row.generation == 0)
    lease = take_one("dead")
    leases.give_back_worker("dead")
    assert not progress.report(lease, TICK, "")
