"""The parent of all processes of `nasdip up`: starts them, starts them again, and leaves none behind.

Every child is tethered (see `tether.py`): it dies with this process, also when that is killed with SIGKILL.
Children are started by the main thread only, since the kernel's tether follows the thread. One that ends
comes again after a pause that doubles up to half a minute and falls back once it has lived for a minute. Each
writes its own log file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from webapp.operations import tether

__all__ = ["ChildPlan", "Supervisor", "pause_after"]

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 30.0
STEADY_AFTER_S = 60.0
GRACE_S = 8.0
"""After SIGTERM. Workers give their leases back in about 1.5 s, uvicorn gives requests in flight 5 s."""
LARGEST_LOG_BYTES = 10 * 1024 * 1024


@dataclass(frozen=True)
class ChildPlan:
    """A process that has to be there."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    """Added to the supervisor's own environment."""
    after_death: Callable[[], None] | None = None
    """Run in a thread once the process is reaped and before it is started again."""
    last: bool = False
    """Stopped after all others, which still talk to it."""


def pause_after(pause: float, lived: float) -> float:
    """Seconds before the next start of a child that lived so long, after a last pause of `pause` (0: none yet)."""
    if pause == 0 or lived > STEADY_AFTER_S:
        return FIRST_PAUSE_S
    return min(LONGEST_PAUSE_S, pause * 2)


class _Tether:
    """How children are bound to this process:

    by the kernel on Linux, elsewhere by a pipe that closes with it.
    """

    def __init__(self) -> None:
        self._read_end: int | None = None
        if sys.platform != "linux":
            self._read_end, self._write_end = os.pipe()

    def command(self, command: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command]

    def environ(self) -> dict[str, str]:
        return {} if self._read_end is None else {tether.PIPE_VARIABLE: str(self._read_end)}

    def descriptors(self) -> tuple[int, ...]:
        return () if self._read_end is None else (self._read_end,)


class _Child:
    """One process of the plan, in its present life."""

    def __init__(self, plan: ChildPlan, log: Path) -> None:
        self.plan = plan
        self.log = log
        self.deaths = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._pause = 0.0
        self._started = 0.0
        self._due = 0.0
        self._mourner: threading.Thread | None = None

    def start(self, bound: _Tether) -> None:
        self.trim_log()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                bound.command(self.plan.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.plan.environ, **bound.environ()},
                pass_fds=bound.descriptors(),
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops them in order
            )
        self._started = time.monotonic()

    def trim_log(self) -> None:
        """Put a log that has grown large aside; the process keeps its own end of the file, which it only appends to."""
        if self.log.exists() and self.log.stat().st_size > LARGEST_LOG_BYTES:
            shutil.copyfile(self.log, self.log.with_name(self.log.name + ".1"))
            os.truncate(self.log, 0)

    def reap(self) -> str | None:
        """When the process has ended since the last call, how; the next start is planned."""
        if self.process is None or self.process.poll() is None:
            return None
        code = self.process.returncode
        self.process = None
        self.deaths += 1
        self._pause = pause_after(self._pause, time.monotonic() - self._started)
        self._due = time.monotonic() + self._pause
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        message = (
            f"{self.plan.name} ended ({how}); starting it again in {self._pause:g} s. Its log: {self.log}"
        )
        if self.plan.after_death is not None:
            self._mourner = threading.Thread(target=self.plan.after_death, daemon=True)
            self._mourner.start()
        return message

    def put_off(self, error: OSError) -> str:
        """It could not be started: plan the next try, and say so."""
        self.process = None
        self._pause = pause_after(self._pause, 0.0)
        self._due = time.monotonic() + self._pause
        return f"{self.plan.name} can't be started ({error}); trying again in {self._pause:g} s."

    def is_due(self) -> bool:
        if self.process is not None or time.monotonic() < self._due:
            return False
        return self._mourner is None or not self._mourner.is_alive()

    def send(self, number: int) -> None:
        """Send a signal to the process, SIGKILL to its whole group."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)


class Supervisor:
    """Keeps children alive until it is told to stop; all methods belong to the main thread."""

    def __init__(self, logs: Path, say: Callable[[str], None]) -> None:
        self._logs = logs
        self._say = say
        self._tether = _Tether()
        self._children: list[_Child] = []
        self._stops = 0

    @property
    def stopping(self) -> bool:
        return self._stops > 0

    def listen(self) -> None:
        """Take SIGTERM and SIGINT as the order to stop; a second one ends the patience with the children."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if (
                signal.getsignal(number) is not signal.SIG_IGN
            ):  # `nohup` has asked for the hang-up to be ignored
                signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stops += 1

    def start(self, plan: ChildPlan) -> None:
        child = _Child(plan, self._logs / f"{plan.name}.log")
        child.start(self._tether)
        self._children.append(child)

    def deaths(self, name: str) -> int:
        """How often the child of that name has ended by itself."""
        return next(child.deaths for child in self._children if child.plan.name == name)

    def log_tail(self, name: str) -> str:
        """The last line of that child's log."""
        log = self._logs / f"{name}.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    def tick(self) -> None:
        """Reap who has ended, start who is due; takes a fifth of a second."""
        for child in self._children:
            ended = child.reap()
            if ended is not None:
                self._say(ended)
            if child.is_due() and not self.stopping:
                try:
                    child.start(self._tether)
                except OSError as error:  # no log, no process to be had: the others go on
                    self._say(child.put_off(error))
            with contextlib.suppress(OSError):  # a full disk: at the next tick, then
                child.trim_log()
        time.sleep(0.2)

    def run(self) -> None:
        """Stay until a signal says stop."""
        while not self.stopping:
            self.tick()

    def stop(self) -> None:
        """End all children: first those that use the others, each politely, then by force."""
        for last in (False, True):
            group = [child for child in self._children if child.plan.last is last]
            for child in group:
                child.send(signal.SIGTERM)
            deadline = time.monotonic() + (2.0 if last else GRACE_S)
            while self._alive(group) and time.monotonic() < deadline and self._stops < 2:
                time.sleep(0.05)
            for child in group:
                forced = child.process is not None and child.process.poll() is None
                child.send(signal.SIGKILL)
                if child.process is not None:
                    child.process.wait()
                if forced and child.plan.after_death is not None:
                    child.plan.after_death()

    @staticmethod
    def _alive(group: list[_Child]) -> bool:
        return any(child.process is not None and child.process.poll() is None for child in group)
