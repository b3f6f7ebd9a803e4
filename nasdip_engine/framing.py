"""Which pixels a network sees: the frame of the final fit, the smaller one of the search, and the way back.

The paper fits whole pictures.  Up to 512 pixels a side so does the final fit here; in-painting a larger
picture fits the surroundings of its hole and puts back the hole only.  The search works on a crop.  NumPy
and Pillow alone; of 8 bits integer arithmetic only: the same frame on every machine.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nasdip_engine.bit_depth import Samples, at_depth, bits_of, quantised, raw_bytes
from nasdip_engine.errors import MaskError, PictureError
from nasdip_engine.search.settings import SearchSettings
from nasdip_engine.task import BLOCK, CORRELATED, Task, TaskKind

__all__ = [
    "LARGEST_RESULT",
    "LARGEST_SIDE",
    "SMALLEST_SIDE",
    "Box",
    "Frame",
    "final_frame",
    "paste",
    "reference_frame",
    "resized",
    "search_frame",
]

LARGEST_SIDE = 512
"""Largest side in pixels of a picture that is fitted whole."""
LARGEST_RESULT = 2048
"""Largest side in pixels of an enlarged result."""
SMALLEST_SIDE = 32
"""Smallest side in pixels of an output; deeper networks leave nothing of less."""

_LEAST_MARGIN = 32  # pixels of context on each side of a hole, at least; a quarter of the hole otherwise
_MOST_HOLE = 0.5  # a search crop with more hole than this says too little about a network
_ENOUGH_HOLE = 0.25  # and beyond this share more hole says no more

Pixels = Samples
Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]
"""(x, y, width, height) in pixels of the upload."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A part of the upload as a network sees it.

    picture: uint8 or uint16 (h, w, 3).  mask: bool (h, w), True = known, or None.  box: the part of the upload.
    scale: frame pixels for each upload pixel, 1 or less.
    """

    picture: Pixels
    mask: Mask | None
    box: Box
    scale: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in frame pixels."""
        return self.picture.shape[0], self.picture.shape[1]

    @cached_property
    def digest(self) -> str:
        """sha256, in hex, of size, pixels and mask; hole pixels count as black, since nothing sees them."""
        seen = self.picture if self.mask is None else np.where(self.mask[..., None], self.picture, 0)
        bits = bits_of(self.picture)
        kind = (*self.size, self.mask is not None, *(() if bits == 8 else (bits,)))
        digest = hashlib.sha256(repr(kind).encode())
        digest.update(raw_bytes(seen))
        if self.mask is not None:
            digest.update(np.packbits(self.mask).tobytes())
        return digest.hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Everything but the pixels."""
        height, width = self.size
        return {
            "width": width,
            "height": height,
            "box": list(self.box),
            "scale": self.scale,
            "digest": self.digest,
        }


def final_frame(picture: Pixels, mask: Mask | None, task: Task) -> Frame:
    """The frame of the final fit.

    picture: uint8 or uint16 (h, w, 3); for UPSCALE the small one.  mask: bool (h, w), True = known; INPAINT only.
    Raises PictureError for sizes that this release does not restore, MaskError for a mask without hole.
    """
    height, width = picture.shape[:2]
    _check_mask(picture, mask, task)
    _check_small(height * task.factor, width * task.factor, "gives a result of" if task.factor > 1 else "has")
    if max(height, width) > LARGEST_SIDE:
        if mask is None:
            raise PictureError(
                f"this picture has {width} x {height} pixels; pictures over {LARGEST_SIDE} pixels a side can "
                "only have holes filled: removing their noise and enlarging them come with the next release"
            )
        if not task.keeps_known:
            raise PictureError(
                f"this picture has {width} x {height} pixels and its noise is to be removed with the hole; over "
                f"{LARGEST_SIDE} pixels a side only the hole can be filled: choose noise none, or a smaller picture",
                field="noise",
            )
        return _surroundings(picture, mask)
    if task.noise == CORRELATED and min(height, width) < 2 * BLOCK:
        raise PictureError(
            f"the picture has {width} x {height} pixels; with correlated noise each side must be at least {2 * BLOCK}, "
            f"two blocks of {BLOCK}: choose noise none, or a larger picture",
            field="noise",
        )
    if max(height, width) * task.factor > LARGEST_RESULT:
        raise PictureError(
            f"enlarging {width} x {height} pixels {task.factor} times gives {width * task.factor} x "
            f"{height * task.factor}; over {LARGEST_RESULT} pixels a side comes with the next release; "
            "take a smaller factor or a smaller picture"
        )
    return Frame(picture, mask, (0, 0, width, height))


def _check_mask(picture: Pixels, mask: Mask | None, task: Task) -> None:
    if task.kind is not TaskKind.INPAINT:
        if mask is not None:
            raise MaskError(f"a mask was given, but only {TaskKind.INPAINT} takes one", field="mask")
        return
    if mask is None:
        raise MaskError(f"{TaskKind.INPAINT} needs a mask that says what is to be filled", field="mask")
    if mask.shape != picture.shape[:2]:
        raise MaskError(
            f"the mask has {mask.shape[1]} x {mask.shape[0]} pixels, "
            f"the picture {picture.shape[1]} x {picture.shape[0]}; they must be equal",
            field="mask",
        )
    if mask.all() or not mask.any():
        which = "no hole: every pixel is known" if mask.all() else "no known pixel: all is to be filled"
        raise MaskError(f"the mask has {which}; it needs some of both", field="mask")


def _check_small(height: int, width: int, verb: str) -> None:
    if min(height, width) < SMALLEST_SIDE:
        raise PictureError(
            f"the picture {verb} {width} x {height} pixels; each side must be at least {SMALLEST_SIDE}"
        )


def _bounds(hole: NDArray[np.bool_]) -> Box:
    rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


def _centred(box: Box, width: int, height: int, whole: tuple[int, int]) -> Box:
    """The window of width x height nearest to the box's centre that lies in a picture of (rows, columns)."""
    left, top, box_width, box_height = box
    x = min(max(left + (box_width - width) // 2, 0), whole[1] - width)
    y = min(max(top + (box_height - height) // 2, 0), whole[0] - height)
    return x, y, width, height


def _cut(array: NDArray[Any], box: Box) -> NDArray[Any]:
    x, y, width, height = box
    return np.ascontiguousarray(array[y : y + height, x : x + width])


def _surroundings(picture: Pixels, mask: Mask) -> Frame:
    """The hole with its context in a window of up to 512 pixels, a larger window reduced to that."""
    rows, columns = mask.shape
    hole = _bounds(~mask)
    needed = [length + 2 * max(_LEAST_MARGIN, length // 4) for length in hole[2:]]
    side = max(LARGEST_SIDE, min(needed[0], columns), min(needed[1], rows))
    box = _centred(hole, min(columns, side), min(rows, side), (rows, columns))
    cut, known = _cut(picture, box), _cut(mask, box)
    longest = max(box[2:])
    if longest <= LARGEST_SIDE:
        return _with_known_pixels(Frame(cut, known, box))
    scale = LARGEST_SIDE / longest
    width, height = (max(1, round(length * scale)) for length in box[2:])
    _check_small(height, width, f"must be reduced to {LARGEST_SIDE} pixels around the hole and then has")
    small = resized(cut, width, height, Image.Resampling.BOX)
    # A reduced pixel is known where no hole pixel went into it: what lies in the hole never leaks out of it.
    white = Image.fromarray(known.astype(np.uint8) * np.uint8(255))
    share = white.resize((width, height), Image.Resampling.BOX)
    return _with_known_pixels(Frame(small, np.asarray(share) == 255, box, scale))


def _with_known_pixels(frame: Frame) -> Frame:
    if frame.mask is None or not frame.mask.any():
        raise MaskError(
            f"around the hole no pixel is left that is known once it is reduced to {LARGEST_SIDE} pixels; "
            "make the hole smaller",
            field="mask",
        )
    return frame


def search_frame(frame: Frame, task: Task, settings: SearchSettings) -> Frame:
    """The part of the final frame on which genomes are compared: settings.crop output pixels a side, or less.

    INPAINT: around the hole, or where hole and context meet if it is larger.  Otherwise the most varied
    window.  Correlated noise: it begins on the upload's own grid of 8x8 blocks, two of them a side at least, so that
    a block of the frame is a block of JPEG's.  Deterministic; ties go to the first window by rows.
    """
    side = max(settings.crop // task.factor, -(-SMALLEST_SIDE // task.factor))
    if task.noise == CORRELATED:
        side = max(side, 2 * BLOCK)
    rows, columns = frame.size
    height, width = min(side, rows), min(side, columns)
    box = _best_window(frame, height, width)
    if task.noise == CORRELATED:
        box = _on_grid(box, frame.box)
    x, y = (frame.box[0] + round(box[0] / frame.scale), frame.box[1] + round(box[1] / frame.scale))
    extent = (round(width / frame.scale), round(height / frame.scale))
    mask = None if frame.mask is None else _cut(frame.mask, box)
    return Frame(_cut(frame.picture, box), mask, (x, y, *extent), frame.scale)


def _on_grid(box: Box, frame: Box) -> Box:
    """The window moved by less than a block, up and to the left, to where a block of the upload begins."""
    x, y, width, height = box
    return max(0, x - (frame[0] + x) % BLOCK), max(0, y - (frame[1] + y) % BLOCK), width, height


def _integral(values: NDArray[Any]) -> NDArray[np.int64]:
    """Sums over all rectangles from the corner, so that four entries give the sum over any window."""
    padded = np.pad(values.astype(np.int64), ((1, 0), (1, 0)))
    return padded.cumsum(axis=0).cumsum(axis=1)


def _best_window(frame: Frame, height: int, width: int) -> Box:
    rows, columns = frame.size
    known = np.ones((rows, columns), np.bool_) if frame.mask is None else frame.mask
    grey = np.where(known, frame.picture.astype(np.int64).sum(axis=2), 0)
    hole, total, squared = (_integral(values) for values in (~known, grey, grey**2))

    def score(box: Box) -> tuple[bool, int, int]:
        x, y, w, h = box
        hole_here, sum_here, squared_here = (
            int(table[y + h, x + w] - table[y, x + w] - table[y + h, x] + table[y, x])
            for table in (hole, total, squared)
        )
        seen = w * h - hole_here
        useful = seen > 0 and hole_here <= _MOST_HOLE * w * h
        # Enough hole counts first, then variety; a window of mostly hole only where there is no other.
        wanted = min(hole_here, int(_ENOUGH_HOLE * w * h)) if useful else -hole_here
        return useful, wanted, (squared_here * seen - sum_here**2) // max(1, seen * seen)

    if frame.mask is not None:
        bounds = _bounds(~frame.mask)
        centred = _centred(bounds, width, height, frame.size)
        if bounds[2] <= width and bounds[3] <= height and score(centred)[0]:
            return centred
    step = max(1, min(height, width) // 8)
    tops = [*range(0, rows - height, step), rows - height]
    lefts = [*range(0, columns - width, step), columns - width]
    return max(((left, top, width, height) for top in tops for left in lefts), key=score)


def paste(upload: Pixels, mask: Mask | None, frame: Frame, restored: Pixels) -> Pixels:
    """The whole result from the restored final frame.

    upload: uint8 or uint16 (h, w, 3); the result has the depth of `restored`.  mask: bool (h, w), True =
    known: every such pixel stays as it was and the hole is filled, enlarged from the frame where that was
    reduced.  Without a mask the restored frame is the result.  Raises ValueError where restored has another size than the frame.
    """
    if mask is None:
        return restored
    if restored.shape != frame.picture.shape:
        raise ValueError(f"restored is {restored.shape}, the frame {frame.picture.shape}")
    x, y, width, height = frame.box
    if frame.scale != 1.0:
        restored = resized(restored, width, height, Image.Resampling.BICUBIC)
    result = at_depth(upload, bits_of(restored)).copy()
    window = result[y : y + height, x : x + width]
    hole = ~_cut(mask, frame.box)
    window[hole] = restored[hole]
    return result


def resized(pixels: Pixels, width: int, height: int, kernel: Image.Resampling) -> Pixels:
    """(h, w, 3) of either depth at another size: Pillow's kernels, which reach over the same pixels at both."""
    if bits_of(pixels) == 8:
        return np.asarray(Image.fromarray(pixels).resize((width, height), kernel))
    # Pillow has no 16-bit RGB.  Its floats hold 16 bits to 1/256 of a level.
    planes = [Image.fromarray(pixels[..., channel].astype(np.float32)) for channel in range(3)]
    levels = np.stack([np.asarray(plane.resize((width, height), kernel)) for plane in planes], axis=-1)
    return quantised(levels / np.float32(65535), 16)


def reference_frame(reference: Pixels, frame: Frame, factor: int) -> Pixels:
    """The part of a clean picture that belongs to a frame's restoration, at the restoration's size.

    reference: (H, W, 3) of the whole result's size, `factor` times the upload, of either depth.
    """
    x, y, width, height = (value * factor for value in frame.box)
    clean = reference[y : y + height, x : x + width]
    rows, columns = (side * factor for side in frame.size)
    # A reduced frame is compared at its own size.
    return (
        clean if clean.shape[:2] == (rows, columns) else resized(clean, columns, rows, Image.Resampling.BOX)
    )
