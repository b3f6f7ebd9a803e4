"""The pages before a restoration: landing, upload, and the page that composes one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import reverse
from django.views.decorators.http import require_safe

from nasdip_engine.picture import LIMIT_BYTES
from nasdip_engine.search.settings import PRESETS
from nasdip_engine.task import TaskKind
from webapp.pictures.models import PictureKind
from webapp.restorations.access import picture_for, pictures_of
from webapp.restorations.words import TASK_WORDS

__all__ = ["compose", "landing", "new"]

# Pages fill a real id in where this one stands.
PLACEHOLDER = UUID(int=0)
RECENT_PICTURES = 8
FACTORS = range(2, 9)
USUAL_FACTOR = 4
BEFORE, AFTER = Path("static/samples/denoise.png"), Path("static/samples/denoise_restored.png")

ABOUT_TASK = {
    TaskKind.DENOISE: "Grain and speckle go, edges and surfaces stay.",
    TaskKind.INPAINT: "Paint over what is to go; it is filled from the rest of the picture.",
    TaskKind.UPSCALE: "2 to 8 times as many pixels a side.",
}
ABOUT_SAMPLE = {
    TaskKind.DENOISE: "A photograph with strong grain.",
    TaskKind.INPAINT: "A photograph with its hole already painted.",
    TaskKind.UPSCALE: "A small photograph, four times larger.",
}


@dataclass(frozen=True)
class TaskChoice:
    """One task as the pages offer it."""

    value: str
    title: str
    about: str


@dataclass(frozen=True)
class SampleCard:
    """One shipped sample as the upload page offers it."""

    name: str
    title: str
    about: str
    image: str


def tasks() -> list[TaskChoice]:
    """The tasks in the order in which pages offer them."""
    return [
        TaskChoice(kind.value, TASK_WORDS[kind].capitalize(), about) for kind, about in ABOUT_TASK.items()
    ]


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """The first page: what it does, shown on a picture that this software restored."""
    both = all((settings.BASE_DIR / picture).is_file() for picture in (BEFORE, AFTER))
    shown = {"before_after": both, "compose_template": reverse("compose", args=[PLACEHOLDER])}
    return render(request, "pictures/landing.html", shown)


@login_required
@require_safe
def new(request: HttpRequest) -> HttpResponse:
    """Upload a picture, take a sample, or go on with an earlier picture."""
    pictures = pictures_of(request.user).filter(kind=PictureKind.PICTURE)
    recent = pictures.order_by("-created")[:RECENT_PICTURES]
    samples = [
        SampleCard(
            name=kind.value,
            title=TASK_WORDS[kind].capitalize(),
            about=about,
            image=static(f"samples/{kind.value}.png"),
        )
        for kind, about in ABOUT_SAMPLE.items()
    ]
    return render(
        request,
        "pictures/new.html",
        {
            "recent": recent,
            "samples": samples,
            "largest_upload": LIMIT_BYTES,
            "compose_template": reverse("compose", args=[PLACEHOLDER]),
        },
    )


@login_required
@require_safe
def compose(request: HttpRequest, picture_id: UUID) -> HttpResponse:
    """The picture with its mask editor, the task, the time, and the start.

    ?task= and ?factor= choose beforehand, as the samples and "again, with changes" do.
    """
    picture = picture_for(request.user, picture_id)
    asked = request.GET.get("task", "")
    factor = request.GET.get("factor", "")
    return render(
        request,
        "pictures/compose.html",
        {
            "picture": picture,
            "tasks": tasks(),
            "chosen_task": asked if asked in set(TaskKind) else TaskKind.DENOISE.value,
            "presets": [str(name) for name in PRESETS],
            "factors": FACTORS,
            "chosen_factor": int(factor) if factor.isdecimal() and int(factor) in FACTORS else USUAL_FACTOR,
            "job_template": reverse("job", args=[PLACEHOLDER]),
        },
    )
