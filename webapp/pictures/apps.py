"""Django's name for this room."""

from __future__ import annotations

from django.apps import AppConfig


class PicturesConfig(AppConfig):
    """Pictures and masks."""

    name = "webapp.pictures"
    verbose_name = "Pictures"
