"""Rows on real databases; every test of this folder that asks for `database` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as site
from django.contrib.auth.models import User

from tests.servers import PostgresServer
from tests.worker.cast import person, queue
from tests.worker.databases import Databases, using
from webapp.restorations.models import Job


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Databases:
    return Databases(tmp_path_factory.mktemp("databases"))


@pytest.fixture(scope="session")
def postgres_for_rows(postgres_server: PostgresServer) -> Iterator[str]:
    yield postgres_server.create("rows")
    postgres_server.drop("rows")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(
    request: pytest.FixtureRequest,
    databases: Databases,
    tmp_path: Path,
    settings: Any,
    django_db_blocker: Any,
) -> Iterator[str]:
    """The address of the test's database, which is this process's default one meanwhile."""
    with django_db_blocker.unblock():
        if request.param == "sqlite":
            url = databases.sqlite(tmp_path)
        else:
            url = databases.postgres(request.getfixturevalue("postgres_for_rows"))
        settings.DATA_DIR = tmp_path / "data"
        settings.REDIS_URL = ""
        settings.CHANNEL_LAYERS = {}
        with using(url):
            yield url


@pytest.fixture
def alice(database: str) -> User:
    return person("alice")


@pytest.fixture
def bob(database: str) -> User:
    return person("bob")


@pytest.fixture
def job(alice: User) -> Job:
    """A queued job of alice's: population 4, 3 generations."""
    return queue(alice)


@pytest.fixture
def leases_expire_at_once(settings: Any) -> None:
    """Every lease that is taken is one that has run out."""
    settings.ENVIRONMENT = replace(site.ENVIRONMENT, lease_seconds=-1.0)
