"""How near a restoration is to a reference, where there is one. NumPy and scikit-image; no torch."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nasdip_engine.bit_depth import Samples, at_depth, bits_of
from nasdip_engine.errors import PictureError

__all__ = ["psnr", "ssim"]

Pixels = Samples
_WINDOW = 11  # pixels a side, the window of Wang et al. 2004


def psnr(picture: Pixels, reference: Pixels, among: NDArray[np.bool_] | None = None) -> float:
    """Peak signal-to-noise ratio in dB of (h, w, 3) pictures, uint8 or uint16; infinite for equal ones.

    A reference of another depth is brought to the picture's first.

    among: bool (h, w), the pixels to compare; all of them without it.
    """
    _same_size(picture, reference)
    reference = at_depth(reference, bits_of(picture))
    difference = picture.astype(np.float64) - reference.astype(np.float64)
    if among is not None:
        difference = difference[among]
    error = float(np.mean(np.square(difference)))
    return math.inf if error == 0 else 10 * math.log10(_highest(picture) ** 2 / error)


def ssim(picture: Pixels, reference: Pixels) -> float:
    """Structural similarity of (h, w, 3) pictures, uint8 or uint16, Gaussian window of 11 px, mean over the channels.

    Both sides must be 11 px or more.  A reference of another depth is brought to the picture's first.
    """
    from skimage.metrics import structural_similarity  # slow to import, wanted only with a reference

    _same_size(picture, reference)
    if min(picture.shape[:2]) < _WINDOW:
        raise PictureError(f"SSIM needs {_WINDOW} pixels a side; the picture is {_size(picture)}")
    score = structural_similarity(  # type: ignore[no-untyped-call]
        at_depth(reference, bits_of(picture)),
        picture,
        channel_axis=2,
        data_range=_highest(picture),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(score)


def _highest(picture: Pixels) -> int:
    return (1 << bits_of(picture)) - 1


def _same_size(picture: Pixels, reference: Pixels) -> None:
    if picture.shape != reference.shape:
        raise PictureError(f"the reference is {_size(reference)}, the picture {_size(picture)}: not one size")


def _size(picture: Pixels) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
