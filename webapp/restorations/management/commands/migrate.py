"""Django's `migrate`, and beside it the one switch of SQLite to its write-ahead log.

The switch needs the database for itself: of several processes that try it at once some fail.  So it is done
here, before web and workers start, and stays in the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as Migrate
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.loader import MigrationLoader

__all__ = ["Command"]


class Command(Migrate):
    """Make sure that a SQLite file uses WAL and that no newer version has changed the tables, then migrate."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises CommandError where the file system has no WAL (a network share), or the rows are a newer version's."""
        connection = connections[options["database"]]
        file = Path(str(connection.settings_dict["NAME"]))
        if connection.vendor == "sqlite" and file.is_absolute():
            file.parent.mkdir(parents=True, exist_ok=True)
            with connection.cursor() as cursor:
                cursor.execute("PRAGMA journal_mode=WAL")
                (mode,) = cursor.fetchone()
            if mode != "wal":
                raise CommandError(
                    f"The database {file} can't use a write-ahead log "
                    f"(journal mode {mode}); put NASDIP_DATA on a local disk, or use PostgreSQL."
                )
        _refuse_newer(connection)
        super().handle(*args, **options)


def _refuse_newer(connection: BaseDatabaseWrapper) -> None:
    """Older code on newer tables would fail later, at some write."""
    loader = MigrationLoader(connection)
    ours = {config.label for config in apps.get_app_configs() if config.name.startswith("webapp.")}
    applied = {key for key in loader.applied_migrations if key[0] in ours}
    newer = sorted(applied - set(loader.disk_migrations))
    if newer:
        raise CommandError(
            f"The database belongs to a newer version of this application (it has {'.'.join(newer[0])}): "
            "start that version, or take the copy from before it was started."
        )
