"""How near a restoration is to a reference, where there is one. Only LPIPS needs torch."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nasdip_engine.bit_depth import Samples
from nasdip_engine.errors import PictureError

__all__ = ["NO_SCORES", "psnr", "scores", "ssim"]

Pixels = Samples

NO_SCORES: dict[str, float | None] = {"psnr": None, "ssim": None, "lpips": None}
"""What `scores` would say of a picture that is not there."""
_WINDOW = 11  # pixels a side, the window of Wang et al. 2004
_BAND_PIXELS = 2**20


def scores(picture: Pixels, reference: Pixels) -> dict[str, float | None]:
    """All three as a JSON value: `psnr` in dB (None for equal pictures, since JSON has no infinity), `ssim`, `lpips`.

    picture, reference: (h, w, 3) of one size, 31 px a side at least, which every picture that the engine takes has.
    Raises PictureError for others.
    """
    from nasdip_engine.restoration.perceptual import lpips  # torch

    decibels = psnr(picture, reference)
    return {
        "psnr": decibels if math.isfinite(decibels) else None,
        "ssim": ssim(picture, reference),
        "lpips": lpips(picture, reference),
    }


def psnr(picture: Pixels, reference: Pixels, among: NDArray[np.bool_] | None = None) -> float:
    """Peak signal-to-noise ratio in dB of (h, w, 3) pictures, uint8 or uint16; infinite for equal ones.

    among: bool (h, w), the pixels to compare, one at least; all of them without it.  Raises PictureError for two sizes.
    """
    _same_size(picture, reference)
    squares, count = 0.0, 0
    for rows in _bands(*picture.shape[:2]):
        difference = _unit(picture[rows]) - _unit(reference[rows])
        if among is not None:
            difference = difference[among[rows]]
        squares += float(np.sum(np.square(difference)))
        count += difference.size
    error = squares / count
    return math.inf if error == 0 else -10 * math.log10(error)


def ssim(picture: Pixels, reference: Pixels) -> float:
    """Structural similarity of (h, w, 3) pictures, Gaussian window of 11 px, mean over the channels.

    picture, reference: uint8 or uint16.  1 for equal pictures.  Raises PictureError for two sizes, or sides under 11 px.
    """
    from skimage.metrics import structural_similarity  # slow to import, wanted only with a reference

    _same_size(picture, reference)
    if min(picture.shape[:2]) < _WINDOW:
        raise PictureError(f"SSIM needs {_WINDOW} pixels a side; the picture is {_size(picture)}")
    rim = _WINDOW // 2  # the map is averaged where the window lies inside the picture
    total, height = 0.0, picture.shape[0] - 2 * rim
    for rows in _bands(height, picture.shape[1]):
        seen = slice(rows.start, rows.stop + 2 * rim)
        score = structural_similarity(  # type: ignore[no-untyped-call]
            _unit(reference[seen]),
            _unit(picture[seen]),
            channel_axis=2,
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        total += float(score) * (rows.stop - rows.start)
    return float(total / height)


def _bands(height: int, width: int) -> Iterator[slice]:
    """Rows, so many at a time: the doubles of a whole large picture would need gigabytes."""
    step = max(1, _BAND_PIXELS // width)
    for first in range(0, height, step):
        yield slice(first, min(first + step, height))


def _unit(picture: Pixels) -> NDArray[np.float64]:
    """[0, 1], so that pictures of 8 and of 16 bits can be compared."""
    return picture.astype(np.float64) / np.iinfo(picture.dtype).max


def _same_size(picture: Pixels, reference: Pixels) -> None:
    if picture.shape != reference.shape:
        raise PictureError(f"the reference is {_size(reference)}, the picture {_size(picture)}: not one size")


def _size(picture: Pixels) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
