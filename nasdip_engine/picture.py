"""Bytes from outside to pixels, and pixels back to bytes.

Decoding happens in a guarded process (`decoder`), so this module loads neither pyvips nor a decoder; it
checks what bytes alone tell, asks, and turns every refusal into one sentence that names the file.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nasdip_engine.errors import MaskError, NasDipError, PictureError
from nasdip_engine.formats import PictureFormat, recognise
from nasdip_engine.guard import Fault, FaultKind, Host, Outcome

__all__ = [
    "LIMIT_BYTES",
    "LIMIT_PIXELS",
    "MINIMUM_SIDE",
    "Picture",
    "PictureFormat",
    "decode",
    "encode_mask",
    "encode_png",
    "read_mask",
    "share_to_fill",
]

LIMIT_BYTES = 50_000_000
LIMIT_PIXELS = 40_000_000
MINIMUM_SIDE = 32  # px; below it the networks have nothing to work on

Pixels = NDArray[np.uint8]
MaskArray = NDArray[np.bool_]

_MASK_LEVEL = 128  # grey value from which a mask's pixel is known


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture.

    pixels: uint8 (height, width, 3), upright RGB.  notes: what was done to it, in words for its owner.
    icc: the RGB colour profile that the values are meant in; None = sRGB.  bit_depth: of the file, 8 or 16.
    """

    pixels: Pixels
    source_format: PictureFormat
    notes: tuple[str, ...]
    icc: bytes | None
    bit_depth: int
    name: str = ""

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


def decode(data: bytes, name: str, host: Host) -> Picture:
    """Decode one picture file of any of the five formats, whatever its name ends in.

    name: for messages.  host: guard.Host("decoder").
    Raises PictureError, one sentence with file, reason and remedy, for anything that is not one sound still
    picture within the limits; NasDipError when the decoder itself can't be run.
    """
    return _decode(data, name, host, minimum_side=MINIMUM_SIDE)


def read_mask(data: bytes, name: str, size: tuple[int, int], invert: bool, host: Host) -> MaskArray:
    """Decode a mask file: bool (height, width), True = known, False = to be filled.

    size: (width, height) of the picture.  Grey value >= 128 = known; `invert` for the other convention.
    Raises MaskError: unreadable, of another size, nothing known, nothing to fill.
    """
    try:
        picture = _decode(data, name, host, minimum_side=1)
    except PictureError as error:
        raise MaskError(f"mask {error}", field="mask") from error
    shown = _shown(name)
    if (picture.width, picture.height) != tuple(size):
        raise MaskError(
            f"mask {shown} is {picture.width} x {picture.height} px and the picture "
            f"{size[0]} x {size[1]} px; they must be equal",
            field="mask",
        )
    grey = np.asarray(Image.fromarray(picture.pixels).convert("L"))  # ITU-R 601; grey stays as it is
    known: MaskArray = (grey < _MASK_LEVEL) if invert else (grey >= _MASK_LEVEL)
    other = "without" if invert else "with"
    if known.all():
        raise MaskError(
            f"mask {shown} marks every pixel as known and none to be filled; paint the hole darker than grey "
            f"{_MASK_LEVEL}, or read it {other} inversion",
            field="mask",
        )
    if not known.any():
        raise MaskError(
            f"mask {shown} marks every pixel as hole and none as known; keep what is known at grey "
            f"{_MASK_LEVEL} or lighter, or read it {other} inversion",
            field="mask",
        )
    return known


def share_to_fill(mask: MaskArray) -> float:
    """Share of the pixels that are to be filled, 0..1; mask as `read_mask` gives it."""
    return 1.0 - float(np.count_nonzero(mask)) / mask.size


def encode_png(pixels: Pixels, icc: bytes | None = None) -> bytes:
    """A PNG of uint8 (h, w, 3) RGB or (h, w) grey: same pixels, same bytes; no date, no text."""
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}; uint8 (h, w, 3) or (h, w) is needed")
    file = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.save(file, format="PNG", compress_level=6, **({"icc_profile": icc} if icc else {}))
    return file.getvalue()


def encode_mask(mask: MaskArray) -> bytes:
    """The grey PNG that `read_mask` reads back: 255 = known, 0 = to be filled."""
    return encode_png(np.where(mask, np.uint8(255), np.uint8(0)))


def _decode(data: bytes, name: str, host: Host, *, minimum_side: int) -> Picture:
    shown = _shown(name)
    if len(data) > LIMIT_BYTES:
        raise PictureError(
            f"{shown} has {len(data) / 1e6:.1f} MB; up to {LIMIT_BYTES // 10**6} MB are taken: "
            "make it smaller"
        )
    try:
        kind = recognise(data)
    except PictureError as error:
        raise PictureError(f"{shown} {error}") from None
    value, block = _ask(
        {"format": kind.value, "limit_pixels": LIMIT_PIXELS, "minimum_side": minimum_side}, data, shown, host
    )
    if "refused" in value:
        raise PictureError(f"{shown} {value['refused']}")
    width, height = int(value["width"]), int(value["height"])
    size = width * height * 3
    pixels = np.frombuffer(block, dtype=np.uint8, count=size).reshape(height, width, 3).copy()
    icc = block[size:] or None
    return Picture(pixels, kind, tuple(value["notes"]), icc, int(value["bit_depth"]), name)


def _ask(request: dict[str, Any], data: bytes, shown: str, host: Host) -> tuple[dict[str, Any], bytes]:
    answer = host.run(request, block=data)
    if isinstance(answer, Fault) and answer.kind is FaultKind.HOST_LOST:
        answer = host.run(request, block=data)  # the host went, not this picture's child: a new one starts
    if isinstance(answer, Outcome):
        return answer.value, answer.block
    reasons = {
        FaultKind.CRASH: "made the decoder crash, as damaged and hostile files do",
        FaultKind.HANG: "took the decoder too long",
        FaultKind.KILLED: "took the decoder too long or too much memory",
        FaultKind.MEMORY: "needs more memory to decode than a picture may",
    }
    if answer.kind in reasons:
        raise PictureError(
            f"{shown} {reasons[answer.kind]}; open it in a picture program and save it anew as PNG"
        )
    raise NasDipError(f"{shown} could not be decoded, which is not its fault: {answer.detail}")


def _shown(name: str) -> str:
    """A file's name on one line: it comes from outside, too."""
    printable = "".join(character if character.isprintable() else "?" for character in name)
    return printable if len(printable) <= 120 else f"{printable[:60]}...{printable[-50:]}"
