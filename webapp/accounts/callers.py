"""Whether the sender of a request is somebody of this site, from its headers alone: before its body is read."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.http import parse_cookie

from webapp.accounts import tokens

__all__ = ["is_known"]


@database_sync_to_async
def is_known(scope: MutableMapping[str, Any]) -> bool:
    """Whether an ASGI request of HTTP has a valid bearer token, or the session of somebody who has signed in."""
    sent = {name: value.decode("latin-1") for name, value in scope["headers"]}
    scheme, _, token = sent.get(b"authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return tokens.user_of(token.strip()) is not None
    # HTTP/2 may send each cookie in a header of its own.
    cookies = "; ".join(value.decode("latin-1") for name, value in scope["headers"] if name == b"cookie")
    key = parse_cookie(cookies).get(settings.SESSION_COOKIE_NAME)
    return bool(key) and SESSION_KEY in SessionStore(key)
