"""What a worker process does around an evaluation: keep the lease, judge its own device, get on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as site
from django.contrib.auth.models import User
from django.db import connections

from gpu_worker import finishing, watch
from gpu_worker.batch import Service
from gpu_worker.shares import Shares
from nasdip_engine.guard import Fault, FaultKind, Host
from tests.waiting import wait_for
from tests.worker.cast import drive, queue, take_one
from tests.worker.test_files import storage_held
from webapp.architectures.models import Discovery
from webapp.restorations import leases, workers
from webapp.restorations.leases import Lease
from webapp.restorations.models import Job, Worker, WorkItem
from webapp.restorations.states import ItemKind, ItemState

LEASE_SECONDS = 0.6


@pytest.fixture
def service() -> Iterator[Service]:
    """A worker's service; its evaluator is never started."""
    with Host("evaluator") as host:
        yield Service("worker", 2, host, Shares(2, 2**30))


@pytest.fixture
def short_leases(settings: Any) -> None:
    settings.ENVIRONMENT = replace(site.ENVIRONMENT, lease_seconds=LEASE_SECONDS)


def in_thread(work: Any) -> threading.Thread:
    def run() -> None:
        work()
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_step_slower_than_a_lease_keeps_it(job: Job, service: Service, short_leases: None) -> None:
    lease = take_one()
    row = WorkItem.objects.filter(pk=lease.item_id)
    first = row.get().lease_until
    assert first is not None
    with storage_held():
        slot = in_thread(lambda: service._serve(lease))
        twice = first + timedelta(seconds=2 * LEASE_SECONDS)
        wait_for(lambda: (row.get().lease_until or first) > twice, 10, "the lease to outlast itself")
        assert leases.sweep() == 0
        assert slot.is_alive(), "it is still at the same step"
    slot.join()
    assert (row.get().state, row.get().losses) == (ItemState.DONE, 0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lease-")]


def test_a_slot_that_hangs_does_not_keep_its_item_for_ever(
    job: Job, short_leases: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LONGEST_STEP_SECONDS", LEASE_SECONDS)
    with watch.Keeper(take_one()):
        assert wait_for(leases.sweep, 10, "the lease to run out") == 1


def test_the_keeper_of_a_lost_lease_ends(job: Job, short_leases: None) -> None:
    keeper = watch.Keeper(take_one())
    with keeper:
        leases.give_back_worker("recorder")
        wait_for(lambda: not keeper._thread.is_alive(), 10, "the keeper to see that the lease is lost")


def faults(service: Service, kind: FaultKind, jobs: int, count: int = 12) -> str:
    """So many faults in a row, each of another item, spread over so many jobs; the reason to go, or \"\"."""
    owners = [uuid4() for _ in range(jobs)]
    for number in range(count):
        lease = Lease(number, "token", owners[number % jobs], ItemKind.EVALUATE, "", 0, {}, 60.0)
        service._note(lease, Fault(kind, "no luck"))
    return service.out_of_service


def test_a_device_on_which_everything_fails_ends_the_worker_with_the_reason(
    database: str, service: Service
) -> None:
    workers.beat("worker", pid=1, slots=2, fingerprint=None, device="cpu", first=True)
    assert "crash: no luck" in faults(service, FaultKind.CRASH, jobs=2)
    assert service.stopping.is_set()
    workers.gone("worker")
    assert "of 2 jobs" in Worker.objects.get(name="worker").out_of_service, "the reason outlives the process"
    assert not workers.alive().exists()


@pytest.mark.parametrize(
    ("kind", "jobs"),
    [(FaultKind.CRASH, 1), (FaultKind.MEMORY, 3), (FaultKind.DISK_FULL, 3), (FaultKind.CANCELLED, 3)],
)
def test_what_one_job_or_its_memory_does_is_not_the_devices_fault(
    database: str, service: Service, kind: FaultKind, jobs: int
) -> None:
    assert faults(service, kind, jobs) == ""
    assert not service.stopping.is_set()


def test_one_unreadable_job_does_not_keep_the_others_discoveries(
    alice: User, bob: User, caplog: pytest.LogCaptureFixture
) -> None:
    broken, sound = drive(queue(alice)), drive(queue(bob))
    Job.objects.filter(pk=broken.pk).update(settings=broken.settings | {"colour": 1})
    for _ in range(2):
        finishing.record_discoveries()
    assert set(Discovery.objects.values_list("job_id", flat=True)) == {sound.pk}
    told = [record for record in caplog.records if "can't be recorded" in record.getMessage()]
    assert len(told) == 1, "once, not at every sweep"


def test_a_look_wakes_one_slot_and_many_looks_no_more_than_there_are(database: str, service: Service) -> None:
    woken: list[float] = []

    def wait() -> None:
        service.wait_for_look(30)
        woken.append(time.monotonic())

    slots = [in_thread(wait) for _ in range(2)]
    service.look()
    wait_for(lambda: len(woken) == 1, 10, "one slot to wake")
    for _ in range(50):
        service.look()
    for slot in slots:
        slot.join(10)
    assert len(woken) == 2
    assert service._asked <= service.slots


def test_slots_that_wait_end_with_the_worker(database: str, service: Service) -> None:
    slot = in_thread(lambda: service.wait_for_look(600))
    service.stop()
    slot.join(10)
    assert not slot.is_alive()
