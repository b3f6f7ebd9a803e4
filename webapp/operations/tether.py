"""Becomes another program, which dies with the process that started it, also when that is killed by SIGKILL.

    python tether.py [--signal N] [--by deathsig|pipe] [--user NAME] PARENT_PID COMMAND ARGUMENT ...

Stands between a supervisor (or a test) and each child; run by path with `-I -S`, so it costs about 20 ms and
imports nothing of the site. On Linux the kernel sends the signal (PR_SET_PDEATHSIG survives exec). It follows
the *thread* that started us, so parents start their children from their main thread. Elsewhere a watcher
process reads a pipe whose only other end the parent holds, and sends the signal at its end of file;
NASDIP_TETHER_FD names that pipe.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import pwd
import select
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
PIPE_VARIABLE = "NASDIP_TETHER_FD"
PARENT_IS_GONE = 97


def arm_deathsig(parent: int, number: int) -> None:
    """Ask the kernel for `number` when the parent thread ends;

    end at once when it had ended before we asked.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        os._exit(PARENT_IS_GONE)


def arm_pipe(parent: int, number: int, read_end: int) -> None:
    """Fork a watcher that sends `number` to this process at the end of `read_end`, and that ends with us."""
    me = os.getpid()
    if os.getppid() != parent:
        os._exit(PARENT_IS_GONE)
    if os.fork() != 0:
        os.set_inheritable(read_end, False)  # noqa: FBT003 - not ours to name
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while os.getppid() == me:
        ready, _, _ = select.select([read_end], [], [], 0.5)
        if ready and os.read(read_end, 1) == b"":
            if os.getppid() == me:
                os.kill(me, number)
            break
    os._exit(0)


def become(name: str) -> None:
    """Give root's rights up for those of user `name`;

    before the tether is armed, since this would undo it.
    """
    user = pwd.getpwnam(name)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="tether")
    parser.add_argument("--signal", type=int, default=signal.SIGKILL)
    parser.add_argument(
        "--by", choices=("deathsig", "pipe"), default="deathsig" if sys.platform == "linux" else "pipe"
    )
    parser.add_argument("--user")
    parser.add_argument("parent", type=int)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    if options.user is not None:
        become(options.user)
    if options.by == "pipe":
        arm_pipe(options.parent, options.signal, int(os.environ.pop(PIPE_VARIABLE)))
    else:
        arm_deathsig(options.parent, options.signal)
    os.execvp(options.command[0], options.command)


if __name__ == "__main__":
    main(sys.argv[1:])
