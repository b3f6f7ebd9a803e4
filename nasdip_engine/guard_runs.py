"""A host's children as the host sees them: what each is busy with, how it was before, and how it is started."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from nasdip_engine import guard_faults as faults
from nasdip_engine.guard_child import Program, run_child
from nasdip_engine.guard_wire import Frames, Message, pack

__all__ = ["Child", "forked", "kept", "kept_address", "kill_group"]

_KEPT = "kept:"  # in place of the socket's number: this process is a kept child


@dataclass
class Child:
    """A child process, and the run that it serves.

    out, err:   descriptors to read its frames and its last words from; requests are written to a kept one's `out`.
    number:     of the run; None while a kept child waits for one.
    ready:      it is warm.  A kept child says hello when it is.
    base:       private bytes that it had before its first run; resident: all of them.
    high_water: the most resident bytes of its life before this run.
    peak:       the most bytes by which it was seen grown in this run.
    pending:    progress without a preview that was not forwarded yet.
    ended:      it closed `out`; its exit status may still be to come.
    trace:      the end of what it wrote to `err`.
    heartbeat_limit in seconds, memory_limit in bytes; started, last_sign, told and forwarded by the monotonic clock.
    """

    pid: int
    out: int
    err: int
    kept: bool = False
    ready: bool = True
    number: int | None = None
    heartbeat_limit: float = 0.0
    memory_limit: int | None = None
    base: int = 0
    resident: int = 0
    high_water: int = 0
    peak: int = 0
    started: float = field(default_factory=time.monotonic)
    last_sign: float = 0.0
    told: float = 0.0
    frames: Frames = field(default_factory=Frames)
    outbox: bytearray = field(default_factory=bytearray)
    pending: Message | None = None
    forwarded: float = 0.0
    ended: bool = False
    trace: bytes = b""

    def take(self, message: Message) -> None:
        """Begin the run that `message` asks for."""
        self.number = int(message["id"])
        self.heartbeat_limit = float(message["heartbeat_limit"])
        self.memory_limit = message["memory_limit"]
        self.last_sign = time.monotonic()
        self.high_water = faults.high_water(self.pid) if self.kept else 0
        self.pending, self.forwarded, self.peak, self.trace = None, 0.0, 0, b""

    def ask(self, message: Message, block: bytes) -> None:
        """Have a kept child do a run; it is written as soon as there is room."""
        self.take(message)
        self.outbox += pack(message, block)

    def measure(self) -> None:
        """Remember how much it has before anything was asked of it."""
        self.base = faults.private_memory(self.pid)
        self.resident = faults.resident_memory(self.pid)

    def near_limit(self, largest: int) -> bool:
        """Whether a native crash is more likely the want of memory than a fault of the code.

        largest: resident bytes of its whole life; with pages of files, so it tells later than `peak` does, and
        nothing of this run where an earlier one had more.
        """
        if self.memory_limit is None:
            return False
        grown = largest - self.resident if largest > self.high_water else 0
        return self.peak > 0.8 * self.memory_limit or grown > self.memory_limit


def forked(program: Program, message: Message, block: bytes, leave_host: Callable[[], None]) -> Child:
    """A child of this process, which must have one thread, for one run.  Raises OSError.

    leave_host: called in the child, closes what belongs to the host alone.
    """
    host = os.getpid()
    out, child_out = os.pipe()
    err, child_err = os.pipe()
    with contextlib.suppress(OSError, AttributeError):
        fcntl.fcntl(child_out, fcntl.F_SETPIPE_SZ, 2**20)
    try:
        pid = os.fork()
    except OSError:
        for descriptor in (out, child_out, err, child_err):
            os.close(descriptor)
        raise
    if pid == 0:

        def leave() -> None:
            leave_host()
            os.close(out)
            os.close(err)

        _become_child(host, leave, child_err, lambda: run_child(program, message, block, child_out))
    os.close(child_out)
    os.close(child_err)
    with contextlib.suppress(OSError):  # the child does the same: whoever comes first
        os.setpgid(pid, pid)
    child = Child(pid, out, err)
    child.measure()
    child.take(message)
    return child


def _become_child(host: int, leave: Callable[[], None], err: int, serve: Callable[[], NoReturn]) -> NoReturn:
    """Nothing of the host stays open here: a child that held its sockets would hide the host's death."""
    try:
        os.setpgid(0, 0)
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        if os.getppid() != host:
            os._exit(faults.EXIT_ORPHAN)
        leave()
        os.dup2(err, 2)
        os.close(err)
        faulthandler.enable(2)  # the Python line of a native crash, for the trace
        serve()
    except MemoryError:
        os._exit(faults.EXIT_SPEECHLESS)
    finally:
        os._exit(faults.EXIT_BROKEN)


def kept() -> Child:
    """A fresh process of this host's own command, which warms itself up and stays.  Raises OSError."""
    ours, theirs = socket.socketpair()
    err, child_err = os.pipe()
    try:
        with theirs:
            theirs.set_inheritable(True)
            command = [sys.executable, *sys.orig_argv[1:-1], f"{_KEPT}{theirs.fileno()}:{os.getpid()}"]
            actions = [(os.POSIX_SPAWN_DUP2, child_err, 2)]
            pid = os.posix_spawn(sys.executable, command, os.environ, file_actions=actions, setpgroup=0)
    except OSError:
        os.close(err)
        ours.close()
        raise
    finally:
        os.close(child_err)
    return Child(pid, ours.detach(), err, kept=True, ready=False)


def kept_address(argument: str) -> tuple[int, int] | None:
    """(descriptor, host's process id) where a program was started as a kept child."""
    if not argument.startswith(_KEPT):
        return None
    descriptor, host = argument.removeprefix(_KEPT).split(":")
    return int(descriptor), int(host)


def kill_group(pid: int) -> None:
    """End a child and what it may have started itself."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
