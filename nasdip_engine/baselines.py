"""Training-free references in the same harness, shown beside the result also when they win.

Each is scored on the very observations that the networks did not see. A filter that could look at them would
be scored too well, so for the score they are first replaced by a guess from their neighbours (J-invariance,
Batson and Royer 2019) or made part of the hole; the picture that is shown uses every observation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from nasdip_engine.bit_depth import Samples, in_unit_range
from nasdip_engine.errors import SettingsError
from nasdip_engine.framing import resized_floats
from nasdip_engine.restoration.degradation import Degradation, degradation_for, held_out_error, held_out_set
from nasdip_engine.restoration.fitness import held_out_psnr
from nasdip_engine.restoration.noise_level import noise_sigma
from nasdip_engine.task import IMPULSE, NONE, Task, TaskKind

__all__ = [
    "BICUBIC",
    "BIHARMONIC",
    "BIHARMONIC_THEN_MEANS",
    "MEDIAN",
    "MEDIAN_THEN_BIHARMONIC",
    "MEDIAN_THEN_NEAREST",
    "NEAREST",
    "NEAREST_THEN_MEANS",
    "NON_LOCAL_MEANS",
    "Baseline",
    "baseline",
    "baseline_method",
    "fill_from_neighbours",
]

NON_LOCAL_MEANS = "non-local means"
BIHARMONIC = "biharmonic"
NEAREST = "nearest pixel"
BICUBIC = "bicubic"
MEDIAN = "median filter, 3 x 3"
BIHARMONIC_THEN_MEANS = "biharmonic, then non-local means"
NEAREST_THEN_MEANS = "nearest pixel, then non-local means"
MEDIAN_THEN_BIHARMONIC = "median filter, then biharmonic"
MEDIAN_THEN_NEAREST = "median filter, then nearest pixel"

_BIHARMONIC_LIMIT = 60_000
"""Pixels to fill, held-out ones included, up to which biharmonic filling is used: it solves one sparse system
of that many unknowns, about half a second for 50,000 and growing faster than they do, in memory too."""

FloatArray = NDArray[np.float32]
_Fill = Callable[[FloatArray, NDArray[np.bool_]], FloatArray]
_Method = Callable[[FloatArray, NDArray[np.bool_], Degradation], FloatArray]


@dataclass(frozen=True, eq=False)
class Baseline:
    """picture: uint8 or uint16 (H, W, 3), from every observation; array: the same in [0, 1], before rounding.

    held_out_psnr: in dB, of one made without the held-out observations; error: mean squared, of that one; held_out:
    how many they are.  None and 0 where nothing is held out.
    """

    method: str
    picture: Samples
    array: FloatArray
    held_out_psnr: float | None
    error: float
    held_out: int


def baseline_method(task: Task, to_fill: int) -> str:
    """The reference of a task; `to_fill` pixels (hole and held-out) decide between two for a hole.

    Impulses get a median filter, which is made for them; other noise gets non-local means, which estimates its
    strength; a hole in a noisy picture gets one filling and one filter, each before the other where it must be.
    """
    if task.kind is TaskKind.UPSCALE:
        return BICUBIC
    if task.kind is TaskKind.DENOISE:
        return MEDIAN if task.noise == IMPULSE else NON_LOCAL_MEANS
    few = to_fill <= _BIHARMONIC_LIMIT
    if task.noise == NONE:
        return BIHARMONIC if few else NEAREST
    if task.noise == IMPULSE:
        return MEDIAN_THEN_BIHARMONIC if few else MEDIAN_THEN_NEAREST
    return BIHARMONIC_THEN_MEANS if few else NEAREST_THEN_MEANS


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
        return Baseline(method, degradation.compose(shown, bit_depth), shown, None, 0.0, 0)
    scored = restore(observed, hidden, degradation)
    alive()
    error = held_out_error(degradation, scored, held_out)
    count = int(held_out.sum())
    return Baseline(method, degradation.compose(shown, bit_depth), shown, held_out_psnr(error), error, count)


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


def _guess(observed: FloatArray, hidden: NDArray[np.bool_]) -> FloatArray:
    """Held-out pixels replaced by what is around them: single ones by their neighbours, blocks biharmonically."""
    if not hidden.any():
        return observed
    inside = hidden & ~ndimage.binary_dilation(~hidden, structure=np.ones((3, 3), dtype=np.bool_))
    if inside.any() and np.count_nonzero(hidden) <= _BIHARMONIC_LIMIT:
        return _filled(observed, hidden)
    return fill_from_neighbours(observed, hidden)


def _filled(observed: FloatArray, hidden: NDArray[np.bool_]) -> FloatArray:
    from skimage.restoration import inpaint_biharmonic  # slow to import

    return _in_range(inpaint_biharmonic(observed, hidden, channel_axis=-1))


def _means(picture: FloatArray, sigma: float | None) -> FloatArray:
    """Non-local means against noise of standard deviation `sigma`; a picture without noise is left as it is."""
    from skimage.restoration import denoise_nl_means  # slow to import

    if not sigma:
        return picture
    # Strength 0.7: with the noise known, the best of 0.5 to 1 on a photograph at sigma 25.
    restored = denoise_nl_means(
        picture, patch_size=5, patch_distance=6, h=0.7 * sigma, sigma=sigma, fast_mode=True, channel_axis=-1
    )
    return _in_range(restored)


def _non_local_means(observed: FloatArray, hidden: NDArray[np.bool_], _: Degradation) -> FloatArray:
    return _means(_guess(observed, hidden), noise_sigma(observed))


def _filled_then_means(fill: _Fill) -> _Method:
    def restore(observed: FloatArray, hidden: NDArray[np.bool_], _: Degradation) -> FloatArray:
        guessed = fill(observed, hidden)
        # Where no 4 x 4 pixels are known together the filled picture has to tell.
        return _means(guessed, noise_sigma(observed, ~hidden) or noise_sigma(guessed))

    return restore


def _median(observed: FloatArray, hidden: NDArray[np.bool_], _: Degradation) -> FloatArray:
    median: FloatArray = ndimage.median_filter(_guess(observed, hidden), size=(3, 3, 1))
    return median


def _median_then_filled(fill: _Fill) -> _Method:
    """The filter first: a filling would carry impulses at the rim far into the hole."""

    def restore(observed: FloatArray, hidden: NDArray[np.bool_], _: Degradation) -> FloatArray:
        return fill(ndimage.median_filter(_nearest(observed, hidden), size=(3, 3, 1)), hidden)

    return restore


def _biharmonic(observed: FloatArray, hidden: NDArray[np.bool_], _: Degradation) -> FloatArray:
    return _filled(observed, hidden)


def _nearest_pixel(observed: FloatArray, hidden: NDArray[np.bool_], _: Degradation) -> FloatArray:
    return _nearest(observed, hidden)


def _bicubic(observed: FloatArray, hidden: NDArray[np.bool_], degradation: Degradation) -> FloatArray:
    height, width = degradation.output_size
    return _in_range(resized_floats(_guess(observed, hidden), width, height, Image.Resampling.BICUBIC))


def _in_range(restored: NDArray[Any]) -> FloatArray:
    return np.asarray(np.clip(restored, 0, 1), dtype=np.float32)


_METHODS: dict[TaskKind, dict[str, _Method]] = {
    TaskKind.DENOISE: {NON_LOCAL_MEANS: _non_local_means, MEDIAN: _median},
    TaskKind.INPAINT: {
        BIHARMONIC: _biharmonic,
        NEAREST: _nearest_pixel,
        BIHARMONIC_THEN_MEANS: _filled_then_means(_filled),
        NEAREST_THEN_MEANS: _filled_then_means(_nearest),
        MEDIAN_THEN_BIHARMONIC: _median_then_filled(_filled),
        MEDIAN_THEN_NEAREST: _median_then_filled(_nearest),
    },
    TaskKind.UPSCALE: {BICUBIC: _bicubic},
}
