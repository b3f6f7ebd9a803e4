"""PNG files of this project's own making: the form in which pictures lie in run folders and in the store.

libvips reads and writes them, 8 or 16 bits a channel, since Pillow knows no 16-bit RGB.  Only for files that the
project wrote itself; what comes from outside goes through the guarded decoder.
"""

from __future__ import annotations

import logging
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasdip_engine.bit_depth import Samples, bits_of

__all__ = ["libvips", "read_reduced", "read_samples", "write_samples"]

_KINDS = {
    8: {1: "b-w", 2: "b-w", 3: "srgb", 4: "srgb"},
    16: {1: "grey16", 2: "grey16", 3: "rgb16", 4: "rgb16"},
}
_SIGNATURE = 8  # bytes
_COMPRESSION = 6


def libvips() -> Any:
    """pyvips, set up before its library starts: no unsafe loaders, one thread, nothing kept, no file on disk.

    Its threads must not exist in a process that forks: hosts import it in their children only.
    """
    os.environ |= {"VIPS_BLOCK_UNTRUSTED": "1", "VIPS_CONCURRENCY": "1", "VIPS_DISC_THRESHOLD": "16g"}
    import pyvips

    pyvips.cache_set_max(0)
    logging.getLogger("pyvips").setLevel(logging.WARNING)  # it tells of every pool of threads
    return pyvips


def write_samples(samples: Samples, icc: bytes | None = None) -> bytes:
    """A PNG of (h, w, bands): 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; uint8 or uint16.

    Same samples and profile, same bytes: no date, no text, no resolution.
    """
    kind = _KINDS[bits_of(samples)][samples.shape[2]]
    image = libvips().Image.new_from_array(np.ascontiguousarray(samples), interpretation=kind)
    if icc:
        image = image.copy()
        image.set_type(libvips().GValue.blob_type, "icc-profile-data", icc)
    written = image.pngsave_buffer(compression=_COMPRESSION, keep="icc" if icc else "none")
    return _without_resolution(bytes(written))


def read_samples(file: Path | bytes) -> tuple[Samples, bytes | None]:
    """(h, w, bands) as `write_samples` takes them, and the colour profile.  Raises OSError."""
    vips = libvips()
    options = {"access": "sequential", "fail_on": "error"}
    try:
        if isinstance(file, bytes):
            image = vips.Image.pngload_buffer(file, **options)
        else:
            file.stat()  # says what is wrong with a file as Python does
            image = vips.Image.pngload(str(file), **options)
        samples: NDArray[Any] = image.numpy()
    except vips.Error as error:
        name = "PNG" if isinstance(file, bytes) else str(file)
        raise OSError(f"{name} cannot be read: {str(error.detail).strip()}") from error
    bits_of(samples)
    return np.ascontiguousarray(samples.reshape(image.height, image.width, image.bands)), _profile(image)


def read_reduced(file: Path, side: int) -> tuple[Samples, bytes | None]:
    """As `read_samples`, of 8 bits and reduced to `side` pixels where it is larger.  Raises OSError.

    Read row by row: the memory that it takes does not grow with the picture.
    """
    vips = libvips()
    file.stat()
    options = {"size": "down", "no_rotate": True, "fail_on": "error"}
    try:
        image = vips.Image.thumbnail(str(file), side, height=side, **options)
        samples: NDArray[Any] = image.numpy()
    except vips.Error as error:
        raise OSError(f"{file} cannot be read: {str(error.detail).strip()}") from error
    return np.ascontiguousarray(samples.reshape(image.height, image.width, image.bands)), _profile(image)


def _profile(image: Any) -> bytes | None:
    return bytes(image.get("icc-profile-data")) if image.get_typeof("icc-profile-data") else None


def _without_resolution(data: bytes) -> bytes:
    """libvips writes a resolution of its own invention, which no picture here has."""
    position = _SIGNATURE
    while data[position + 4 : position + 8] != b"IDAT":
        end = position + 12 + struct.unpack_from(">I", data, position)[0]
        if data[position + 4 : position + 8] == b"pHYs":
            return data[:position] + data[end:]
        position = end
    return data
