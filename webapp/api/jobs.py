"""Jobs: submit, follow, steer, fetch.  Every one is looked up through the one door, `restorations.access`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from ninja import Header, Query, Router, Status

from nasdip_engine.errors import InvalidInput, MaskError, PictureError, SettingsError
from nasdip_engine.evolution.settings import settings_for, task_for
from nasdip_engine.task import Task, TaskKind
from webapp.api.problems import ProblemError
from webapp.api.schemas import (
    PRINTABLE,
    EventsOut,
    JobIn,
    JobListOut,
    JobOut,
    JobRef,
    Number,
    ProblemOut,
    TaskName,
)
from webapp.pictures import quota, storage
from webapp.pictures.intake import digest_of, drawn_mask, mask_file
from webapp.pictures.models import MaskDrawing, Picture
from webapp.pictures.serving import png_response
from webapp.restorations import control, events, submission
from webapp.restorations.access import job_for, picture_for, visible_to
from webapp.restorations.snapshot import snapshot
from webapp.restorations.states import ENDED, JobState
from webapp.restorations.turns import place_in_queue

if TYPE_CHECKING:
    from webapp.restorations.models import Job

__all__ = ["job_json", "router"]

router = Router(tags=["jobs"])

DEFAULT_FACTOR = 4
KEY_LENGTH = 255
# Fields of a request's own; any other field that the engine names is one of its settings.
OWN_FIELDS = frozenset(
    {"picture", "mask", "task", "factor", "noise", "preset", "seed", "name", "Idempotency-Key"}
)

STEERED = {200: JobOut, 404: ProblemOut, 409: ProblemOut}


def job_json(job: Job) -> dict[str, Any]:
    """JobOut of a row."""
    here = {"job_id": job.pk}
    return {
        "id": job.pk,
        "name": job.name,
        "picture": job.picture_id,
        "task": job.task,
        "factor": job.factor,
        "noise": job.assumed_noise,
        "preset": job.preset,
        "seed": job.seed,
        "bit_depth": job.bit_depth,
        "share": job.share,
        "settings": job.settings,
        "share_to_fill": job.share_to_fill,
        "state": job.state,
        "reason": job.reason,
        "fault_class": job.fault_class,
        "place_in_queue": place_in_queue(job),
        "generation": job.generation,
        "generations": job.settings["generations"],
        "best_fitness": job.best_fitness,
        "best_genome": job.best_genome or None,
        "last_event": job.event_number,
        "queued_at": job.queued_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "paused_at": job.paused_at,
        "seconds_paused": job.seconds_paused,
        "result_url": reverse("api:job_result", kwargs=here) if job.state == JobState.DONE else None,
    }


@router.post(
    "jobs",
    response={202: JobRef} | dict.fromkeys((404, 422, 429, 503, 507), ProblemOut),
    url_name="submit_job",
)
def submit_job(
    request: HttpRequest,
    response: HttpResponse,
    order: JobIn,
    idempotency_key: Annotated[
        str | None, Header(alias="Idempotency-Key", min_length=1, max_length=KEY_LENGTH)
    ] = None,
) -> Status[dict[str, Any]]:
    """Queue a restoration.

    With an Idempotency-Key the same request may be sent again: it names the same job.
    """
    try:
        job = _submit(request.auth, order, idempotency_key)
    except InvalidInput as error:
        raise _named(error) from error
    address = reverse("api:get_job", kwargs={"job_id": job.pk})
    response["Location"] = address
    told = {"id": job.pk, "state": job.state, "share_to_fill": job.share_to_fill, "url": address}
    return Status(202, told)


def _named(error: InvalidInput) -> ProblemError:
    """The engine's refusal, its field named as the request names it."""
    field = error.field
    if field is None:
        field = {PictureError: "picture", MaskError: "mask"}.get(type(error))
    elif field not in OWN_FIELDS and isinstance(error, SettingsError):
        field = f"settings.{field}"
    return ProblemError(422, str(error), field=field)


def _submit(owner: User, order: JobIn, key: str | None) -> Job:
    picture = _own_picture(owner, order.picture, "picture")
    factor = 1
    if order.task == TaskKind.UPSCALE:
        factor = DEFAULT_FACTOR if order.factor is None else order.factor
    asked = Task(TaskKind(order.task), factor, noise=order.noise or "")
    task = task_for(order.preset, asked, order.settings.get("kernel"))
    resolved = settings_for(order.preset, task, order.settings)
    upload = _uploaded_mask(owner, order)
    content = _mask(picture, upload, order)
    digest = digest_of(content) if content else None
    wanted = {
        "picture_id": picture.pk,
        "task": order.task,
        "factor": factor,
        "noise": "" if task.noise_is_default else task.noise,
        "preset": order.preset,
        "seed": order.seed,
        "bit_depth": order.bit_depth,
        "share": order.share,
        "settings": resolved.to_json(),
        "mask_digest": digest or "",
    }
    earlier = _earlier_or_room(owner, key, wanted)
    if earlier is not None:
        return earlier
    quota.check_disk()  # a job that is there already is named all the same
    if content:
        storage.put(content)
    layout = submission.checked_layout(picture, digest, task, resolved.tile)
    with transaction.atomic():
        quota.hold(owner)  # from here on requests of one user follow each other: the answer stays true
        earlier = _earlier_or_room(owner, key, wanted)
        if earlier is not None:
            return earlier
        for one, field in ((picture, "picture"), (upload, "mask")):
            if one is not None:
                _own_picture(owner, one.pk, field)  # unless it was deleted meanwhile
        job = submission.submit(
            owner,
            picture=picture,
            mask_digest=digest,
            mask_picture=upload,
            task=order.task,
            factor=factor,
            noise=task.noise,
            preset=order.preset,
            seed=order.seed,
            bit_depth=order.bit_depth,
            share=order.share,
            overrides=order.settings,
            idempotency_key=key,
            name=order.name,
            layout=layout,
        )
    if content:
        # Again, now that the job refers to it: a deletion in between may have taken the file.
        storage.put(content)
    return job


def _own_picture(owner: User, picture_id: UUID, field: str) -> Picture:
    try:
        return picture_for(owner, picture_id)
    except Http404 as error:  # the same answer for a stranger's and for one that never was, and which field
        raise ProblemError(404, str(error), field=field) from None


def _uploaded_mask(owner: User, order: JobIn) -> Picture | None:
    if order.mask is None:
        return None
    if order.task != TaskKind.INPAINT:
        raise MaskError("only filling a hole (inpaint) takes a mask", field="mask")
    return _own_picture(owner, order.mask, "mask")


def _mask(picture: Picture, upload: Picture | None, order: JobIn) -> bytes | None:
    """The mask's file: the uploaded one, else the drawn one; None for tasks without a hole."""
    if order.task != TaskKind.INPAINT:
        return None
    if upload is not None:
        return mask_file(picture, upload, invert=order.invert_mask)
    drawing = MaskDrawing.objects.filter(picture=picture).first()
    if drawing is None or not drawing.mask_digest:
        raise MaskError(
            "filling a hole needs a mask: upload one, or paint over what is to be filled", field="mask"
        )
    if drawing.share >= 1:
        raise MaskError("all of the picture is painted: some of it must stay to learn from", field="mask")
    return drawn_mask(drawing)


def _earlier_or_room(owner: User, key: str | None, wanted: dict[str, Any]) -> Job | None:
    """The job that this request already made, or None where it may make one.  Raises ProblemError."""
    earlier = _earlier(owner, key, wanted)
    if earlier is None:
        _refuse_too_many(owner)
    return earlier


def _earlier(owner: User, key: str | None, wanted: dict[str, Any]) -> Job | None:
    """The job that this key already names.  Raises ProblemError when that was asked for something else."""
    if key is None:
        return None
    job = visible_to(owner).filter(idempotency_key=key).first()
    if job is None:
        return None
    had = {name: getattr(job, name) for name in wanted}
    had["settings"] = _as_asked_now(job.settings, wanted["settings"])
    other = [name for name, value in wanted.items() if had[name] != value]
    if other:
        names = ", ".join(name.removesuffix("_id").removesuffix("_digest") for name in other)
        detail = f"This Idempotency-Key names job {job.pk}, which was asked for with another {names}."
        raise ProblemError(422, detail, field="Idempotency-Key")
    return job


def _as_asked_now(kept: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """Settings as a job keeps them, with those that are younger than the job as they are asked for now.

    `refit` made the presets' final fits shorter, so a job that lacks it was asked for with another length of them.
    """
    younger = asked.keys() - kept.keys()
    if "refit" in younger:
        younger |= {"final_iterations"}
    return kept | {name: asked[name] for name in younger}


def _refuse_too_many(owner: User) -> None:
    limit = settings.UNFINISHED_JOBS
    unfinished = visible_to(owner).exclude(state__in=ENDED).count()
    if unfinished >= limit:
        raise ProblemError(
            429,
            f"You have {unfinished} unfinished jobs; {limit} is the limit: wait for some, or cancel them.",
        )


@router.get("jobs", response=JobListOut, url_name="list_jobs")
def list_jobs(
    request: HttpRequest,
    state: JobState | None = None,
    task: TaskName | None = None,
    q: Annotated[str, Query(max_length=255, pattern=PRINTABLE)] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Number = 0,
) -> dict[str, Any]:
    """Your jobs, newest first; q looks in names."""
    wanted = Q(name__icontains=q) if q else Q()
    if state is not None:
        wanted &= Q(state=state)
    if task is not None:
        wanted &= Q(task=task)
    rows = visible_to(request.auth).filter(wanted).defer("run").order_by("-queued_at", "-id")
    return {"count": rows.count(), "jobs": [job_json(job) for job in rows[offset : offset + limit]]}


@router.get("jobs/{uuid:job_id}", response={200: JobOut, 404: ProblemOut}, url_name="get_job")
def get_job(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """Where a job stands; with its run.json when it is done."""
    job = job_for(request.auth, job_id)
    return {**job_json(job), "run": job.run}


@router.delete(
    "jobs/{uuid:job_id}", response={204: None, 404: ProblemOut, 409: ProblemOut}, url_name="delete_job"
)
def delete_job(request: HttpRequest, job_id: UUID) -> Status[None]:
    """Delete a job with its files, and its picture where no other job has it; cancel a running one first."""
    job = job_for(request.auth, job_id)
    try:
        control.delete(job)
    except control.NotPossible as error:
        raise ProblemError(409, str(error)) from error
    return Status(204, None)


@router.post("jobs/{uuid:job_id}/pause", response=STEERED, url_name="pause_job")
def pause_job(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """Stop working on a job and keep what it has."""
    return _steered(request, job_id, control.pause)


@router.post("jobs/{uuid:job_id}/resume", response=STEERED, url_name="resume_job")
def resume_job(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """Go on with a paused job."""
    return _steered(request, job_id, control.resume)


@router.post("jobs/{uuid:job_id}/cancel", response=STEERED, url_name="cancel_job")
def cancel_job(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """End a job without a result."""
    return _steered(request, job_id, control.cancel)


@router.post("jobs/{uuid:job_id}/go-on-without", response=STEERED, url_name="go_on_without")
def go_on_without(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """Go on with a job that faults have paused, without the genome or the reference that failed.

    run.json records it.
    """
    return _steered(request, job_id, control.go_on_without)


@router.post("jobs/{uuid:job_id}/go-on-here", response=STEERED, url_name="go_on_here")
def go_on_here(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """Go on with the workers that are there, where none has the numerics that a job began on.

    Other machines give other bits; run.json records it.
    """
    return _steered(request, job_id, control.go_on_here)


def _steered(request: HttpRequest, job_id: UUID, act: Callable[[UUID, User], Job]) -> dict[str, Any]:
    job = job_for(request.auth, job_id)
    try:
        return job_json(act(job.pk, request.auth))
    except control.NotPossible as error:
        raise ProblemError(409, str(error)) from error
    except ObjectDoesNotExist as error:
        raise Http404("The job was deleted at this moment.") from error


@router.get(
    "jobs/{uuid:job_id}/snapshot", response={200: dict[str, Any], 404: ProblemOut}, url_name="job_snapshot"
)
def job_snapshot(request: HttpRequest, job_id: UUID) -> dict[str, Any]:
    """What a live page shows, at its last_event; what follows comes from events?after=last_event."""
    return snapshot(job_for(request.auth, job_id))


@router.get("jobs/{uuid:job_id}/events", response={200: EventsOut, 404: ProblemOut}, url_name="job_events")
def job_events(request: HttpRequest, job_id: UUID, after: Number = 0) -> dict[str, Any]:
    """Events after a number, in order, at most 200; ask again after the last one until none come."""
    return {"events": events.after(job_for(request.auth, job_id).pk, after)}


@router.get("jobs/{uuid:job_id}/result.png", response={404: ProblemOut}, url_name="job_result")
def job_result(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """The restored picture.  Its bytes depend on its pixels alone; the ETag is their SHA-256."""
    job = job_for(request.auth, job_id)
    if job.state != JobState.DONE:
        raise ProblemError(404, f"This job has no result yet: it is {job.state}.")
    return png_response(request, job.result_digest, "result.png")
