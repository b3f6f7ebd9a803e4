"""What happens in the child of a guarded host: confine it, do the work, answer; then end, or wait for more."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from nasdip_engine import guard_faults as faults
from nasdip_engine.guard_wire import Frames, Message, pack_head

__all__ = ["Program", "Send", "die_with", "run_child", "serve_kept"]

Send = Callable[[Mapping[str, Any]], None]

_LIMITS = (
    resource.RLIMIT_AS,
    resource.RLIMIT_DATA,
    resource.RLIMIT_CPU,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NOFILE,
)
_LOOK_FOR_HOST = 0.5  # seconds; where the kernel does not end a child with its parent


@dataclass(frozen=True)
class Program:
    """What a host program does with a run.

    hello:   JSON object that the client gets once, before any run.
    work:    (request, block, send) -> (value, block), in the child. Each `send` is a heartbeat.
    confine: sets the child's resource limits; gets the memory limit of the run in bytes, or None.  Of a program
             whose children may be kept it sets soft limits only, which are taken back after the run.
    """

    hello: Mapping[str, Any]
    work: Callable[[Message, bytes, Send], tuple[Mapping[str, Any], bytes]]
    confine: Callable[[int | None], None]


def run_child(program: Program, message: Message, block: bytes, out: int) -> NoReturn:
    """Answer on the pipe `out` and end this process, with the outcome or with the fault that came instead."""
    _be_the_first_victim()
    _answer(program, message, block, out)
    os._exit(0)


def serve_kept(make: Callable[[], Program], descriptor: int, host: int) -> NoReturn:
    """Warm up, say hello on the socket `descriptor`, and answer runs one after another until the host goes away.

    host: its process id.  Ends this process after any fault, so that nothing of it meets the next run.
    """
    die_with(host)
    channel = socket.socket(fileno=descriptor)
    channel.set_inheritable(False)
    _be_the_first_victim()
    faulthandler.enable(2)  # the Python line of a native crash, for the trace
    try:
        program = make()
    except Exception as error:
        _say(descriptor, {"type": "failed", "detail": f"{type(error).__name__}: {error}"})
        raise
    gc.collect()
    gc.freeze()
    trim = _trimmer()
    _say(descriptor, {"type": "hello", **program.hello})
    frames = Frames()
    while data := channel.recv(2**20):
        for message, block in frames.feed(data):
            soft = [(kind, resource.getrlimit(kind)[0]) for kind in _LIMITS]
            _answer(program, message, block, descriptor)
            for kind, limit in soft:
                resource.setrlimit(kind, (limit, resource.getrlimit(kind)[1]))
            gc.collect()
            trim()
    os._exit(0)


def die_with(parent: int) -> None:
    """End this process when its parent does.

    On Linux the kernel sees to it; PR_SET_PDEATHSIG follows the thread that started this process, so that must
    be the parent's only one.  A thread looks too, for systems without: it sees it within half a second unless
    native code holds the interpreter lock.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(faults.EXIT_ORPHAN)

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_FOR_HOST)
        os._exit(faults.EXIT_ORPHAN)

    threading.Thread(target=look, name="host-watch", daemon=True).start()


def _answer(program: Program, message: Message, block: bytes, out: int) -> None:
    """Do one run and write its outcome to `out`; a fault is written instead and ends this process."""
    request: Message = message["request"]
    try:
        program.confine(message["memory_limit"])
        value, body = program.work(
            request, block, lambda progress: _say(out, {"type": "progress", "value": dict(progress)})
        )
        _say(out, {"type": "done", "value": dict(value)}, body)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the answer of this run
        try:
            kind, detail = faults.of_exception(error, request.get("output"))
            trace = faults.trace_of(error)
            _say(out, {"type": "fault", "kind": kind.value, "detail": detail, "trace": trace})
        except MemoryError:
            os._exit(faults.EXIT_SPEECHLESS)
        os._exit(1)


def _say(out: int, answer: Message, body: bytes = b"") -> None:
    try:
        _write_all(out, pack_head(answer, len(body)))
        _write_all(out, body)  # apart from its head: no second copy of a large picture
    except (BrokenPipeError, ConnectionResetError):
        os._exit(faults.EXIT_ORPHAN)


def _be_the_first_victim() -> None:
    """No core file, and when the system runs out of memory it takes this child, not the server beside it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _trimmer() -> Callable[[], object]:
    """Gives memory that a run freed back to the system, where the C library can: the next run starts level."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return lambda: None
    return lambda: trim(0)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
