"""Which pixels a network sees: the frames of the final fit, the smaller one of the search, and the way back.

The paper fits whole pictures.  Up to `tile` pixels a side (512 by default) so does the final fit here; a larger
picture is fitted in several frames.  Removing noise and enlarging take overlapping tiles (`tiling`); filling holes
takes windows around them (`windows`) and puts back the holes only.  The search works on a crop.  NumPy, SciPy's
integer labels and Pillow; of 8 bits integer arithmetic only: the same frames on every machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nasdip_engine.bit_depth import Samples, at_depth, bits_of, quantised, raw_bytes
from nasdip_engine.errors import MaskError, PictureError
from nasdip_engine.evolution.settings import TILE, SearchSettings
from nasdip_engine.task import BLOCK, CORRELATED, LEAST_KNOWN, Task, TaskKind
from nasdip_engine.tiling import LARGEST_RESULT_PIXELS, Box, tile_boxes
from nasdip_engine.windows import Window, bounds_of, centred, windows_around_holes

__all__ = [
    "LARGEST_RESULT_PIXELS",
    "SMALLEST_SIDE",
    "Box",
    "Frame",
    "Window",
    "check_noise",
    "final_frames",
    "final_windows",
    "paste",
    "paste_whole",
    "reference_frame",
    "resized",
    "resized_floats",
    "search_frame",
    "searched_frame",
]

SMALLEST_SIDE = 32
"""Smallest side in pixels of an output; deeper networks leave nothing of less."""

_LARGEST_WHOLE = 4  # a result of up to so many tiles a side is fitted whole: 2048 pixels of 512
_MOST_HOLE = 0.5  # a search crop with more hole than this says too little about a network
_ENOUGH_HOLE = 0.25  # and beyond this share more hole says no more

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Frame:
    """A part of the upload as a network sees it.

    picture: uint8 or uint16 (h, w, 3).  mask: bool (h, w), True = known, or None.  box: the part of the upload.
    scale: frame pixels for each upload pixel, 1 or less.
    """

    picture: Samples
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


def final_windows(
    height: int, width: int, mask: Mask | None, task: Task, tile: int = TILE
) -> tuple[Window, ...]:
    """The parts of a picture of height x width pixels that the final fit takes one by one; often one, the whole.

    mask: bool (height, width), True = known; INPAINT only.  tile: as in the settings.  Raises PictureError for
    sizes that are not restored, MaskError for a mask without hole.
    """
    _check_mask(height, width, mask, task)
    _check_small(height * task.factor, width * task.factor, "gives a result of" if task.factor > 1 else "has")
    _check_large(height, width, task.factor)
    check_noise(height, width, task, tile)
    longest = max(height, width)
    if longest <= tile and longest * task.factor <= _LARGEST_WHOLE * tile:
        return (Window((0, 0, width, height), (height, width)),)
    if mask is None:
        boxes = tile_boxes(height, width, task.factor, tile)
        if task.noise == CORRELATED:  # a block of a tile is a block of JPEG's: it begins on the upload's grid
            boxes = [(x - x % BLOCK, y - y % BLOCK, w + x % BLOCK, h + y % BLOCK) for x, y, w, h in boxes]
        return tuple(Window(box, (box[3], box[2])) for box in boxes)
    windows = windows_around_holes(mask, tile)
    for window in windows:
        _check_small(*window.size, f"must be reduced to {tile} pixels around the hole and then has")
    return windows


def check_noise(height: int, width: int, task: Task, tile: int = TILE) -> None:
    """Raise PictureError, field "noise", where a picture of this size can't be restored with what is assumed of it."""
    if task.noise == CORRELATED and min(height, width) < 2 * BLOCK:
        raise PictureError(
            f"the picture has {width} x {height} pixels; with correlated noise each side must be at least {2 * BLOCK}, "
            f"two blocks of {BLOCK}: choose noise none, or a larger picture",
            field="noise",
        )
    if task.kind is TaskKind.INPAINT and not task.keeps_known and max(height, width) > tile:
        raise PictureError(
            f"this picture has {width} x {height} pixels and its noise is to be removed with the hole; over "
            f"{tile} pixels a side only the hole can be filled: choose noise none, or a smaller picture",
            field="noise",
        )


def final_frames(picture: Samples, mask: Mask | None, task: Task, tile: int = TILE) -> tuple[Frame, ...]:
    """The frames of the final fit, one for each of `final_windows`.

    picture: uint8 or uint16 (h, w, 3); for UPSCALE the small one.  mask: bool (h, w), True = known; INPAINT only.
    Raises PictureError for sizes that are not restored, MaskError for a mask without hole, or where around a hole
    nothing known is left.
    """
    height, width = picture.shape[:2]
    windows = final_windows(height, width, mask, task, tile)
    return tuple(_frame(picture, mask, window) for window in windows)


def searched_frame(picture: Samples, frames: Sequence[Frame]) -> Frame:
    """The frame that the search's crop is taken from: the only one, the one with most hole, or the whole picture."""
    if len(frames) == 1:
        return frames[0]
    if frames[0].mask is None:
        height, width = picture.shape[:2]
        return Frame(picture, None, (0, 0, width, height))
    return max(frames, key=lambda frame: 0 if frame.mask is None else int((~frame.mask).sum()))


def _check_mask(height: int, width: int, mask: Mask | None, task: Task) -> None:
    if task.kind is not TaskKind.INPAINT:
        if mask is not None:
            raise MaskError(f"a mask was given, but only {TaskKind.INPAINT} takes one", field="mask")
        return
    if mask is None:
        raise MaskError(f"{TaskKind.INPAINT} needs a mask that says what is to be filled", field="mask")
    if mask.shape != (height, width):
        raise MaskError(
            f"the mask has {mask.shape[1]} x {mask.shape[0]} pixels, "
            f"the picture {width} x {height}; they must be equal",
            field="mask",
        )
    known = int(np.count_nonzero(mask))
    if known in (0, mask.size):
        which = "no known pixel: all is to be filled" if not known else "no hole: every pixel is known"
        raise MaskError(f"the mask has {which}; it needs some of both", field="mask")
    if known < LEAST_KNOWN:
        raise MaskError(
            f"the mask leaves {known} known pixel; at least {LEAST_KNOWN} are needed to fit anything",
            field="mask",
        )


def _check_small(height: int, width: int, verb: str) -> None:
    if min(height, width) < SMALLEST_SIDE:
        raise PictureError(
            f"the picture {verb} {width} x {height} pixels; each side must be at least {SMALLEST_SIDE}"
        )


def _check_large(height: int, width: int, factor: int) -> None:
    pixels = height * width * factor**2
    if pixels > LARGEST_RESULT_PIXELS:
        made = (
            f"enlarging {width} x {height} pixels {factor} times gives" if factor > 1 else "this picture has"
        )
        raise PictureError(
            f"{made} {width * factor} x {height * factor}, {pixels / 1e6:.1f} megapixels; a result has up to "
            f"{LARGEST_RESULT_PIXELS // 10**6}: take a smaller {'factor or a smaller ' if factor > 1 else ''}picture"
        )


def _cut(array: NDArray[Any], box: Box) -> NDArray[Any]:
    x, y, width, height = box
    return np.ascontiguousarray(array[y : y + height, x : x + width])


def _frame(picture: Samples, mask: Mask | None, window: Window) -> Frame:
    cut = _cut(picture, window.box)
    if mask is None:
        return Frame(cut, None, window.box)
    known = _cut(mask, window.box)
    if window.scale == 1.0:
        return _with_known_pixels(Frame(cut, known, window.box))
    height, width = window.size
    small = resized(cut, width, height, Image.Resampling.BOX)
    # A reduced pixel is known where no hole pixel went into it: what lies in the hole never leaks out of it.
    white = Image.fromarray(known.astype(np.uint8) * np.uint8(255))
    share = white.resize((width, height), Image.Resampling.BOX)
    frame = Frame(small, np.asarray(share) == 255, window.box, window.scale)
    return _with_known_pixels(frame)


def _with_known_pixels(frame: Frame) -> Frame:
    known = 0 if frame.mask is None else np.count_nonzero(frame.mask)
    if known < LEAST_KNOWN:
        raise MaskError(
            f"around the hole {known or 'no'} pixel is left that is known once it is reduced to {max(frame.size)} pixels; "
            "make the hole smaller",
            field="mask",
        )
    return frame


def search_frame(frame: Frame, task: Task, settings: SearchSettings) -> Frame:
    """The part of the final frame on which genomes are compared: settings.crop output pixels a side, or less.

    INPAINT: around the hole, or where hole and context meet if it is larger.  Otherwise the most varied
    window.  Correlated noise: it begins on the upload's own grid of 8x8 blocks, two of them a side at least, so that
    none of its blocks lies in two of JPEG's.  Deterministic; ties go to the first window by rows.
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


def _best_window(frame: Frame, height: int, width: int) -> Box:
    rows, columns = frame.size
    if frame.mask is not None:
        bounds = bounds_of(~frame.mask)
        in_the_middle = centred(bounds, width, height, frame.size)
        if bounds[2] <= width and bounds[3] <= height and _scores(frame, in_the_middle)[0][0]:
            return in_the_middle
    step = max(1, min(height, width) // 8)
    best: tuple[tuple[bool, int, int], Box] | None = None
    for top in [*range(0, rows - height, step), rows - height]:
        lefts = [*range(0, columns - width, step), columns - width]
        scores = _scores(frame, (0, top, columns, height), width, lefts)
        score, left = max(zip(scores, lefts, strict=True), key=lambda scored: scored[0])
        if best is None or score > best[0]:
            best = score, (left, top, width, height)
    if best is None:
        raise ValueError(f"no window of {width} x {height} lies in {columns} x {rows}")
    return best[1]


def _scores(
    frame: Frame, band: Box, width: int | None = None, lefts: Sequence[int] = (0,)
) -> list[tuple[bool, int, int]]:
    """How much the windows of `width` that begin at `lefts` of a band say about a network; exact whole numbers.

    One band of rows at a time, so that a large picture needs no tables of its own size.
    """
    pixels = _cut(frame.picture, band).astype(np.int64).sum(axis=2)
    known = np.ones(pixels.shape, np.bool_) if frame.mask is None else _cut(frame.mask, band)
    grey = np.where(known, pixels, 0)
    # Sums over all columns from the left, so that two entries give the sum over any window.
    hole, total, squared = (
        np.pad(values.sum(axis=0, dtype=np.int64), (1, 0)).cumsum() for values in (~known, grey, grey**2)
    )
    width = band[2] if width is None else width
    area = width * band[3]
    scores = []
    for left in lefts:
        hole_here, sum_here, squared_here = (
            int(table[left + width] - table[left]) for table in (hole, total, squared)
        )
        seen = area - hole_here
        useful = seen > 0 and hole_here <= _MOST_HOLE * area
        # Enough hole counts first, then variety; a window of mostly hole only where there is no other.
        wanted = min(hole_here, int(_ENOUGH_HOLE * area)) if useful else -hole_here
        scores.append((useful, wanted, (squared_here * seen - sum_here**2) // max(1, seen * seen)))
    return scores


def paste(upload: Samples, mask: Mask | None, frame: Frame, restored: Samples) -> Samples:
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


def paste_whole(upload: Samples, mask: Mask | None, restored: Samples) -> Samples:
    """The result where all frames were put together already: `restored` itself, or its holes in the upload."""
    height, width = upload.shape[:2]
    return paste(upload, mask, Frame(upload, None, (0, 0, width, height)), restored)


def resized(pixels: Samples, width: int, height: int, kernel: Image.Resampling) -> Samples:
    """(h, w, 3) of either depth at another size: Pillow's kernels, which reach over the same pixels at both."""
    if bits_of(pixels) == 8:
        return np.asarray(Image.fromarray(pixels).resize((width, height), kernel))
    # Pillow has no 16-bit RGB.  Its floats hold 16 bits to 1/256 of a level.
    levels = resized_floats(pixels.astype(np.float32), width, height, kernel)
    return quantised(levels / np.float32(65535), 16)


def resized_floats(
    array: NDArray[np.float32], width: int, height: int, kernel: Image.Resampling
) -> NDArray[np.float32]:
    """float32 (h, w, 3) at another size, channel by channel; nothing is rounded or clipped."""
    made = np.empty((height, width, 3), np.float32)
    for channel in range(3):
        plane = Image.fromarray(np.ascontiguousarray(array[..., channel]))
        made[..., channel] = np.asarray(plane.resize((width, height), kernel))
    return made


def reference_frame(reference: Samples, frame: Frame, factor: int) -> Samples:
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
