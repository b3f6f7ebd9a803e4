"""What each preset costs for a picture and a task, said before the start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from django.utils.text import capfirst
from ninja import Query, Router

from nasdip_engine.errors import MaskError, PictureError
from nasdip_engine.evolution.presets import worth
from nasdip_engine.evolution.settings import (
    GPU_PRESETS,
    PRESETS,
    TILE,
    describe,
    settings_for,
    task_for,
)
from nasdip_engine.finals import layout_words, search_words
from nasdip_engine.framing import Window, check_noise
from nasdip_engine.task import Task, TaskKind
from webapp.api.problems import ProblemError
from webapp.api.schemas import NoiseName, PresetsOut, ProblemOut, TaskName
from webapp.pictures import storage
from webapp.pictures.layout import layout_of
from webapp.pictures.models import MaskDrawing, Picture
from webapp.restorations.access import picture_for
from webapp.restorations.estimates import device_of, offered_presets, seconds_for

__all__ = ["router"]

router = Router(tags=["presets"])

GOOD_FOR = {
    "preview": "A first look: whether the method suits this picture.",
    "balanced": "The usual choice: a real search, and a result to keep.",
    "thorough": "For a picture that matters: the widest search and the longest final fit.",
    "paper": "The protocol of the NAS-DIP paper as printed, for comparing with it, on up to 512 x 512 pixels.",
}
DEFAULT_SIDE = 256


@router.get("presets", response={200: PresetsOut, 404: ProblemOut, 422: ProblemOut}, url_name="list_presets")
def list_presets(
    request: HttpRequest,
    picture: UUID | None = None,
    task: TaskName = "denoise",
    factor: Annotated[int | None, Query(ge=2, le=8)] = None,
    noise: NoiseName | None = None,
    population: Annotated[int | None, Query(ge=2, le=1000)] = None,
    generations: Annotated[int | None, Query(ge=1, le=100)] = None,
    iterations: Annotated[int | None, Query(ge=1, le=20_000)] = None,
) -> dict[str, Any]:
    """The presets with their cost for a picture (256 x 256 pixels where none is named) and a task.

    Those that the workers which are up can carry: the paper's own protocol only beside one with a GPU.  population,
    generations, iterations: settings that are set by hand; what a preset was worth is not told of others than its own.
    """
    asked = Task(TaskKind(task), (factor or 4) if task == TaskKind.UPSCALE else 1, noise=noise or "")
    given = {"population": population, "generations": generations, "iterations": iterations}
    by_hand = {name: value for name, value in given.items() if value is not None}
    row = picture_for(request.auth, picture) if picture else None
    windows = _windows(row, asked)
    layout = [(window.box, window.scale) for window in windows]
    notes = layout_words(layout, asked.factor, holes=asked.kind is TaskKind.INPAINT)
    return {
        "presets": [_preset(name, task_for(name, asked), windows, by_hand) for name in offered_presets()],
        "tiles": len(windows),
        "notes": [f"{capfirst(text)}." for text in (*notes, *_search_words(row, asked))],
    }


def _search_words(picture: Picture | None, task: Task) -> list[str]:
    """What the presets that are no GPU's compare networks on."""
    crop = min(settings_for(name, task_for(name, task)).crop for name in PRESETS if name not in GPU_PRESETS)
    side = DEFAULT_SIDE // task.factor
    size = (side, side) if picture is None else (picture.height, picture.width)
    return search_words((crop, crop), (size[0] * task.factor, size[1] * task.factor))


def _windows(picture: Picture | None, task: Task) -> tuple[Window, ...]:
    """The parts that the final fit takes one by one.  Raises ProblemError for a size that is not restored."""
    if picture is None:
        side = DEFAULT_SIDE // task.factor
        return (Window((0, 0, side, side), (side, side)),)
    mask = _drawn(picture) if task.kind is TaskKind.INPAINT else None
    try:
        if task.kind is TaskKind.INPAINT and mask is None:
            # Nothing is painted yet: one window, as large as they get.
            check_noise(picture.height, picture.width, task)
            height, width = min(picture.height, TILE), min(picture.width, TILE)
            return (Window((0, 0, width, height), (height, width)),)
        return layout_of(picture, mask, task).windows
    except MaskError as error:
        raise ProblemError(422, str(error), field="mask") from error
    except PictureError as error:
        field = error.field or ("factor" if task.factor > 1 else "picture")
        raise ProblemError(422, str(error), field=field) from error


def _drawn(picture: Picture) -> str | None:
    """The file of the drawn mask; None where nothing, or all, is painted, or it is drawn anew just now."""
    drawing = MaskDrawing.objects.filter(picture=picture).first()
    usable = drawing is not None and 0 < drawing.share < 1 and storage.exists(drawing.mask_digest)
    return drawing.mask_digest if drawing is not None and usable else None


def _preset(name: str, task: Task, windows: tuple[Window, ...], by_hand: Mapping[str, int]) -> dict[str, Any]:
    settings = settings_for(name, task, {"device_class": device_of(name), **by_hand})
    pixels = sum(window.size[0] * window.size[1] for window in windows) * task.factor**2
    cost = describe(settings, task, pixels, len(windows))
    seconds = seconds_for(settings, task, pixels, len(windows))
    minutes = None if seconds is None else seconds / 60
    several = f"{len(windows)} tiles, " if len(windows) > 1 else ""
    return {
        "name": name,
        "good_for": GOOD_FOR[name],
        "worth": "" if by_hand else worth(name, task.kind),
        "device_class": settings.device_class,
        "evaluations": cost["evaluations"],
        "iterations": cost["iterations"],
        "minutes": minutes,
        "estimate": several + _words(minutes),
    }


def _words(minutes: float | None) -> str:
    if minutes is None:
        return "no worker is up to measure it on"
    if minutes < 1.5:
        return "about a minute"
    if minutes < 90:
        return f"about {round(minutes)} minutes"
    hours = minutes / 60
    return f"about {hours:.1f} hours" if hours < 10 else f"about {round(hours)} hours"
