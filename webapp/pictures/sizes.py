"""Which pictures this release restores for which task, asked of the engine and said on the pages beforehand."""

from __future__ import annotations

import numpy as np

from nasdip_engine.errors import PictureError
from nasdip_engine.framing import LARGEST_RESULT, LARGEST_SIDE, SMALLEST_SIDE, final_frame
from nasdip_engine.picture import LIMIT_BYTES, LIMIT_PIXELS
from nasdip_engine.task import Task, TaskKind

__all__ = ["FACTORS", "LIMITS", "refusal"]

FACTORS = range(2, 9)
LIMITS = {
    "megabytes": LIMIT_BYTES // 1_000_000,
    "megapixels": LIMIT_PIXELS // 1_000_000,
    "smallest_side": SMALLEST_SIDE,
    "largest_side": LARGEST_SIDE,
    "largest_result": LARGEST_RESULT,
}
"""The figures of the sentence about limits."""


def refusal(width: int, height: int, task: Task) -> str:
    """Why a picture of this size can't be restored so, as a sentence; "" where it can.

    Filling a hole is never refused here: what counts there is the hole, which is not painted yet.
    """
    if task.kind is TaskKind.INPAINT:
        return ""
    blank = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (height, width, 3))
    try:
        final_frame(blank, None, task)
    except PictureError as error:
        return f"{str(error)[:1].upper()}{str(error)[1:].rstrip('.')}."
    return ""
