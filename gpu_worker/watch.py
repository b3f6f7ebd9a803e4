"""The watch over a leased item: keeps the lease, and sees when the work is no longer wanted."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Self

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connections

from webapp.restorations import leases
from webapp.restorations.leases import Lease

__all__ = ["Keeper", "Watch"]

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often the job's state is read: a pause or cancellation stops a fit within two seconds."""
LONGEST_STEP_SECONDS = 900.0
"""Encoding, storing or recording that takes longer is stuck, and somebody else shall try."""


class Keeper:
    """Extends a lease from a thread of its own for as long as a slot serves it, whatever the step.

    A fit reports itself through the `Watch`; a step without reports (opening, encoding, storing) is trusted
    for `LONGEST_STEP_SECONDS`, so that a slot that hangs does not keep its item for ever.
    """

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._every = settings.ENVIRONMENT.lease_seconds / 3
        self._over = threading.Event()
        self._sign = time.monotonic()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{lease.item_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def sign(self) -> None:
        """The slot gets on with its work."""
        self._sign = time.monotonic()

    def _keep(self) -> None:
        while not self._over.wait(self._every):
            silent = time.monotonic() - self._sign
            if silent > LONGEST_STEP_SECONDS:
                logger.error(
                    "job %s: nothing heard of %s for %.0f s; its lease may run out",
                    self._lease.job_id, self._lease.kind, silent,
                )  # fmt: skip
                return
            try:
                if not leases.extend(self._lease):
                    return  # lost, or just given back: the token keeps a late outcome from counting
            except DatabaseError as error:
                logger.warning("the lease of job %s can't be extended (%s)", self._lease.job_id, error)
            finally:
                connections.close_all()


class Watch:
    """Called by the guard several times a second while the child lives; true means stop it."""

    def __init__(self, lease: Lease, stopping: threading.Event, keeper: Keeper) -> None:
        self._lease = lease
        self._stopping = stopping
        self._keeper = keeper
        self._next_look = time.monotonic() + LOOK_SECONDS

    def __call__(self) -> bool:
        """Whether to stop."""
        self._keeper.sign()
        if self._stopping.is_set():
            return True
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + LOOK_SECONDS
        try:
            return not leases.wanted(self._lease)
        except DatabaseError as error:
            # The fit goes on: if the lease runs out meanwhile, the token keeps the outcome from counting.
            logger.warning("the lease of job %s can't be looked after (%s)", self._lease.job_id, error)
            connections.close_all()
        return False
