"""Bodies of requests and answers.  Requests refuse fields that they do not know, naming them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from ninja import Schema
from pydantic import ConfigDict, Field

from nasdip_engine.evolution.settings import allowed_values

__all__ = [
    "PRINTABLE",
    "DrawingIn",
    "DrawingOut",
    "EventsOut",
    "JobIn",
    "JobListOut",
    "JobOut",
    "JobRef",
    "NoiseName",
    "Number",
    "PictureListOut",
    "PictureOut",
    "PresetsOut",
    "ProblemOut",
    "SampleOut",
    "StrokesOut",
    "TaskName",
]

# PostgreSQL stores no NUL, and no name needs control characters.
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
TaskName = Literal["denoise", "inpaint", "upscale"]
Number = Annotated[int, Field(ge=0, le=2**31 - 1)]
NoiseName = Literal["none", "independent", "correlated", "impulse"]


class ProblemOut(Schema):
    """Any error (RFC 9457), sent as application/problem+json."""

    type: str
    title: str
    status: int
    detail: str
    field: str | None = Field(None, description="the part of the request at fault, with dots")
    errors: list[dict[str, str]] | None = None
    file: str | None = Field(None, description="the name of the refused file")


class PictureOut(Schema):
    """An uploaded picture or mask."""

    id: UUID
    name: str
    kind: str
    width: int
    height: int
    source_format: str
    notes: list[str] = Field(description="what was done to it on the way in, a sentence each")
    created: datetime
    image_url: str
    thumbnail_url: str


class PictureListOut(Schema):
    """A page of one's own pictures and masks, newest first."""

    count: int
    pictures: list[PictureOut]


class SampleOut(PictureOut):
    """A shipped sample, taken in as one's own picture."""

    task: TaskName
    factor: int
    share_to_fill: float | None


class DrawingIn(Schema):
    """The strokes painted on a picture, in its pixels; painted = to be filled."""

    model_config = ConfigDict(extra="forbid")

    # Any: `parse_strokes` ends at the first one that is wrong, and an error of each would take gigabytes.
    strokes: list[Any] = Field(
        description='{"tool": "brush"|"eraser", "size": diameter, "points": [[x, y], ...]}, '
        '{"tool": "clear"} or {"tool": "invert"}',
        json_schema_extra={"items": {"type": "object"}},
    )


class DrawingOut(Schema):
    """The server's account of a saved drawing."""

    saved: bool
    share_to_fill: float = Field(description="0 to 1: the painted part of the picture")
    mask: str | None = Field(description="SHA-256 of the mask's file, null when nothing is painted")
    mask_url: str | None


class StrokesOut(DrawingOut):
    """A saved drawing with its strokes."""

    strokes: list[dict[str, Any]]


class JobIn(Schema):
    """What to restore, and how."""

    model_config = ConfigDict(extra="forbid")

    picture: UUID
    mask: UUID | None = Field(
        None, description="an uploaded mask (grey >= 128 is known); null: the strokes drawn on the picture"
    )
    invert_mask: bool = Field(default=False, description="the mask file is white where it is to be filled")
    task: TaskName
    factor: int | None = Field(
        None, description="how many times larger, 2 to 8 (4 if not given); for upscale only, else ignored"
    )
    noise: NoiseName | None = Field(
        None,
        description="what is assumed of the noise. independent: grain, pixel by pixel, of any strength; correlated: shared "
        "by near pixels (camera); impulse: specks (salt and pepper); none: what is known is exact. Null: independent to denoise, "
        "none otherwise. With another than none to inpaint, known pixels are restored too",
    )
    preset: str = "preview"
    seed: int = Field(
        0, ge=0, le=2**31 - 1, description="the same request with the same seed gives the same bits"
    )
    bit_depth: Literal[8, 16] | None = Field(
        None, description="bits a channel of the result; the picture's own if not given"
    )
    share: bool = Field(default=False, description="let this site's reviewers see the pictures of this job")
    name: str | None = Field(None, max_length=255, pattern=PRINTABLE)
    settings: dict[str, Any] = Field(
        default_factory=dict,
        description="settings of the search that differ from the preset's: "
        + "; ".join(f"{name}: {words}" for name, words in allowed_values().items()),
    )


class JobRef(Schema):
    """An accepted job."""

    id: UUID
    state: str
    share_to_fill: float | None
    url: str


class JobOut(Schema):
    """Where a job stands."""

    id: UUID
    name: str
    picture: UUID
    task: TaskName
    factor: int
    noise: NoiseName
    preset: str
    seed: int
    bit_depth: int | None = Field(description="asked for the result; null: the picture's own")
    share: bool
    settings: dict[str, Any]
    share_to_fill: float | None
    state: str
    reason: str
    fault_class: str
    place_in_queue: int | None = Field(description="1 is next; null unless queued")
    generation: int | None
    generations: int
    best_fitness: float | None
    best_genome: str | None
    last_event: int
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    paused_at: datetime | None
    seconds_paused: float
    result_url: str | None
    run: dict[str, Any] | None = Field(None, description="the account of a finished run (run.json)")


class JobListOut(Schema):
    """A page of one's own jobs, newest first."""

    count: int
    jobs: list[JobOut]


class EventsOut(Schema):
    """Events after a number, in order, without holes; at most 200."""

    events: list[dict[str, Any]]


class PresetOut(Schema):
    """What a preset costs for this picture and task."""

    name: str
    good_for: str
    worth: str = Field(description="what it gave on a test photograph of the task; empty where not measured")
    device_class: str = Field(
        description="what the estimate is for; a job that wants it names it in its settings"
    )
    evaluations: int
    iterations: int
    minutes: float | None = Field(description="estimated on the workers that are up; null when none is up")
    estimate: str


class PresetsOut(Schema):
    """The presets, and how the picture is fitted: whole, or in so many tiles; notes: sentences about that."""

    presets: list[PresetOut]
    tiles: int
    notes: list[str]
