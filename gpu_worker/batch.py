"""Slots of a worker: lease -> evaluate -> record, until nothing is left to take.

All slots share one evaluator host.  Each has a thread that looks for work when a message says so, and by
itself every so often; Celery's threads only pass the message on, so that the queue is read however busy the
slots are.
"""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseError
from django.db import connections

from gpu_worker import finishing, opening
from gpu_worker.preview import Reporter
from gpu_worker.shares import Shares
from gpu_worker.watch import Keeper, Watch
from nasdip_engine.errors import InvalidInput
from nasdip_engine.guard import Fault, FaultKind, Host, HostLostError
from webapp.restorations import generations, leases, workers
from webapp.restorations.files import JobGone
from webapp.restorations.leases import Lease
from webapp.restorations.states import ItemKind

__all__ = ["Service", "running", "start_service"]

logger = logging.getLogger(__name__)

RECORD_TRIES = 5
NOTES_APART_SECONDS = 1.0
BROKEN_FAULTS = 6
BROKEN_ITEMS = 3
BROKEN_JOBS = 2
"""So many faults in a row, on so many different items of different jobs, are the device's and no job's."""
_NOT_THE_DEVICES = frozenset({FaultKind.CANCELLED, FaultKind.DISK_FULL, FaultKind.MEMORY})
"""Faults that say nothing about whether the device computes."""


@dataclass(frozen=True)
class _Trouble:
    """A fault that happened in the worker itself, told like one of the guard's."""

    kind: FaultKind
    detail: str


class Service:
    """What this worker process does.  Thread-safe."""

    def __init__(self, name: str, slots: int, host: Host, shares: Shares, device_class: str = "cpu") -> None:
        self.name = name
        self.slots = slots
        self.device_class = device_class
        self.stopping = threading.Event()
        self.out_of_service = ""
        self._host = host
        self._shares = shares
        self._free = threading.BoundedSemaphore(slots)
        self._lock = threading.Lock()
        self._looks = threading.Condition()
        self._asked = 0
        self._next_note = 0.0
        self._failing: deque[tuple[UUID, int]] = deque(maxlen=100)
        self._fingerprint: dict[str, Any] | None = None
        self._abilities: dict[str, Any] | None = None

    @property
    def fingerprint(self) -> dict[str, Any] | None:
        """The evaluator's numerics; None until it has said hello."""
        return self._fingerprint

    @property
    def abilities(self) -> dict[str, Any] | None:
        """What the evaluator can compute with; None until it has said hello."""
        return self._abilities

    def warm_up(self) -> bool:
        """Start the evaluator and ask for its numerics.  False when it does not start."""
        try:
            hello = self._host.hello
        except HostLostError as error:
            if not self.stopping.is_set():
                self._take_out(f"the evaluator does not start: {error}")
            return False
        self._abilities = dict(hello["abilities"])
        if self.device_class not in self._abilities["devices"]:
            there = ", ".join(self._abilities["devices"])
            self._take_out(
                f"NASDIP_DEVICE is {self.device_class}, but no such device can be used here; there is {there}"
            )
            return False
        self._fingerprint = dict(hello["fingerprint"])
        self._wake(self.slots)
        return True

    def look(self) -> None:
        """A message came: wake a slot that waits, and note it.  Returns at once, however busy the slots are."""
        self._wake(1)
        now = time.monotonic()
        with self._lock:
            if now < self._next_note:
                return
            self._next_note = now + NOTES_APART_SECONDS
        try:
            workers.looked(self.name)
        except DatabaseError as error:
            logger.warning("the database is away (%s)", error)
        finally:
            connections.close_all()

    def wait_for_look(self, seconds: float) -> None:
        """Wait, in a slot's thread, until it is asked to look, the time is over or the worker ends."""
        with self._looks:
            self._looks.wait_for(lambda: self._asked > 0 or self.stopping.is_set(), seconds)
            self._asked = max(0, self._asked - 1)

    def _wake(self, slots: int) -> None:
        with self._looks:
            self._asked = min(self.slots, self._asked + slots)  # more looks than slots tell nothing more
            self._looks.notify(slots)

    def drain(self) -> int:
        """Serve leases in one slot until there are none; returns how many were served."""
        served = 0
        if self._fingerprint is None or not self._free.acquire(blocking=False):
            return served
        try:
            while not self.stopping.is_set() and not self.out_of_service:
                taken = leases.take(self.name, self._fingerprint, 1, self.device_class, self._abilities)
                if not taken:
                    break
                self._serve(taken[0])
                served += 1
        except DatabaseError as error:
            # Nothing is lost: what was leased comes back by the sweep.
            logger.warning("the database is away (%s); looking again soon", error)
        finally:
            self._free.release()
            connections.close_all()
        return served

    def stop(self) -> None:
        """Take nothing more and give back what is held; every slot sees it within a second."""
        self.stopping.set()
        with self._looks:
            self._looks.notify_all()

    def wait_idle(self, seconds: float) -> bool:
        """Wait until every slot is free; False when one is still busy."""
        return all(self._free.acquire(timeout=seconds) for _ in range(self.slots))

    def _serve(self, lease: Lease) -> None:
        logger.info("job %s: %s %s", lease.job_id, lease.kind, lease.genome)
        with Keeper(lease) as keeper:
            self._work(lease, keeper)

    def _work(self, lease: Lease, keeper: Keeper) -> None:
        try:
            fault = self._open(lease) if lease.kind is ItemKind.OPEN else self._compute(lease, keeper)
        except JobGone:
            return  # deleted meanwhile, its rows are gone with it
        except DatabaseError:
            raise
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            fault = _Trouble(
                FaultKind.DISK_FULL if full else FaultKind.ERROR, f"{type(error).__name__}: {error}"
            )
        except Exception as error:
            logger.exception("job %s: %s of item %d failed", lease.job_id, lease.kind, lease.item_id)
            fault = _Trouble(FaultKind.ERROR, f"{type(error).__name__}: {error}")
        finally:
            finishing.clear(lease)
        if fault is not None:
            leases.give_back(lease, fault)
            self._note(lease, fault)
        elif lease.kind is not ItemKind.OPEN:  # opening asks nothing of the evaluator
            self._works()

    def _open(self, lease: Lease) -> Fault | _Trouble | None:
        try:
            frames = opening.make_frames(lease)
        except InvalidInput as error:
            generations.abandon(lease, str(error))
            return None
        generations.open_job(lease, frames)
        return None

    def _compute(self, lease: Lease, keeper: Keeper) -> Fault | _Trouble | None:
        reporter = Reporter(lease)
        watch = Watch(lease, self.stopping, keeper)
        with self._shares.taken(lease.memory_need, watch) as memory:
            if memory is None:
                return _Trouble(FaultKind.CANCELLED, "stopped while it waited for memory")
            answer = self._host.run(
                finishing.evaluator_request(lease),
                on_progress=reporter,
                should_stop=watch,
                heartbeat_limit=lease.heartbeat_limit,
                memory_limit_bytes=memory,
            )
        if isinstance(answer, Fault):
            if self.stopping.is_set():  # our own doing, whatever it looks like
                return _Trouble(FaultKind.CANCELLED, "the worker ends")
            if answer.kind is not FaultKind.CANCELLED:
                logger.warning("job %s: %s: %s\n%s", lease.job_id, answer.kind, answer.detail, answer.trace)
            return answer
        outcome = finishing.keep_files(lease, answer.value)
        preview = finishing.preview_of(lease, outcome) or reporter.preview
        if self._recorded(lease, outcome, preview):
            finishing.conclude(lease)
        else:
            logger.info(
                "job %s: the lease of %s was lost, its outcome is thrown away", lease.job_id, lease.kind
            )
        return None

    def _recorded(self, lease: Lease, outcome: dict[str, Any], preview: str) -> bool:
        """Record, and again when the database went away under it: the token makes that harmless."""
        for _ in range(RECORD_TRIES - 1):
            try:
                return generations.record(lease, outcome, preview)
            except DatabaseError as error:
                logger.warning("job %s: the database is away (%s); recording again", lease.job_id, error)
                connections.close_all()
                self.stopping.wait(1.0)
        return generations.record(lease, outcome, preview)

    def _works(self) -> None:
        with self._lock:
            self._failing.clear()

    def _note(self, lease: Lease, fault: Fault | _Trouble) -> None:
        if fault.kind in _NOT_THE_DEVICES:
            return
        with self._lock:
            self._failing.append((lease.job_id, lease.item_id))
            faults, items = len(self._failing), len(set(self._failing))
            jobs = len({job_id for job_id, _ in self._failing})
        if faults >= BROKEN_FAULTS and items >= BROKEN_ITEMS and jobs >= BROKEN_JOBS:
            self._take_out(
                f"{faults} faults in a row, of {jobs} jobs, the last one {fault.kind}: {fault.detail}"
            )

    def _take_out(self, reason: str) -> None:
        """End the worker; whoever supervises it tries again, less and less often."""
        self.out_of_service = reason
        logger.error("This worker ends: %s.", reason)
        try:
            workers.out_of_service(self.name, reason)
        except DatabaseError as error:
            logger.warning("the database is away (%s)", error)
        self.stop()


_service: list[Service] = []


def start_service(service: Service) -> None:
    """Make `service` the one that the Celery task of this process serves."""
    _service[:] = [service]


def running() -> Service:
    """This process's service."""
    return _service[0]
