"""Noise and holes made on purpose, for studies and tests: what users have, on a clean picture that is known.

Each function takes 8-bit RGB (h, w, 3) or a size and an explicit generator, and gives 8-bit RGB or a mask, bool (h, w),
True = known. Noise is added to the 8-bit values, clipped and rounded, as a file holds it.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from skimage.util import random_noise

__all__ = [
    "camera",
    "gaussian",
    "jpeg",
    "large_hole",
    "poisson",
    "salt_and_pepper",
    "scattered_hole",
    "scratches",
    "text",
]

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def _bytes(values: NDArray[np.floating]) -> Pixels:
    """[0, 1] to 0..255."""
    return np.asarray(np.rint(np.clip(values, 0, 1) * 255), dtype=np.uint8)


# ------------------------------------------------------------------------------------------------------------- noise


def gaussian(pixels: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """Normal noise of standard deviation `sigma`, of 255: thermal noise of a sensor."""
    return _bytes(random_noise(pixels, "gaussian", rng=rng, var=(sigma / 255) ** 2))


def poisson(pixels: Pixels, photons: float, rng: np.random.Generator) -> Pixels:
    """Counting noise: `photons` arrive at a white value, fewer at a dark one; its strength follows the brightness."""
    return _bytes(rng.poisson(pixels / 255 * photons) / photons)


def salt_and_pepper(pixels: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """`share` of the values lost to black or white, half each."""
    return _bytes(random_noise(pixels, "s&p", rng=rng, amount=share))


def jpeg(pixels: Pixels, quality: int, subsampling: str = "4:2:0") -> Pixels:
    """The picture after JPEG at quality 1 to 95; 4:2:0, which halves the colours' resolution, is what cameras write."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=quality, subsampling=subsampling)
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB"))


def camera(pixels: Pixels, photons: float, read: float, quality: int, rng: np.random.Generator) -> Pixels:
    """A small sensor's picture: RGGB mosaic, counting and read noise, bilinear demosaicing, JPEG.

    photons: at white.  read: standard deviation of the read-out noise, of 255.  One value in three is measured, the
    others are means of its neighbours, so that noise spreads over 3x3 pixels and JPEG over 8x8.
    """
    measured = np.zeros(pixels.shape, dtype=np.bool_)
    measured[0::2, 0::2, 0] = measured[0::2, 1::2, 1] = measured[1::2, 0::2, 1] = measured[1::2, 1::2, 2] = (
        True
    )
    raw = rng.poisson(pixels / 255 * photons) / photons + rng.normal(0, read / 255, pixels.shape)
    raw = np.where(measured, np.clip(raw, 0, 1), 0)
    near = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=np.float64)[..., None]
    # The bilinear mean of the measured neighbours: on the Bayer grid this one kernel gives it for all three colours.
    total = ndimage.convolve(raw, near, mode="mirror")
    weight = ndimage.convolve(measured.astype(np.float64), near, mode="mirror")
    return jpeg(_bytes(np.where(measured, raw, total / weight)), quality)


# ------------------------------------------------------------------------------------------------------------- holes


def text(height: int, width: int, size: int = 14) -> Mask:
    """Lines of writing over the whole picture, as a caption or a watermark leaves them."""
    drawn = Image.new("L", (width, height), 255)
    pen = ImageDraw.Draw(drawn)
    font = ImageFont.load_default(size)
    line = "The quick brown fox jumps over the lazy dog. "
    for number, top in enumerate(range(size // 2, height, 2 * size)):
        pen.text((-5 * number, top), line * (1 + width // (4 * size)), fill=0, font=font)
    return np.asarray(drawn) >= 128


def scratches(height: int, width: int, count: int, rng: np.random.Generator, thickness: int = 2) -> Mask:
    """`count` thin straight scratches from edge to edge, mostly upright, as on film."""
    drawn = Image.new("L", (width, height), 255)
    pen = ImageDraw.Draw(drawn)
    for _ in range(count):
        top = rng.uniform(0, width)
        pen.line((top, -1, top + rng.normal(0, width / 6), height), fill=0, width=thickness)
    return np.asarray(drawn) >= 128


def large_hole(height: int, width: int, share: float, rng: np.random.Generator) -> Mask:
    """One ellipse of about `share` of the picture, somewhere off its edges."""
    rows, columns = np.mgrid[:height, :width]
    half = np.sqrt(share / np.pi)
    centre = rng.uniform(half + 0.05, 0.95 - half, 2)
    return np.asarray(
        ((rows + 0.5) / height - centre[0]) ** 2 + ((columns + 0.5) / width - centre[1]) ** 2 > half**2
    )


def scattered_hole(height: int, width: int, share: float, rng: np.random.Generator) -> Mask:
    """Single pixels missing, `share` of them, as in the tables of classical deep image prior."""
    return np.asarray(rng.random((height, width)) >= share)
