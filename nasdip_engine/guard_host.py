"""The server side of the guard: a warm process that forks one killable child for each run.

Both host programs (`evaluator`, `decoder`) warm themselves up and then serve. The host has one thread,
because a fork of a process with several may hang for ever, and it does no work itself: it forwards
progress, watches heartbeat and memory of its children, kills, and tells how each run ended.

The host dies when the socket to its client closes, whatever way the client went; on Linux its children
die with it (PR_SET_PDEATHSIG), elsewhere at their next heartbeat. PR_SET_PDEATHSIG follows the *thread*
that forked, so the host does not use it for itself: clients start it from threads that end.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import fcntl
import gc
import os
import selectors
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from nasdip_engine import guard_faults as faults
from nasdip_engine.guard_child import Program, run_child
from nasdip_engine.guard_wire import BrokenFrameError, FaultKind, Frames, Message, pack, pack_head

__all__ = ["main"]

TICK = 0.1  # seconds between two looks at heartbeat and memory
FORWARD_EVERY = 0.1  # progress without a preview is forwarded at most this often, the latest wins
_BACKLOG = 16 * 2**20  # bytes waiting for the client above which children are not read
_TRACE = 4000  # characters of a child's last words that are kept


@dataclass
class _Run:
    number: int
    pid: int
    out: int
    err: int
    heartbeat_limit: float
    memory_limit: int | None
    memory_at_start: int
    resident_at_start: int
    last_sign: float
    frames: Frames = field(default_factory=Frames)
    pending: Message | None = None
    forwarded: float = 0.0
    ended: bool = False
    peak: int = 0
    trace: bytes = b""

    def near_limit(self, largest: int) -> bool:
        """Whether a native crash is more likely the want of memory than a fault of the code.

        largest: resident bytes of its whole life; with pages of files, so it tells later than `peak` does.
        """
        if self.memory_limit is None:
            return False
        return self.peak > 0.8 * self.memory_limit or largest - self.resident_at_start > self.memory_limit


def main(make: Callable[[], Program]) -> None:
    """Run a host program: `make` warms up and describes it; argv[1] is the socket's number."""
    client = socket.socket(fileno=int(sys.argv[1]))
    client.set_inheritable(False)
    try:
        with _client_watched(client):
            program = make()
        _wait_for_single_thread()
    except Exception as error:
        client.sendall(pack({"type": "failed", "detail": f"{type(error).__name__}: {error}"}))
        raise
    serve(client, program)


@contextlib.contextmanager
def _client_watched(client: socket.socket) -> Iterator[None]:
    """End this process when the client goes away during the body (importing torch takes seconds).

    The watching thread is gone when the body ends, so that forking afterwards is safe.
    """
    over = threading.Event()

    def watch() -> None:
        client.settimeout(0.0)
        while not over.wait(0.2):
            with contextlib.suppress(BlockingIOError):
                if client.recv(1, socket.MSG_PEEK) == b"":
                    os._exit(0)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        client.settimeout(None)


def _wait_for_single_thread() -> None:
    deadline = time.monotonic() + 2.0  # a joined thread may need a moment to leave the kernel's count
    while (count := faults.thread_count()) not in (None, 1):
        if time.monotonic() > deadline:
            raise RuntimeError(
                f"the host has {count} threads after its warm-up and must have 1: a fork would not be safe"
            )
        time.sleep(0.01)


def serve(client: socket.socket, program: Program) -> NoReturn:
    """Serve runs until the client goes away; then kill every child and exit."""
    gc.collect()
    gc.freeze()  # else the first collection in each child copies every page that holds an object
    _Server(client, program).loop()


class _Server:
    def __init__(self, client: socket.socket, program: Program) -> None:
        self.client = client
        self.program = program
        self.pid = os.getpid()
        self.libc = ctypes.CDLL(None) if sys.platform == "linux" else None
        self.runs: dict[int, _Run] = {}
        self.corpses: set[int] = set()
        self.inbox = Frames()
        self.outbox = bytearray(pack({"type": "hello", "pid": self.pid, **program.hello}))
        self.selector = selectors.DefaultSelector()
        client.settimeout(0.0)
        self.selector.register(client, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def loop(self) -> NoReturn:
        next_tick = 0.0
        while True:
            for key, events in self.selector.select(self._patience()):
                if key.fileobj is self.client:
                    self._serve_client(events)
                elif (run := self.runs.get(key.data[0])) is not None:
                    self._read_child(run, int(key.fd))
            for run in [run for run in self.runs.values() if run.ended]:
                self._reap(run)
            if time.monotonic() >= next_tick:
                next_tick = time.monotonic() + TICK
                self._tick()

    def _patience(self) -> float | None:
        if any(run.ended for run in self.runs.values()):
            return 0.005  # its pipe is closed: the exit status follows in a moment
        return TICK if self.runs or self.corpses else None

    # -- the client ------------------------------------------------------------------------------

    def _serve_client(self, events: int) -> None:
        try:
            if events & selectors.EVENT_READ:
                data = self.client.recv(2**20)
                if not data:
                    self._leave()
                for message, block in self.inbox.feed(data):
                    self._obey(message, block)
            if self.outbox and events & selectors.EVENT_WRITE:
                with memoryview(self.outbox) as view:
                    sent = self.client.send(view[: 2**20])
                del self.outbox[:sent]
        except BlockingIOError:
            return
        except (OSError, BrokenFrameError):
            self._leave()
        self._listen()

    def _listen(self) -> None:
        """Ask for what can be served now: writing only with something to say, children only with room."""
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.outbox else 0)
        self.selector.modify(self.client, wanted)

    def _say(self, message: Message, block: bytes = b"") -> None:
        self.outbox += pack_head(message, len(block))
        self.outbox += block  # apart from its head: no second copy of a large picture
        self._listen()

    def _leave(self) -> NoReturn:
        for run in self.runs.values():
            _kill_group(run.pid)
        os._exit(0)

    def _obey(self, message: Message, block: bytes) -> None:
        if message["type"] == "run":
            self._fork(message, block)
        elif message["type"] == "cancel" and (run := self.runs.get(message["id"])) is not None:
            self._stop(run, FaultKind.CANCELLED, "stopped on request")

    # -- the children ----------------------------------------------------------------------------

    def _fork(self, message: Message, block: bytes) -> None:
        number, memory = int(message["id"]), message["memory_limit"]
        out, child_out = os.pipe()
        err, child_err = os.pipe()
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(child_out, fcntl.F_SETPIPE_SZ, 2**20)
        try:
            pid = os.fork()
        except OSError as error:
            for descriptor in (out, child_out, err, child_err):
                os.close(descriptor)
            self._fault(number, FaultKind.MEMORY, f"no process could be started: {error}")
            return
        if pid == 0:
            self._become_child(message, block, child_out, child_err, (out, err))
        os.close(child_out)
        os.close(child_err)
        with contextlib.suppress(OSError):  # the child does the same: whoever comes first
            os.setpgid(pid, pid)
        run = _Run(
            number,
            pid,
            out,
            err,
            heartbeat_limit=float(message["heartbeat_limit"]),
            memory_limit=memory,
            memory_at_start=faults.private_memory(pid),
            resident_at_start=faults.resident_memory(pid),
            last_sign=time.monotonic(),
        )
        self.runs[number] = run
        for descriptor in (out, err):
            os.set_blocking(descriptor, False)
            self.selector.register(descriptor, selectors.EVENT_READ, (number,))

    def _become_child(
        self, message: Message, block: bytes, out: int, err: int, parents: tuple[int, int]
    ) -> NoReturn:
        """Nothing of the host stays open here: a child that held its sockets would hide the host's death."""
        try:
            os.setpgid(0, 0)
            if self.libc is not None:
                self.libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
            if os.getppid() != self.pid:
                os._exit(faults.EXIT_ORPHAN)
            self.selector.close()
            self.client.close()
            for run in self.runs.values():
                os.close(run.out)
                os.close(run.err)
            for descriptor in parents:
                os.close(descriptor)
            os.dup2(err, 2)
            os.close(err)
            faulthandler.enable(2)  # the Python line of a native crash, for the trace
            run_child(self.program, message, block, out)
        except MemoryError:
            os._exit(faults.EXIT_SPEECHLESS)
        finally:
            os._exit(faults.EXIT_BROKEN)

    def _read_child(self, run: _Run, descriptor: int) -> None:
        if len(self.outbox) > _BACKLOG:
            run.last_sign = time.monotonic()  # it waits for us, not we for it
            time.sleep(0.001)
            return
        try:
            data = os.read(descriptor, 2**20)
        except BlockingIOError:
            return
        if not data:
            self.selector.unregister(descriptor)
            run.ended = run.ended or descriptor == run.out
            return
        if descriptor == run.err:
            run.trace = (run.trace + data)[-faults.TRACE_LIMIT :]
            return
        run.last_sign = time.monotonic()
        try:
            for message, block in run.frames.feed(data):
                if self._forward(run, message, block):
                    return
        except BrokenFrameError as error:
            self._stop(run, FaultKind.ERROR, f"BrokenFrameError: {error}")

    def _forward(self, run: _Run, message: Message, block: bytes) -> bool:
        """Pass a child's message on; true when it was the last one."""
        message["id"] = run.number
        if message["type"] == "progress":
            now = time.monotonic()
            if message["value"].get("preview") is None and now - run.forwarded < FORWARD_EVERY:
                run.pending = message
                return False
            run.pending, run.forwarded = None, now
            self._say(message)
            return False
        if run.pending is not None:
            self._say(run.pending)
        self._forget(run)
        self._say(message, block)
        return True

    def _tick(self) -> None:
        now = time.monotonic()
        for run in list(self.runs.values()):
            if run.pending is not None and now - run.forwarded >= FORWARD_EVERY:
                self._say(run.pending)
                run.pending, run.forwarded = None, now
            if run.ended:
                continue
            if now - run.last_sign > run.heartbeat_limit:
                self._stop(run, FaultKind.HANG, f"no heartbeat for {run.heartbeat_limit:g} s")
            elif run.memory_limit is not None:
                grown = faults.private_memory(run.pid) - run.memory_at_start
                run.peak = max(run.peak, grown)
                if grown > run.memory_limit:
                    sizes = f"grew by {grown // 2**20} MiB; the limit is {run.memory_limit // 2**20} MiB"
                    self._stop(run, FaultKind.MEMORY, sizes)
        for pid in list(self.corpses):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self.corpses.discard(pid)

    def _reap(self, run: _Run) -> None:
        """The child closed its pipe without an outcome: say how it ended, once that is known."""
        pid, status, usage = os.wait4(run.pid, os.WNOHANG)
        if pid == 0:
            if time.monotonic() - run.last_sign > run.heartbeat_limit:
                self._stop(run, FaultKind.HANG, "closed its pipe and did not end")
            return
        with contextlib.suppress(OSError):
            run.trace = (run.trace + os.read(run.err, 2**16))[-faults.TRACE_LIMIT :]
        trace = run.trace.decode(errors="replace")
        kind, detail = faults.of_status(
            status, trace, near_limit=run.near_limit(faults.largest_memory(usage))
        )
        if run.pending is not None:
            self._say(run.pending)
        self._forget(run, reaped=True)
        self._fault(run.number, kind, detail, trace)

    def _stop(self, run: _Run, kind: FaultKind, detail: str) -> None:
        self._forget(run)
        self._fault(run.number, kind, detail)

    def _fault(self, number: int, kind: FaultKind, detail: str, trace: str = "") -> None:
        self._say({"type": "fault", "id": number, "kind": kind.value, "detail": detail, "trace": trace})

    def _forget(self, run: _Run, reaped: bool = False) -> None:
        _kill_group(run.pid)  # also what the child may have started itself
        if not reaped:
            self.corpses.add(run.pid)
        for descriptor in (run.out, run.err):
            with contextlib.suppress(KeyError):
                self.selector.unregister(descriptor)
            os.close(descriptor)
        del self.runs[run.number]


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
