"""Opening a job: the stored input becomes the frames of the search and of the final fit."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nasdip_engine.framing import Frame, final_frame, search_frame
from nasdip_engine.picture import encode_mask, encode_png
from nasdip_engine.search.settings import SearchSettings
from nasdip_engine.task import Task
from webapp.restorations import files
from webapp.restorations.leases import Lease

__all__ = ["make_frames", "read_known", "read_pixels"]


def make_frames(lease: Lease) -> dict[str, Any]:
    """The frames as `generations.open_job` takes them; pictures and masks become files of the job.

    Raises InvalidInput where the picture can't be restored, OSError when a file can't be read or written.
    """
    request = lease.request
    pixels = read_pixels(request["upload"])
    known = read_known(request["upload_mask"]) if request["upload_mask"] else None
    task = Task.from_json(request["task"])
    final = final_frame(pixels, known, task)
    search = search_frame(final, task, SearchSettings.from_json(request["settings"]))
    return {
        "final": _stored(lease, final),
        "search": _stored(lease, search),
        "key": search.digest,
        "input_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
        "mask_sha256": None if known is None else hashlib.sha256(np.packbits(known).tobytes()).hexdigest(),
    }


def read_pixels(path: str) -> NDArray[np.uint8]:
    """A picture that this site encoded itself: uint8 (h, w, 3)."""
    with Image.open(path, formats=("PNG",)) as image:
        return np.array(image.convert("RGB"))


def read_known(path: str) -> NDArray[np.bool_]:
    """A mask that this site encoded itself: bool (h, w), True = known."""
    with Image.open(path, formats=("PNG",)) as image:
        return np.array(image.convert("L")) >= 128


def _stored(lease: Lease, frame: Frame) -> dict[str, Any]:
    picture = files.keep(lease.job_id, encode_png(frame.picture))
    mask = None if frame.mask is None else files.keep(lease.job_id, encode_mask(frame.mask))
    return {**frame.to_json(), "picture": picture, "mask": mask}
