"""Who may make an account: everyone, or nobody (`NASDIP_SIGN_UP=closed`)."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.exceptions import ImmediateHttpResponse
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.http import HttpRequest
from django.shortcuts import redirect

__all__ = ["AccountAdapter"]


class AccountAdapter(DefaultAccountAdapter):
    """allauth with the site's rule for signing up."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Whether this site takes new users."""
        return bool(settings.SIGN_UP_OPEN)

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """Make the account; of two requests for one name at once (a double click) the second leads to signing in."""
        try:
            with transaction.atomic():
                saved: User = super().save_user(request, user, form, commit)
        except IntegrityError:
            name = user.get_username()
            messages.error(request, f"{name} was taken a moment ago. If that was you, sign in.")
            raise ImmediateHttpResponse(redirect("account_login")) from None
        return saved
