"""From the final fits to one picture: each network alone, or the mean of them all (docs/decisions/0004-final-fit.md).

Two fits of classical DIP, averaged, are worth +0.57 dB over one; but a poor network drags a good one down.
So the held-out observations, which none of the fits saw, choose between the mean and each one alone. Where nothing is
held out, the search's own score chooses: LPIPS against what was observed (eq. 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasdip_engine.bit_depth import Samples
from nasdip_engine.errors import SettingsError
from nasdip_engine.evolution.settings import SearchSettings
from nasdip_engine.restoration.degradation import degradation_for, held_out_error, held_out_set
from nasdip_engine.restoration.fitness import held_out_psnr
from nasdip_engine.restoration.perceptual import observed_distance
from nasdip_engine.task import Task

__all__ = ["MEAN", "Combination", "combine_finals"]

MEAN = "mean"


@dataclass(frozen=True)
class Combination:
    """What the final fits gave together.

    array: float32 (H, W, 3) in [0, 1].  choice: "mean" or the name of the network taken alone.
    picture: uint8 or uint16 (H, W, 3), known pixels as observed.  held_out_psnr: of the choice, in dB; None where
    nothing is held out.  singles: the same of each network, in the order given.
    error: mean squared, of the choice; where nothing is held out its LPIPS, or 0 for the only network.
    held_out: so many observations were.
    """

    array: NDArray[np.float32]
    picture: Samples
    choice: str
    held_out_psnr: float | None
    singles: tuple[float | None, ...]
    error: float
    held_out: int


def combine_finals(
    arrays: Sequence[NDArray[np.float32]],
    names: Sequence[str],
    *,
    pixels: Samples,
    mask: NDArray[np.bool_] | None,
    task: Task,
    settings: SearchSettings,
    evaluation_seed: int,
    bit_depth: int | None = None,
) -> Combination:
    """Take what has the least held-out error, or else LPIPS: a network alone (the first of equals) or the mean.

    arrays: float32 (H, W, 3) restorations of the frame `pixels`, (h, w, 3) of 8 or 16 bits; or (2, H, W, 3) where a
    second fit saw all observations (`SearchSettings.refits`): the first is chosen by, the second shown.  names: their
    genomes.  bit_depth: of the picture, the frame's own if None.
    Raises SettingsError where there is none, or where arrays, names and frame do not belong together.
    """
    degradation = degradation_for(task, pixels, mask)
    held_out = held_out_set(
        degradation, task, settings.hold_out_share, evaluation_seed, settings.hold_out_block
    )
    watched = bool(held_out.any())
    twice = settings.refits(task) and watched
    _check(arrays, names, (2, *degradation.output_size) if twice else degradation.output_size)

    def error(array: NDArray[np.float32]) -> float:
        judged = array[0] if twice else array
        return (
            held_out_error(degradation, judged, held_out)
            if watched
            else observed_distance(degradation, judged)
        )

    # One network is taken whatever it is worth: there is nothing to choose.
    errors = [error(array) for array in arrays] if watched or len(arrays) > 1 else [0.0]
    best = min(range(len(arrays)), key=errors.__getitem__)
    chosen, choice, least = arrays[best], names[best], errors[best]
    if len(arrays) > 1:
        mean = np.asarray(np.mean(np.stack(arrays), axis=0, dtype=np.float64), dtype=np.float32)
        mean_error = error(mean)
        if mean_error < least:
            chosen, choice, least = mean, MEAN, mean_error
    chosen = chosen[1] if twice else chosen
    decibels = [held_out_psnr(value) if watched else None for value in (least, *errors)]
    picture = degradation.compose(chosen, bit_depth)
    count = int(held_out.sum())
    return Combination(chosen, picture, choice, decibels[0], tuple(decibels[1:]), least, count)


def _check(arrays: Sequence[NDArray[np.float32]], names: Sequence[str], size: tuple[int, ...]) -> None:
    if not arrays or len(arrays) != len(names):
        raise SettingsError(
            f"{len(arrays)} restorations and {len(names)} genomes; as many of each, 1 at least"
        )
    for array, name in zip(arrays, names, strict=True):
        if array.shape != (*size, 3) or array.dtype != np.float32:
            raise SettingsError(
                f"the restoration by {name} is {array.dtype} {array.shape}; float32 {(*size, 3)} fits"
            )
