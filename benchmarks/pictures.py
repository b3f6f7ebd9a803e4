"""The three pictures on which presets are measured, from scikit-image's wheel: clean picture, observation, mask.

`case` damages any of them in any of the three ways. All 8-bit RGB, 256 px a side by default.
The noise is added to the 8-bit values, clipped and rounded, as a file holds it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from nasdip_engine.seeding import generator

__all__ = [
    "PHOTOGRAPHS",
    "Case",
    "astronaut_noise",
    "case",
    "chelsea_strokes",
    "coffee_small",
    "square",
    "strokes_mask",
]

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee")

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """clean: (H, W, 3) uint8; observation: the same size, or smaller by `factor`; mask: bool, True = known."""

    name: str
    task: str
    clean: Pixels
    observation: Pixels
    mask: NDArray[np.bool_] | None = None
    factor: int = 1


def square(pixels: Pixels, side: int) -> Pixels:
    """The middle square of 8-bit RGB (h, w, 3), resampled to `side` pixels a side."""
    height, width = pixels.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    crop = Image.fromarray(pixels[top : top + edge, left : left + edge])
    return np.asarray(crop.resize((side, side), Image.Resampling.LANCZOS))


def astronaut_noise(side: int = 256, sigma: float = 25.0) -> Case:
    """Gaussian noise of standard deviation `sigma` (of 255) on scikit-image's astronaut."""
    return _noise("astronaut", side, sigma)


def _clean(photograph: str, side: int) -> Pixels:
    return square(getattr(data, photograph)(), side)


def _noise(photograph: str, side: int, sigma: float) -> Case:
    clean = _clean(photograph, side)
    noise = generator(25, "benchmark noise").normal(0.0, sigma, clean.shape)
    noisy = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    return Case(f"{photograph}, {side} px, sigma {sigma:g}", "denoise", clean, noisy)


def chelsea_strokes(side: int = 256, strokes: int = 24) -> Case:
    """Thin strokes, 3 px wide, missing from scikit-image's chelsea; the missing pixels are mid-grey in the file."""
    return _strokes("chelsea", side, strokes)


def strokes_mask(side: int, strokes: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Bool (side, side), False under `strokes` thin strokes of 3 px."""
    mask = np.ones((side, side), dtype=bool)
    rows, columns = np.mgrid[:side, :side] + 0.5
    for _ in range(strokes):
        start = rng.uniform(0, side, 2)
        angle = rng.uniform(0, np.pi)
        length = rng.uniform(side / 5, side / 2)
        direction = np.array([np.sin(angle), np.cos(angle)])
        along = np.clip((rows - start[0]) * direction[0] + (columns - start[1]) * direction[1], 0, length)
        distance = np.hypot(rows - start[0] - along * direction[0], columns - start[1] - along * direction[1])
        mask &= distance > 1.5
    return mask


def _strokes(photograph: str, side: int, strokes: int) -> Case:
    clean = _clean(photograph, side)
    mask = strokes_mask(side, strokes, generator(7, "benchmark strokes"))
    observation = clean.copy()
    observation[~mask] = 128
    return Case(
        f"{photograph}, {side} px, thin strokes ({100 * (1 - mask.mean()):.1f} % missing)",
        "inpaint",
        clean,
        observation,
        mask,
    )


def coffee_small(side: int = 256, factor: int = 4) -> Case:
    """scikit-image's coffee, reduced by antialiased bicubic resampling."""
    return _reduced("coffee", side, factor)


def _reduced(photograph: str, side: int, factor: int) -> Case:
    clean = _clean(photograph, side)
    small = Image.fromarray(clean).resize((side // factor, side // factor), Image.Resampling.BICUBIC)
    return Case(
        f"{photograph}, {side} px from {side // factor}, {factor}x",
        "upscale",
        clean,
        np.asarray(small),
        None,
        factor,
    )


def case(photograph: str, task: str, side: int, *, sigma: float = 25.0, factor: int = 2) -> Case:
    """One of PHOTOGRAPHS with noise, with strokes over about the share that `chelsea_strokes` has, or reduced."""
    if task == "denoise":
        return _noise(photograph, side, sigma)
    if task == "inpaint":
        return _strokes(photograph, side, max(1, round(24 * side / 256)))
    return _reduced(photograph, side, factor)
