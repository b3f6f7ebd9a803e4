"""Who may see a job?  The one door for pages, API, downloads and websockets.

`visible_to(user)` is owner only, staff included: another person's job, picture or event does not exist
(404, never 403, so that nobody learns that it is there).  Staff reach pictures only through
`reviewable(user)`: the jobs whose owners agreed to review.
"""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.db.models import Model, QuerySet
from django.http import Http404

from webapp.pictures.models import Picture
from webapp.restorations.models import Job

__all__ = ["job_for", "picture_for", "pictures_of", "reviewable", "shared_job_for", "visible_to"]

Person = AbstractBaseUser | AnonymousUser
Row = TypeVar("Row", bound=Model)


def _known(user: Person) -> bool:
    return bool(user.is_authenticated and user.is_active)


def visible_to(user: Person) -> QuerySet[Job]:
    """The jobs that this user may see, change and download: their own, and none for a stranger."""
    return Job.objects.filter(owner_id=user.pk) if _known(user) else Job.objects.none()


def job_for(user: Person, job_id: UUID | str) -> Job:
    """One visible job.  Raises Http404 for a job that is not there and for somebody else's alike."""
    return _one(visible_to(user), job_id, "job")


def pictures_of(user: Person) -> QuerySet[Picture]:
    """The pictures and masks that this user uploaded."""
    return Picture.objects.filter(owner_id=user.pk) if _known(user) else Picture.objects.none()


def picture_for(user: Person, picture_id: UUID | str) -> Picture:
    """One picture of this user.  Raises Http404 otherwise."""
    return _one(pictures_of(user), picture_id, "picture")


def reviewable(user: Person) -> QuerySet[Job]:
    """The jobs whose pictures this member of staff may see: those whose owner ticked the review box."""
    staff = isinstance(user, User) and _known(user) and user.is_staff
    return Job.objects.filter(share=True) if staff else Job.objects.none()


def shared_job_for(user: Person, job_id: UUID | str) -> Job:
    """One job that a reviewer may see pictures of.  Raises Http404 otherwise."""
    return _one(reviewable(user), job_id, "job")


def _one(rows: QuerySet[Row], row_id: UUID | str, what: str) -> Row:
    try:
        key = row_id if isinstance(row_id, UUID) else UUID(row_id)
    except ValueError:
        raise Http404(f"There is no {what} {row_id}.") from None
    row = rows.filter(pk=key).first()
    if row is None:
        raise Http404(f"There is no {what} {key}.")
    return row
