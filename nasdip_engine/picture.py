"""Bytes from outside to pixels, and pixels back to bytes.

Decoding happens in a guarded process (`decoder`), so this module loads neither pyvips nor a decoder; it
checks what bytes alone tell, asks, and turns every refusal into one sentence that names the file.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nasdip_engine.bit_depth import Samples, at_depth, bits_of, from_raw, grey_of, quantised, raw_bytes
from nasdip_engine.errors import MaskError, NasDipError, PictureError
from nasdip_engine.formats import PictureFormat, recognise
from nasdip_engine.guard import Fault, FaultKind, Host, Outcome
from nasdip_engine.png import read_reduced, read_samples, write_samples
from nasdip_engine.tiling import LARGEST_RESULT_PIXELS, bands

__all__ = [
    "LIMIT_BYTES",
    "LIMIT_PIXELS",
    "LIMIT_RESULT_BYTES",
    "MINIMUM_SIDE",
    "Form",
    "Picture",
    "PictureFormat",
    "begun_digest",
    "decode",
    "decode_result",
    "encode_mask",
    "encode_png",
    "encode_thumbnail",
    "on_white",
    "pixel_digest",
    "read_frame",
    "read_frame_mask",
    "read_mask",
    "read_masked_frame",
    "read_png",
    "share_to_fill",
]

LIMIT_BYTES = 50_000_000
LIMIT_PIXELS = 40_000_000
LIMIT_RESULT_BYTES = 1_000_000_000
MINIMUM_SIDE = 32  # px; below it the networks have nothing to work on

MaskArray = NDArray[np.bool_]

_MASK_LEVEL = 128  # grey value from which a mask's pixel is known


@dataclass(frozen=True, eq=False)
class Form:
    """What of an upload goes round the networks, three channels in and out, and is put back into the result.

    alpha: (h, w) of the upload's own depth, or None.  grey: whether the result has one channel.  icc: the
    colour profile that the values are meant in; None = sRGB.  bit_depth: of the result, 8 or 16.
    """

    alpha: Samples | None = None
    grey: bool = False
    icc: bytes | None = None
    bit_depth: int = 8

    def finished(self, pixels: Samples) -> Samples:
        """(h, w, 3) as the result has it: of a grey upload three equal channels, the mean of the network's."""
        return grey_of(pixels) if self.grey else pixels

    def encode(self, pixels: Samples) -> bytes:
        """A PNG of a result, or of the upload itself: (h, w, 3) with alpha and profile put back.

        Alpha is the upload's, to the bit at its own depth, or enlarged bicubically to the result's size.
        """
        alpha = None if self.alpha is None else at_depth(self.alpha, bits_of(pixels))
        if alpha is not None and alpha.shape != pixels.shape[:2]:
            alpha = _enlarged(alpha, pixels.shape[1], pixels.shape[0])
        return encode_png(pixels, self.icc, alpha=alpha, grey=self.grey)


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture.

    pixels: uint8 or uint16 (height, width, 3), upright RGB; three equal channels where it is grey.
    notes: what was done to it, in words for its owner.  icc: the colour profile that the values are meant in,
    of RGB or of grey; None = sRGB.  bit_depth: of pixels and alpha, 8 or 16.  alpha: (height, width), only
    where something is transparent.  grey: whether the file has one channel of colour.
    """

    pixels: Samples
    source_format: PictureFormat
    notes: tuple[str, ...]
    icc: bytes | None
    bit_depth: int
    name: str = ""
    alpha: Samples | None = None
    grey: bool = False

    def form(self, bit_depth: int | None = None) -> Form:
        """What its result keeps of it; bit_depth: of the result, the picture's own if None."""
        return Form(self.alpha, self.grey, self.icc, bit_depth or self.bit_depth)

    @property
    def width(self) -> int:
        """In pixels, upright."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """In pixels, upright."""
        return int(self.pixels.shape[0])


def decode(data: bytes, name: str, host: Host, minimum_side: int = MINIMUM_SIDE) -> Picture:
    """Decode one picture file of any of the five formats, whatever its name ends in.

    name: for messages.  host: guard.Host("decoder").  minimum_side: pixels that each side needs.
    Raises PictureError, one sentence with file, reason and remedy, for anything that is not one sound still
    picture within the limits; NasDipError when the decoder itself can't be run.
    """
    return _decode(data, name, host, minimum_side=minimum_side)


def decode_result(data: bytes, name: str, host: Host) -> Picture:
    """Decode a picture of a result's size, which may be larger than an upload: a restored picture, a reference.

    As `decode`, up to 100 megapixels and 1 GB.
    """
    limits = (LIMIT_RESULT_BYTES, LARGEST_RESULT_PIXELS)
    return _decode(data, name, host, minimum_side=MINIMUM_SIDE, limits=limits)


def read_mask(data: bytes, name: str, size: tuple[int, int], invert: bool, host: Host) -> MaskArray:
    """Decode a mask file: bool (height, width), True = known, False = to be filled.

    size: (width, height) of the picture.  Grey value >= 128 = known; `invert` for the other convention.
    Raises MaskError: unreadable, of another size, nothing known, nothing to fill.
    """
    try:
        picture = _decode(data, name, host, minimum_side=1)
    except PictureError as error:
        raise MaskError(f"mask {error}", field="mask") from error
    named = _shown(name)
    if (picture.width, picture.height) != tuple(size):
        raise MaskError(
            f"mask {named} is {picture.width} x {picture.height} px and the picture "
            f"{size[0]} x {size[1]} px; they must be equal",
            field="mask",
        )
    shown = at_depth(picture.pixels, 8)
    if picture.alpha is not None:
        shown = on_white(shown, at_depth(picture.alpha, 8))
    grey = np.asarray(Image.fromarray(shown).convert("L"))  # ITU-R 601; grey stays as it is
    known: MaskArray = (grey < _MASK_LEVEL) if invert else (grey >= _MASK_LEVEL)
    other = "without" if invert else "with"
    if known.all():
        raise MaskError(
            f"mask {named} marks every pixel as known and none to be filled; paint the hole darker than grey "
            f"{_MASK_LEVEL}, or read it {other} inversion",
            field="mask",
        )
    if not known.any():
        raise MaskError(
            f"mask {named} marks every pixel as hole and none as known; keep what is known at grey "
            f"{_MASK_LEVEL} or lighter, or read it {other} inversion",
            field="mask",
        )
    return known


def read_frame(path: Path) -> Samples:
    """A frame that the product itself wrote: (h, w, 3).  Raises PictureError for any other kind of PNG."""
    frame = read_png(path)
    if frame.grey or frame.alpha is not None:
        kind = "grey" if frame.grey else "RGB with alpha"
        raise PictureError(f"{path.name} is {kind}; a frame is an RGB PNG of 8 or 16 bits")
    return frame.pixels


def read_masked_frame(picture: str, mask: str | None) -> tuple[Samples, MaskArray | None]:
    """`read_frame`, and the mask that the product itself wrote beside it: bool (h, w), True = known, or None.

    Raises PictureError or MaskError for any other kind of PNG.
    """
    return read_frame(Path(picture)), None if mask is None else read_frame_mask(Path(mask))


def read_frame_mask(path: Path) -> MaskArray:
    """A mask that the product itself wrote: bool (h, w), True = known.  Raises MaskError for any other kind of PNG."""
    mask = read_png(path)
    if not mask.grey or mask.bit_depth != 8:
        raise MaskError(f"{path.name} is not grey of 8 bits, as a frame's mask is")
    known: MaskArray = mask.pixels[..., 0] >= _MASK_LEVEL
    return known


def pixel_digest(pixels: Samples) -> str:
    """sha256, in hex, of a picture's shape, depth and RGB samples: equal for equal ones, whatever the file."""
    height, width, _ = pixels.shape
    digest = begun_digest(height, width, bits_of(pixels))
    for first, end in bands(height, width):  # no second copy of a large picture
        digest.update(raw_bytes(pixels[first:end]))
    return digest.hexdigest()


def begun_digest(height: int, width: int, bits: int) -> hashlib._Hash:
    """What `pixel_digest` begins with; the `raw_bytes` of a picture's rows, from above, bring it to its end."""
    deep = "" if bits == 8 else f"x{bits}bit"
    return hashlib.sha256(f"{height}x{width}x3{deep}:".encode())


def share_to_fill(mask: MaskArray) -> float:
    """Share of the pixels that are to be filled, 0..1; mask as `read_mask` gives it."""
    return 1.0 - float(np.count_nonzero(mask)) / mask.size


def encode_png(
    pixels: Samples, icc: bytes | None = None, *, alpha: Samples | None = None, grey: bool = False
) -> bytes:
    """A PNG of (h, w, 3) RGB or (h, w) grey, uint8 or uint16: same pixels, same bytes; no date, no text.

    alpha: (h, w) of the same depth, or None.  grey: write one channel, the first, of three equal ones.
    """
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}; (h, w, 3) or (h, w) is needed")
    bits_of(pixels)
    planes = pixels[..., None] if pixels.ndim == 2 else pixels[..., :1] if grey else pixels
    if alpha is not None:
        if alpha.dtype != pixels.dtype or alpha.shape != pixels.shape[:2]:
            raise ValueError(
                f"alpha is {alpha.dtype} {alpha.shape}, the pixels {pixels.dtype} {pixels.shape}"
            )
        planes = np.concatenate([planes, alpha[..., None]], axis=2)
    return write_samples(planes, icc)


def read_png(file: Path | bytes) -> Picture:
    """A picture that `encode_png` wrote, unguarded; files from outside go through `decode`.  Raises OSError."""
    samples, icc = read_samples(file)
    name = "" if isinstance(file, bytes) else file.name
    return _picture(samples, name, PictureFormat.PNG, (), icc, opaque=False)


def encode_thumbnail(file: Path, side: int) -> bytes:
    """A PNG of 8 bits of a picture that `encode_png` wrote, laid on white and reduced to `side` pixels; of any size.

    Raises OSError.
    """
    samples, icc = read_reduced(file, side)
    small = _picture(samples, file.name, PictureFormat.PNG, (), icc, opaque=False)
    shown = small.pixels if small.alpha is None else on_white(small.pixels, small.alpha)
    return encode_png(shown, icc, grey=small.grey)


def on_white(pixels: Samples, alpha: Samples) -> Samples:
    """uint8 (h, w, 3) laid on white by uint8 alpha (h, w): for looking at, never for a network."""
    weight = alpha.astype(np.uint32)[..., None]
    return ((pixels * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)


def encode_mask(mask: MaskArray) -> bytes:
    """The grey PNG that `read_mask` reads back: 255 = known, 0 = to be filled."""
    return encode_png(np.where(mask, np.uint8(255), np.uint8(0)))


def _decode(
    data: bytes,
    name: str,
    host: Host,
    *,
    minimum_side: int,
    limits: tuple[int, int] = (LIMIT_BYTES, LIMIT_PIXELS),
) -> Picture:
    shown = _shown(name)
    most_bytes, most_pixels = limits
    if len(data) > most_bytes:
        raise PictureError(
            f"{shown} has {len(data) / 1e6:.1f} MB; up to {most_bytes // 10**6} MB are taken: make it smaller"
        )
    try:
        kind = recognise(data)
    except PictureError as error:
        raise PictureError(f"{shown} {error}") from None
    value, block = _ask(
        {"format": kind.value, "limit_pixels": most_pixels, "minimum_side": minimum_side}, data, shown, host
    )
    if "refused" in value:
        raise PictureError(f"{shown} {value['refused']}")
    bit_depth = int(value["bit_depth"])
    shape = (int(value["height"]), int(value["width"]), int(value["bands"]))
    samples = from_raw(block, bit_depth).reshape(shape)
    icc = base64.b64decode(value["icc"]) or None
    return _picture(samples, name, kind, tuple(value["notes"]), icc, opaque=bool(value["opaque"]))


def _picture(
    samples: Samples,
    name: str,
    kind: PictureFormat,
    notes: tuple[str, ...],
    icc: bytes | None,
    *,
    opaque: bool,
) -> Picture:
    """Bands taken apart: one or three of colour, then alpha, which is dropped where it is opaque."""
    grey = samples.shape[2] < 3
    pixels = np.repeat(samples[..., :1], 3, axis=2) if grey else samples[..., :3].copy()
    alpha = None if opaque or samples.shape[2] in (1, 3) else samples[..., -1].copy()
    return Picture(pixels, kind, notes, icc, bits_of(samples), name, alpha, grey)


def _enlarged(alpha: Samples, width: int, height: int) -> Samples:
    bits = bits_of(alpha)
    highest = np.float32((1 << bits) - 1)
    plane = Image.fromarray(alpha.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    return quantised(np.asarray(plane) / highest, bits)


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
