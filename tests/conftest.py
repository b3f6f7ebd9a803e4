"""Fixtures for all tests: real servers and private folders.

    redis_server   session  a real valkey-server on a unix socket: .url (unix:///...), .pid, .kill(),
                            .start(), .restart()
    redis_url      test     its address, running and answering also when the test before killed it
    postgres_server session a private PostgreSQL cluster: .create(name) -> url, .drop(name), .url(name)
    postgres_url   test     NASDIP_DATABASE_URL of a new empty database (postgresql://nasdip@/NAME?host=FOLDER),
                            dropped afterwards
    chromium       session  path of the browser
    data_dir       test     an empty data folder, also set as NASDIP_DATA for processes that the test starts
    tests.waiting.wait_for(condition, timeout, what): poll a condition up to a deadline
    tests.servers.tethered(command): the command wrapped so that it dies with the test process
    tests.absent.absent(program, remedy): skip at home, fail in CI

Absent PostgreSQL or Chromium: the tests that ask for it skip with the command to install, and fail where CI
is set. `tests.isolation`, loaded before all else, lays the environment in which Django's settings are read.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.absent import absent
from tests.servers import PostgresServer, RedisServer, postgres_programs

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    redis_server.start()
    return redis_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    programs = postgres_programs()
    if programs is None:
        absent("PostgreSQL", "apt-get install postgresql")
    server = PostgresServer(programs)
    yield server
    server.close()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield postgres_server.create(name)
    postgres_server.drop(name)


@pytest.fixture(scope="session")
def chromium() -> Path:
    found = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if found is None:
        absent("Chromium", "apt-get install chromium")
    return Path(found)


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("NASDIP_DATA", str(folder))
    return folder
