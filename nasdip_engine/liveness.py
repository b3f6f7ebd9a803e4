"""How long a running evaluation may be silent before it counts as hanging.

A fit sends a sign of life each iteration. The limit is far from any real fit's pace on any machine: passing it is a
fault of the infrastructure, never a judgement of the genome.
"""

from __future__ import annotations

from nasdip_engine.genome.cost import cost
from nasdip_engine.genome.genome import Genome

__all__ = ["LEAST_HEARTBEAT", "heartbeat_limit"]

LEAST_HEARTBEAT = 60.0
"""Seconds; a site may set another."""
_ONE_STEP = 600.0  # a biharmonic fill or a combination is one step of SciPy or NumPy without a sign of life
_SLOWEST_RATE = 5e8  # multiply-adds a second that any core reaches
_TRAINING_PASSES = 3  # forward, and about twice that backward


def heartbeat_limit(
    genome: str | None, height: int, width: int, input_channels: int, least: float = LEAST_HEARTBEAT
) -> float:
    """Seconds of silence that are allowed: `least`, or twenty times what an iteration takes on a slow core.

    height, width: of the output in pixels.  genome: None for steps that train nothing.
    """
    if not genome:
        return max(least, _ONE_STEP)
    price = cost(Genome.parse(genome).phenotype(), height, width, input_channels).multiply_adds
    return max(least, 20 * _TRAINING_PASSES * price / _SLOWEST_RATE)
