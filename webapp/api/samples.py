"""Shipped pictures, one a task: a first restoration without looking for a picture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Router, Status

from webapp.api.pictures import CROWDED, picture_json
from webapp.api.problems import ProblemError
from webapp.api.schemas import ProblemOut, SampleOut
from webapp.pictures.intake import save_strokes, store_picture

__all__ = ["SAMPLES", "Sample", "router"]

router = Router(tags=["pictures"])


@dataclass(frozen=True)
class Sample:
    """One shipped picture: a file of static/samples, its task, and for a hole the file of its strokes."""

    file: str
    task: str
    factor: int = 1
    strokes: str | None = None


SAMPLES = {
    "denoise": Sample("denoise.png", "denoise"),
    "inpaint": Sample("inpaint.png", "inpaint", strokes="inpaint-strokes.json"),
    "upscale": Sample("upscale.png", "upscale", factor=4),
}


@router.post(
    "samples/{name}",
    response={201: SampleOut, 404: ProblemOut} | CROWDED,
    url_name="take_sample",
)
def take_sample(request: HttpRequest, response: HttpResponse, name: str) -> Status[dict[str, Any]]:
    """Take a sample in as one's own picture: denoise, inpaint (with its hole) or upscale."""
    sample = SAMPLES.get(name)
    if sample is None:
        raise ProblemError(404, f"There is no sample {name!r}; there are {', '.join(SAMPLES)}.")
    folder = settings.BASE_DIR / "static" / "samples"
    picture = store_picture(request.auth, (folder / sample.file).read_bytes(), sample.file)
    share = None
    if sample.strokes:
        strokes = json.loads((folder / sample.strokes).read_text("utf-8"))
        share = save_strokes(picture, strokes).share
    response["Location"] = reverse("api:get_picture", kwargs={"picture_id": picture.pk})
    told = {**picture_json(picture), "task": sample.task, "factor": sample.factor, "share_to_fill": share}
    return Status(201, told)
