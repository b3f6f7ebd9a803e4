"""Opening a job: the stored input becomes the frames of the search and of the final fit."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasdip_engine.bit_depth import Samples, raw_bytes
from nasdip_engine.evolution.settings import SearchSettings
from nasdip_engine.framing import Frame, final_frames, search_frame, searched_frame
from nasdip_engine.picture import encode_mask, encode_png, read_png
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
    settings = SearchSettings.from_json(request["settings"])
    final = final_frames(upload.pixels, known, task, settings.tile)
    search = search_frame(searched_frame(upload.pixels, final), task, settings)
    stored = [_stored(lease, frame) for frame in final]
    return {
        **(
            {"final": stored[0]}
            if len(stored) == 1
            else {"final": _whole(request, upload.pixels), "tiles": stored}
        ),
        "search": _stored(lease, search),
        "key": search.digest,
        "input_sha256": hashlib.sha256(raw_bytes(upload.pixels)).hexdigest(),
        "bit_depth": upload.bit_depth,
        "grey": upload.grey,
        "profile": None if upload.icc is None else files.keep(lease.job_id, upload.icc),
        "alpha_sha256": None if upload.alpha is None else hashlib.sha256(raw_bytes(upload.alpha)).hexdigest(),
        "mask_sha256": None if known is None else hashlib.sha256(np.packbits(known).tobytes()).hexdigest(),
    }


def read_pixels(path: str) -> Samples:
    """A picture that this site encoded itself: uint8 or uint16 (h, w, 3)."""
    return read_png(Path(path)).pixels


def read_known(path: str) -> NDArray[np.bool_]:
    """A mask that this site encoded itself: bool (h, w), True = known."""
    return read_png(Path(path)).pixels[..., 0] >= 128


def _whole(request: dict[str, Any], pixels: Samples) -> dict[str, Any]:
    """A picture that is fitted in several frames: its files are the upload's."""
    height, width = pixels.shape[:2]
    mask = request["upload_mask"]
    return {
        "width": width,
        "height": height,
        "box": [0, 0, width, height],
        "scale": 1.0,
        "picture": Path(request["upload"]).name,
        "mask": None if mask is None else Path(mask).name,
    }


def _stored(lease: Lease, frame: Frame) -> dict[str, Any]:
    picture = files.keep(lease.job_id, encode_png(frame.picture))
    mask = None if frame.mask is None else files.keep(lease.job_id, encode_mask(frame.mask))
    return {**frame.to_json(), "picture": picture, "mask": mask}
