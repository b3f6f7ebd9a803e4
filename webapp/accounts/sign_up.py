"""Who may make an account: everyone, or nobody (`NASDIP_SIGN_UP=closed`)."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest

__all__ = ["AccountAdapter"]


class AccountAdapter(DefaultAccountAdapter):
    """allauth with the site's rule for signing up."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Whether this site takes new users."""
        return bool(settings.SIGN_UP_OPEN)
