"""Which worker gets a job: one that can compute as its settings say; and what a job says that nobody can serve."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from gpu_worker.batch import Service
from gpu_worker.shares import Shares
from nasdip_engine.guard import Host
from tests.worker.cast import FINGERPRINT, SETTINGS, drive, queue
from webapp.restorations import leases, workers
from webapp.restorations.models import Job, Worker
from webapp.restorations.states import JobState

ONE_CORE: dict[str, Any] = {"devices": ["cpu"], "cores": 1, "bf16": []}
TWO_CORES = ONE_CORE | {"cores": 2}
CUDA = {"devices": ["cpu", "cuda"], "cores": 2, "bf16": ["cuda"]}


def take(abilities: Any, device: str = "cpu") -> list[leases.Lease]:
    return leases.take("worker", FINGERPRINT, 1, device, abilities)


def beat(name: str, abilities: Any, device: str = "cpu") -> None:
    workers.beat(
        name, pid=1, slots=1, fingerprint=FINGERPRINT, device=device, abilities=abilities, first=True
    )


def test_a_job_of_two_threads_goes_to_a_worker_with_two_cores(alice: User) -> None:
    job = queue(alice, overrides=SETTINGS | {"threads": 2})
    assert take(ONE_CORE) == []
    (lease,) = take(TWO_CORES)
    assert Job.objects.get(pk=job.pk).fingerprint == FINGERPRINT | {"threads": 2}
    leases.give_back(lease)
    assert len(take(TWO_CORES)) == 1, "the same machine has the same numerics again"


def test_a_job_that_a_worker_cannot_do_holds_up_no_other(alice: User, bob: User) -> None:
    queue(alice, overrides=SETTINGS | {"precision": "bf16"})
    sound = queue(bob)
    (lease,) = take(ONE_CORE)
    assert lease.job_id == sound.pk


def test_a_job_for_cuda_is_for_workers_of_that_device(alice: User) -> None:
    job = queue(alice, overrides=SETTINGS | {"device_class": "cuda"})
    assert take(TWO_CORES) == []
    assert [lease.job_id for lease in take(CUDA, "cuda")] == [job.pk]


def test_the_run_of_two_threads_tells_of_two(alice: User) -> None:
    done = drive(queue(alice, overrides=SETTINGS | {"threads": 2}))
    assert done.state == JobState.DONE
    assert done.run["fingerprint"] == FINGERPRINT | {"threads": 2}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"threads": 2}, "threads is 2, but an evaluation here may use 1 cores"),
        ({"precision": "bf16"}, "precision is bf16"),
        (
            {"device_class": "cuda"},
            "asks for the device cuda, and the workers that are running compute on cpu",
        ),
    ],
)
def test_a_job_that_nobody_can_serve_names_the_setting(
    alice: User, asked: dict[str, Any], words: str
) -> None:
    job = queue(alice, overrides=SETTINGS | asked)
    beat("one", ONE_CORE)
    assert words in workers.waits_for(job)
    assert not workers.stranded(job), "other numerics are not what is wrong"
    beat("starting", None)
    beat("gpu", CUDA, "cuda")
    assert workers.waits_for(job) == "", "the one that starts, or the one with the device, may serve it"


@pytest.mark.slow
def test_a_worker_without_its_device_takes_itself_out_and_says_so(database: str) -> None:
    workers.beat("worker", pid=1, slots=1, fingerprint=None, device="cuda", first=True)
    with Host("evaluator", device="cuda") as host:
        if "cuda" in host.hello["abilities"]["devices"]:
            pytest.skip("CUDA is there")
        service = Service("worker", 1, host, Shares(1, 2**30), "cuda")
        assert not service.warm_up()
    assert service.stopping.is_set()
    assert "NASDIP_DEVICE is cuda, but no such device" in Worker.objects.get(name="worker").out_of_service
