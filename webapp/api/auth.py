"""Who calls the API: a bearer token, or the session of a signed-in browser with its CSRF token."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.security import HttpBearer
from ninja.security.apikey import APIKeyCookie
from ninja.utils import check_csrf

from webapp.accounts import tokens

__all__ = ["BearerToken", "BrowserSession"]


class BearerToken(HttpBearer):
    """`Authorization: Bearer TOKEN`, a token of `accounts.tokens`."""

    def authenticate(self, request: HttpRequest, token: str) -> AbstractBaseUser | None:  # noqa: ARG002
        user = tokens.user_of(token)
        return user if user is not None and user.is_active else None


class BrowserSession(APIKeyCookie):
    """The session cookie; a request that changes something needs the CSRF token as well.

    Not ninja's own SessionAuth: that one checks CSRF before it knows whether anybody is signed in, and
    answers a stranger 403 where 401 is right.  A wrong bearer token does not fall back to the session.
    """

    param_name = settings.SESSION_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> AbstractBaseUser | None:
        # Any other scheme is a proxy's, which fences the whole site.
        if request.headers.get("Authorization", "").lower().startswith("bearer"):
            return None
        return self.authenticate(request, None)

    def authenticate(self, request: HttpRequest, key: str | None) -> AbstractBaseUser | None:  # noqa: ARG002
        if not request.user.is_authenticated:
            return None
        if check_csrf(request) is not None:
            raise HttpError(403, "CSRF check failed")
        return request.user
