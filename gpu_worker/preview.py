"""From the evaluator's progress to events and preview files: the live half of an evaluation."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import Error as DatabaseError
from django.db import connections

from gpu_worker.stills import Watcher
from webapp.restorations import files, progress
from webapp.restorations.leases import Lease
from webapp.restorations.states import ItemKind

__all__ = ["Reporter"]

logger = logging.getLogger(__name__)

SECONDS_APART = 1.0
KEPT = 2
"""Previews of one fit that stay: the one that pages show, and the one that they are just changing from."""


class Reporter:
    """Receives the progress of one leased fit.  A lost preview is no fault."""

    def __init__(self, lease: Lease) -> None:
        self.preview = ""
        """Digest of the last preview."""
        self._lease = lease
        self._next = time.monotonic() + SECONDS_APART / 2
        self._stored: list[str] = []
        self._waiting: str | None = None
        stills = lease.request.get("stills")
        self._watcher = Watcher(lease, Path(stills)) if stills else None

    def __call__(self, value: Mapping[str, Any]) -> None:
        """Report `value` if it is time."""
        if self._lease.kind not in (ItemKind.EVALUATE, ItemKind.FINISH):
            return
        # A picture comes with one message in many, hardly ever with the one that is told: it waits for that.
        self._waiting = value["preview"] or self._waiting
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SECONDS_APART
        try:
            if self._waiting is not None:
                self.preview = files.keep(self._lease.job_id, base64.b64decode(self._waiting))
                self._waiting = None
                self._stored.append(self.preview)
            progress.report(self._lease, value, self.preview)
            if len(self._stored) > KEPT:
                old = set(self._stored[:-KEPT]) - set(self._stored[-KEPT:])
                del self._stored[:-KEPT]
                files.drop(self._lease.job_id, old)
            if self._watcher is not None:
                self._watcher.look()
        except (DatabaseError, OSError, files.JobGone) as error:
            logger.warning("progress of job %s not told (%s)", self._lease.job_id, error)
            if isinstance(error, DatabaseError):
                connections.close_all()
