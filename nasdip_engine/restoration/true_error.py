"""The true error of a fit against a clean picture, look by look: for studies, never for a decision.

Nothing here reaches the loss, the fitness, the stop or the key of an evaluation; whether the curve is recorded changes
no bit of its outcome.
"""

from __future__ import annotations

import math
from typing import Any

from nasdip_engine.bit_depth import Samples
from nasdip_engine.errors import PictureError
from nasdip_engine.restoration.degradation import Degradation
from nasdip_engine.restoration.fit import CHECK_EVERY, Step
from nasdip_engine.restoration.metrics import psnr

__all__ = ["TrueError"]

Pixels = Samples


class TrueError:
    """PSNR of the composed averaged output against `clean`, at every look of one fit."""

    def __init__(self, clean: Pixels, digest: str, degradation: Degradation, iterations: int) -> None:
        """clean: (H, W, 3) of the fit's output size; digest: its name in records; iterations: the fit's limit.

        Raises PictureError for another size.
        """
        height, width = degradation.output_size
        if clean.shape != (height, width, 3):
            raise PictureError(
                f"the reference has {clean.shape[1]} x {clean.shape[0]} pixels, the output of the fit {width} x {height}"
            )
        self._clean, self._digest = clean, digest
        self._degradation, self._last = degradation, iterations
        self._curve: list[tuple[int, float | None]] = []

    def look(self, step: Step) -> None:
        """To be called after each iteration; looks where the fit does, at every CHECK_EVERY-th and at the last."""
        if step.iteration % CHECK_EVERY == 0 or step.iteration == self._last:
            decibels = psnr(self._degradation.compose(step.average()), self._clean)
            self._curve.append((step.iteration, decibels if math.isfinite(decibels) else None))

    def at(self, iteration: int) -> dict[str, Any]:
        """JSON value: reference, psnr in dB of the output taken at `iteration`, curve as (iteration, PSNR in dB).

        psnr is None where no look was made there; a PSNR is None, too, where the pictures are equal.
        """
        return {
            "reference": self._digest,
            "psnr": dict(self._curve).get(iteration),
            "curve": [[number, decibels] for number, decibels in self._curve],
        }
