"""Scores of a restoration that need no clean picture, beside the engine's own: what the fitness study compares.

Each is a pure function; a *distance* is better when small, and the study ranks accordingly. Pictures are float arrays
(H, W, 3) in [0, 1], masks bool (H, W).
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from nasdip_engine.restoration.perceptual import lpips

__all__ = [
    "OutputVariance",
    "copies_of_hole",
    "lpips_around",
    "patch_distance",
    "seam_jump",
    "strip_distance",
]

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]

_PATCH = 7  # pixels a side of the patches that a fill is made of
_LPIPS_SIDE = 32  # the least side that LPIPS takes, rounded up
_RING = 3  # pixels around a hole by which places are compared


class OutputVariance:
    """ES-WMV (Wang et al., TMLR): the windowed moving variance of the raw outputs, whose least place is where to stop.

    VAR_t = mean over the window and the pixels of (x - mean of the window)^2. Every `step`-th of the last `window` outputs
    is looked at, since neighbours hardly differ.
    """

    def __init__(self, window: int = 100, step: int = 5) -> None:
        self._kept: deque[Floats] = deque(maxlen=window // step)
        self._step = step
        self._iteration = 0
        self.curve: list[tuple[int, float]] = []

    def add(self, output: Floats) -> None:
        """One raw output; a figure joins `curve` once the window is full."""
        self._iteration += 1
        if self._iteration % self._step:
            return
        self._kept.append(output)
        if len(self._kept) == self._kept.maxlen:
            self.curve.append((self._iteration, float(np.var(np.stack(self._kept), axis=0).mean())))

    @property
    def least(self) -> tuple[int, float]:
        """Iteration and value of the least variance; (0, inf) where the window was never full."""
        return min(self.curve, key=lambda one: one[1], default=(0, float("inf")))


def strip_distance(outputs: list[Floats], observed: Floats) -> float:
    """ISNAS-DIP's "psd db strip mse": untrained outputs against the observation, on a ring of the spectrum.

    Mean over the outputs, channels and ring of (10 log10 PSD(out) - 10 log10 PSD(y))^2; the ring lies between 0.1 and 0.2
    of the largest diameter. outputs and observed: one size.
    """
    height, width = observed.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    radius = np.hypot((rows - height // 2) / (height / 2), (columns - width // 2) / (width / 2))
    ring = (radius >= 0.1) & (radius <= 0.2)

    def decibels(picture: Floats) -> Floats:
        spectrum = np.fft.fftshift(np.fft.fft2(picture, axes=(0, 1)), axes=(0, 1))
        power = np.abs(spectrum / (height * width)) ** 2
        found: Floats = 10 * np.log10(np.maximum(power[ring], 1e-20))
        return found

    wanted = decibels(observed)
    return float(np.mean([np.mean((decibels(output) - wanted) ** 2) for output in outputs]))


def seam_jump(filled: Floats, hole: Mask) -> float:
    """Mean squared second difference across the rim of a hole: a fill that does not join has a large one."""
    total, count = 0.0, 0
    for axis in (0, 1):
        before, here, after = (np.roll(filled, shift, axis) for shift in (1, 0, -1))
        bend = before - 2 * here + after
        inside = np.ones(hole.shape, dtype=bool)
        edge = [slice(None)] * 2
        for place in (0, -1):
            edge[axis] = slice(place, None) if place else slice(0, 1)
            inside[tuple(edge)] = False
        rim = inside & (hole ^ np.roll(hole, 1, axis))
        total += float((bend[rim] ** 2).sum())
        count += int(rim.sum()) * filled.shape[2]
    return total / max(count, 1)


def patch_distance(filled: Floats, hole: Mask) -> float:
    """Patch coherence: mean distance of the 7 x 7 patches of a fill to the most like patch of the known part."""
    height, width = hole.shape
    views = np.lib.stride_tricks.sliding_window_view(filled, (_PATCH, _PATCH), axis=(0, 1))
    patches = views.reshape(height - _PATCH + 1, width - _PATCH + 1, -1)
    half = _PATCH // 2
    touched = ndimage.maximum_filter(hole, size=_PATCH)[half : height - half, half : width - half]
    centre = hole[half : height - half, half : width - half]
    known, fill = patches[~touched], patches[centre]
    if not len(known) or not len(fill):
        raise ValueError("the hole leaves no patch to compare")
    distance, _ = cKDTree(known).query(fill)
    return float(np.mean(distance**2) / patches.shape[-1])


def copies_of_hole(known: Mask, picture: Floats, count: int, rng: np.random.Generator) -> list[Mask]:
    """Whole moved copies of a compact hole on known ground, apart from it and from each other, most alike place first.

    Alike: the mean and the spread of the colours in the ring around the copy and around the hole. Fewer than `count`
    where there is no room.
    """
    hole = ~known
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    shape = hole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    free = ~ndimage.binary_dilation(hole, iterations=_RING)
    found: list[Mask] = []
    for _ in range(4000):
        top = int(rng.integers(0, known.shape[0] - shape.shape[0] + 1))
        left = int(rng.integers(0, known.shape[1] - shape.shape[1] + 1))
        copy = np.zeros_like(hole)
        copy[top : top + shape.shape[0], left : left + shape.shape[1]] = shape
        if free[copy].all():
            found.append(copy)
            free &= ~ndimage.binary_dilation(copy, iterations=2)
            if len(found) == count:
                break
    aim = _ring_statistics(hole, known, picture)

    def unlike(copy: Mask) -> float:
        return float(np.square(_ring_statistics(copy, known, picture) - aim).sum())

    return sorted(found, key=unlike)


def _ring_statistics(hole: Mask, known: Mask, picture: Floats) -> Floats:
    ring = ndimage.binary_dilation(hole, iterations=_RING) & ~hole & known
    values = picture[ring]
    return np.concatenate([values.mean(axis=0), values.std(axis=0)])


def lpips_around(restored: Floats, observed: Floats, hidden: Mask) -> float:
    """LPIPS of a box around some hidden pixels, at least 32 px a side, with the restoration in their place."""
    rows, columns = np.flatnonzero(hidden.any(axis=1)), np.flatnonzero(hidden.any(axis=0))
    box = (
        _widened(int(rows[0]), int(rows[-1]) + 1, hidden.shape[0]),
        _widened(int(columns[0]), int(columns[-1]) + 1, hidden.shape[1]),
    )
    seen = observed[box].astype(np.float32)
    mixed = np.where(hidden[box][..., None], restored[box], seen).astype(np.float32)
    return lpips(np.clip(mixed, 0, 1), np.clip(seen, 0, 1))


def _widened(first: int, end: int, side: int) -> slice:
    lack = max(0, _LPIPS_SIDE - (end - first))
    first = max(0, min(first - lack // 2, side - max(end - first, _LPIPS_SIDE)))
    return slice(first, min(side, max(end, first + _LPIPS_SIDE)))
