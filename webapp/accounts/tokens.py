"""Bearer tokens: made once, shown once, kept as a digest."""

from __future__ import annotations

import hashlib
import secrets

from django.contrib.auth.models import User
from django.utils import timezone

from webapp.accounts.models import ApiToken

__all__ = ["issue", "revoke", "user_of"]

PREFIX = "nasdip_"


def issue(user: User, name: str) -> str:
    """Make a token for `user` and return its text, which is not stored and can't be shown again."""
    text = PREFIX + secrets.token_urlsafe(32)
    ApiToken.objects.create(user=user, name=name[:100], digest=_digest(text))
    return text


def user_of(bearer: str) -> User | None:
    """The active user whose unrevoked token `bearer` is, or None."""
    token = (
        ApiToken.objects.select_related("user")
        .filter(digest=_digest(bearer), revoked__isnull=True, user__is_active=True)
        .first()
    )
    return None if token is None else token.user


def revoke(user: User, name: str) -> int:
    """Revoke the user's tokens of that name; returns how many there were."""
    return ApiToken.objects.filter(user=user, name=name, revoked__isnull=True).update(revoked=timezone.now())


def _digest(text: str) -> str:
    # 256 random bits need no slow hash: there is nothing to guess.
    return hashlib.sha256(text.encode()).hexdigest()
