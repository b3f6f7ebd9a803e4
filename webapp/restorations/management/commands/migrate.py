"""Django's `migrate`, and beside it the one switch of SQLite to its write-ahead log.

The switch needs the database for itself: of several processes that try it at once some fail.  So it is done
here, before web and workers start, and stays in the file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as Migrate
from django.db import connections

__all__ = ["Command"]


class Command(Migrate):
    """Migrate, then make sure that a SQLite file uses WAL."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Raises CommandError where the file system has no WAL (a network share)."""
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
        super().handle(*args, **options)
