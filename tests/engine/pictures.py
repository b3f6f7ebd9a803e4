"""Picture files of every kind that tests send to the decoder, made on the spot."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from nasdip_engine.framing import Frame, final_frames
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task

Pixels = NDArray[np.uint8]
Samples = NDArray[np.unsignedinteger[Any]]


def photo(width: int = 64, height: int = 48, channels: int = 3) -> Pixels:
    """Noise that no two pixels, rows or orientations of which look alike."""
    return generator(7, "test picture", width, height).integers(
        0, 256, (height, width, channels), dtype=np.uint8
    )


def save(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format=kind, **options)
    return file.getvalue()


def vips(pixels: NDArray[Any], interpretation: str, suffix: str, **options: Any) -> bytes:
    """A file that only libvips writes: 16 bits a channel, CMYK, alpha in TIFF, a profile, an orientation."""
    import pyvips

    image = pyvips.Image.new_from_array(np.ascontiguousarray(pixels), interpretation=interpretation)
    orientation = options.pop("orientation", None)
    profile = options.pop("icc", None)
    image = image.copy()
    if orientation is not None:
        image.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    if profile is not None:
        image.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return bytes(image.write_to_buffer(suffix, **options))


def png_of_size(width: int, height: int, *, colour: bool = False) -> bytes:
    """A sound, highly compressed PNG, grey or RGB: the pixels are there, the file is small."""
    packer = zlib.compressobj(9)
    row = b"\0" + b"\x80" * width * (3 if colour else 1)
    packed = b"".join([packer.compress(row) for _ in range(height)] + [packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if colour else 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def box(brand: bytes) -> bytes:
    """The start of an ISO media file, as phones and cameras write it."""
    return struct.pack(">I", 24) + b"ftyp" + brand + b"\0\0\0\0" + b"mif1" + brand + b"\0" * 64


def dng(width: int = 64, height: int = 48) -> bytes:
    """A TIFF whose first directory says DNGVersion, like a camera's raw file with its thumbnail in front."""
    tags = [
        (254, 4, 1, 1), (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1),
        (262, 3, 1, 1), (273, 4, 1, 200), (277, 3, 1, 1), (278, 4, 1, height),
        (279, 4, 1, width * height), (50706, 1, 4, 0x0401),
    ]  # fmt: skip
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II*\0" + struct.pack("<I", 8) + directory + b"\0\0\0\0"
    return head.ljust(200, b"\0") + bytes(width * height)


def colour_profile(
    space: bytes, gamma: float, primaries: tuple[tuple[float, float, float], ...] = ()
) -> bytes:
    """A small ICC profile, version 2: grey by a curve, RGB by three primaries (XYZ under D50) and a curve."""
    curve = b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256)) + b"\0\0"
    tags = {
        b"wtpt": _xyz((0.9642, 1.0, 0.8249)),
        b"desc": _text(b"test"),
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
    }
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    for letter, primary in zip(b"rgb", primaries, strict=False):
        tags |= {bytes([letter]) + b"XYZ": _xyz(primary), bytes([letter]) + b"TRC": curve}
    table, body, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"none", 0x02400000, b"mntr", space, b"XYZ ")
    head += (
        struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
        + b"acsp"
        + bytes(28)
        + struct.pack(">3i", 63190, 65536, 54061)
    )
    return head.ljust(128, b"\0") + table + body


ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))


def _xyz(value: tuple[float, float, float]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(part * 65536) for part in value))


def _text(words: bytes) -> bytes:
    body = b"desc\0\0\0\0" + struct.pack(">I", len(words) + 1) + words + b"\0" + bytes(8) + bytes(3 + 67)
    return body.ljust(-(-len(body) // 4) * 4, b"\0")


def display_p3() -> bytes:
    """The Display-P3 profile that libvips ships."""
    import pyvips

    return bytes(pyvips.Image.profile_load("p3"))


def final_frame(pixels: Samples, mask: NDArray[np.bool_] | None, task: Task) -> Frame:
    """The only frame of a picture that is fitted whole, or of a hole in one window."""
    (frame,) = final_frames(pixels, mask, task)
    return frame
