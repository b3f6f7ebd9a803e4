"""The one lossy file: signals that say "look", sent after commit and allowed to fail.

Nothing relies on them: workers also look into the database by themselves, and so do the sockets.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import cache, partial
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from celery import Celery
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import transaction

from webapp.config.broker import LOOK, celery_app
from webapp.restorations import workers

__all__ = ["event_sent", "look"]

logger = logging.getLogger(__name__)

LOOK_EXPIRES = 60
"""Seconds after which a "look" that nobody took is worth nothing; the sweep sends another."""
QUIET_AFTER_FAILURE = 5.0
"""Seconds for which nothing is sent after a failure: a Redis that is away costs most of a second a try."""


class _Line:
    """A way of sending that is left alone for a while after it failed."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._quiet_until = 0.0
        self._lock = threading.Lock()

    def send(self, attempt: Any) -> bool:
        """Call `attempt`; False when it failed or is not tried yet again."""
        if time.monotonic() < self._quiet_until:
            return False
        try:
            attempt()
        except Exception as error:  # noqa: BLE001 - whatever the client raises: the signal may be lost
            with self._lock:
                self._quiet_until = time.monotonic() + QUIET_AFTER_FAILURE
            logger.warning("%s not sent (%s: %s)", self.what, type(error).__name__, error)
            return False
        return True


_looks = _Line("look")
_events = _Line("event")


def look(count: int = 1) -> None:
    """Ask up to `count` idle slots to look for work, once the current transaction has committed.

    No more than there are: a slot that found work looks for the next by itself.
    """
    if settings.REDIS_URL and count > 0:
        transaction.on_commit(partial(_send_looks, min(count, workers.slots())))


def event_sent(job_id: UUID, number: int, event: dict[str, Any] | None = None) -> None:
    """Tell the sockets of a job that event `number` is there; `event` is a shortcut, never the truth.

    Call it from `transaction.on_commit` only.
    """
    layer = get_channel_layer()
    if layer is None:
        return
    message = {"type": "job.event", "number": number, "event": event}
    _events.send(partial(async_to_sync(layer.group_send), f"job.{job_id}", message))


def _send_looks(count: int) -> None:
    for _ in range(count):
        if not _looks.send(
            partial(_client().send_task, LOOK, expires=LOOK_EXPIRES, ignore_result=True, retry=False)
        ):
            return


@cache
def _client() -> Celery:
    return celery_app(settings.REDIS_URL)
