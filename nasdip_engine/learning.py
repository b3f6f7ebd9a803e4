"""How a final fit went: after which iterations it leaves a still, and its learning curve, thin enough to be kept.

Iteration numbers alone decide what is kept, never a clock: the same fit leaves the same stills and the same curve on
every machine that gives the same bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

__all__ = [
    "MOST_LOOKS",
    "MOST_STILLS",
    "STILLS_FOLDER",
    "Learning",
    "learning_record",
    "still_iterations",
    "thinned",
]

MOST_STILLS = 12
MOST_LOOKS = 60
"""Points of a kept curve, beside those of stills, of the best look and of the last one."""
STILLS_FOLDER = "stills"
"""Where a run folder has the stills, ITERATION.png each."""
_BETWEEN = MOST_STILLS - 3  # beside the first iteration, the best one and the last


class Learning(TypedDict):
    """How far a fit has learnt: what is told while it goes on.

    curve: (iteration, held-out PSNR in dB) at the kept looks; empty where nothing is held out.  stills: the
    iterations that have one.  of: the most iterations that it may take.  best_iteration: where its output was taken, and
    iterations: how many it did; None while it goes on.
    """

    curve: list[tuple[int, float]]
    stills: list[int]
    of: int
    best_iteration: int | None
    iterations: int | None


def still_iterations(limit: int, every: int) -> frozenset[int]:
    """After which iterations of a fit a still is made, beside the best look and the last iteration.

    limit: the most iterations.  every: iterations between two looks, so that a still has its held-out PSNR.  The
    first, and then in about equal ratios up to the limit; with the best and the last at most MOST_STILLS.
    """
    ratio = limit / every
    looks = (
        {every * round(ratio ** (step / (_BETWEEN - 1))) for step in range(_BETWEEN)} if ratio > 1 else set()
    )
    return frozenset({1, limit} | {look for look in looks if look <= limit})


def thinned(
    curve: Sequence[Sequence[float]], keep: Iterable[int] = (), most: int = MOST_LOOKS
) -> list[tuple[int, float]]:
    """The looks (iteration, dB) of a learning curve, evenly thinned to `most`; the best, the last and `keep` stay.

    keep: iterations.  Decibels are rounded to 0.001.  Thinning again changes nothing more than the rest's spacing.
    """
    if not curve:
        return []
    stride = -(-len(curve) // most)
    best = max(curve, key=lambda look: look[1])  # the earlier of equal ones, as the fit takes it
    kept = {*keep, best[0], curve[-1][0]}
    return [
        (int(iteration), round(decibels, 3))
        for number, (iteration, decibels) in enumerate(curve, start=1)
        if number % stride == 0 or iteration in kept
    ]


def learning_record(outcome: Mapping[str, Any] | None, tile: int | None = None) -> dict[str, Any] | None:
    """What `run.json` says of how a final fit went; None where it was taken out or came to no end.

    outcome: of a FINISH.  tile: which of several parts of the picture it was of.  `iterations` are those of the fit
    that the curve is of; `refit_iterations` those of the one that followed with all observations (decision 15).
    """
    if outcome is None or outcome.get("reason") is not None or not outcome.get("iterations"):
        return None
    curve = outcome.get("curve") or []
    iterations = curve[-1][0] if curve else outcome["iterations"]
    return {
        "tile": tile,
        "curve": [list(look) for look in thinned(curve, outcome.get("stills") or ())],
        "best_iteration": outcome["best_iteration"],
        "iterations": iterations,
        "refit_iterations": outcome["iterations"] - iterations,
    }
