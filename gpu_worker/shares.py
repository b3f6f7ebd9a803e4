"""The memory of a worker's slots: equal shares, of which a large fit takes several."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nasdip_engine.genome.memory import MODEL_MARGIN

__all__ = ["Shares"]

LOOK_SECONDS = 0.5


class Shares:
    """Thread-safe.  Who asks first is served first, so that small fits never keep a large one waiting for good."""

    def __init__(self, count: int, bytes_each: int, *, several: bool = True) -> None:
        """several: whether a run may take more than one share, if its network needs it."""
        self._count, self._each, self._several = count, bytes_each, several
        self._free = count
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    def wanted(self, need: int) -> int:
        """How many shares a run of modelled `need` bytes takes: one at least, all at most."""
        if not self._several:
            return 1
        return min(self._count, max(1, math.ceil(MODEL_MARGIN * need / self._each)))

    @contextmanager
    def taken(self, need: int, gives_up: Callable[[], bool]) -> Iterator[int | None]:
        """Wait for the shares of a run and hold them; gives its limit in bytes, or None where `gives_up` said so first."""
        wanted = self.wanted(need)
        got = self._take(wanted, gives_up)
        try:
            yield wanted * self._each if got else None
        finally:
            if got:
                self._give_back(wanted)

    def _take(self, wanted: int, gives_up: Callable[[], bool]) -> bool:
        me = object()
        with self._changed:
            self._waiting.append(me)
        try:
            while True:
                with self._changed:
                    my_turn = self._changed.wait_for(
                        lambda: self._waiting[0] is me and self._free >= wanted, LOOK_SECONDS
                    )
                    if my_turn:
                        self._free -= wanted
                        return True
                if gives_up():
                    return False
        finally:
            with self._changed:
                self._waiting.remove(me)
                self._changed.notify_all()

    def _give_back(self, wanted: int) -> None:
        with self._changed:
            self._free += wanted
            self._changed.notify_all()
