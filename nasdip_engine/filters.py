"""Classical filters against noise, without training: Gaussian blur, median, non-local means, BM3D.

All take and return float32 (h, w, 3) in [0, 1]; `sigma` of noise is its standard deviation on that range.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import util
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = [
    "bm3d",
    "bm3d_in_bands",
    "bm3d_is_installed",
    "gaussian_blur",
    "median",
    "non_local_means",
    "weight_of_itself",
]

FloatArray = NDArray[np.float32]

_BAND_PIXELS = 2**16
_BAND_MARGIN = 40
"""Rows that a band of BM3D sees beyond its own: its patches are found within 39 pixels."""


def gaussian_blur(picture: FloatArray, width: float) -> FloatArray:
    """Convolution with a Gaussian of standard deviation `width` in pixels; the edge's pixels go on beyond it."""
    blurred: FloatArray = ndimage.gaussian_filter(picture, (width, width, 0), mode="nearest")
    return blurred


def weight_of_itself(width: float) -> float:
    """How much of a pixel stays in it when it is blurred, in [0, 1]."""
    point = np.zeros(2 * round(4 * width) + 3)
    point[point.size // 2] = 1
    return float(ndimage.gaussian_filter1d(point, width, mode="nearest").max()) ** 2


def median(picture: FloatArray, side: int = 3) -> FloatArray:
    """The median of side x side pixels, channel by channel."""
    middle: FloatArray = ndimage.median_filter(picture, size=(side, side, 1))
    return middle


def non_local_means(picture: FloatArray, sigma: float | None, strength: float = 0.7) -> FloatArray:
    """Non-local means (Buades et al. 2005) against noise of `sigma`, scikit-image's; without noise nothing is done.

    strength: its h by sigma; 0.7 was the best of 0.5 to 1 on a photograph at sigma 25.
    """
    from skimage.restoration import denoise_nl_means  # slow to import

    if not sigma:
        return picture
    restored = denoise_nl_means(
        picture,
        patch_size=5,
        patch_distance=6,
        h=strength * sigma,
        sigma=sigma,
        fast_mode=True,
        channel_axis=-1,
    )
    return _in_range(restored)


def bm3d_is_installed() -> bool:
    """Whether the package bm3d is there. Its licence is for non-commercial use, so nothing here installs it for a user."""
    return util.find_spec("bm3d") is not None


def bm3d(picture: FloatArray, sigma: float | None) -> FloatArray:
    """Colour BM3D (Dabov et al. 2007) against white noise of `sigma`, its authors' package with its own settings, on one thread.

    About half a minute of a core for 512 x 512 pixels.  Without noise nothing is done.  A grey picture's one channel is done
    alone, and where another opponent channel is constant each of the three.  Raises ImportError without the package.
    """
    import bm3d as authors  # optional

    if not sigma:
        return picture
    profile = authors.BM3DProfile()
    profile.num_threads = 1  # with more, no two results are equal to the bit, and now and then one is wrong
    floats = picture.astype(np.float64)
    if _opponents_vary(floats):
        return _in_range(authors.bm3d_rgb(floats, sigma, profile))
    if not np.ptp(floats, axis=2).any():
        return _in_range(np.repeat(authors.bm3d(floats[..., 0], sigma, profile)[..., None], 3, axis=2))
    planes = [
        authors.bm3d(np.ascontiguousarray(plane), sigma, profile) for plane in np.moveaxis(floats, 2, 0)
    ]
    return _in_range(np.stack(planes, axis=2))


def _opponents_vary(picture: NDArray[np.float64]) -> bool:
    """Whether the package's colour transform is defined: it divides by the range of each opponent channel.

    Of a grey picture two of them are 0 but for rounding, and the result would be no number, or rounding made large.
    """
    red, green, blue = np.moveaxis(picture, 2, 0)
    ranges = [np.ptp(one) for one in (red + green + blue, red - blue, red / 2 - green + blue / 2)]
    return bool(min(ranges) > 1e-6)


def bm3d_in_bands(picture: FloatArray, sigma: float | None, alive: Callable[[], None]) -> FloatArray:
    """`bm3d` in bands of rows of up to 65,536 pixels, `alive` called before each: one call could look like a hang.

    A picture of one band is done whole. Each band sees 40 rows more on both sides.
    """
    height, width = picture.shape[:2]
    rows = max(1, _BAND_PIXELS // width)
    made = np.empty_like(picture, dtype=np.float32)
    for first in range(0, height, rows):
        alive()
        end = min(first + rows, height)
        top = max(0, first - _BAND_MARGIN)
        band = bm3d(picture[top : end + _BAND_MARGIN], sigma)
        made[first:end] = band[first - top : end - top]
    return made


def _in_range(restored: NDArray[Any]) -> FloatArray:
    return np.asarray(np.clip(restored, 0, 1), dtype=np.float32)
