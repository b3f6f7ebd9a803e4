"""How much may be stored: the disk keeps some room for running work, and each user has a share of it."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import F, Sum

from nasdip_engine.errors import NasDipError
from webapp.pictures import storage
from webapp.pictures.models import Picture

__all__ = ["NoRoomError", "check_disk", "check_share", "hold"]

LEAST_FREE_BYTES = 1_000_000_000
BYTES_PER_USER = 4_000_000_000


class NoRoomError(NasDipError):
    """There is no room for more pictures."""


def check_disk() -> None:
    """Raise NoRoomError while the disk has so little room that running restorations could lack it."""
    least = getattr(settings, "LEAST_FREE_BYTES", LEAST_FREE_BYTES)
    if storage.free_bytes() < least:
        raise NoRoomError(
            f"The disk of this site has less than {least / 1e9:g} GB left, which running restorations need: "
            "nothing was stored. Delete what you no longer need, or tell its operator."
        )


def check_share(owner: User, more: int = 0) -> None:
    """Raise NoRoomError where the owner's pictures, and so many bytes more, are over the owner's share."""
    limit = getattr(settings, "PICTURE_BYTES_PER_USER", BYTES_PER_USER)
    stored = Picture.objects.filter(owner=owner).aggregate(sum=Sum("stored_bytes"))["sum"] or 0
    if stored + more > limit or stored >= limit:
        raise NoRoomError(
            f"Your pictures take {stored / 1e9:.2f} GB of the {limit / 1e9:g} GB that each user has here, and "
            "there is no room for this one: delete pictures or restorations that you no longer need."
        )


def hold(owner: User) -> None:
    """Take the owner's row for the rest of the transaction: counts of what they own stay true until its end."""
    User.objects.filter(pk=owner.pk).update(is_active=F("is_active"))
