"""What the end of a guarded child means: an exception, a signal or an exit status as a fault class.

The classes decide whether a genome is blamed (a native crash, twice) or the machine (everything else), so
a failure for want of memory or disk must never pass for an error of the code that met it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import shutil
import signal
import sys
import traceback
from pathlib import Path

from nasdip_engine.guard_wire import FaultKind

__all__ = [
    "EXIT_BROKEN",
    "EXIT_ORPHAN",
    "EXIT_SPEECHLESS",
    "TRACE_LIMIT",
    "high_water",
    "largest_memory",
    "of_exception",
    "of_status",
    "private_memory",
    "resident_memory",
    "thread_count",
    "trace_of",
]

TRACE_LIMIT = 4000  # characters of a child's last words that are kept
EXIT_ORPHAN, EXIT_SPEECHLESS, EXIT_BROKEN = 97, 98, 99

_CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
# What C++ prints before abort() when an allocation was refused: the cause is memory, not the code.
_REFUSED_IN_CPP = re.compile(r"std::bad_alloc")
_REFUSED = re.compile(r"(can't|cannot|could not) allocate|not enough memory|out of memory", re.IGNORECASE)
# NumPy's writer loses errno when the disk is full and says only this.
_SHORT_WRITE = re.compile(r"^\d+ requested and \d+ written$")


def of_exception(error: BaseException, output: object) -> tuple[FaultKind, str]:
    """The fault class of a Python exception (its causes included)."""
    detail = f"{type(error).__name__}: {error}"
    cause: BaseException | None = error
    while cause is not None:
        refused = isinstance(cause, RuntimeError) and _REFUSED.search(str(cause))
        if refused or isinstance(cause, MemoryError):
            return FaultKind.MEMORY, detail
        if isinstance(cause, OSError):
            if cause.errno in (errno.ENOSPC, errno.EDQUOT) or _disk_was_full(cause, output):
                return FaultKind.DISK_FULL, detail
            if cause.errno == errno.ENOMEM:
                return FaultKind.MEMORY, detail
        cause = cause.__cause__ or cause.__context__
    return FaultKind.ERROR, detail


def _disk_was_full(error: OSError, output: object) -> bool:
    if error.errno is not None:
        return False
    if _SHORT_WRITE.match(str(error)):
        return True
    if not isinstance(output, str):
        return False
    with contextlib.suppress(OSError):
        return shutil.disk_usage(Path(output).parent).free < 2**16
    return False


def trace_of(error: BaseException) -> str:
    """The traceback, its last part when it is long."""
    return "".join(traceback.format_exception(error))[-TRACE_LIMIT:]


def of_status(status: int, trace: str, *, near_limit: bool = False) -> tuple[FaultKind, str]:
    """The fault class of a child that ended without an outcome.

    status:     as os.waitpid gives it.
    trace:      what it wrote to its standard error last.
    near_limit: whether it had come close to its memory limit.
    """
    if not os.WIFSIGNALED(status):
        code = os.waitstatus_to_exitcode(status)
        if code == EXIT_SPEECHLESS:
            return FaultKind.MEMORY, "too little memory was left to say what happened"
        return FaultKind.ERROR, f"ended with exit status {code} and without an outcome"
    number = os.WTERMSIG(status)
    try:
        name = f"{signal.Signals(number).name} ({signal.strsignal(number)})"
    except ValueError:
        name = f"signal {number}"
    if number == signal.SIGABRT and _REFUSED_IN_CPP.search(trace):
        return FaultKind.MEMORY, f"{name}: an allocation was refused"
    if number in _CRASHES:
        if near_limit:
            return FaultKind.MEMORY, f"{name} close to the memory limit"
        return FaultKind.CRASH, name
    return FaultKind.KILLED, name


def thread_count() -> int | None:
    """Threads of this process as the kernel counts them; None where there is no /proc."""
    with contextlib.suppress(OSError):
        return _status("self", "Threads")
    return None


def _status(pid: int | str, *names: str) -> int:
    """Sum of the named numbers of /proc/PID/status (memory in kB). Raises OSError where there is none."""
    total = 0
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in names:
            total += int(rest.split()[0])
    return total


def private_memory(pid: int) -> int:
    """Resident bytes that are the child's own: pages of files come in late after a fork and belong to all."""
    return _resident(pid, "RssAnon", "RssShmem")


def resident_memory(pid: int) -> int:
    """Resident bytes, pages of files included; 0 for a process that has ended."""
    return _resident(pid, "VmRSS")


def high_water(pid: int) -> int:
    """The most resident bytes that a process had so far; 0 where the system does not tell of a running one."""
    with contextlib.suppress(OSError):
        return 1024 * _status(pid, "VmHWM")
    return 0


def largest_memory(usage: resource.struct_rusage) -> int:
    """The most resident bytes that a process had in its life."""
    return int(usage.ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def _resident(pid: int, *names: str) -> int:
    try:
        return 1024 * _status(pid, *names)
    except OSError:
        if Path("/proc/self/status").exists():
            return 0  # it ended just now
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
