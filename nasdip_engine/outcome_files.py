"""What an evaluation hands to who asked for it as files: results, whole or not at all, and previews."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from nasdip_engine.bit_depth import Samples
from nasdip_engine.picture import encode_png

__all__ = ["preview_of", "reduced", "write_png", "write_whole"]

_PREVIEW_SIDE = 256


def preview_of(pixels: Samples) -> str:
    """A PNG in base64 of an 8-bit picture, at most 256 px a side."""
    file = io.BytesIO()
    Image.fromarray(reduced(pixels)).save(file, format="PNG", compress_level=1)
    return base64.b64encode(file.getvalue()).decode("ascii")


def reduced(pixels: Samples) -> Samples:
    """An 8-bit picture (h, w, 3) of at most 256 px a side; a smaller one as it is."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE), Image.Resampling.BOX)
    return np.asarray(picture)


def write_png(path: str | None, pixels: Samples) -> None:
    """Write (h, w, 3) of 8 or 16 bits as PNG, whole or not at all.  Raises OSError."""
    data = encode_png(pixels)
    write_whole(path or "", lambda file: file.write(data))


def write_whole(path: str, save: Callable[[io.BufferedWriter], object], *, sync: bool = True) -> None:
    """Whole or not at all: a child that is killed while it writes leaves no half file under the name.  Raises OSError.

    sync: wait until it is on the disk, for what must outlive a loss of power.
    """
    partial = Path(f"{path}.{os.getpid()}.partial")
    with partial.open("wb") as file:
        save(file)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    partial.replace(path)
