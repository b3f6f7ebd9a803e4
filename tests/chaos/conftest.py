"""Real rows, real workers; one undisturbed run that every disturbed one must equal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.test.utils import override_settings

from tests.chaos.instance import Instance, check_the_rows, signature
from tests.servers import PostgresServer
from tests.worker.databases import Databases, using
from webapp.restorations.states import JobState


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Databases:
    return Databases(tmp_path_factory.mktemp("databases"))


@pytest.fixture(scope="session")
def postgres_for_chaos(postgres_server: PostgresServer) -> Iterator[str]:
    yield postgres_server.create("chaos")
    postgres_server.drop("chaos")


@contextmanager
def running(url: str, folder: Path) -> Iterator[Instance]:
    data = folder / "data"
    with override_settings(DATA_DIR=data, CHANNEL_LAYERS={}, REDIS_URL=""), using(url):
        instance = Instance(folder, url, data)
        try:
            yield instance
        finally:
            instance.close()


@pytest.fixture
def instance(databases: Databases, tmp_path: Path, django_db_blocker: Any) -> Iterator[Instance]:
    """An instance on a SQLite file."""
    with django_db_blocker.unblock(), running(databases.sqlite(tmp_path), tmp_path) as started:
        yield started


@pytest.fixture
def on_postgres(
    databases: Databases, postgres_for_chaos: str, tmp_path: Path, django_db_blocker: Any
) -> Iterator[Instance]:
    """An instance on PostgreSQL."""
    with django_db_blocker.unblock(), running(databases.postgres(postgres_for_chaos), tmp_path) as started:
        yield started


@pytest.fixture(scope="session")
def undisturbed(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> dict[str, Any]:
    """The signature of the job when nothing happens to it: one worker, one slot, no Redis."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with django_db_blocker.unblock(), running(databases.sqlite(folder), folder) as instance:
        instance.worker("alone", slots=1)
        job = instance.submit()
        instance.wait_until(job, JobState.DONE)
        assert instance.faults(job) == []
        check_the_rows(job)
        return signature(job)
