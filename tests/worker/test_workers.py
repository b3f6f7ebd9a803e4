"""Who is alive, what waits for whom, and how long things take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.worker.cast import FINGERPRINT, drive, queue, take_one
from webapp.restorations import estimates, notify, workers
from webapp.restorations.models import Job, Worker
from webapp.restorations.plan import Plan


def beat(name: str, fingerprint: Any = FINGERPRINT, slots: int = 1) -> None:
    workers.beat(name, pid=1, slots=slots, fingerprint=fingerprint, device="cpu", first=True)


def test_a_worker_is_one_row_however_often_it_beats(database: str) -> None:
    beat("one")
    started = Worker.objects.get(name="one").started_at
    workers.beat("one", pid=1, slots=2, fingerprint=FINGERPRINT, device="cpu")
    row = Worker.objects.get(name="one")
    assert (row.started_at, row.slots) == (started, 2)
    workers.looked("one")
    row.refresh_from_db()
    assert row.last_look_at is not None
    workers.gone("one")
    assert not Worker.objects.exists()


def test_slots_are_those_of_workers_that_take_work(database: str) -> None:
    beat("one", slots=2)
    beat("two", slots=3)
    assert workers.slots() == 5
    workers.out_of_service("two", "six faults in a row")
    assert workers.slots() == 2


def test_no_more_looks_are_sent_than_there_are_slots(
    database: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = "redis://nowhere"
    sent: list[int] = []
    monkeypatch.setattr(notify, "_send_looks", sent.append)
    notify.look(200)
    beat("one", slots=2)
    beat("two", slots=3)
    notify.look(200)
    notify.look(4)
    assert sent == [1, 5, 4]


def test_a_job_that_nobody_can_serve_says_why(job: Job) -> None:
    assert "No worker is running" in workers.waits_for(job)
    beat("one")
    assert workers.waits_for(job) == ""
    take_one()
    beat("one", fingerprint={"torch": "another"})
    pinned = Job.objects.get(pk=job.pk)
    assert "only such a worker gives the same bits" in workers.waits_for(pinned)
    beat("two")
    assert workers.waits_for(pinned) == ""


def test_time_left_is_known_after_the_first_network_and_shrinks(job: Job) -> None:
    drive(job, until=lambda row: row.generation == 0)
    assert estimates.seconds_left(Job.objects.get(pk=job.pk)) is None
    drive(job, until=lambda row: row.best_fitness is not None)
    early = estimates.seconds_left(Job.objects.get(pk=job.pk))
    drive(job, until=lambda row: row.generation == 2)
    late = estimates.seconds_left(Job.objects.get(pk=job.pk))
    assert early is not None
    assert late is not None
    assert 0 < late < early


def test_the_cost_of_a_preset_follows_what_was_measured(alice: Any) -> None:
    done = drive(queue(alice))
    plan = Plan.of(done)
    assert estimates.seconds_for(plan.settings, plan.task, 1280) is None, "no worker is up"
    beat("one")
    alone = estimates.seconds_for(plan.settings, plan.task, 1280)
    beat("two")
    together = estimates.seconds_for(plan.settings, plan.task, 1280)
    assert alone is not None
    assert together is not None
    # Generations of 4, 3 and 3 networks and 2 final fits: 10 and 2 turns alone, 6 and 1 of two workers.
    assert alone / 2 < together < 0.6 * alone
    once = estimates.seconds_for(replace(plan.settings, refit=False), plan.task, 1280)
    assert once is not None
    assert once < together, "final fits are done again"
