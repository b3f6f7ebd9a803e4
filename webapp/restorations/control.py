"""What the owner does with a job: pause, resume, cancel, go on after faults, delete.

Each is one conditional UPDATE.  Workers see the new state within a second, stop within two, and the last one
that gives its lease back completes the step (`transitions.settle`).
"""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from nasdip_engine.errors import NasDipError
from nasdip_engine.finals import tile_of_key
from webapp.pictures import quota, storage
from webapp.pictures.models import MaskDrawing, Picture
from webapp.restorations import events, notify, workers
from webapp.restorations.assignments import finished
from webapp.restorations.events import EventKind
from webapp.restorations.faults import take_back_expired
from webapp.restorations.generations import advance, begin, exclude
from webapp.restorations.models import Generation, Job, JobFile, WorkItem
from webapp.restorations.states import DELETABLE, MOVABLE, GenerationState, ItemKind, ItemState, JobState
from webapp.restorations.transitions import drop_items, hold, move, settle

__all__ = ["NotPossible", "cancel", "delete", "go_on_here", "go_on_without", "pause", "resume"]


class NotPossible(NasDipError):
    """The job is in a state that does not allow this."""


def pause(job_id: UUID, owner: User) -> Job:
    """Stop working on the job and keep what it has.  Raises Job.DoesNotExist, NotPossible."""
    with transaction.atomic():
        job = _held(job_id, owner)
        if move(
            job.pk, JobState.PAUSED, {JobState.QUEUED}, paused_at=timezone.now(), reason="", fault_class=""
        ):
            events.append(job.pk, EventKind.PAUSED, {"reason": "", "fault_class": ""})
        elif move(job.pk, JobState.PAUSING, {JobState.RUNNING}):
            events.append(job.pk, EventKind.PAUSING)
            settle(job.pk)
        elif job.state not in (JobState.PAUSING, JobState.PAUSED):
            raise NotPossible(f"A job that is {job.state} can't be paused.")
        return Job.objects.get(pk=job.pk)


def resume(job_id: UUID, owner: User) -> Job:
    """Go on with a paused job; after faults, with fresh counts.  Raises Job.DoesNotExist, NotPossible."""
    with transaction.atomic():
        job = _held(job_id, owner)
        if job.state == JobState.PAUSED:
            _resume(job)
        elif job.state not in (JobState.QUEUED, JobState.RUNNING, JobState.FINISHING):
            raise NotPossible(f"A job that is {job.state} can't be resumed.")
        return Job.objects.get(pk=job.pk)


def go_on_without(job_id: UUID, owner: User) -> Job:
    """Go on with a job that faults have paused, without what failed most.

    Genomes of the search get fitness 0, a network of the final fit is left out of the result, the reference
    is not computed.  An input of the run: it stands in `excluded` and in run.json.  Raises Job.DoesNotExist,
    NotPossible (also where nothing would be left for the final fit).
    """
    with transaction.atomic():
        job = _held(job_id, owner)
        items = _failing(job)
        if job.state != JobState.PAUSED or not job.fault_class or not items:
            raise NotPossible(
                "Only a job that the faults of a genome or of the reference have paused can go on without it."
            )
        if not _leaves_a_finalist(job, items):
            raise NotPossible(
                "No other network is there for the final fit: the job can only be resumed or cancelled."
            )
        _resume(job)
        for item in items:
            exclude(Job.objects.get(pk=job.pk), item)
        _conclude_if_nothing_waits(job)
        return Job.objects.get(pk=job.pk)


def go_on_here(job_id: UUID, owner: User) -> Job:
    """Let the workers that are there go on with a job whose numerics none of them has.

    The next one that takes work of it pins it anew; run.json tells all it was computed on, in order.  Raises
    Job.DoesNotExist, NotPossible.
    """
    with transaction.atomic():
        job = _held(job_id, owner)
        if not workers.stranded(job):
            raise NotPossible(
                "Only a job that waits for a kind of machine that no running worker has can go on with others."
            )
        if WorkItem.objects.filter(job=job, state=ItemState.LEASED).exists():
            raise NotPossible("Its last worker still holds some of its work; try again in half a minute.")
        moved = Job.objects.filter(pk=job.pk, state__in=MOVABLE, fingerprint__isnull=False)
        if not moved.update(fingerprint=None):
            raise NotPossible(f"A job that is {job.state} can't go on with other machines.")
        events.append(job.pk, EventKind.MOVED, {"fingerprint": job.fingerprint})
        notify.look(WorkItem.objects.filter(job=job, state=ItemState.WAITING).count())
        return Job.objects.get(pk=job.pk)


def cancel(job_id: UUID, owner: User) -> Job:
    """End the job without a result.  Raises Job.DoesNotExist, NotPossible."""
    with transaction.atomic():
        job = _held(job_id, owner)
        if move(
            job.pk,
            JobState.CANCELLED,
            {JobState.QUEUED, JobState.PAUSED},
            finished_at=timezone.now(),
            paused_at=None,
            seconds_paused=_seconds_paused(job),
        ):
            drop_items(job.pk)
            events.append(job.pk, EventKind.CANCELLED)
        elif move(job.pk, JobState.CANCELLING):
            events.append(job.pk, EventKind.CANCELLING)
            settle(job.pk)
        elif job.state not in (JobState.CANCELLING, JobState.CANCELLED):
            raise NotPossible(f"A job that is {job.state} can't be cancelled.")
        return Job.objects.get(pk=job.pk)


def delete(job: Job) -> None:
    """Delete the job with its files; and its picture, where no other job has it.  Raises NotPossible."""
    with transaction.atomic():
        quota.hold(job.owner)  # of two jobs of one picture that go at once, one is the last to have it
        row = hold(job.pk)
        if row is None:
            return
        take_back_expired(row)
        row.refresh_from_db()
        if row.state not in DELETABLE:
            raise NotPossible(f"A job that is {row.state} can't be deleted; cancel it first.")
        digests = set(JobFile.objects.filter(job=row).values_list("digest", flat=True))
        digests |= {row.mask_digest, row.preview_digest, row.result_digest}
        picture, mask = row.picture, row.mask_picture
        row.delete()
        digests |= _forget_pictures(picture, mask)
    # After the commit: a file may go only when no row can bring its reference back.
    storage.delete_unreferenced(digests)


def _held(job_id: UUID, owner: User) -> Job:
    job = hold(job_id)
    if job is None or job.owner_id != owner.pk:
        raise Job.DoesNotExist(f"There is no job {job_id}.")
    take_back_expired(job)
    job.refresh_from_db()
    return job


def _failing(job: Job) -> list[WorkItem]:
    """The waiting items that failed most often; those that a job can do without."""
    failing = Q(attempts__gt=0) | Q(losses__gt=0) | Q(crashes__gt=0)
    kinds = (ItemKind.EVALUATE, ItemKind.FINISH, ItemKind.BASELINE)
    items = list(
        WorkItem.objects.filter(failing, job=job, kind__in=kinds, state=ItemState.WAITING).order_by("id")
    )
    worst = max((item.attempts + item.losses + item.crashes for item in items), default=0)
    return [item for item in items if item.attempts + item.losses + item.crashes == worst]


def _leaves_a_finalist(job: Job, dropped: list[WorkItem]) -> bool:
    """Whether a final fit of each tile is done or still to do without those; true where none is among them."""
    tiles = {tile_of_key(item.key) for item in dropped if item.kind == ItemKind.FINISH}
    if not tiles:
        return True
    fits = WorkItem.objects.filter(job=job, kind=ItemKind.FINISH)
    others = fits.filter(state__in=(ItemState.WAITING, ItemState.LEASED)).exclude(
        pk__in=[item.pk for item in dropped]
    )
    left = {tile_of_key(key) for key in others.values_list("key", flat=True)}
    left |= {tile for tile, made in enumerate(finished(job)) if made}
    return tiles <= left


def _resume(job: Job) -> None:
    now = timezone.now()
    moved = move(
        job.pk,
        JobState.QUEUED,
        {JobState.PAUSED},
        paused_at=None,
        seconds_paused=_seconds_paused(job),
        reason="",
        fault_class="",
    )
    if not moved:
        return
    WorkItem.objects.filter(job=job, state=ItemState.WAITING).update(
        attempts=0, losses=0, crashes=0, fault_class="", updated_at=now
    )
    events.append(job.pk, EventKind.RESUMED)
    _conclude_if_nothing_waits(job)
    notify.look(WorkItem.objects.filter(job=job, state=ItemState.WAITING).count())


def _conclude_if_nothing_waits(job: Job) -> None:
    """Take the last steps of a job whose last outcome came in, or was dropped, while it stood still."""
    row = Job.objects.get(pk=job.pk)
    waiting = WorkItem.objects.filter(job=job, state=ItemState.WAITING).exists()
    searching = Generation.objects.filter(job=job, state=GenerationState.OPEN).exists()
    if row.state == JobState.QUEUED and not waiting and row.generation is not None and not searching:
        begin(row)
        advance(row)


def _seconds_paused(job: Job) -> float:
    if job.paused_at is None:
        return job.seconds_paused
    return job.seconds_paused + (timezone.now() - job.paused_at).total_seconds()


def _forget_pictures(picture: Picture, mask: Picture | None) -> set[str]:
    """Delete the rows of a picture, its drawing and an uploaded mask that no job needs; returns their files."""
    gone: set[str] = set()
    if _unused(picture):
        gone |= set(MaskDrawing.objects.filter(picture=picture).values_list("mask_digest", flat=True))
        gone |= _forget(picture)
    if mask is not None and mask != picture and _unused(mask):
        gone |= _forget(mask)
    return gone


def _unused(picture: Picture) -> bool:
    return not Job.objects.filter(Q(picture=picture) | Q(mask_picture=picture)).exists()


def _forget(picture: Picture) -> set[str]:
    digests = {picture.digest, picture.original_digest, picture.thumbnail_digest}
    picture.delete()
    return digests
