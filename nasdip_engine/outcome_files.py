"""What an evaluation hands to who asked for it as files: results, whole or not at all, and previews."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nasdip_engine.bit_depth import Samples
from nasdip_engine.picture import Form, encode_png

__all__ = ["form_of_previews", "preview_of", "write_png", "write_whole"]

_PREVIEW_SIDE = 256


def form_of_previews(request: Mapping[str, Any]) -> Form:
    """What previews and stills have of the upload, by a request's `grey` and `profile`: as the result, but never transparent."""
    icc, profile = None, request.get("profile")
    if profile:
        with suppress(OSError):  # no fit is worth less for a preview's colours
            icc = Path(profile).read_bytes()
    return Form(grey=request.get("grey", False), icc=icc)


def preview_of(pixels: Samples, form: Form) -> bytes:
    """A PNG of an 8-bit picture (h, w, 3), at most 256 px a side, in the form of the result."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE), Image.Resampling.BOX)
    return form.encode(form.finished(np.asarray(picture)))


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
