"""Files go with their rows, whoever deletes these and whenever."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.contrib.auth.models import User
from django.db import connections

from gpu_worker import heartbeat
from tests.waiting import wait_for
from tests.worker.cast import queue
from webapp.pictures import storage
from webapp.restorations import files, turns
from webapp.restorations.models import Job, JobFile

DAYS = 2 * 86_400


@contextmanager
def storage_held() -> Iterator[None]:
    """Nothing is stored or deleted meanwhile: who tries waits, as behind a slow disk."""
    with (storage.path("0" * 64).parent.parent / ".lock").open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def age(file: Path, seconds: float = DAYS) -> None:
    os.utime(file, (time.time() - seconds,) * 2)


def test_a_file_of_a_job_that_is_deleted_while_it_is_written_does_not_stay(job: Job) -> None:
    told: list[Exception] = []

    def write() -> None:
        try:
            files.keep(job.pk, b"a preview")
        except files.JobGone as error:
            told.append(error)
        connections.close_all()

    writer = threading.Thread(target=write)
    with storage_held():
        writer.start()
        wait_for(lambda: JobFile.objects.filter(job=job).exists(), 10, "the reference to be written")
        Job.objects.get(pk=job.pk).delete()
    writer.join()
    assert len(told) == 1
    assert not storage.exists(storage.digest_of(b"a preview"))


def test_tidying_takes_what_nothing_refers_to_and_leaves_what_may_be_under_way(job: Job) -> None:
    kept, young = files.keep(job.pk, b"referred to"), storage.put(b"just written")
    forgotten = storage.put(b"forgotten")
    draft = storage.path(forgotten).with_name(".0123456789abcdef")
    draft.write_bytes(b"half")
    killed, at_work = storage.scratch("killed.npy"), storage.scratch("working.npy")
    for file in (killed, at_work):
        file.write_bytes(b"float picture")
    for file in (storage.path(kept), storage.path(forgotten), draft, killed):
        age(file)
    heartbeat.tidy()
    assert [storage.exists(digest) for digest in (kept, young, forgotten)] == [True, True, False]
    assert storage.exists(job.picture.digest)
    assert [file.exists() for file in (draft, killed, at_work)] == [False, False, True]


def test_the_files_of_a_person_deleted_in_the_admin_go_with_the_next_tidying(alice: User) -> None:
    job = queue(alice)
    files.keep(job.pk, b"alice's alone")
    alice.delete()
    stored = [file for file in storage.path("0" * 64).parent.parent.glob("??/*") if file.is_file()]
    assert len(stored) == 2, "the picture and the job's file have no rows any more"
    for file in stored:
        age(file)
    assert files.delete_forgotten(86_400) == 2


def test_one_of_all_workers_tidies_in_an_hour(database: str) -> None:
    assert turns.claim("tidy", "first", 3600)
    assert not turns.claim("tidy", "second", 3600)
