"""Which kind of file some bytes are, told from the bytes alone: a name proves nothing.

The five picture formats that are read, and a name and a way out for what people send instead.
Only fixed places are looked at; whether the rest is a sound picture is the decoder's business.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from enum import StrEnum

from nasdip_engine.errors import PictureError

__all__ = ["PictureFormat", "is_animated_png", "is_camera_raw", "is_palette", "recognise"]


class PictureFormat(StrEnum):
    """The formats that are read, by the name that messages call them."""

    PNG = "PNG"
    JPEG = "JPEG"
    WEBP = "WebP"
    BMP = "BMP"
    TIFF = "TIFF"


_READ = "PNG, JPEG, WebP, BMP and TIFF are read"

_EXPORT = "export it as PNG or TIFF"
_STILL = "save the frame to restore as PNG"
_PHOTO = "export or share the photo as JPEG, or save it as PNG"
_RAW = "develop it and save the result as TIFF or PNG"
_RENDER = f"render it to pixels first and {_EXPORT}"

# (offset, bytes there, what the file is, what to do)
_FOREIGN: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"GIF87a", "a GIF", _STILL),
    (0, b"GIF89a", "a GIF", _STILL),
    (0, b"%PDF", "a PDF document", _RENDER),
    (0, b"%!PS", "a PostScript document", _RENDER),
    (0, b"\xc5\xd0\xd3\xc6", "an EPS document", _RENDER),
    (0, b"8BPS", "a Photoshop document (PSD)", _EXPORT),
    (0, b"gimp xcf", "a GIMP document (XCF)", _EXPORT),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture", _EXPORT),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture", _EXPORT),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL picture", _EXPORT),
    (0, b"\xff\x0a", "a JPEG XL picture", _EXPORT),
    (0, b"\x00\x00\x01\x00", "a Windows icon (ICO)", _EXPORT),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR picture", "tone-map it and save it as PNG or TIFF"),
    (0, b"#?RADIANCE", "a Radiance HDR picture", "tone-map it and save it as PNG or TIFF"),
    (0, b"SIMPLE  =", "a FITS picture", _EXPORT),
    (0, b"DDS ", "a DDS texture", _EXPORT),
    (0, b"qoif", "a QOI picture", _EXPORT),
    (0, b"FUJIFILMCCD-RAW", "a Fujifilm raw photo", _RAW),
    (0, b"IIRO", "an Olympus raw photo", _RAW),
    (0, b"IIRS", "an Olympus raw photo", _RAW),
    (0, b"MMOR", "an Olympus raw photo", _RAW),
    (0, b"IIU\x00", "a Panasonic raw photo", _RAW),
    (8, b"CR\x02", "a Canon raw photo", _RAW),
    (8, b"AVI ", "a video", _STILL),
    (0, b"\x1aE\xdf\xa3", "a video", _STILL),
    (0, b"PK\x03\x04", "a ZIP archive or an office document", "take the picture out of it and send that"),
    (0, b"\x1f\x8b", "a gzip archive", "unpack it and send the picture in it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and send the picture in it"),
    (0, b"Rar!", "a RAR archive", "unpack it and send the picture in it"),
)
# Brands of the ISO container that phones write (bytes 4..8 are "ftyp").
_BRANDS: tuple[tuple[frozenset[bytes], str, str], ...] = (
    (frozenset((b"avif", b"avis")), "an AVIF picture", _PHOTO),
    (
        frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")),
        "a HEIC photo",
        _PHOTO,
    ),
    (frozenset((b"crx ",)), "a Canon raw photo", _RAW),
)
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")


def recognise(data: bytes) -> PictureFormat:
    """The format of a picture file. Raises PictureError saying what the file is instead and what to do."""
    if not data:
        raise PictureError("is empty; choose the picture again")
    for offset, magic, what, remedy in _FOREIGN:
        if data.startswith(magic, offset):
            raise PictureError(f"is {what}; {remedy} ({_READ})")
    if data.startswith(_PNG):
        return PictureFormat.PNG
    if data.startswith(b"\xff\xd8\xff"):
        return PictureFormat.JPEG
    if data.startswith(b"RIFF") and data.startswith(b"WEBP", 8):
        return PictureFormat.WEBP
    if data.startswith(b"BM") and len(data) >= 18 and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return PictureFormat.BMP
    if data.startswith(_TIFF):
        return PictureFormat.TIFF
    raise PictureError(f"is {_other(data)} ({_READ})")


def _other(data: bytes) -> str:
    if data.startswith(b"ftyp", 4):
        for brands, what, remedy in _BRANDS:
            if data[8:12] in brands:
                return f"{what}; {remedy}"
        return f"a video or another ISO media file; {_STILL}"
    start = data[:2048].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start and start.startswith(b"<"):
        return f"an SVG drawing; {_RENDER}"
    if re.match(rb"<!doctype html|<html", start):
        return "a web page; save the picture itself, not the page around it"
    if re.match(rb"p[1-7]\s", start):
        return f"a PNM picture; {_EXPORT}"
    return "not a picture that can be read; open it in a picture program and save it as PNG"


def is_palette(data: bytes, kind: PictureFormat) -> bool:
    """Whether a PNG or TIFF holds indices into a palette; other formats are not looked at."""
    if kind is PictureFormat.TIFF:
        photometric, palette_colour = 262, 3
        return dict(_first_directory(data)).get(photometric) == palette_colour
    colour_type = data[25:26]  # in the header chunk, which stands first
    return kind is PictureFormat.PNG and colour_type == b"\x03"


def is_animated_png(data: bytes) -> bool:
    """Whether an animation control chunk stands before the pixels (PNG specification, 11.3.6)."""
    position = len(_PNG)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        if kind == b"acTL":
            return True
        if kind in (b"IDAT", b"IEND"):
            return False
        position += 12 + length
    return False


def is_camera_raw(data: bytes) -> bool:
    """Whether a TIFF is a camera's raw file (DNG, NEF, ARW, ...), whose first picture is only a thumbnail."""
    values = dict(_first_directory(data))
    dng_version, photometric, filter_array, linear_raw = 50706, values.get(262), 32803, 34892
    thumbnail_first = bool(values.get(254, 0) & 1) and 330 in values
    return dng_version in values or photometric in (filter_array, linear_raw) or thumbnail_first


def _first_directory(data: bytes) -> Iterator[tuple[int, int]]:
    """(tag, value or offset) of a TIFF's first directory; nothing for BigTIFF, which no camera writes."""
    order = "<" if data.startswith(b"II") else ">"
    if len(data) < 8 or data[2:4] not in (b"*\x00", b"\x00*"):
        return
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    if start + 2 > len(data):
        return
    (count,) = struct.unpack_from(f"{order}H", data, start)
    for position in range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12):
        tag, kind = struct.unpack_from(f"{order}HH", data, position)
        yield tag, struct.unpack_from(f"{order}H" if kind == 3 else f"{order}I", data, position + 8)[0]
