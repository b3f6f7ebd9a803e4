"""A real database for one test: a SQLite file or PostgreSQL, migrated once a session, in place of the default one.

Nothing is rolled back behind the test's back: transactions commit, other threads and processes see them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection, connections

from webapp.config.environment import database_settings

__all__ = ["Databases", "using"]


@contextmanager
def using(url: str) -> Iterator[None]:
    """Make `url` the default database of this process; its threads must have ended on leaving."""
    before = connections.databases["default"]
    _leave()
    connections.databases["default"] = connections.configure_settings({"default": database_settings(url)})[
        "default"
    ]
    try:
        yield
    finally:
        _leave()
        connections.databases["default"] = before


def _leave() -> None:
    connections.close_all()
    if connection.vendor == "postgresql":
        connection.close_pool()
    del connections["default"]


class Databases:
    """Migrated databases: a SQLite file to copy, and one PostgreSQL database to empty."""

    def __init__(self, folder: Path) -> None:
        self._template = folder / "template.sqlite3"
        self._postgres: str | None = None

    def sqlite(self, folder: Path) -> str:
        """A new file."""
        if not self._template.exists():
            with using(f"sqlite:///{self._template}"):
                call_command("migrate", verbosity=0, skip_checks=True)
        return f"sqlite:///{shutil.copy(self._template, folder / 'nasdip.sqlite3')}"

    def postgres(self, url: str) -> str:
        """The session's PostgreSQL database, without any row."""
        with using(url):
            if self._postgres != url:
                call_command("migrate", verbosity=0, skip_checks=True)
                self._postgres = url
            tables = [name for name in connection.introspection.table_names() if name != "django_migrations"]
            sql = connection.ops.sql_flush(no_style(), tables, reset_sequences=True, allow_cascade=True)
            connection.ops.execute_sql_flush(sql)
        return url
