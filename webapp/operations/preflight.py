"""What must hold before anything is started: a data folder of our own, a free port, room on the disk.

Each check ends in `CannotStart`, one sentence that says what is wrong and what to do.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import json
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Address", "CannotStart", "check_disk", "check_port", "data_folder", "hold"]

MIB = 1 << 20
LEAST_FREE_BYTES = 200 * MIB
"""A preview of a large upload keeps some tens of MB; a database that cannot grow is the worst of ends."""


class CannotStart(Exception):
    """One sentence for the person at the terminal: what is wrong and what to do."""


@dataclass(frozen=True)
class Address:
    """Where the site listens, and how it is reached from this machine."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_wildcard(self) -> bool:
        return self.host in {"0.0.0.0", "::", ""}  # noqa: S104 - compared with, not bound to

    @property
    def origin(self) -> str:
        """`http://host:port` as this machine itself can reach it."""
        own = {"::": "::1", "0.0.0.0": "127.0.0.1", "": "127.0.0.1"}  # noqa: S104 - compared with, not bound to
        return f"http://{bracketed(own.get(self.host, self.host))}:{self.port}"

    def names(self) -> list[str]:
        """The names under which a browser may ask for the site: the values of Django's ALLOWED_HOSTS."""
        names = ["localhost", "127.0.0.1", "[::1]"]
        if self.is_wildcard:
            names += [socket.gethostname(), socket.getfqdn()]
            for addresses in psutil.net_if_addrs().values():
                families = (socket.AF_INET, socket.AF_INET6)
                names += [
                    bracketed(each.address.split("%")[0]) for each in addresses if each.family in families
                ]
        else:
            names.append(bracketed(self.host))
        return list(dict.fromkeys(name for name in names if name))


def bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def data_folder(folder: Path) -> Path:
    """Make the data folder, private to its owner, and return its absolute path."""
    try:
        folder = folder.expanduser().absolute()
    except RuntimeError as error:  # ~nobody
        raise CannotStart(f"The data folder {folder} can't be used: there is no such home folder.") from error
    try:
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        (folder / "logs").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise CannotStart(
            f"The data folder {folder} can't be used ({error.strerror}): "
            "name a folder that can be written with --data."
        ) from error
    return folder


@contextlib.contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Be the only supervisor of this data folder; the lock goes with the process, however it ends."""
    file = folder / "lock"
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CannotStart(
            f"The data folder {folder} can't be written ({error.strerror}): name another with --data."
        ) from error
    with os.fdopen(descriptor, "r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = lock.read(20).strip() or "unknown"
            raise CannotStart(
                f"The data folder {folder} is in use by another `nasdip up` "
                f"(process {owner}{_where(folder)}): stop that one, or name another folder with --data."
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _where(folder: Path) -> str:
    try:
        return f", {json.loads((folder / 'access.json').read_text())['url']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def check_port(address: Address) -> None:
    """See that nobody listens where the site will."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(where)
    except socket.gaierror as error:
        raise CannotStart(
            f"--host {address.host} is not an address of this machine ({error.strerror})."
        ) from error
    except PermissionError as error:
        raise CannotStart(
            f"Port {address.port} needs more rights than you have: choose one above 1023 with --port."
        ) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotStart(
                f"Port {address.port} on {address.host} is taken by another program: "
                "choose another with --port."
            ) from error
        raise CannotStart(
            f"Nothing can listen on {address.host}, port {address.port} ({error.strerror})."
        ) from error


def check_disk(folder: Path, needed: int = LEAST_FREE_BYTES) -> None:
    """See that `needed` bytes are free where the data folder is."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise CannotStart(
            f"The disk of {folder} is full: {free // MIB} MB are free, {needed // MIB} MB are needed; "
            "make room, or name a folder on another disk with --data."
        )
