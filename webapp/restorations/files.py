"""The stored files of a job: kept by reference, gone with the job."""

from __future__ import annotations

import re
import time
from uuid import UUID

from django.db import IntegrityError

from webapp.pictures import storage
from webapp.restorations.models import Job, JobFile

__all__ = ["JobGone", "delete_forgotten", "digests_of_jobs", "drop", "keep"]

AT_ONCE = 200
"""Files that are looked up under one hold of the storage's lock."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


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
    storage.put(data)
    if not JobFile.objects.filter(job_id=job_id, digest=digest).exists():
        # Deleted between the two: whoever did it found no file yet.
        storage.delete_unreferenced([digest])
        raise JobGone(str(job_id))
    return digest


def drop(job_id: UUID, digests: set[str]) -> None:
    """The job refers to these files no more; unlink those that nobody else has."""
    JobFile.objects.filter(job_id=job_id, digest__in=digests).delete()
    storage.delete_unreferenced(digests)


def delete_forgotten(older_than: float) -> int:
    """Delete stored files that no row refers to and that are older than so many seconds; returns how many.

    They stay behind where a process was killed between row and file, and where rows go without the functions
    of this room: deleting a person in the admin takes pictures and jobs along, and leaves their files to this.
    """
    before = time.time() - older_than
    old: list[str] = []
    for file in storage.path("0" * 64).parent.parent.glob("??/*"):
        try:
            if file.stat().st_mtime >= before:
                continue
            if _DIGEST.fullmatch(file.name):
                old.append(file.name)
            elif file.name.startswith("."):
                file.unlink()  # a draft whose writer was killed
        except FileNotFoundError:
            continue  # somebody else deleted it
    parts = (old[start : start + AT_ONCE] for start in range(0, len(old), AT_ONCE))
    return sum(storage.delete_unreferenced(part) for part in parts)


def digests_of_jobs(digests: frozenset[str]) -> set[str]:
    """Which of `digests` some job refers to."""
    found = set(JobFile.objects.filter(digest__in=digests).values_list("digest", flat=True))
    found.update(Job.objects.filter(mask_digest__in=digests).values_list("mask_digest", flat=True))
    return found
