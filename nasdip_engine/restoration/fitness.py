"""One score out of one held-out error (sec. 4 of the paper departs here: its score rewards over-fitting).

The paper compares a restoration with the very picture it was fitted to (eq. 6). Here the score is the
squared error on observations that the fit never saw; its expectation is the true error plus the noise
variance, so a smaller one is a better restoration whatever the noise.
"""

from __future__ import annotations

import math

__all__ = ["SMALLEST", "fitness", "held_out_psnr"]

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
