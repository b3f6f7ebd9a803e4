"""Who may work on a picture now: a few at a time, the others wait in line, and nobody waits for long.

A picture of 40 megapixels takes seconds of a core and some hundred megabytes to decode and to encode, and every
request has a thread of its own: without turns a handful of uploads would take the machine.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import connections

from nasdip_engine.errors import NasDipError

__all__ = ["BusyError", "TooManyWaitingError", "Turns"]

WAIT_SECONDS = 60.0
WAITING_PER_USER = 2
RETRY_AFTER = 30
"""Seconds after which it is worth to ask again."""


class BusyError(NasDipError):
    """This site is working on other pictures: nothing was stored, try again in a minute."""

    retry_after = RETRY_AFTER


class TooManyWaitingError(BusyError):
    """Other pictures of yours are waiting already: send one after the other."""


@dataclass(frozen=True, eq=False)
class _Place:
    """A place in the line; owner: the user's key, None for the site itself."""

    owner: int | None


class Turns:
    """At most `at_once` at work; the others in the order in which they came."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._line: list[_Place] = []
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, owner: int | None) -> Iterator[None]:
        """Wait for a turn and have it until the block ends.

        Raises TooManyWaitingError where the owner waits for enough already, and BusyError after a minute or
        so (PICTURE_WAIT_SECONDS).  This thread's database connections are given back before.
        """
        _give_connections_back()
        self._wait(owner)
        try:
            yield
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify_all()

    def _wait(self, owner: int | None) -> None:
        place = _Place(owner)
        with self._changed:
            ahead = sum(other.owner == owner for other in self._line)
            if owner is not None and self._must_wait() and ahead >= _waiting_per_user():
                raise TooManyWaitingError
            self._line.append(place)
            try:
                if not self._changed.wait_for(lambda: self._is_next(place), _wait_seconds()):
                    raise BusyError
                self._free -= 1
            finally:
                self._line.remove(place)
                self._changed.notify_all()

    def _must_wait(self) -> bool:
        return not self._free or bool(self._line)

    def _is_next(self, place: _Place) -> bool:
        return self._free > 0 and self._line[0] is place


def _give_connections_back() -> None:
    """A pool has few connections, and who waits needs none; a transaction keeps its own."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def _wait_seconds() -> float:
    return float(getattr(settings, "PICTURE_WAIT_SECONDS", WAIT_SECONDS))


def _waiting_per_user() -> int:
    return int(getattr(settings, "PICTURES_WAITING_PER_USER", WAITING_PER_USER))
