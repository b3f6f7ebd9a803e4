"""Windows around the holes of a large picture: each hole at full size wherever a window of it can be fitted.

Holes that lie together share a window.  A long thin hole (a scratch, a text) is taken in overlapping windows along
it, since what fills it lies right beside it.  Only a hole that is larger than a window *and* wide is reduced: in its
middle a full-size window would see nothing known.  SciPy labels and integer distances only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasdip_engine.tiling import Box, overlap_of, spans, tile_boxes

__all__ = ["Window", "bounds_of", "centred", "reduced_holes", "windows_around_holes"]

Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]

_LEAST_MARGIN = 32  # pixels of context on each side of a hole, at least; a quarter of the hole otherwise
_CELL = 32  # holes less than one to two cells apart lie together
_THIN = 8  # a hole is thin where every pixel has a known one within this part of a window: 64 px of 512
_CROWDED = 1.25  # so many times more windows than tiles with holes are too many


@dataclass(frozen=True)
class Window:
    """A part of a picture.  box: in the picture's pixels.  size: (height, width) of the frame that is fitted."""

    box: Box
    size: tuple[int, int]
    scale: float = 1.0
    """Frame pixels for each pixel of the picture, 1 or less."""


def bounds_of(hole: Mask) -> Box:
    """The least box around the True pixels of hole, of which there is one at least."""
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


def centred(box: Box, width: int, height: int, whole: tuple[int, int]) -> Box:
    """The window of width x height nearest to the box's centre that lies in a picture of (rows, columns)."""
    left, top, box_width, box_height = box
    x = min(max(left + (box_width - width) // 2, 0), whole[1] - width)
    y = min(max(top + (box_height - height) // 2, 0), whole[0] - height)
    return x, y, width, height


def windows_around_holes(mask: Mask, tile: int) -> tuple[Window, ...]:
    """Windows that together hold every hole of mask (bool (h, w), True = known); reduced ones come last.

    tile: pixels a side of a window, at most; a reduced window is a larger part of the picture at that size.
    The k-th reduced window is that of the k-th of `reduced_holes`.
    """
    rows, columns = mask.shape
    wide = reduced_holes(mask, tile)
    thin = ~mask if wide is None else ~mask & (wide == 0)
    boxes = _windows_of_thin(thin, tile) if thin.any() else []
    windows = [Window(box, (box[3], box[2])) for box in boxes]
    for bounds in () if wide is None else _bounds_of_labels(wide):
        side = max(_needed(bounds, (rows, columns)))
        box = centred(bounds, min(columns, side), min(rows, side), (rows, columns))
        scale = tile / max(box[2:])
        size = (max(1, round(box[3] * scale)), max(1, round(box[2] * scale)))
        windows.append(Window(box, size, scale))
    return tuple(windows)


def reduced_holes(mask: Mask, tile: int) -> Labels | None:
    """1, 2, ... at the pixels of holes too large and too wide for a window, 0 elsewhere; None where there is none."""
    from scipy import ndimage  # only for pictures larger than a window

    hole = ~mask
    core = ndimage.distance_transform_cdt(hole, metric="chessboard") > tile // _THIN
    if not core.any():
        return None
    labels: Labels = ndimage.label(hole, structure=np.ones((3, 3)), output=np.int32)[0]
    renamed = np.zeros(int(labels.max()) + 1, np.int32)
    wide = np.unique(labels[core])
    renamed[wide] = np.arange(1, wide.size + 1)
    labels = renamed[labels]
    kept = [max(_needed(bounds, mask.shape)) > tile for bounds in _bounds_of_labels(labels)]
    if not any(kept):
        return None
    renamed = np.concatenate([[0], np.where(kept, np.cumsum(kept), 0)]).astype(np.int32)
    return renamed[labels]


def _needed(hole: Box, whole: tuple[int, ...]) -> tuple[int, int]:
    """(width, height) of a hole with its context, as far as the picture of (rows, columns) has it."""
    width, height = (length + 2 * max(_LEAST_MARGIN, length // 4) for length in hole[2:])
    return min(width, whole[1]), min(height, whole[0])


def _bounds_of_labels(labels: Labels) -> list[Box]:
    from scipy import ndimage

    return [
        (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        for rows, columns in ndimage.find_objects(labels)
    ]


def _windows_of_thin(hole: Mask, tile: int) -> list[Box]:
    """Full-size windows over holes: one for each group that fits, several along each hole that does not."""
    whole = hole.shape[0], hole.shape[1]
    groups: list[Box] = []
    windows: list[Box] = []
    for bounds, part in _clusters(hole):
        if max(_needed(bounds, whole)) > tile:
            windows += _along(bounds, part, tile, whole)
            continue
        for place, group in enumerate(groups):
            union = _union(group, bounds)
            if max(_needed(union, whole)) <= tile:
                groups[place] = union
                break
        else:
            groups.append(bounds)
    around = [centred(group, min(whole[1], tile), min(whole[0], tile), whole) for group in groups]
    boxes = sorted({*windows, *around}, key=lambda box: (box[1], box[0]))
    tiles = [
        box
        for box in tile_boxes(*whole, 1, tile)
        if hole[box[1] : box[1] + box[3], box[0] : box[0] + box[2]].any()
    ]
    # Holes all over the picture: tiles serve them as well, with fewer fits.
    return tiles if len(boxes) > _CROWDED * len(tiles) else boxes


def _clusters(hole: Mask) -> Iterable[tuple[Box, Mask]]:
    """Bounds and pixels (within the bounds) of holes that lie together, by rows of their first cells."""
    from scipy import ndimage

    rows, columns = hole.shape
    padded = np.pad(hole, ((0, -rows % _CELL), (0, -columns % _CELL)))
    cells = padded.reshape(padded.shape[0] // _CELL, _CELL, padded.shape[1] // _CELL, _CELL).any(axis=(1, 3))
    labels: Labels = ndimage.label(cells, structure=np.ones((3, 3)), output=np.int32)[0]
    for label, (down, across) in enumerate(ndimage.find_objects(labels), start=1):
        own = np.repeat(np.repeat(labels[down, across] == label, _CELL, axis=0), _CELL, axis=1)
        top, left = down.start * _CELL, across.start * _CELL
        part = hole[top : top + own.shape[0], left : left + own.shape[1]]
        part = part & own[: part.shape[0], : part.shape[1]]
        x, y, width, height = bounds_of(part)
        yield (left + x, top + y, width, height), part[y : y + height, x : x + width]


def _along(bounds: Box, part: Mask, tile: int, whole: tuple[int, int]) -> list[Box]:
    """Overlapping windows over a hole that one does not hold, where it is."""
    x, y, width, height = bounds
    windows = []
    for top, rows in _axis(y, height, tile, whole[0]):
        for left, columns in _axis(x, width, tile, whole[1]):
            inside = part[
                max(0, top - y) : max(0, top - y + rows), max(0, left - x) : max(0, left - x + columns)
            ]
            if inside.any():
                windows.append((left, top, columns, rows))
    return windows


def _axis(start: int, length: int, tile: int, whole: int) -> list[tuple[int, int]]:
    """(start, size) of windows along one axis over a hole and its margin, in a picture of `whole` pixels."""
    first, end = max(0, start - _LEAST_MARGIN), min(whole, start + length + _LEAST_MARGIN)
    if end - first <= tile:  # one window, as large as the picture allows, with the hole in its middle
        size = min(whole, tile)
        return [(min(max(start + (length - size) // 2, 0), whole - size), size)]
    return [(first + at, size) for at, size in spans(end - first, tile, overlap_of(tile))]


def _union(first: Box, second: Box) -> Box:
    x, y = min(first[0], second[0]), min(first[1], second[1])
    right = max(first[0] + first[2], second[0] + second[2])
    bottom = max(first[1] + first[3], second[1] + second[3])
    return x, y, right - x, bottom - y
