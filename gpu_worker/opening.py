"""Opening a job: the stored input becomes the frames of the search and of the final fit."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasdip_engine.bit_depth import Samples, raw_bytes
from nasdip_engine.framing import Frame, final_frame, search_frame
from nasdip_engine.picture import encode_mask, encode_png, read_png
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
    upload = read_png(Path(request["upload"]))
    known = read_known(request["upload_mask"]) if request["upload_mask"] else None
    task = Task.from_json(request["task"])
    final = final_frame(upload.pixels, known, task)
    search = search_frame(final, task, SearchSettings.from_json(request["settings"]))
    return {
        "final": _stored(lease, final),
        "search": _stored(lease, search),
        "key": search.digest,
        "input_sha256": hashlib.sha256(raw_bytes(upload.pixels)).hexdigest(),
        "bit_depth": upload.bit_depth,
        "grey": upload.grey,
        "alpha_sha256": None if upload.alpha is None else hashlib.sha256(raw_bytes(upload.alpha)).hexdigest(),
        "mask_sha256": None if known is None else hashlib.sha256(np.packbits(known).tobytes()).hexdigest(),
    }


def read_pixels(path: str) -> Samples:
    """A picture that this site encoded itself: uint8 or uint16 (h, w, 3)."""
    return read_png(Path(path)).pixels


def read_known(path: str) -> NDArray[np.bool_]:
    """A mask that this site encoded itself: bool (h, w), True = known."""
    return read_png(Path(path)).pixels[..., 0] >= 128


def _stored(lease: Lease, frame: Frame) -> dict[str, Any]:
    picture = files.keep(lease.job_id, encode_png(frame.picture))
    mask = None if frame.mask is None else files.keep(lease.job_id, encode_mask(frame.mask))
    return {**frame.to_json(), "picture": picture, "mask": mask}
