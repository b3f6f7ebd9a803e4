"""Picture files of every kind that tests send to the decoder, made on the spot."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from nasdip_engine.seeding import generator

Pixels = NDArray[np.uint8]


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


def png_of_size(width: int, height: int) -> bytes:
    """A sound, highly compressed grey PNG: the pixels are there, the file is small."""
    packer = zlib.compressobj(9)
    row = b"\0" + b"\x80" * width
    packed = b"".join([packer.compress(row) for _ in range(height)] + [packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
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
