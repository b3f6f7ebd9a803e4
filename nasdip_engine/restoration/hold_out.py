"""Which observations are kept out of the loss, so that a fit can be scored without a reference.

Pure functions of a mask and a generator: the same for every genome of a search. Whole pixels are held out,
all three channels at once, because channels of one pixel share their noise.

Three shapes. Scattered pixels where every observation is as good as another (noise of single pixels,
low-resolution pixels); blocks where near pixels share their noise, because then a lone pixel's noise can be
guessed from its neighbours' and a fit that copies noise would score well; moved copies of the hole where a hole
is to be filled, because guessing a lone missing pixel between its neighbours says little about filling a stroke.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from nasdip_engine.task import BLOCK

__all__ = ["CAP", "blocks", "moved_copies", "scattered", "within_cap"]

BoolArray = NDArray[np.bool_]

CAP = 0.15
"""At most this share of the known pixels is held out as copies of the hole."""

SMALL = 20_000
"""Under this many pixels the share of scattered pixels is doubled: 5 % of a 128 px crop leaves a standard
error of 0.13 dB between genomes that differ by 3 grey levels, which is more than the best of them differ."""

_TRIES = 32
_COPIES = 16
_RIM = 2  # pixels: the ring around the hole stays in the loss, it is what a filling grows from


def scattered(known: BoolArray, share: float, rng: np.random.Generator) -> BoolArray:
    """Single pixels drawn without replacement, as many as `share` of the known ones (twice that if few).

    known: bool (h, w), at least two True. Returns bool (h, w), a subset of `known`, neither empty nor all.
    """
    places = np.flatnonzero(known)
    if places.size < 2:
        raise ValueError(f"only {places.size} observations are known; at least 2 are needed to hold one out")
    if places.size < SMALL:
        share *= 2
    count = min(max(1, round(share * places.size)), places.size // 2)
    held = np.zeros(known.size, dtype=np.bool_)
    held[rng.choice(places, size=count, replace=False)] = True
    return held.reshape(known.shape)


def blocks(known: BoolArray, share: float, rng: np.random.Generator, side: int = BLOCK) -> BoolArray:
    """Whole blocks of side x side pixels, drawn until `share` of the known pixels (twice that if few) is covered or over.

    A block is all that is known in one cell of the grid that begins at the frame's corner, as JPEG's does; cells
    at the right and lower edge may be cut. Frames of correlated noise begin on the picture's own grid (`framing`).

    known: bool (h, w) with known pixels in two cells at least. Returns bool (h, w), a subset of `known`, made of whole
    blocks, neither empty nor all.  Raises ValueError where there are not two blocks.
    """
    rows, columns = known.shape
    across = -(-columns // side)
    cells = (np.arange(rows) // side)[:, None] * across + (np.arange(columns) // side)[None, :]
    sizes = np.bincount(cells[known], minlength=-(-rows // side) * across)
    places = np.flatnonzero(sizes)
    if places.size < 2:
        raise ValueError(
            f"only {places.size} block of {side}x{side} pixels; at least 2 are needed to hold one out"
        )
    drawn = rng.permutation(places)
    total = int(sizes.sum())
    aim = share * total * (2 if total < SMALL else 1)
    count = min(int(np.searchsorted(np.cumsum(sizes[drawn]), aim)) + 1, max(1, places.size // 2))
    return known & np.isin(cells, drawn[:count])


def within_cap(
    copies: BoolArray, more: BoolArray, known: BoolArray, rng: np.random.Generator, side: int
) -> BoolArray:
    """Copies of a hole together with as many of the groups of `more` as `CAP` leaves room for.

    A group is what `more` has in one cell of side x side pixels: 1 for single pixels, a block's side for blocks.
    copies, more, known: bool (h, w).  Returns bool (h, w), at most `CAP` of the known pixels, or the copies alone.
    """
    rows, columns = known.shape
    cells = (np.arange(rows) // side)[:, None] * columns + (np.arange(columns) // side)[None, :]
    fresh = more & ~copies
    room = math.floor(CAP * np.count_nonzero(known)) - int(np.count_nonzero(copies))
    drawn = rng.permutation(np.unique(cells[fresh]))
    sizes = np.bincount(cells[fresh], minlength=int(cells.max()) + 1)[drawn]
    return copies | (fresh & np.isin(cells, drawn[np.cumsum(sizes) <= room]))


def moved_copies(known: BoolArray, share: float, rng: np.random.Generator) -> BoolArray:
    """Copies of the hole, moved over the known pixels until `share` of them is covered, never over `CAP`.

    A copy leaves out the pixels within 2 px of the hole. One that would pass the cap is cut to a band of
    itself, so that a large hole is stood for by a part of its shape. Where no copy keeps half of what was
    asked (missing pixels scattered all over, say) whole pixels are scattered instead.

    known: bool (h, w), True = known; at least two True. Returns bool (h, w), a subset of `known`.
    """
    hole = ~known
    free = ~ndimage.binary_dilation(hole, structure=np.ones((3, 3), dtype=np.bool_), iterations=_RIM)
    total = int(np.count_nonzero(known))
    cap = math.floor(CAP * total)
    aim = min(math.ceil(share * total), cap)
    held = np.zeros_like(known)
    count = 0
    for _ in range(_COPIES):
        copy = _cut(_best_copy(hole, free & ~held, rng), cap - count)
        if np.count_nonzero(copy) < max(1, min(int(np.count_nonzero(hole)), aim) // 2):
            break
        held |= copy
        count = int(np.count_nonzero(held))
        if count >= aim:
            break
    return held if count else scattered(known, share, rng)


def _best_copy(hole: BoolArray, free: BoolArray, rng: np.random.Generator) -> BoolArray:
    """The drawn move of the hole that keeps most pixels on free ground; the first of equals."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    best, most = np.zeros_like(hole), -1
    for _ in range(_TRIES):
        shift = (_shift(hole.shape[0], rows, rng), _shift(hole.shape[1], columns, rng))
        copy = np.roll(hole, shift, axis=(0, 1)) & free
        kept = int(np.count_nonzero(copy))
        if kept > most:
            best, most = copy, kept
    return best


def _shift(side: int, occupied: NDArray[np.intp], rng: np.random.Generator) -> int:
    """A move along one axis: inside the picture if the hole has room to move, else round its edge.

    Strokes that span the picture have no room; rolled round they stay strokes, cut once at the edge.
    """
    extent = int(occupied[-1] - occupied[0]) + 1
    if 3 * extent <= 2 * side:
        return int(rng.integers(0, side - extent + 1)) - int(occupied[0])
    return int(rng.integers(0, side))


def _cut(copy: BoolArray, room: int) -> BoolArray:
    """The first rows (or columns, the longer way) of the copy that hold at most `room` pixels."""
    if np.count_nonzero(copy) <= room:
        return copy
    across = 1 if np.count_nonzero(copy.any(axis=1)) >= np.count_nonzero(copy.any(axis=0)) else 0
    fits = np.cumsum(np.count_nonzero(copy, axis=across)) <= room
    return copy & (fits[:, None] if across == 1 else fits[None, :])
