"""Ends that somebody else than the keyboard wants: a command takes its files away all the same."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["EndedBySignal", "ended_as_by_hand"]

_INSIST_SECONDS = 1.0


class EndedBySignal(KeyboardInterrupt):
    """Somebody else than the keyboard wants this process to end."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


@contextmanager
def ended_as_by_hand() -> Iterator[None]:
    """SIGTERM and a closed terminal end a command as Ctrl-C does, so that it takes its files away.

    An exception that meets a weak reference's callback, of which each import has one, is dropped by Python: until one is
    on its way it is raised again.
    """
    wanted: list[int] = []

    def end(number: int, _frame: object) -> None:
        if number != signal.SIGALRM:
            wanted.append(number)
            signal.setitimer(signal.ITIMER_REAL, _INSIST_SECONDS, _INSIST_SECONDS)
        handled = sys.exception()
        while handled is not None and not isinstance(handled, EndedBySignal):
            handled = handled.__context__
        if handled is None and wanted:
            raise EndedBySignal(wanted[0])

    heeded = [
        number
        for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP)
        if threading.current_thread() is threading.main_thread()
        and signal.getsignal(number) is signal.SIG_DFL  # not under nohup
    ]
    for number in heeded:
        signal.signal(number, end)
    try:
        yield
    finally:
        if heeded:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number in heeded:
            signal.signal(number, signal.SIG_DFL)
