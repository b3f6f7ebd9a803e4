"""Training-free references in the same harness, shown beside the result also when they win.

Each is scored on the very observations that the networks did not see. A filter that could look at them would
be scored too well, so for the score they are first replaced by a guess from their neighbours (J-invariance,
Batson and Royer 2019) or made part of the hole; the picture that is shown uses every observation.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from nasdip_engine.bit_depth import Samples, in_unit_range
from nasdip_engine.errors import SettingsError
from nasdip_engine.restoration.degradation import Degradation, degradation_for, held_out_error, held_out_set
from nasdip_engine.restoration.fitness import held_out_psnr
from nasdip_engine.task import Task, TaskKind

__all__ = ["BICUBIC", "BIHARMONIC", "NEAREST", "NON_LOCAL_MEANS", "Baseline", "baseline", "baseline_method"]

NON_LOCAL_MEANS = "non-local means"
BIHARMONIC = "biharmonic"
NEAREST = "nearest pixel"
BICUBIC = "bicubic"

_BIHARMONIC_LIMIT = 60_000
"""Pixels to fill, held-out ones included, up to which biharmonic filling is used: it solves one sparse system
of that many unknowns, about half a second for 50,000 and growing faster than they do, in memory too."""

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Baseline:
    """picture: uint8 or uint16 (H, W, 3), from every observation.  held_out_psnr: in dB, of one made without the held-out
    ones; None where nothing is held out."""

    method: str
    picture: Samples
    held_out_psnr: float | None


def baseline_method(task: Task, to_fill: int) -> str:
    """The reference of a task; `to_fill` pixels (hole and held-out) decide between two for a hole."""
    if task.kind is TaskKind.DENOISE:
        return NON_LOCAL_MEANS
    if task.kind is TaskKind.UPSCALE:
        return BICUBIC
    return BIHARMONIC if to_fill <= _BIHARMONIC_LIMIT else NEAREST


def baseline(
    task: Task,
    pixels: Samples,
    mask: NDArray[np.bool_] | None,
    *,
    hold_out_share: float,
    evaluation_seed: int,
    method: str | None = None,
    bit_depth: int | None = None,
    alive: Callable[[], None],
) -> Baseline:
    """The reference restoration of one frame.

    pixels: uint8 or uint16 (h, w, 3).  mask: bool (h, w), True = known, or None.  method: the task's own if
    None.  bit_depth: of the picture, that of the pixels if None.
    `alive` is called between the steps.  Raises SettingsError for a method that is not of this task.
    """
    degradation = degradation_for(task, pixels, mask)
    held_out = held_out_set(degradation, task, hold_out_share, evaluation_seed)
    hidden = held_out.numpy() | ~degradation.known.numpy()
    method = method or baseline_method(task, int(np.count_nonzero(hidden)))
    if method not in _METHODS[task.kind]:
        raise SettingsError(
            f"{method!r} is no reference for {task.kind}; it has {', '.join(_METHODS[task.kind])}"
        )
    restore = _METHODS[task.kind][method]
    observed = in_unit_range(pixels)
    alive()
    shown = restore(observed, ~degradation.known.numpy(), degradation)
    alive()
    if not held_out.any():
        return Baseline(method, degradation.compose(shown), None)
    scored = restore(observed, hidden, degradation)
    alive()
    error = held_out_error(degradation, scored, held_out)
    return Baseline(method, degradation.compose(shown, bit_depth), held_out_psnr(error))


def fill_from_neighbours(observed: FloatArray, hidden: NDArray[np.bool_]) -> FloatArray:
    """Replace hidden pixels by the weighted mean of the seen ones among their 8 neighbours.

    observed: float32 (h, w, 3).  Pixels without a seen neighbour get the nearest seen one.
    """
    weights = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]], dtype=np.float64)
    seen = (~hidden).astype(np.float64)
    total = ndimage.convolve(seen, weights, mode="constant")
    sums = [ndimage.convolve(seen * observed[..., channel], weights, mode="constant") for channel in range(3)]
    means = np.stack(sums, axis=-1) / np.maximum(total, 1)[..., None]
    lonely = hidden & (total == 0)
    filled = np.where(hidden[..., None], means, observed).astype(np.float32)
    return np.where(lonely[..., None], _nearest(observed, hidden), filled)


def _nearest(observed: FloatArray, hidden: NDArray[np.bool_]) -> FloatArray:
    rows, columns = ndimage.distance_transform_edt(hidden, return_distances=False, return_indices=True)
    nearest: FloatArray = observed[rows, columns]
    return nearest


def _non_local_means(observed: FloatArray, hidden: NDArray[np.bool_], _: Degradation) -> FloatArray:
    from skimage.restoration import denoise_nl_means, estimate_sigma  # slow to import

    guessed = fill_from_neighbours(observed, hidden) if hidden.any() else observed
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", RuntimeWarning
        )  # the estimate of a picture without detail is not a number
        sigma = float(np.mean(estimate_sigma(observed, channel_axis=-1)))  # type: ignore[no-untyped-call]
    if not sigma > 0:
        return guessed
    # Strength 0.7: with the noise known, the best of 0.5 to 1 on a photograph at sigma 25.
    restored = denoise_nl_means(
        guessed, patch_size=5, patch_distance=6, h=0.7 * sigma, sigma=sigma, fast_mode=True, channel_axis=-1
    )
    return _in_range(restored)


def _biharmonic(observed: FloatArray, hidden: NDArray[np.bool_], _: Degradation) -> FloatArray:
    from skimage.restoration import inpaint_biharmonic  # slow to import

    return _in_range(inpaint_biharmonic(observed, hidden, channel_axis=-1))


def _nearest_pixel(observed: FloatArray, hidden: NDArray[np.bool_], _: Degradation) -> FloatArray:
    return _nearest(observed, hidden)


def _bicubic(observed: FloatArray, hidden: NDArray[np.bool_], degradation: Degradation) -> FloatArray:
    guessed = fill_from_neighbours(observed, hidden) if hidden.any() else observed
    height, width = degradation.output_size
    planes = [Image.fromarray(np.ascontiguousarray(guessed[..., channel]), mode="F") for channel in range(3)]
    enlarged = [np.asarray(plane.resize((width, height), Image.Resampling.BICUBIC)) for plane in planes]
    return _in_range(np.stack(enlarged, axis=-1))


def _in_range(restored: NDArray[Any]) -> FloatArray:
    return np.asarray(np.clip(restored, 0, 1), dtype=np.float32)


_Method = Callable[[FloatArray, NDArray[np.bool_], Degradation], FloatArray]
_METHODS: dict[TaskKind, dict[str, _Method]] = {
    TaskKind.DENOISE: {NON_LOCAL_MEANS: _non_local_means},
    TaskKind.INPAINT: {BIHARMONIC: _biharmonic, NEAREST: _nearest_pixel},
    TaskKind.UPSCALE: {BICUBIC: _bicubic},
}
