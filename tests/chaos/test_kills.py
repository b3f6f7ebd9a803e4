"""Whatever is killed, and whenever: the job ends with the same genome, fitness and picture to the bit."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connection

from tests.chaos.instance import LEASE_SECONDS, LONG, SETTINGS, Instance, check_the_rows, is_gone, signature
from tests.servers import RedisServer
from tests.waiting import wait_for
from tests.worker.test_files import storage_held
from webapp.restorations import control, leases, notify
from webapp.restorations.leases import Lease
from webapp.restorations.models import Job, Worker, WorkItem
from webapp.restorations.states import ItemKind, ItemState, JobState

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

SLOWLY = "sleep:0.03"
"""A pause of 30 ms an iteration, so that kills hit the middle of fits; it changes no bit."""


def equals(job: Job, undisturbed: dict[str, Any]) -> bool:
    check_the_rows(job)
    assert signature(job) == undisturbed
    return True


def killed_worker(instance: Instance, undisturbed: dict[str, Any]) -> None:
    job = instance.submit()
    doomed = instance.worker("doomed", hook=SLOWLY)
    item = instance.wait_until_fitting(job)
    family = doomed.kill()
    assert len(family) >= 3, "worker, evaluator and a fit were running"
    wait_for(lambda: all(is_gone(process) for process in family), 10, "the evaluator to die with its worker")
    assert WorkItem.objects.get(pk=item.pk).state == ItemState.LEASED, "only the sweep knows"
    instance.worker("heir")
    instance.wait_until(job, JobState.DONE)
    assert "worker_lost" in instance.faults(job)
    assert equals(job, undisturbed)


def test_a_worker_killed_in_the_middle_of_a_fit(instance: Instance, undisturbed: dict[str, Any]) -> None:
    killed_worker(instance, undisturbed)


@pytest.mark.postgres
def test_a_worker_killed_in_the_middle_of_a_fit_on_postgresql(
    on_postgres: Instance, undisturbed: dict[str, Any]
) -> None:
    killed_worker(on_postgres, undisturbed)


def test_a_worker_killed_within_a_rung_of_a_race(instance: Instance) -> None:
    raced = SETTINGS | {"iterations": 75, "first_rung": 0.34, "promoted_share": 0.5}
    job = instance.submit(overrides=raced)
    doomed = instance.worker("doomed", hook=SLOWLY)
    second = WorkItem.objects.filter(job=job, rung=1)
    wait_for(lambda: second.filter(state=ItemState.LEASED).exists(), LONG, "the second rung to be worked on")
    doomed.fit()
    doomed.kill()
    assert second.filter(state=ItemState.LEASED).exists(), "only the sweep knows"
    instance.worker("heir")
    instance.wait_until(job, JobState.DONE)
    assert "worker_lost" in instance.faults(job)
    again = instance.submit("bob", overrides=raced)
    instance.wait_until(again, JobState.DONE)
    assert instance.faults(again) == []
    check_the_rows(again)
    assert equals(job, signature(again))


def test_a_fit_and_then_the_whole_evaluator_killed(instance: Instance, undisturbed: dict[str, Any]) -> None:
    job = instance.submit()
    worker = instance.worker("worker", hook=SLOWLY)
    instance.wait_until_fitting(job)
    worker.fit().kill()
    wait_for(lambda: "killed" in instance.faults(job), 20, "the killed fit to be told")
    instance.wait_until_fitting(job)
    host = worker.evaluator()
    host.kill()
    wait_for(lambda: "host_lost" in instance.faults(job), 20, "the lost evaluator to be told")
    assert is_gone(host)
    assert worker.process.poll() is None, "the worker itself lives on"
    instance.wait_until(job, JobState.DONE)
    assert worker.evaluator().pid != host.pid
    assert equals(job, undisturbed)


def test_redis_killed_under_a_busy_worker(
    instance: Instance, redis_server: RedisServer, redis_url: str, undisturbed: dict[str, Any], settings: Any
) -> None:
    settings.REDIS_URL = redis_url.replace("unix://", "redis+socket://")
    worker = instance.worker("worker", redis=redis_url, hook=SLOWLY)
    job = instance.submit()
    instance.wait_until_fitting(job)
    redis_server.kill()  # proves itself that nothing answers any more
    evaluated = WorkItem.objects.filter(job=job, kind="evaluate", state=ItemState.DONE)
    before = evaluated.count()
    wait_for(lambda: evaluated.count() > before, 60, "work to go on without Redis")
    assert worker.process.poll() is None, worker.log.read_text()
    redis_server.start()
    instance.wait_until(job, JobState.DONE)
    assert equals(job, undisturbed)
    # The worker consumes again: it takes a message that was sent after the restart.
    looked = Worker.objects.get(name="worker").last_look_at
    later = instance.submit("bob")
    wait_for(
        lambda: Worker.objects.get(name="worker").last_look_at not in (None, looked), 60, "a new look taken"
    )
    instance.wait_until(later, JobState.DONE)
    assert worker.process.poll() is None
    assert equals(later, undisturbed)


@pytest.mark.postgres
def test_every_database_connection_of_a_busy_worker_cut(
    on_postgres: Instance, undisturbed: dict[str, Any]
) -> None:
    job = on_postgres.submit()
    worker = on_postgres.worker("worker", hook=SLOWLY)
    for _ in range(2):
        on_postgres.wait_until_fitting(job)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            (cut,) = cursor.fetchone()
        assert cut > 0, "there were connections to cut"
        told = Job.objects.get(pk=job.pk).event_number
        wait_for(lambda: Job.objects.get(pk=job.pk).event_number > told, 60, "the worker to come back")  # noqa: B023
    on_postgres.wait_until(job, JobState.DONE)
    assert worker.process.poll() is None
    assert equals(job, undisturbed)


def test_a_worker_told_to_end_gives_its_leases_back(instance: Instance, undisturbed: dict[str, Any]) -> None:
    job = instance.submit()
    worker = instance.worker("leaving", hook=SLOWLY)
    instance.wait_until_fitting(job)
    family = worker.family()
    assert worker.terminate(within=15) == 0
    wait_for(lambda: all(is_gone(process) for process in family), 15, "nothing to be left")
    assert not WorkItem.objects.filter(job=job, state=ItemState.LEASED).exists()
    assert instance.faults(job) == [], "given back is no fault"
    instance.worker("heir")
    instance.wait_until(job, JobState.DONE)
    assert equals(job, undisturbed)


def test_a_celery_worker_told_to_end_gives_its_leases_back(
    instance: Instance, redis_url: str, undisturbed: dict[str, Any], settings: Any
) -> None:
    settings.REDIS_URL = redis_url.replace("unix://", "redis+socket://")
    job = instance.submit()
    worker = instance.worker("leaving", redis=redis_url, hook=SLOWLY)
    instance.wait_until_fitting(job)
    assert worker.terminate(within=15) == 0
    assert not WorkItem.objects.filter(job=job, state=ItemState.LEASED).exists()
    assert instance.faults(job) == []
    instance.worker("heir", redis=redis_url)
    instance.wait_until(job, JobState.DONE)
    assert equals(job, undisturbed)


def test_two_workers_give_the_same_bits_as_one(
    instance: Instance, redis_url: str, undisturbed: dict[str, Any], settings: Any
) -> None:
    settings.REDIS_URL = redis_url.replace("unix://", "redis+socket://")
    for name in ("one", "two"):
        instance.worker(name, redis=redis_url, slots=1, hook=SLOWLY)
    wait_for(
        lambda: Worker.objects.filter(fingerprint__isnull=False).count() == 2, 60, "both workers to be warm"
    )
    job = instance.submit()
    instance.wait_until(job, JobState.DONE)
    served = set(WorkItem.objects.filter(job=job).values_list("worker", flat=True))
    assert served == {"one", "two"}
    assert Worker.objects.filter(last_look_at__isnull=False).exists(), "work came by message"
    assert all("not sent" not in worker.log.read_text() for worker in instance.workers), "no signal was lost"
    assert equals(job, undisturbed)


def test_pause_stops_a_running_fit_and_resume_goes_on(
    instance: Instance, undisturbed: dict[str, Any]
) -> None:
    worker = instance.worker("worker", hook="sleep:1")  # a fit of 20 s at least
    job = instance.submit()
    instance.wait_until_fitting(job)
    fit = worker.fit()
    control.pause(job.pk, job.owner)
    wait_for(
        lambda: Job.objects.get(pk=job.pk).state == JobState.PAUSED,
        10,
        "the fit to stop and the job to pause",
    )
    wait_for(lambda: is_gone(fit), 10, "the fit to be gone")
    assert worker.terminate(within=15) == 0
    control.resume(job.pk, job.owner)
    instance.worker("heir")
    instance.wait_until(job, JobState.DONE)
    assert equals(job, undisturbed)


def test_the_supervisors_word_is_enough_when_a_worker_dies(
    instance: Instance, undisturbed: dict[str, Any]
) -> None:
    job = instance.submit()
    doomed = instance.worker("doomed", hook=SLOWLY)
    instance.wait_until_fitting(job)
    doomed.kill()
    assert leases.give_back_worker("doomed") >= 1
    instance.worker("heir")
    instance.wait_until(job, JobState.DONE)
    assert equals(job, undisturbed)


def test_the_worker_itself_holds_no_torch(instance: Instance) -> None:
    worker = instance.worker("worker")
    host = worker.evaluator()
    wait_for(lambda: maps_torch(host.pid), 60, "the evaluator to load torch")
    assert not maps_torch(worker.pid)


def maps_torch(pid: int) -> bool:
    return "libtorch" in Path(f"/proc/{pid}/maps").read_text()


def test_a_slow_disk_costs_no_lease(instance: Instance, undisturbed: dict[str, Any]) -> None:
    """Opening, storing and recording may take longer than a lease: the worker keeps it meanwhile."""
    job = instance.submit()
    items = WorkItem.objects.filter(job=job)
    with storage_held():
        instance.worker("worker")
        leased = wait_for(lambda: items.filter(state=ItemState.LEASED).first(), 60, "the job to be opened")
        outlasted(leased)
    combine = items.filter(kind="combine", state=ItemState.LEASED)
    leased = wait_for(combine.first, LONG, "the last step", every=0.01)
    with storage_held():
        if combine.exists():  # else it was quicker than the test, which then shows the opening alone
            outlasted(leased)
    instance.wait_until(job, JobState.DONE)
    assert instance.faults(job) == []
    assert equals(job, undisturbed)


def outlasted(leased: WorkItem) -> None:
    """Wait until the lease lives longer than without an extension."""
    first = leased.lease_until
    assert first is not None
    later = WorkItem.objects.filter(
        pk=leased.pk, lease_until__gt=first + timedelta(seconds=LEASE_SECONDS + 1)
    )
    wait_for(later.exists, 20, "the lease to be extended")


def test_the_queue_is_read_however_busy_the_worker_is(
    instance: Instance, redis_url: str, settings: Any
) -> None:
    settings.REDIS_URL = redis_url.replace("unix://", "redis+socket://")
    instance.worker("worker", redis=redis_url, slots=1, hook="sleep:1")
    queue = redis.from_url(redis_url)
    wait_for(
        lambda: Worker.objects.filter(name="worker", fingerprint__isnull=False).exists(), 60, "it to be warm"
    )
    job = instance.submit()  # by message: the slot's own look comes every ten seconds only
    busy = instance.wait_until_fitting(job)
    before = pushed(queue)
    for _ in range(30):
        notify.look()
    assert pushed(queue) >= before + 30, "the messages went there, however fast they were read"
    wait_for(lambda: queue.llen("nasdip") == 0, 10, "the queue to be read")
    assert leases.wanted(lease_of(busy)), "and the slot is still at the same fit"


def pushed(queue: redis.Redis) -> int:
    """Messages that were ever put into any list of this Redis."""
    calls: int = queue.info("commandstats").get("cmdstat_lpush", {}).get("calls", 0)
    return calls


def lease_of(item: WorkItem) -> Lease:
    return Lease(item.pk, item.lease_token, item.job_id, ItemKind.EVALUATE, item.genome, 0, {}, 60.0)


@pytest.mark.parametrize("with_redis", [False, True], ids=["polling", "redis"])
def test_a_worker_on_which_everything_crashes_ends_and_says_why(
    instance: Instance, redis_url: str, settings: Any, with_redis: bool
) -> None:
    if with_redis:
        settings.REDIS_URL = redis_url.replace("unix://", "redis+socket://")
    for name in ("alice", "bob"):
        instance.submit(name)
    broken = instance.worker("broken", redis=redis_url if with_redis else "", hook="segfault:")
    assert broken.process.wait(60) == 1, broken.log.read_text()
    assert "faults in a row" in Worker.objects.get(name="broken").out_of_service
    assert not WorkItem.objects.filter(state=ItemState.LEASED).exists(), "what it held is given back"
