"""What each preset costs for a picture and a task, said before the start."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import numpy as np
from django.http import HttpRequest
from ninja import Query, Router

from nasdip_engine.errors import PictureError
from nasdip_engine.framing import LARGEST_SIDE, final_frame
from nasdip_engine.search.settings import SearchSettings, describe, settings_for, task_for
from nasdip_engine.task import Task, TaskKind
from webapp.api.problems import ProblemError
from webapp.api.schemas import PresetsOut, ProblemOut, TaskName
from webapp.pictures.models import Picture
from webapp.restorations.access import picture_for
from webapp.restorations.estimates import offered_presets, seconds_for

__all__ = ["router"]

router = Router(tags=["presets"])

GOOD_FOR = {
    "preview": "A first look: whether the method suits this picture.",
    "balanced": "The usual choice: a real search, and a result to keep.",
    "thorough": "For a picture that matters: the widest search and the longest final fit.",
    "paper": "The protocol of the NAS-DIP paper as printed, for comparing with it.",
}
DEFAULT_SIDE = 256


@router.get("presets", response={200: PresetsOut, 404: ProblemOut, 422: ProblemOut}, url_name="list_presets")
def list_presets(
    request: HttpRequest,
    picture: UUID | None = None,
    task: TaskName = "denoise",
    factor: Annotated[int | None, Query(ge=2, le=8)] = None,
) -> dict[str, Any]:
    """The presets with their cost for a picture (256 x 256 pixels where none is named) and a task.

    Those that the workers which are up can carry: the paper's own protocol only beside one with a GPU.
    """
    asked = Task(TaskKind(task), (factor or 4) if task == TaskKind.UPSCALE else 1)
    row = picture_for(request.auth, picture) if picture else None
    pixels = _final_pixels(row, asked)
    told = [_preset(name, settings_for(name, task_for(name, asked)), pixels) for name in offered_presets()]
    return {"presets": told}


def _final_pixels(picture: Picture | None, task: Task) -> int:
    """Output pixels of the final fit.  Raises ProblemError for a size that this release does not restore."""
    if picture is None:
        return DEFAULT_SIDE**2
    if task.kind is TaskKind.INPAINT:
        # Larger pictures are fitted around the hole, in a window of at most this size.
        return min(picture.width, LARGEST_SIDE) * min(picture.height, LARGEST_SIDE)
    blank = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (picture.height, picture.width, 3))
    try:
        height, width = final_frame(blank, None, task).size
    except PictureError as error:
        raise ProblemError(422, str(error), field="factor" if task.factor > 1 else "picture") from error
    return height * width * task.factor**2


def _preset(name: str, settings: SearchSettings, pixels: int) -> dict[str, Any]:
    cost = describe(settings, pixels)
    seconds = seconds_for(settings, pixels)
    minutes = None if seconds is None else seconds / 60
    return {
        "name": name,
        "good_for": GOOD_FOR[name],
        "evaluations": cost["evaluations"],
        "iterations": cost["iterations"],
        "minutes": minutes,
        "estimate": _words(minutes),
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
