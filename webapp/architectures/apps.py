"""Django's name for this room."""

from __future__ import annotations

from django.apps import AppConfig


class ArchitecturesConfig(AppConfig):
    """Discoveries and verdicts."""

    name = "webapp.architectures"
    verbose_name = "Architectures"
