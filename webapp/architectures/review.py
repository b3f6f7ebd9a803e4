"""Staff look at discovered architectures and say what they think: one row a verdict, none ever changed."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery

from nasdip_engine.errors import InvalidInput
from webapp.architectures.models import Discovery, Judgement, Verdict

__all__ = ["NOTE_LENGTH", "decide", "discoveries", "may_review"]

NOTE_LENGTH = 2000


def may_review(user: AbstractBaseUser | AnonymousUser) -> bool:
    """Whether this user is active staff."""
    return isinstance(user, User) and user.is_active and user.is_staff


def discoveries(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Any]:
    """What a reviewer sees, newest first, each with its `latest_verdict` ("approve", "reject" or None).

    The networks of all users: a network says nothing about a picture.  Pictures come only through
    `restorations.access.reviewable`.  Raises PermissionDenied for anybody but staff.
    """
    if not may_review(user):
        raise PermissionDenied("Only staff review architectures.")
    latest = Verdict.objects.filter(discovery=OuterRef("pk")).order_by("-at", "-pk")
    return (
        Discovery.objects.prefetch_related("verdicts__reviewer")
        .annotate(latest_verdict=Subquery(latest.values("verdict")[:1]))
        .order_by("-created", "rank")
    )


def decide(discovery: Discovery, reviewer: User, verdict: str, note: str = "") -> Verdict:
    """Record one reviewer's verdict; what was said last and is said again, as by a form sent twice, is one.

    Raises PermissionDenied, or InvalidInput naming the field.
    """
    if not may_review(reviewer):
        raise PermissionDenied("Only staff review architectures.")
    if verdict not in Judgement.values:
        raise InvalidInput(
            f"verdict is {verdict!r}; allowed are {', '.join(Judgement.values)}", field="verdict"
        )
    # PostgreSQL stores no NUL, and a form sends two characters for the line break that it counts as one.
    note = note.replace("\x00", "").replace("\r\n", "\n").strip()
    if len(note) > NOTE_LENGTH:
        raise InvalidInput(
            f"The note has {len(note)} characters; up to {NOTE_LENGTH} are kept.", field="note"
        )
    last = Verdict.objects.filter(discovery=discovery).order_by("-at", "-pk").first()
    if last and (last.reviewer, last.verdict, last.note) == (reviewer, verdict, note):
        return last
    return Verdict.objects.create(discovery=discovery, reviewer=reviewer, verdict=verdict, note=note)
