"""What happens in the forked child of a guarded host: confine it, do the work, answer, end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from nasdip_engine import guard_faults as faults
from nasdip_engine.guard_wire import Message, pack_head

__all__ = ["Program", "Send", "run_child"]

Send = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Program:
    """What a host program does with a run.

    hello:   JSON object that the client gets once, before any run.
    work:    (request, block, send) -> (value, block), in the child. Each `send` is a heartbeat.
    confine: sets the child's resource limits; gets the memory limit of the run in bytes, or None.
    """

    name: str
    hello: Mapping[str, Any]
    work: Callable[[Message, bytes, Send], tuple[Mapping[str, Any], bytes]]
    confine: Callable[[int | None], None]


def run_child(program: Program, message: Message, block: bytes, out: int) -> NoReturn:
    """Answer on the pipe `out` and end this process, with the outcome or with the fault that came instead."""

    def say(answer: Message, body: bytes = b"") -> None:
        try:
            _write_all(out, pack_head(answer, len(body)))
            _write_all(out, body)  # apart from its head: no second copy of a large picture
        except BrokenPipeError:
            os._exit(faults.EXIT_ORPHAN)

    def send(progress: Mapping[str, Any]) -> None:
        say({"type": "progress", "value": dict(progress)})

    request: Message = message["request"]
    try:
        _be_the_first_victim()
        program.confine(message["memory_limit"])
        value, body = program.work(request, block, send)
        say({"type": "done", "value": dict(value)}, body)
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the answer of this run
        kind, detail = faults.of_exception(error, request.get("output"))
        say({"type": "fault", "kind": kind.value, "detail": detail, "trace": faults.trace_of(error)})
        os._exit(1)


def _be_the_first_victim() -> None:
    """No core file, and when the system runs out of memory it takes this child, not the server beside it."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
