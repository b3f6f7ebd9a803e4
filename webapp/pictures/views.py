"""The pages before a restoration: landing, upload, and the page that composes one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, RestrictedError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.urls import reverse
from django.utils.text import capfirst
from django.views.decorators.http import require_http_methods, require_safe

from nasdip_engine.picture import LIMIT_BYTES
from nasdip_engine.task import Task, TaskKind
from webapp.pictures.intake import forget
from webapp.pictures.models import Picture, PictureKind
from webapp.pictures.sizes import FACTORS, LIMITS, noise_fits, refusal
from webapp.restorations.access import picture_for, pictures_of
from webapp.restorations.estimates import device_of, offered_presets
from webapp.restorations.words import NOISE_QUESTIONS, NOISE_WORDS, TASK_WORDS

__all__ = ["compose", "delete", "landing", "new"]

# Pages fill a real id in where this one stands.
PLACEHOLDER = UUID(int=0)
PICTURES_PER_PAGE = 8
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
    refused: str = ""
    """Why this picture can't have it, as a sentence; "" where it can."""


@dataclass(frozen=True)
class FactorChoice:
    """One factor of enlarging; `fits`: whether this picture's result is within the limits."""

    value: int
    fits: bool
    chosen: bool


@dataclass(frozen=True)
class NoiseAnswer:
    """One thing that may be assumed; `fits`: whether this picture can be restored so."""

    value: str
    words: str
    fits: bool
    chosen: bool


@dataclass(frozen=True)
class NoiseChoice:
    """One task's question about the noise; the default answer first."""

    task: str
    question: str
    answers: tuple[NoiseAnswer, ...]

    @property
    def all_fit(self) -> bool:
        return all(answer.fits for answer in self.answers)


@dataclass(frozen=True)
class SampleCard:
    """One shipped sample as the upload page offers it."""

    name: str
    title: str
    about: str
    image: str


def tasks(picture: Picture) -> list[TaskChoice]:
    """The tasks in the order in which pages offer them, each with the reason if this picture can't have it."""
    return [
        TaskChoice(
            kind.value,
            TASK_WORDS[kind].capitalize(),
            about,
            refusal(picture.width, picture.height, Task(kind, _least_factor(picture, kind))),
        )
        for kind, about in ABOUT_TASK.items()
    ]


def _fitting(picture: Picture) -> list[int]:
    """The factors by which this picture can be enlarged."""
    return [
        factor
        for factor in FACTORS
        if not refusal(picture.width, picture.height, Task(TaskKind.UPSCALE, factor))
    ]


def _least_factor(picture: Picture, kind: TaskKind) -> int:
    if kind is not TaskKind.UPSCALE:
        return 1
    return next(iter(_fitting(picture)), FACTORS[0])


def factors(picture: Picture, asked: str) -> list[FactorChoice]:
    """The factors with the one that was asked for chosen, or else the usual one, or the nearest below."""
    fitting = _fitting(picture)
    wanted = int(asked) if asked.isdecimal() and int(asked) in FACTORS else USUAL_FACTOR
    chosen = max((factor for factor in fitting if factor <= wanted), default=wanted)
    return [FactorChoice(factor, factor in fitting, factor == chosen) for factor in FACTORS]


def noises(picture: Picture, asked: str) -> list[NoiseChoice]:
    """What each task may assume of the noise, with what was asked for chosen where it fits, or else the default."""
    choices = []
    for task, words in NOISE_WORDS.items():
        kind = TaskKind(task)
        factor = _least_factor(picture, kind)
        fitting = [
            noise
            for noise in words
            if noise_fits(picture.width, picture.height, Task(kind, factor, noise=noise))
        ]
        chosen = asked if asked in fitting else next(iter(words))
        answers = tuple(
            NoiseAnswer(value, capfirst(text), value in fitting, value == chosen)
            for value, text in words.items()
        )
        choices.append(NoiseChoice(task, NOISE_QUESTIONS[task], answers))
    return choices


@require_safe
def landing(request: HttpRequest) -> HttpResponse:
    """The first page: what it does, shown on a picture that this software restored."""
    both = all((settings.BASE_DIR / picture).is_file() for picture in (BEFORE, AFTER))
    shown = {"before_after": both, "compose_template": reverse("compose", args=[PLACEHOLDER])}
    return render(request, "pictures/landing.html", shown)


@login_required
@require_safe
def new(request: HttpRequest) -> HttpResponse:
    """Upload a picture, take a sample, or go on with an earlier picture; ?page= has older ones."""
    pictures = pictures_of(request.user).filter(kind=PictureKind.PICTURE).annotate(uses=Count("jobs"))
    page = Paginator(pictures.order_by("-created", "-id"), PICTURES_PER_PAGE).get_page(
        request.GET.get("page")
    )
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
            "page": page,
            "query": "",
            "samples": samples,
            "largest_upload": LIMIT_BYTES,
            "limits": LIMITS,
            "compose_template": reverse("compose", args=[PLACEHOLDER]),
        },
    )


@login_required
@require_safe
def compose(request: HttpRequest, picture_id: UUID) -> HttpResponse:
    """The picture with its mask editor, the task, the time, and the start.

    ?task=, ?factor= and ?noise= choose beforehand, as the samples and "again, with changes" do.
    """
    picture = picture_for(request.user, picture_id)
    asked = request.GET.get("task", "")
    choices = tasks(picture)
    possible = [choice.value for choice in choices if not choice.refused]
    return render(
        request,
        "pictures/compose.html",
        {
            "picture": picture,
            "tasks": choices,
            "chosen_task": asked if asked in possible else possible[0],
            "presets": [(preset, device_of(preset)) for preset in offered_presets()],
            "factors": factors(picture, request.GET.get("factor", "")),
            "noises": noises(picture, request.GET.get("noise", "")),
            "limits": LIMITS,
            "job_template": reverse("job", args=[PLACEHOLDER]),
        },
    )


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, picture_id: UUID) -> HttpResponse:
    """Ask (GET), then delete a picture that no restoration uses, with its files and what was drawn on it (POST)."""
    picture = picture_for(request.user, picture_id)
    if request.method != "POST":
        text = "The picture and what was painted on it are deleted for good."
        shown = {"name": picture.name, "text": text, "back": reverse("new")}
        return render(request, "confirm_delete.html", shown)
    try:
        forget(picture)
    except RestrictedError:
        messages.error(
            request,
            f"A restoration uses {picture.name}: delete it in the history, and the picture goes with it.",
        )
    else:
        messages.success(request, f"{picture.name} is deleted.")
    return redirect("new")
