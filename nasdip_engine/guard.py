"""Runs work that may crash, hang, eat memory or be killed, and always comes back with an answer.

A `Host` is a process of its own that has a child do each run, forked for it or kept (`guard_mode`). What happens
to a child is told as a `Fault` with a class that says what may follow from it; nothing that happens there
reaches this process. Imports no torch. One host serves several threads at once.

A `Host` belongs to the process that made it. Its process ends with this one, however this one ends.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

from nasdip_engine.errors import NasDipError
from nasdip_engine.guard_mode import Mode, host_environment, mode_for
from nasdip_engine.guard_wire import BrokenFrameError, FaultKind, Frames, Message, pack

__all__ = ["Fault", "FaultKind", "Host", "HostLostError", "Limits", "Outcome"]

POLL = 0.2  # seconds between two looks at `should_stop`
_SEND_LIMIT = 60.0  # seconds a host may leave the request unread

OnProgress = Callable[[dict[str, Any]], None]
ShouldStop = Callable[[], bool]


class HostLostError(NasDipError):
    """The guarded host process could not be started or has died."""


@dataclass(frozen=True)
class Limits:
    """What a run of a host may use, where the call does not say otherwise.

    heartbeat: seconds without a sign of the run before it counts as hung.
    memory_bytes: private memory that a run may take beyond what the warm host has; None = no limit.
    start: seconds that the host may need until it says hello.
    grace: seconds that it may be late with telling a hang before it counts as stuck itself.
    """

    heartbeat: float = 60.0
    memory_bytes: int | None = None
    start: float = 180.0
    grace: float = 20.0


@dataclass(frozen=True)
class Outcome:
    """What the work gave: a JSON object and, from the decoder, a block of bytes."""

    value: dict[str, Any]
    block: bytes = b""


@dataclass(frozen=True)
class Fault:
    """Why there is no outcome.

    detail: one line, such as "SIGSEGV (Segmentation fault)" or "ValueError: ...".
    trace:  the child's last words, for logs; may be empty.
    """

    kind: FaultKind
    detail: str
    trace: str = ""


class Host:
    """A guarded program: "evaluator" (torch) or "decoder" (pictures). Thread-safe; starts on first use."""

    def __init__(
        self,
        program: Literal["evaluator", "decoder"],
        *,
        limits: Limits | None = None,
        command: Sequence[str] | None = None,
        device: str = "cpu",
        mode: Mode | None = None,
    ) -> None:
        """command: another command line that serves the same protocol; the socket's number is appended.

        device: "cpu" or "cuda", what an evaluator computes on.  mode: how it comes by its children, by default as
        NASDIP_EVALUATOR, platform and device say; the decoder always forks.  Raises SettingsError.
        """
        self.program = program
        self.mode = mode or (mode_for(device) if program == "evaluator" else Mode.FORK)
        self._device = device
        self.limits = limits or Limits()
        self._command = list(command or (sys.executable, "-P", "-m", f"nasdip_engine.{program}"))
        self._lock = threading.Lock()
        self._connection: _Connection | None = None
        self._closed = False

    @property
    def hello(self) -> dict[str, Any]:
        """What the host said of itself: `pid`; the evaluator also its numerics `fingerprint` and its `abilities`.

        Starts the host if need be and waits for it. Raises HostLostError.
        """
        connection = self._connected()
        connection.wait_ready(self.limits.start, None)
        return dict(connection.hello)

    def run(
        self,
        request: Mapping[str, Any],
        *,
        block: bytes = b"",
        on_progress: OnProgress | None = None,
        should_stop: ShouldStop | None = None,
        heartbeat_limit: float | None = None,
        memory_limit_bytes: int | None = None,
    ) -> Outcome | Fault:
        """Run one request in a child and wait for how it ends.

        on_progress:  called in this thread; may miss messages without a preview when they come fast.
        should_stop:  asked about every 0.2 s in this thread; true kills the child, Fault(CANCELLED).
        heartbeat_limit, memory_limit_bytes: instead of the host's `Limits`.

        What `on_progress` or `should_stop` raises kills the child and is raised here.
        """
        heartbeat = self.limits.heartbeat if heartbeat_limit is None else heartbeat_limit
        memory = self.limits.memory_bytes if memory_limit_bytes is None else memory_limit_bytes
        limits = {"heartbeat_limit": heartbeat, "memory_limit": memory}
        message = {"type": "run", "request": dict(request), **limits}
        try:
            connection = self._connected()
            if not connection.wait_ready(self.limits.start, should_stop):
                return Fault(FaultKind.CANCELLED, "stopped on request")
            number, box = connection.begin(message, block)
        except HostLostError as error:
            return Fault(FaultKind.HOST_LOST, str(error))
        try:
            return _follow(
                connection,
                number,
                box,
                on_progress=on_progress,
                should_stop=should_stop,
                patience=heartbeat + self.limits.grace,
            )
        except BaseException:
            connection.cancel(number)
            raise
        finally:
            connection.end(number)

    def close(self) -> None:
        """End the host and all its runs; they and later ones give Fault(HOST_LOST)."""
        with self._lock:
            self._closed = True
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.kill("the host was closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connected(self) -> _Connection:
        with self._lock:
            if self._closed:
                raise HostLostError("the host was closed")
            if self._connection is None or self._connection.lost.is_set():
                self._connection = _Connection(
                    self._command, self.program, host_environment(self.mode, self._device)
                )
                weakref.finalize(self, self._connection.kill, "the host was dropped")
            return self._connection


class _Mailbox:
    """Messages of one run, from the reader thread to the thread that waits for it."""

    def __init__(self) -> None:
        self._messages: deque[tuple[Message, bytes]] = deque()
        self._arrived = threading.Condition()

    def put(self, message: Message, block: bytes = b"") -> None:
        with self._arrived:
            # A slow `on_progress` must not fill the memory: the latest progress stands for the ones before.
            if self._messages and _is_plain_progress(self._messages[-1][0]) and message["type"] == "progress":
                self._messages.pop()
            self._messages.append((message, block))
            self._arrived.notify()

    def get(self, timeout: float) -> tuple[Message, bytes] | None:
        with self._arrived:
            if not self._messages:
                self._arrived.wait(timeout)
            return self._messages.popleft() if self._messages else None


def _is_plain_progress(message: Message) -> bool:
    return message["type"] == "progress" and message["value"].get("preview") is None


def _follow(
    connection: _Connection,
    number: int,
    box: _Mailbox,
    *,
    on_progress: OnProgress | None,
    should_stop: ShouldStop | None,
    patience: float,
) -> Outcome | Fault:
    last_sign = next_look = time.monotonic()
    while True:
        received = box.get(POLL)
        now = time.monotonic()
        if received is not None:
            message, block = received
            if message["type"] == "done":
                return Outcome(message["value"], block)
            if message["type"] == "fault":
                return Fault(FaultKind(message["kind"]), message["detail"], message.get("trace", ""))
            if on_progress is not None and message["type"] == "progress":
                on_progress(message["value"])
            last_sign = time.monotonic()
        elif now - last_sign > patience:
            connection.kill("the host did not answer any more")  # its end arrives in the box
        if should_stop is not None and now >= next_look:
            next_look = now + POLL
            if should_stop():
                connection.cancel(number)
                should_stop = None


class _Connection:
    """One host process and the socket to it; a new one is made when it is lost."""

    def __init__(self, command: Sequence[str], program: str, environment: Mapping[str, str]) -> None:
        self.program = program
        self.hello: dict[str, Any] = {}
        self.lost = threading.Event()
        self._ready = threading.Event()
        self._reason = ""
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._boxes: dict[int, _Mailbox] = {}
        self._numbers = 0
        self._socket, theirs = socket.socketpair()
        with theirs:  # closed here, else this process would hold the host's end open
            try:
                self._process = subprocess.Popen(
                    [*command, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                    env=environment,
                )
            except OSError as error:
                self._socket.close()
                raise HostLostError(f"the {program} could not be started: {error}") from error
        self._socket.settimeout(_SEND_LIMIT)
        self._reader = threading.Thread(target=self._read, name=f"{program}-reader", daemon=True)
        self._reader.start()

    def wait_ready(self, limit: float, should_stop: ShouldStop | None) -> bool:
        """Wait for the host's hello; false when `should_stop` said so before. Raises HostLostError."""
        deadline = time.monotonic() + limit
        while not self._ready.wait(POLL):
            if should_stop is not None and should_stop():
                return False
            if time.monotonic() > deadline:
                self.kill(f"the {self.program} was not ready after {limit:g} s")
        if self.lost.is_set():
            raise HostLostError(self._reason)
        return True

    def begin(self, message: Message, block: bytes) -> tuple[int, _Mailbox]:
        with self._lock:
            if self.lost.is_set():
                raise HostLostError(self._reason)
            self._numbers += 1
            number, box = self._numbers, _Mailbox()
            self._boxes[number] = box
        self._send({**message, "id": number}, block)
        return number, box

    def cancel(self, number: int) -> None:
        self._send({"type": "cancel", "id": number})

    def end(self, number: int) -> None:
        with self._lock:
            self._boxes.pop(number, None)

    def kill(self, reason: str) -> None:
        """End the host now; its children go with it, and every run is told that the host is lost."""
        self._reason = self._reason or reason
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # the host kills its children before it goes
        try:
            self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._reader is not threading.current_thread():
            self._reader.join(5.0)

    def _send(self, message: Message, block: bytes = b"") -> None:
        try:
            with self._sending:
                self._socket.sendall(pack(message, block))
        except OSError:  # the reader sees the same and tells every run; half a frame can't be mended
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _read(self) -> None:
        frames = Frames()
        with contextlib.suppress(OSError, BrokenFrameError):
            while True:
                try:
                    data = self._socket.recv(2**20)
                except TimeoutError:
                    continue
                if not data:
                    break
                for message, block in frames.feed(data):
                    self._deliver(message, block)
        self._lose()

    def _deliver(self, message: Message, block: bytes) -> None:
        if message["type"] == "hello":
            self.hello = {name: value for name, value in message.items() if name != "type"}
            self._ready.set()
        elif message["type"] == "failed":
            self._reason = f"the {self.program} could not start: {message['detail']}"
        else:
            with self._lock:
                box = self._boxes.get(message["id"])
            if box is not None:
                box.put(message, block)

    def _lose(self) -> None:
        """The stream has ended: reap the host and tell everybody who waits."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        try:
            status = self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        with self._lock:
            self._reason = self._reason or f"the {self.program} host died (status {status})"
            self.lost.set()
            boxes = list(self._boxes.values())
        self._ready.set()
        for box in boxes:
            box.put({"type": "fault", "kind": FaultKind.HOST_LOST.value, "detail": self._reason})
        self._socket.close()
