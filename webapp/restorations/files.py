"""The stored files of a job: kept by reference, gone with the job."""

from __future__ import annotations

from uuid import UUID

from django.db import IntegrityError

from webapp.pictures import storage
from webapp.restorations.models import Job, JobFile

__all__ = ["JobGone", "digests_of_jobs", "drop", "keep"]


class JobGone(Exception):
    """The job was deleted meanwhile."""


def keep(job_id: UUID, data: bytes) -> str:
    """Store `data` as a file of the job and return its digest.

    The reference is committed first; a process that deletes the same bytes for another job then sees it.
    Must not be called inside a transaction.  Raises JobGone, and OSError when the disk is full.
    """
    digest = storage.digest_of(data)
    try:
        JobFile.objects.get_or_create(job_id=job_id, digest=digest)
    except IntegrityError as error:
        raise JobGone(str(job_id)) from error
    return storage.put(data)


def drop(job_id: UUID, digests: set[str]) -> None:
    """The job refers to these files no more; unlink those that nobody else has."""
    JobFile.objects.filter(job_id=job_id, digest__in=digests).delete()
    storage.delete_unreferenced(digests)


def digests_of_jobs(digests: frozenset[str]) -> set[str]:
    """Which of `digests` some job refers to."""
    found = set(JobFile.objects.filter(digest__in=digests).values_list("digest", flat=True))
    found.update(Job.objects.filter(mask_digest__in=digests).values_list("mask_digest", flat=True))
    return found
