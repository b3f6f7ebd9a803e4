"""A running instance for chaos: real rows, real worker processes with their evaluators, real Redis where asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import skimage.data
from django.contrib.auth.models import User
from numpy.typing import NDArray

from nasdip_engine.picture import encode_png
from tests.servers import tethered
from tests.waiting import wait_for
from webapp.pictures import storage
from webapp.pictures.models import Picture
from webapp.restorations import submission
from webapp.restorations.models import Event, Job, WorkItem
from webapp.restorations.states import ItemState, JobState

__all__ = ["Instance", "WorkerProcess", "signature"]

ROOT = Path(__file__).resolve().parent.parent.parent
SIDE = 48
SETTINGS = {"population": 4, "generations": 2, "iterations": 20, "final_iterations": 30, "crop": SIDE}
LEASE_SECONDS = 3
LONG = 120.0
"""Seconds that a job of this size may take on a busy machine."""


@dataclass
class WorkerProcess:
    """One `python -m gpu_worker`."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    seen: set[int] = field(default_factory=set)

    @property
    def pid(self) -> int:
        return self.process.pid

    def evaluator(self) -> psutil.Process:
        """The warm host of this worker."""
        return wait_for(self._evaluator, 60, f"the evaluator of {self.name}; see {self.log}")

    def _evaluator(self) -> psutil.Process | None:
        for child in psutil.Process(self.pid).children():
            if "nasdip_engine.evaluator" in " ".join(child.cmdline()):
                self.seen.add(child.pid)
                return child
        return None

    def fit(self) -> psutil.Process:
        """A forked child of the evaluator that is fitting right now."""
        return wait_for(lambda: next(iter(self.evaluator().children()), None), 60, "a fit in progress")

    def family(self) -> list[psutil.Process]:
        """The worker with all its descendants."""
        worker = psutil.Process(self.pid)
        return [worker, *worker.children(recursive=True)]

    def kill(self) -> list[psutil.Process]:
        """kill -9, proven; returns what must die with it."""
        family = self.family()
        self.process.kill()
        assert self.process.wait(10) == -signal.SIGKILL
        return family

    def terminate(self, within: float) -> int:
        """SIGTERM; returns the exit status, which must come in time."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)


def photograph() -> NDArray[np.uint8]:
    """A real photograph, uint8 (512, 512, 3)."""
    pixels: NDArray[np.uint8] = skimage.data.astronaut()
    return pixels


def is_gone(process: psutil.Process) -> bool:
    """Whether the process has ended (a zombie that waits for its parent has)."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Instance:
    """The rows of the test's database, and the workers that serve them."""

    def __init__(self, folder: Path, database_url: str, data: Path) -> None:
        self._folder = folder
        self._database = database_url
        self._data = data
        self.workers: list[WorkerProcess] = []

    def worker(
        self, name: str, *, redis: str = "", slots: int = 2, hook: str = "", heartbeat: float = 60
    ) -> WorkerProcess:
        """Start a worker.  hook: fault or delay that its evaluator's children inject."""
        environment = dict(os.environ) | {
            "NASDIP_DATA": str(self._data),
            "NASDIP_DATABASE_URL": self._database,
            "NASDIP_REDIS_URL": redis,
            "NASDIP_SLOTS": str(slots),
            "NASDIP_WORKER_NAME": name,
            "NASDIP_LEASE_SECONDS": str(LEASE_SECONDS),
            "NASDIP_HEARTBEAT_SECONDS": str(heartbeat),
        }
        if hook:
            environment["NASDIP_EVALUATOR_HOOK"] = hook
        log = self._folder / f"{name}.log"
        with log.open("ab") as stream:
            process = subprocess.Popen(
                tethered([sys.executable, "-m", "gpu_worker"]),
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        started = WorkerProcess(name, process, log)
        self.workers.append(started)
        return started

    def submit(self, name: str = "alice", pixels: NDArray[Any] | None = None, **changes: Any) -> Job:
        """Queue the same small restoration of the same piece of a photograph, but for what is changed."""
        if pixels is None:
            pixels = photograph()[100 : 100 + SIDE, 200 : 200 + SIDE]
        height, width = pixels.shape[:2]
        owner, _ = User.objects.get_or_create(username=name)
        content = encode_png(pixels)
        picture = Picture.objects.create(
            owner=owner, name="portrait.png", digest=storage.digest_of(content), width=width, height=height
        )
        storage.put(content)
        asked: dict[str, Any] = {
            "task": "denoise",
            "seed": 3,
            "mask_digest": None,
            "overrides": SETTINGS,
            **changes,
        }
        return submission.submit(owner, picture=picture, **asked)

    def wait_until(self, job: Job, *states: JobState, seconds: float = LONG) -> Job:
        """Wait for one of the states; any other end fails at once, with the job's own words."""

        def there() -> Job | None:
            row = Job.objects.get(pk=job.pk)
            if row.state in states:
                return row
            assert row.state not in (JobState.FAILED, JobState.PAUSED, JobState.CANCELLED), (
                row.state,
                row.reason,
            )
            return None

        return wait_for(there, seconds, f"job {job.pk} to be {' or '.join(states)}; logs in {self._folder}")

    def wait_until_fitting(self, job: Job) -> WorkItem:
        """Wait until a genome of the job is in the middle of its fit: leased, with progress told."""

        def fitting() -> WorkItem | None:
            told = Event.objects.filter(job=job, kind="progress").order_by("-number").first()
            if told is None:
                return None
            return WorkItem.objects.filter(
                job=job, state=ItemState.LEASED, genome=told.data["genome"]
            ).first()

        return wait_for(fitting, LONG, f"a fit of job {job.pk} under way; logs in {self._folder}", every=0.02)

    def faults(self, job: Job) -> list[str]:
        """The classes of the faults that were told."""
        rows = Event.objects.filter(job=job, kind="fault").order_by("number")
        return [row.data["class"] for row in rows]

    def close(self) -> None:
        """End what is still there, all at once and by its own process group."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.process.kill()
                worker.process.wait(10)


def signature(job: Job) -> dict[str, Any]:
    """All of a finished run that kills may not change: everything but seconds and machine."""
    run = Job.objects.values_list("run", flat=True).get(pk=job.pk)
    assert run is not None
    result = Job.objects.values_list("result_digest", flat=True).get(pk=job.pk)
    decided = ("generations", "best_genome", "best_fitness_hex", "best_is_starter", "final", "baselines")
    cost = {name: value for name, value in run["cost"].items() if name != "seconds"}
    return {name: run[name] for name in decided} | {"cost": cost, "result": result}


def check_the_rows(job: Job) -> None:
    """What must hold in the rows of any ended job, whatever happened on the way."""
    numbers = list(Event.objects.filter(job=job).order_by("number").values_list("number", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))
    evaluated = list(
        Event.objects.filter(job=job, kind="evaluated").values_list("data__slot_genome", "data__rung")
    )
    assert len(evaluated) == len(set(evaluated)), "an evaluation was counted twice"
    assert not WorkItem.objects.filter(job=job, state__in=(ItemState.LEASED, ItemState.WAITING)).exists()
