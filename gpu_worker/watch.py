"""The watch over a leased evaluation: keeps the lease, and sees when the work is no longer wanted."""

from __future__ import annotations

import logging
import threading
import time

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connections

from webapp.restorations import leases
from webapp.restorations.leases import Lease

__all__ = ["Watch"]

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often the job's state is read: a pause or cancellation stops a fit within two seconds."""


class Watch:
    """Called by the guard several times a second while the child lives; true means stop it.

    The lease is extended from here and nowhere else, so it lasts only while the guard reports a child that is
    alive and within its heartbeat limit.
    """

    def __init__(self, lease: Lease, stopping: threading.Event) -> None:
        self._lease = lease
        self._stopping = stopping
        self._extend_every = settings.ENVIRONMENT.lease_seconds / 3
        self._next_look = time.monotonic() + LOOK_SECONDS
        self._next_extension = time.monotonic() + self._extend_every

    def __call__(self) -> bool:
        """Whether to stop."""
        if self._stopping.is_set():
            return True
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + LOOK_SECONDS
        try:
            if not leases.wanted(self._lease):
                return True
            if now >= self._next_extension:
                self._next_extension = now + self._extend_every
                return not leases.extend(self._lease)
        except DatabaseError as error:
            # The fit goes on: if the lease runs out meanwhile, the token keeps the outcome from counting.
            logger.warning("the lease of job %s can't be looked after (%s)", self._lease.job_id, error)
            connections.close_all()
        return False
