"""The server side of the guard: a process whose children do the runs, one each at a time.

Host programs (`evaluator`, `decoder`) are forked for each run from a host that has warmed itself up, or, where
that can't be done, kept: started afresh, warmed up and asked again and again (`guard_mode`). The host has one
thread, because a fork of a process with several may hang for ever, and it does no work itself: it forwards
progress, watches heartbeat and memory of its children, kills, and tells how each run ended. A kept child that
ended a run with anything but its outcome is replaced.

The host dies when the socket to its client closes, whatever way the client went; on Linux its children
die with it (PR_SET_PDEATHSIG), elsewhere forked ones at their next heartbeat and kept ones within half a second.
PR_SET_PDEATHSIG follows the *thread* that forked, so the host does not use it for itself: clients start it from
threads that end.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

from nasdip_engine import guard_faults as faults
from nasdip_engine.guard_child import Program, serve_kept
from nasdip_engine.guard_mode import MODE_VARIABLE, Mode
from nasdip_engine.guard_runs import Child, forked, kept, kept_address, kill_group
from nasdip_engine.guard_wire import BrokenFrameError, FaultKind, Frames, Message, pack, pack_head

__all__ = ["main"]

TICK = 0.1  # seconds between two looks at heartbeat and memory
FORWARD_EVERY = 0.1  # progress without a preview is forwarded at most this often, the latest wins
_START_LIMIT = 180.0  # seconds that a kept child may take to warm up
_TELL_EVERY = 1.0  # seconds between two signs to a client whose run waits for a child to warm up
_BACKLOG = 16 * 2**20  # bytes waiting for the client above which children are not read


def main(make: Callable[[], Program]) -> None:
    """Run a host program: `make` warms up and describes it; argv[1] is the socket's number.

    NASDIP_EVALUATOR=kept, which the client sets, keeps children; this process then stays as light as it is.
    """
    if (address := kept_address(sys.argv[1])) is not None:
        serve_kept(make, *address)
    client = socket.socket(fileno=int(sys.argv[1]))
    client.set_inheritable(False)
    if os.environ.get(MODE_VARIABLE) == Mode.KEPT:
        _Server(client, None).loop()
    try:
        with _client_watched(client):
            program = make()
        _wait_for_single_thread()
    except Exception as error:
        client.sendall(pack({"type": "failed", "detail": f"{type(error).__name__}: {error}"}))
        raise
    gc.collect()
    gc.freeze()  # else the first collection in each child copies every page that holds an object
    _Server(client, program).loop()


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


class _Server:
    """The host's loop: one thread that reads the client and the children as they speak, and looks at both by the tick."""

    def __init__(self, client: socket.socket, program: Program | None) -> None:
        """program: forked for each run; None: children are kept, and the first one's hello is this host's."""
        self.client = client
        self.program = program
        self.children: dict[int, Child] = {}
        self.corpses: set[int] = set()
        self.greeted = False
        self.inbox = Frames()
        self.outbox = bytearray()
        self.selector = selectors.DefaultSelector()
        client.settimeout(0.0)
        self.selector.register(client, selectors.EVENT_READ)
        if program is None:
            self._start_kept()
        else:
            self._greet(dict(program.hello))

    def loop(self) -> NoReturn:
        """Serve until the client goes away; then kill every child and exit."""
        next_tick = 0.0
        while True:
            for key, events in self.selector.select(self._patience()):
                if key.fileobj is self.client:
                    self._serve_client(events)
                elif (child := self.children.get(key.data[0])) is not None:
                    self._serve_child(child, int(key.fd), events)
            for child in [child for child in self.children.values() if child.ended]:
                self._reap(child)
            if time.monotonic() >= next_tick:
                next_tick = time.monotonic() + TICK
                self._tick()

    def _patience(self) -> float | None:
        if any(child.ended for child in self.children.values()):
            return 0.005  # its pipe is closed: the exit status follows in a moment
        busy = any(child.number is not None or not child.ready for child in self.children.values())
        return TICK if busy or self.corpses else None

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

    def _greet(self, hello: Message) -> None:
        self.greeted = True
        self._say({**hello, "type": "hello", "pid": os.getpid()})

    def _leave(self) -> NoReturn:
        for child in self.children.values():
            kill_group(child.pid)
        os._exit(0)

    def _obey(self, message: Message, block: bytes) -> None:
        if message["type"] == "run":
            self._begin(message, block)
        elif message["type"] == "cancel":
            for child in list(self.children.values()):
                if child.number == message["id"]:
                    self._stop(child, FaultKind.CANCELLED, "stopped on request")

    # -- the children ----------------------------------------------------------------------------

    def _begin(self, message: Message, block: bytes) -> None:
        try:
            if self.program is not None:
                self._watch(forked(self.program, message, block, self._leave_to_child))
                return
            child = self._idle() or self._start_kept()
        except OSError as error:
            self._fault(int(message["id"]), FaultKind.MEMORY, f"no process could be started: {error}")
            return
        child.ask(message, block)
        self.selector.modify(child.out, selectors.EVENT_READ | selectors.EVENT_WRITE, (child.pid,))

    def _idle(self) -> Child | None:
        idle = [child for child in self.children.values() if child.number is None and not child.ended]
        return min(idle, key=lambda child: (not child.ready, child.started), default=None)

    def _start_kept(self) -> Child:
        child = kept()
        self._watch(child)
        return child

    def _watch(self, child: Child) -> None:
        self.children[child.pid] = child
        for descriptor in (child.out, child.err):
            os.set_blocking(descriptor, False)
            self.selector.register(descriptor, selectors.EVENT_READ, (child.pid,))

    def _leave_to_child(self) -> None:
        self.selector.close()
        self.client.close()
        for child in self.children.values():
            os.close(child.out)
            os.close(child.err)

    def _serve_child(self, child: Child, descriptor: int, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            with contextlib.suppress(OSError), memoryview(child.outbox) as view:
                written = os.write(descriptor, view[: 2**20])
                view.release()
                del child.outbox[:written]
            if not child.outbox:
                self.selector.modify(descriptor, selectors.EVENT_READ, (child.pid,))
        if events & selectors.EVENT_READ:
            self._read_child(child, descriptor)

    def _read_child(self, child: Child, descriptor: int) -> None:
        if len(self.outbox) > _BACKLOG:
            child.last_sign = time.monotonic()  # it waits for us, not we for it
            time.sleep(0.001)
            return
        try:
            data = os.read(descriptor, 2**20)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b""  # a kept child died before it had read its request
        if not data:
            self.selector.unregister(descriptor)
            child.ended = child.ended or descriptor == child.out
            return
        if descriptor == child.err:
            child.trace = (child.trace + data)[-faults.TRACE_LIMIT :]
            return
        child.last_sign = time.monotonic()
        try:
            for message, block in child.frames.feed(data):
                if self._heard(child, message, block):
                    return
        except BrokenFrameError as error:
            self._stop(child, FaultKind.ERROR, f"BrokenFrameError: {error}")

    def _heard(self, child: Child, message: Message, block: bytes) -> bool:
        """Pass a child's message on; true when it was the last one of this child."""
        if message["type"] in ("hello", "failed"):
            return self._warmed(child, message)
        if child.number is None:
            return False
        message["id"] = child.number
        if message["type"] == "progress":
            now = time.monotonic()
            if message["value"].get("preview") is None and now - child.forwarded < FORWARD_EVERY:
                child.pending = message
                return False
            child.pending, child.forwarded = None, now
            self._say(message)
            return False
        if child.pending is not None:
            self._say(child.pending)
        sound = child.kept and message["type"] == "done"
        if sound:
            child.number = None
        else:
            self._forget(child)
        self._say(message, block)
        return not sound

    def _warmed(self, child: Child, message: Message) -> bool:
        """A kept child is ready, or says why it can't be."""
        if message["type"] == "failed":
            self._could_not_start(child, message["detail"])
            return True
        child.ready = True
        child.measure()
        if not self.greeted:
            self._greet(message)
        return False

    def _could_not_start(self, child: Child, detail: str, reaped: bool = False) -> None:
        number = child.number
        self._forget(child, reaped=reaped)
        if not self.greeted:  # without one child there is no host
            with contextlib.suppress(OSError):
                self.client.settimeout(5.0)
                self.client.sendall(pack({"type": "failed", "detail": detail}))
            os._exit(1)
        if number is not None:
            self._fault(number, FaultKind.HOST_LOST, f"a new child could not start: {detail}")

    def _tick(self) -> None:
        now = time.monotonic()
        for child in list(self.children.values()):
            if not child.ready:
                self._look_at_start(child, now)
                continue
            if child.number is None:
                continue
            if child.pending is not None and now - child.forwarded >= FORWARD_EVERY:
                self._say(child.pending)
                child.pending, child.forwarded = None, now
            if child.ended:
                continue
            if now - child.last_sign > child.heartbeat_limit:
                self._stop(child, FaultKind.HANG, f"no heartbeat for {child.heartbeat_limit:g} s")
            elif child.memory_limit is not None:
                grown = faults.private_memory(child.pid) - child.base
                child.peak = max(child.peak, grown)
                if grown > child.memory_limit:
                    sizes = f"grew by {grown // 2**20} MiB; the limit is {child.memory_limit // 2**20} MiB"
                    self._stop(child, FaultKind.MEMORY, sizes)
        for pid in list(self.corpses):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self.corpses.discard(pid)

    def _look_at_start(self, child: Child, now: float) -> None:
        if now - child.started > _START_LIMIT:
            self._could_not_start(child, f"not ready after {_START_LIMIT:g} s")
        elif child.number is not None and now - child.told > _TELL_EVERY:
            child.told = now
            self._say({"type": "starting", "id": child.number})

    def _reap(self, child: Child) -> None:
        """The child closed its pipe without an outcome: say how it ended, once that is known."""
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid == 0:
            if time.monotonic() - child.last_sign > child.heartbeat_limit:
                self._stop(child, FaultKind.HANG, "closed its pipe and did not end")
            return
        with contextlib.suppress(OSError):
            child.trace = (child.trace + os.read(child.err, 2**16))[-faults.TRACE_LIMIT :]
        trace = child.trace.decode(errors="replace")
        kind, detail = faults.of_status(
            status, trace, near_limit=child.near_limit(faults.largest_memory(usage))
        )
        if child.pending is not None:
            self._say(child.pending)
        if not child.ready:
            self._could_not_start(child, detail, reaped=True)
            return
        number = child.number
        self._forget(child, reaped=True)
        if number is not None:
            self._fault(number, kind, detail, trace)

    def _stop(self, child: Child, kind: FaultKind, detail: str) -> None:
        number = child.number
        self._forget(child)
        if number is not None:
            self._fault(number, kind, detail)

    def _fault(self, number: int, kind: FaultKind, detail: str, trace: str = "") -> None:
        self._say({"type": "fault", "id": number, "kind": kind.value, "detail": detail, "trace": trace})

    def _forget(self, child: Child, reaped: bool = False) -> None:
        """End a child for good; a kept one that was warm is replaced, so that the next run need not wait."""
        kill_group(child.pid)
        if not reaped:
            self.corpses.add(child.pid)
        for descriptor in (child.out, child.err):
            with contextlib.suppress(KeyError):
                self.selector.unregister(descriptor)
            os.close(descriptor)
        del self.children[child.pid]
        if child.kept and child.ready:
            with contextlib.suppress(OSError):  # the next run tries again, and says it
                self._start_kept()
