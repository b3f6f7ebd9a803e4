"""Django's name for this room."""

from __future__ import annotations

from django.apps import AppConfig


class RestorationsConfig(AppConfig):
    """Jobs and what they are made of."""

    name = "webapp.restorations"
    verbose_name = "Restorations"

    def ready(self) -> None:
        """Tell the storage which files jobs refer to."""
        from webapp.pictures import storage
        from webapp.restorations.files import digests_of_jobs

        storage.refers(digests_of_jobs)
