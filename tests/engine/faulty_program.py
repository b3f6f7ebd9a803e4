"""A host program whose children fail in every way there is. Served by the real guard, without torch.

python faulty_program.py [--late SECONDS | --broken | --threads] FD
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from nasdip_engine import guard_host
from nasdip_engine.guard_child import Program, Send


def work(request: dict[str, Any], block: bytes, send: Send) -> tuple[dict[str, Any], bytes]:
    act = request["do"]
    if "pid_file" in request:
        Path(request["pid_file"]).write_text(str(os.getpid()))
    if act == "echo":
        return {"pid": os.getpid(), "said": request.get("say"), "length": len(block)}, block[::-1]
    if act == "count":
        for number in range(1, request["to"] + 1):
            shown = number in request.get("previews", ())
            send({"iteration": number, "preview": "png" if shown else None})
            time.sleep(request.get("pause", 0))
        return {"counted": request["to"]}, b""
    send({"iteration": 0, "preview": None})
    ACTS[act](request)
    return {"survived": act}, b""


def hang_in_c(request: dict[str, Any]) -> None:
    """Holds the interpreter lock for ever: no Python thread could notice."""
    ctypes.PyDLL(None).pause()


def allocate(request: dict[str, Any]) -> None:
    bytearray(8 * 2**30)


def creep(request: dict[str, Any]) -> None:
    """Shared memory: no limit on data counts it."""
    area = mmap.mmap(-1, 2**30)
    for page in range(0, 2**30, 4096):
        area[page] = 1
        if page % 2**24 == 0:
            time.sleep(0.01)


def leave(request: dict[str, Any]) -> None:
    os._exit(3)


def deaf_child(request: dict[str, Any]) -> None:
    """Leaves a process of its own behind, in the same group."""
    pid = os.fork()
    if pid == 0:
        Path(request["grandchild_file"]).write_text(str(os.getpid()))
        while True:
            time.sleep(60)
    while not Path(request["grandchild_file"]).exists():
        time.sleep(0.01)


def noise(request: dict[str, Any]) -> None:
    """Writes what is no frame to every descriptor that it has."""
    for descriptor in range(3, 40):
        try:
            os.write(descriptor, b"\xff" * 64)
        except OSError:
            continue
    time.sleep(60)


def complain(request: dict[str, Any]) -> None:
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    os.abort()


def fail(request: dict[str, Any]) -> None:
    kind = {"ValueError": ValueError, "RuntimeError": RuntimeError, "OSError": OSError}[request["error"]]
    raise kind(request["message"])


ACTS = {
    "segfault": lambda _: ctypes.string_at(0),
    "signal": lambda request: os.kill(os.getpid(), request["number"]),
    "hang": lambda _: time.sleep(3600),
    "hang_in_c": hang_in_c,
    "allocate": allocate,
    "creep": creep,
    "leave": leave,
    "grandchild": deaf_child,
    "noise": noise,
    "bad_alloc": complain,
    "fail": fail,
    "full_disk": lambda _: Path("/dev/full").write_bytes(b"0"),
}


def confine(memory_limit: int | None) -> None:
    if memory_limit is not None:
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (memory_limit + 2**28, hard))


def make() -> Program:
    if "--late" in sys.argv:
        time.sleep(float(sys.argv[sys.argv.index("--late") + 1]))
    if "--broken" in sys.argv:
        raise ImportError("no module named flux")
    if "--threads" in sys.argv:
        threading.Thread(target=signal.pause, daemon=True).start()
    return Program({"fingerprint": {"made": "here"}}, work, confine)


if __name__ == "__main__":
    sys.argv[1:] = [*sys.argv[-1:], *sys.argv[1:-1]]
    guard_host.main(make)
