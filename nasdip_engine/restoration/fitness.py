"""The score of a fit, in [0, 1] (sec. 3.2.1; the default departs from it, since its score rewards over-fitting).

The paper compares a restoration with the very picture it was fitted to (eq. 6). Here the score is the
squared error on observations that the fit never saw; its expectation is the true error plus the noise
variance, so a smaller one is a better restoration whatever the noise. The paper's own score stands beside it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nasdip_engine.errors import SettingsError
from nasdip_engine.restoration.degradation import Degradation
from nasdip_engine.restoration.perceptual import observed_distance

__all__ = [
    "HELD_OUT",
    "LPIPS_OBSERVED",
    "SMALLEST",
    "fitness",
    "held_out_psnr",
    "perceptual_fitness",
    "score",
]

HELD_OUT, LPIPS_OBSERVED = "held-out", "lpips-observed"
"""The scores that a search can select by, as the setting `fitness` names them."""

SMALLEST = 1e-6
"""A valid genome never scores 0: that is kept for those that are not."""

_LOW, _HIGH = 10.0, 50.0  # dB; a constant grey picture is about 10, 50 is past what 8 bits can show
_TINIEST = 1e-12  # mean squared error under this is 120 dB; keeps the logarithm finite


def held_out_psnr(mean_squared_error: float) -> float:
    """Decibels against a range of 1; at most 120."""
    return -10.0 * math.log10(max(mean_squared_error, _TINIEST))


def fitness(held_out_mse: float) -> float:
    """Held-out PSNR mapped linearly from 10..50 dB to [0, 1], at least `SMALLEST`."""
    share = (held_out_psnr(held_out_mse) - _LOW) / (_HIGH - _LOW)
    return min(1.0, max(SMALLEST, share))


def perceptual_fitness(distance: float) -> float:
    """f = max(0, 1 - d) of an LPIPS distance (eq. 6), at least `SMALLEST`; 1 reproduces what was observed."""
    return max(SMALLEST, 1.0 - distance)


def score(
    kind: str, degradation: Degradation, restored: NDArray[np.float32], held_out_mse: float | None
) -> float:
    """The fitness of a fit's result, float32 (H, W, 3), by the setting `fitness`: `HELD_OUT` or `LPIPS_OBSERVED`.

    Raises SettingsError for held-out fitness where nothing was held out.
    """
    if kind == LPIPS_OBSERVED:
        return perceptual_fitness(observed_distance(degradation, restored))
    if held_out_mse is None:
        raise SettingsError(f"fitness is {kind!r} but nothing is held out", field="fitness")
    return fitness(held_out_mse)
