"""Django's name for this room."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Users and tokens."""

    name = "webapp.accounts"
    verbose_name = "Accounts"
