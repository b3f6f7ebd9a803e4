"""A request becomes a job: checked whole before anything is queued, so that a job that runs can run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction

from nasdip_engine.errors import MaskError, PictureError
from nasdip_engine.evolution.settings import settings_for, task_for
from nasdip_engine.seeding import Seeds
from nasdip_engine.task import Task
from webapp.pictures.layout import Layout, layout_of
from webapp.pictures.models import Picture, PictureKind
from webapp.restorations import events, notify
from webapp.restorations.events import EventKind
from webapp.restorations.models import Job, WorkItem
from webapp.restorations.states import ItemKind

__all__ = ["OPEN_KEY", "checked_layout", "submit"]

OPEN_KEY = "open"


def submit(
    owner: User,
    *,
    picture: Picture,
    mask_digest: str | None,
    mask_picture: Picture | None = None,
    task: str,
    factor: int = 1,
    noise: str = "",
    preset: str = "preview",
    seed: int = 0,
    bit_depth: int | None = None,
    share: bool = False,
    overrides: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
    name: str | None = None,
    layout: Layout | None = None,
) -> Job:
    """Queue a restoration of the owner's picture.

    mask_digest: stored grey PNG of the picture's size, >= 128 known; for in-painting only; mask_picture:
    the upload that it was read from, if not drawn.  noise: "" for the task's default.  bit_depth: of the result,
    8 or 16, None for the picture's.  layout: what `checked_layout` gave, where the caller has it.  An owner's
    `idempotency_key` gives the job that it gave before.  Raises InvalidInput.
    """
    if idempotency_key is not None:
        before = Job.objects.filter(owner=owner, idempotency_key=idempotency_key).first()
        if before is not None:
            return before
    if picture.owner_id != owner.pk or picture.kind != PictureKind.PICTURE:
        raise PictureError("this is not one of your pictures", field="picture")
    named = Task(task, factor, noise=noise)  # type: ignore[arg-type]  # the text is checked by Task itself
    asked = task_for(preset, named, (overrides or {}).get("kernel"))
    settings = settings_for(preset, asked, overrides)
    layout = layout or checked_layout(picture, mask_digest, asked, settings.tile)
    with transaction.atomic():
        job = Job.objects.create(
            owner=owner,
            picture=picture,
            name=((name or "").strip() or picture.name)[:255],
            task=asked.kind.value,
            factor=asked.factor,
            noise="" if asked.noise_is_default else asked.noise,
            preset=preset,
            seed=seed,
            bit_depth=bit_depth,
            share=share,
            settings=settings.to_json(),
            seeds=Seeds.from_seed(seed).to_json(),
            mask_digest=mask_digest or "",
            mask_picture=mask_picture,
            share_to_fill=layout.share_to_fill,
            device_class=settings.device_class,
            idempotency_key=idempotency_key,
        )
        WorkItem.objects.create(job=job, kind=ItemKind.OPEN, key=OPEN_KEY, device_class=job.device_class)
        events.append(job.pk, EventKind.QUEUED)
        notify.look()
    job.refresh_from_db()
    return job


def checked_layout(picture: Picture, mask_digest: str | None, task: Task, tile: int) -> Layout:
    """How the picture will be fitted; refuses sizes and masks that can't be restored, by the engine's own rule.

    Call it before a transaction: a large mask takes seconds.
    """
    try:
        return layout_of(picture, mask_digest, task, tile)
    except PictureError as error:
        field = error.field or ("factor" if task.factor > 1 else "picture")
        raise PictureError(str(error), field=field) from error
    except MaskError as error:
        raise MaskError(str(error), field="mask") from error
