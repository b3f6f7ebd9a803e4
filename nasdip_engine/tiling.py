"""A picture in overlapping tiles, and back: where the tiles lie, and how their restorations are blended.

Tiles of one picture are as equal in size as the picture allows, so that no fit works on a sliver.  Where two
overlap, each counts by a smooth weight that is nearly nothing at its own edge: a network knows least there, and
its tone (batch norm is over the tile) passes gradually into its neighbour's.  NumPy alone; the picture is blended
band by band, so memory does not grow with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LARGEST_RESULT_PIXELS",
    "Box",
    "Patch",
    "bands",
    "blend_rows",
    "overlap_of",
    "spans",
    "tile_boxes",
]

Box = tuple[int, int, int, int]
"""(x, y, width, height) in pixels."""
Doubles = NDArray[np.float64]

LARGEST_RESULT_PIXELS = 100_000_000
"""Most pixels of a result."""
_BAND_ROWS, _BAND_PIXELS = 256, 4_000_000  # so much of a result is blended at a time, at most
_OVERLAPS = 8  # tiles overlap by an eighth of a tile: 64 output pixels of 512
_ENLARGED = 2  # an enlarged tile has twice the side, in output pixels: 1024 of 512


def overlap_of(tile: int) -> int:
    """Output pixels over which neighbouring tiles are blended, at least; tile: as in the settings."""
    return tile // _OVERLAPS


def spans(length: int, most: int, overlap: int) -> list[tuple[int, int]]:
    """(start, size) of the fewest equal parts of an axis, each `most` or less, neighbours overlapping by `overlap`.

    0 <= overlap < most.  All parts have one size, the first starts at 0 and the last ends at `length`.
    """
    if length <= most:
        return [(0, length)]
    count = -(-(length - overlap) // (most - overlap))
    size = -(-(length + (count - 1) * overlap) // count)
    return [(part * (length - size) // (count - 1), size) for part in range(count)]


def tile_boxes(height: int, width: int, factor: int, tile: int) -> list[Box]:
    """The tiles of a picture of height x width pixels, row by row, in its own pixels.

    tile: most output pixels a side of a tile where factor is 1; an enlarged one may have twice as many.
    """
    side = tile if factor == 1 else max(1, _ENLARGED * tile // factor)
    overlap = -(-overlap_of(tile) // factor)
    return [
        (x, y, columns, rows)
        for y, rows in spans(height, side, overlap)
        for x, columns in spans(width, side, overlap)
    ]


@dataclass(frozen=True, eq=False)
class Patch:
    """A restored part of a result.  box: in pixels of the result.  source: float (h, w, 3), or its .npy file.

    A file is mapped only while it is read: a large picture has more tiles than a process may have open files.
    """

    box: Box
    source: NDArray[Any] | str

    @property
    def array(self) -> NDArray[Any]:
        """The pixels, float (h, w, 3); of a file, mapped anew at each look."""
        if isinstance(self.source, str):
            mapped: NDArray[Any] = np.load(self.source, mmap_mode="r", allow_pickle=False)
            return mapped
        return self.source


def bands(height: int, width: int) -> Iterator[tuple[int, int]]:
    """(first row, row after the last) of the bands of a picture, from above."""
    rows = max(1, min(_BAND_ROWS, _BAND_PIXELS // width))
    return ((first, min(first + rows, height)) for first in range(0, height, rows))


def blend_rows(
    patches: Sequence[Patch], size: tuple[int, int], overlap: int, first: int, end: int
) -> Doubles:
    """Rows `first` to `end` of a result of size (height, width): float64 (rows, width, 3).

    The weighted mean of the patches at each pixel; 0 where there is none.  overlap: pixels over which a patch's
    weight falls towards each of its edges that is not the result's.
    """
    height, width = size
    total = np.zeros((end - first, width, 3))
    weights = np.zeros((end - first, width))
    for patch in patches:
        x, y, columns, rows = patch.box
        top, bottom = max(y, first), min(y + rows, end)
        if top >= bottom:
            continue
        down = _weights(y, rows, height, overlap)[top - y : bottom - y]
        weight = down[:, None] * _weights(x, columns, width, overlap)
        total[top - first : bottom - first, x : x + columns] += (
            weight[..., None] * patch.array[top - y : bottom - y]
        )
        weights[top - first : bottom - first, x : x + columns] += weight
    return np.divide(total, weights[..., None], out=total, where=weights[..., None] > 0)


def _weights(start: int, size: int, length: int, overlap: int) -> Doubles:
    """Weights along one axis, in (0, 1]: two neighbours' add up to 1 where they overlap by exactly `overlap`."""
    weights = np.ones(size)
    steps = (np.arange(min(overlap, size)) + 0.5) / max(1, overlap)
    rise = steps * steps * (3 - 2 * steps)  # smoothstep
    if start > 0:
        weights[: rise.size] *= rise
    if start + size < length:
        weights[size - rise.size :] *= rise[::-1]
    return weights
