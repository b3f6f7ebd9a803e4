"""Which Redis an instance uses: the one it is told, one that it starts for itself, or none."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from webapp.operations import redis
from webapp.operations.preflight import CannotStart
from webapp.operations.supervisor import ChildPlan, Supervisor

__all__ = ["Broker", "find_broker"]

GIVEN_ANSWERS_WITHIN_S = 10.0
OWN_ANSWERS_WITHIN_S = 10.0
FOLDER_PREFIX = "nasdip-"


@dataclass(frozen=True)
class Broker:
    url: str
    """The value of NASDIP_REDIS_URL; empty: everything goes on by polling the database."""
    description: str


def find_broker(data: Path, supervisor: Supervisor, stack: ExitStack) -> Broker:
    """The instance's Redis, answering. NASDIP_REDIS_URL set to nothing asks for none.

    Raises CannotStart only where a named server does not answer: any other lack has a way round.
    """
    given = os.environ.get("NASDIP_REDIS_URL")
    if given is not None and given.strip():
        return _given(given.strip())
    server = None if given is not None else redis.find_server()
    if server is None:
        why = "No Redis is used" if given is not None else "No Redis or Valkey was found"
        return Broker("", f"{why}: workers and pages look into the database every few seconds instead")
    folder = _private_folder(data, stack)
    if not redis.fits_a_socket(folder):
        return Broker(
            "",
            f"The path {folder} is too long for a socket: workers and pages look into the database instead",
        )
    supervisor.start(ChildPlan("redis", tuple(redis.command(server, folder)), {}, last=True))
    url = redis.url_of(folder)
    reason = redis.refusal(url, OWN_ANSWERS_WITHIN_S)
    if reason is not None:
        raise CannotStart(f"{server} was started and does not answer ({supervisor.log_tail('redis')}).")
    return Broker(url, f"{server.name}, for this instance alone")


def _given(url: str) -> Broker:
    try:
        reason = redis.refusal(url, GIVEN_ANSWERS_WITHIN_S)
    except ValueError as error:
        raise CannotStart(
            f"NASDIP_REDIS_URL is {url.rpartition('@')[2]!r}, which is not an address ({error})."
        ) from error
    if reason is not None:
        shown = url.rpartition("@")[2]  # never a password in a message
        raise CannotStart(
            f"NASDIP_REDIS_URL ({shown}) did not answer within {GIVEN_ANSWERS_WITHIN_S:.0f} s ({reason}): "
            "start that server, or unset the variable to have one started."
        )
    return Broker(url, "the Redis of NASDIP_REDIS_URL")


def _private_folder(data: Path, stack: ExitStack) -> Path:
    """A folder for the socket:

    private, short of name, gone with this process or at the next start after a crash.
    """
    note = data / "redis-folder"
    try:
        left = Path(note.read_text(encoding="utf-8").strip())
        if left.name.startswith(FOLDER_PREFIX) and left.is_dir() and left.stat().st_uid == os.geteuid():
            shutil.rmtree(left, ignore_errors=True)
    except OSError:
        pass  # no earlier run, or its folder is gone
    parent = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=parent if len(parent) <= 60 else "/tmp"))  # noqa: S108
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    note.write_text(f"{folder}\n", encoding="utf-8")
    return folder
