"""Which pictures are restored for which task, asked of the engine and said on the pages beforehand."""

from __future__ import annotations

from django.utils.text import capfirst

from nasdip_engine.errors import PictureError
from nasdip_engine.evolution.settings import TILE
from nasdip_engine.framing import LARGEST_RESULT_PIXELS, SMALLEST_SIDE, check_noise, final_windows
from nasdip_engine.picture import LIMIT_BYTES, LIMIT_PIXELS
from nasdip_engine.task import Task, TaskKind

__all__ = ["FACTORS", "LIMITS", "noise_fits", "refusal"]

FACTORS = range(2, 9)
LIMITS = {
    "megabytes": LIMIT_BYTES // 1_000_000,
    "megapixels": LIMIT_PIXELS // 1_000_000,
    "smallest_side": SMALLEST_SIDE,
    "whole_side": TILE,
    "result_megapixels": LARGEST_RESULT_PIXELS // 1_000_000,
}
"""The figures of the sentence about limits."""


def noise_fits(width: int, height: int, task: Task) -> bool:
    """Whether a picture of this size can be restored with what the task assumes of its noise."""
    try:
        check_noise(height, width, task)
    except PictureError:
        return False
    return True


def refusal(width: int, height: int, task: Task) -> str:
    """Why a picture of this size can't be restored so, as a sentence; "" where it can.

    Filling a hole is never refused here: what counts there is the hole, which is not painted yet.
    """
    if task.kind is TaskKind.INPAINT:
        return ""
    try:
        final_windows(height, width, None, task)
    except PictureError as error:
        return f"{capfirst(str(error)).rstrip('.')}."
    return ""
