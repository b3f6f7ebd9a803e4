"""The outcome of a genome that has no fitness: invalid, refused, excluded, poisoned or diverged.

One shape for all of them, the same as that of a fit that came to an end (`evaluation.evaluate`).
"""

from __future__ import annotations

from typing import Any

__all__ = ["CRASHES_TO_POISON", "without_fitness"]

CRASHES_TO_POISON = 2
"""Native crashes in fresh processes after which the genome itself is to blame."""


def without_fitness(reason: str | None, pixels: int = 0) -> dict[str, Any]:
    """Fitness 0 and nothing trained; pixels: of the output that was asked for."""
    return {
        "fitness": 0.0,
        "fitness_hex": (0.0).hex(),
        "reason": reason,
        "held_out_psnr": None,
        "iterations": 0,
        "best_iteration": 0,
        "still_falling": False,
        "curve": [],
        "multiply_adds": 0,
        "pixels": pixels,
    }
