"""Training-free references in the same harness, shown beside the result also when they win.

Each is scored on the very observations that the networks did not see. A filter that could look at them would
be scored too well, so for the score they are first replaced by a guess from their neighbours (J-invariance,
Batson and Royer 2019) or made part of the hole; the picture that is shown uses every observation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from nasdip_engine import baseline_names as names
from nasdip_engine import fillings, filters
from nasdip_engine.baseline_names import baselines_of
from nasdip_engine.bit_depth import Samples, in_unit_range
from nasdip_engine.errors import LeftOutError, SettingsError
from nasdip_engine.framing import resized_floats
from nasdip_engine.restoration.degradation import Degradation, degradation_for, held_out_error, held_out_set
from nasdip_engine.restoration.fitness import held_out_psnr
from nasdip_engine.restoration.noise_level import noise_sigma
from nasdip_engine.task import CORRELATED, Task, TaskKind

__all__ = ["Baseline", "baseline", "baseline_method", "check_makeable"]

_LIMITS = {names.BIHARMONIC: 60_000, names.HARMONIC: 300_000, names.TELEA: 300_000}
"""Pixels to fill, held-out ones included, up to which a filling is used.  Biharmonic solves one sparse system of that
many unknowns, about half a second for 50,000 and growing faster than they do, in memory too; of 260,000 harmonic takes
seconds and 500 MB, Telea, pixel by pixel, about 10 s."""
_BM3D_LIMIT = 2**20
"""Pixels of a picture up to which BM3D is computed: minutes of a core a megapixel, twice, for picture and score."""
_BLUR_WIDTHS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0)  # pixels
_BLUR_WIDTH_CORRELATED = 0.6
"""Pixels; gains 0.4 to 0.9 dB on a camera's noise and JPEG, in the mean of six photographs (decision 19)."""

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]


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


@dataclass(frozen=True, eq=False)
class _Given:
    """What a reference may look at: `observed`, float32 (h, w, 3) in [0, 1], where not `hidden`, bool (h, w).

    correlated: whether near pixels are taken to share their noise.
    """

    observed: FloatArray
    hidden: BoolArray
    degradation: Degradation
    correlated: bool
    alive: Callable[[], None]

    def sigma(self) -> float | None:
        """Of the noise of all that was observed."""
        return noise_sigma(self.observed, correlated=self.correlated)


_Fill = Callable[[FloatArray, BoolArray], FloatArray]
_Method = Callable[[_Given], FloatArray]


def baseline_method(task: Task, to_fill: int) -> str:
    """The task's own reference where `to_fill` pixels (hole and held-out) are to be filled: the first that can be made."""
    return next(name for name in baselines_of(task) if to_fill <= _limit(task, name))


def check_makeable(task: Task, method: str, to_fill: int, pixels: int) -> None:
    """Raise LeftOutError, a sentence, where a reference of a task is not made.

    to_fill: pixels of the largest part, hole and held-out; pixels: of the observation, all parts together.
    Raises SettingsError for a method that is not of this task.
    """
    if method not in _METHODS[task.kind]:
        raise SettingsError(
            f"{method!r} is no reference for {task.kind}; it has {', '.join(_METHODS[task.kind])}"
        )
    limit = _limit(task, method)
    if to_fill > limit:
        raise LeftOutError(
            f"{method}: {to_fill:,} pixels are to be filled, held-out ones included; it is computed for up to {limit:,}."
        )
    if method == names.BM3D and not filters.bm3d_is_installed():
        raise LeftOutError(
            "BM3D: the package bm3d, free for non-commercial use alone, is not installed; where that use is yours, "
            "`pip install bm3d` adds it."
        )
    if method == names.BM3D and pixels > _BM3D_LIMIT:
        raise LeftOutError(
            f"BM3D: the picture has {pixels:,} pixels; it is computed for up to {_BM3D_LIMIT:,}."
        )


def baseline(
    task: Task,
    pixels: Samples,
    mask: BoolArray | None,
    *,
    hold_out_share: float,
    hold_out_block: int,
    evaluation_seed: int,
    method: str | None = None,
    bit_depth: int | None = None,
    alive: Callable[[], None],
) -> Baseline:
    """The reference restoration of one frame.

    pixels: uint8 or uint16 (h, w, 3).  mask: bool (h, w), True = known, or None.  method: the task's own if
    None.  bit_depth: of the picture, that of the pixels if None.
    `alive` is called between the steps.  Raises what `check_makeable` raises, and LeftOutError where the method fails.
    """
    degradation = degradation_for(task, pixels, mask)
    held_out = held_out_set(degradation, task, hold_out_share, evaluation_seed, hold_out_block)
    missing = ~degradation.known.numpy()
    hidden = held_out.numpy() | missing
    to_fill = int(np.count_nonzero(hidden))
    method = method or baseline_method(task, to_fill)
    check_makeable(task, method, to_fill, missing.size)
    restore = _METHODS[task.kind][method]
    given = _Given(in_unit_range(pixels), missing, degradation, task.noise == CORRELATED, alive)
    alive()
    shown = _numbers(method, restore(given))
    alive()
    if not held_out.any():
        return Baseline(method, degradation.compose(shown, bit_depth), shown, None, 0.0, 0)
    scored = _numbers(method, restore(replace(given, hidden=hidden)))
    alive()
    error = held_out_error(degradation, scored, held_out)
    count = int(held_out.sum())
    return Baseline(method, degradation.compose(shown, bit_depth), shown, held_out_psnr(error), error, count)


def _numbers(method: str, made: FloatArray) -> FloatArray:
    """What a method made.  Raises LeftOutError where some of it is no number: no figure of it could be recorded."""
    if not np.isfinite(made).all():
        raise LeftOutError(f"{method}: it gave values that are no numbers for this picture.")
    return made


def _limit(task: Task, method: str) -> float:
    """Pixels to fill up to which a method is computed."""
    if task.kind is not TaskKind.INPAINT:
        return np.inf
    filling = next(
        (one for one in names.FILLINGS if method in (one, names.then_means(one), names.median_then(one))), ""
    )
    return _LIMITS.get(filling, np.inf)


# ------------------------------------------------------------------------------------------------------- against noise


def _guess(observed: FloatArray, hidden: BoolArray) -> FloatArray:
    """Held-out pixels replaced by what is around them: single ones by their neighbours, blocks biharmonically."""
    if not hidden.any():
        return observed
    inside = hidden & ~ndimage.binary_dilation(~hidden, structure=np.ones((3, 3), dtype=np.bool_))
    if inside.any() and np.count_nonzero(hidden) <= _LIMITS[names.BIHARMONIC]:
        return fillings.biharmonic(observed, hidden)
    return fillings.fill_from_neighbours(observed, hidden)


def _non_local_means(given: _Given) -> FloatArray:
    return filters.non_local_means(_guess(given.observed, given.hidden), given.sigma())


def _bm3d(given: _Given) -> FloatArray:
    return filters.bm3d_in_bands(_guess(given.observed, given.hidden), given.sigma(), given.alive)


def _blur(given: _Given) -> FloatArray:
    """The width is the one with the least risk by Stein's unbiased estimate (Stein 1981), for the noise as estimated.

    Of a linear filter that is the squared change, and twice the variance times the weight of a pixel on itself. It holds
    where each pixel has noise of its own; where near pixels share theirs the width is fixed.
    """
    guessed = _guess(given.observed, given.hidden)
    if given.correlated:
        return filters.gaussian_blur(guessed, _BLUR_WIDTH_CORRELATED)
    sigma = given.sigma()
    if not sigma:
        return guessed

    def risk(width: float) -> float:
        change = np.mean(np.square(filters.gaussian_blur(guessed, width) - guessed))
        return float(change) + 2 * sigma**2 * filters.weight_of_itself(width)

    return filters.gaussian_blur(guessed, min(_BLUR_WIDTHS, key=risk))


def _median(side: int) -> _Method:
    return lambda given: filters.median(_guess(given.observed, given.hidden), side)


# -------------------------------------------------------------------------------------------------------- for a hole


def _filled(fill: _Fill) -> _Method:
    return lambda given: fill(given.observed, given.hidden)


def _filled_then_means(fill: _Fill) -> _Method:
    def restore(given: _Given) -> FloatArray:
        filled = fill(given.observed, given.hidden)
        # Where too few pixels are known together the filled picture has to tell.
        sigma = noise_sigma(given.observed, ~given.hidden, correlated=given.correlated) or noise_sigma(
            filled, correlated=given.correlated
        )
        return filters.non_local_means(filled, sigma)

    return restore


def _median_then_filled(fill: _Fill) -> _Method:
    """The filter first: a filling would carry impulses at the rim far into the hole."""
    return lambda given: fill(filters.median(fillings.nearest(given.observed, given.hidden)), given.hidden)


# ------------------------------------------------------------------------------------------------------- enlargement


def _enlarged(kernel: Image.Resampling) -> _Method:
    def restore(given: _Given) -> FloatArray:
        height, width = given.degradation.output_size
        guessed = _guess(given.observed, given.hidden)
        return np.clip(resized_floats(guessed, width, height, kernel), 0, 1)

    return restore


_FILLINGS: dict[str, _Fill] = {
    names.BIHARMONIC: fillings.biharmonic,
    names.NEAREST: fillings.nearest,
    names.HARMONIC: fillings.harmonic,
    names.TELEA: fillings.telea,
}
_METHODS: dict[TaskKind, dict[str, _Method]] = {
    TaskKind.DENOISE: {
        names.NON_LOCAL_MEANS: _non_local_means,
        names.BM3D: _bm3d,
        names.GAUSSIAN_BLUR: _blur,
        names.MEDIAN: _median(3),
        names.WIDE_MEDIAN: _median(5),
    },
    TaskKind.INPAINT: {
        **{name: _filled(fill) for name, fill in _FILLINGS.items()},
        **{names.then_means(name): _filled_then_means(fill) for name, fill in _FILLINGS.items()},
        **{names.median_then(name): _median_then_filled(fill) for name, fill in _FILLINGS.items()},
    },
    TaskKind.UPSCALE: {
        names.BICUBIC: _enlarged(Image.Resampling.BICUBIC),
        names.LANCZOS: _enlarged(Image.Resampling.LANCZOS),
        names.NEAREST: _enlarged(Image.Resampling.NEAREST),
    },
}
