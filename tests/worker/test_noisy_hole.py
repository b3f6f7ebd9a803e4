"""What a worker pastes back: the hole alone where known pixels are exact, everything where they were restored too."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from gpu_worker.finishing import _whole
from nasdip_engine.picture import encode_mask, encode_png
from nasdip_engine.task import Task, TaskKind
from tests.worker.cast import picture_pixels
from webapp.restorations.leases import Lease
from webapp.restorations.states import ItemKind


@pytest.mark.parametrize("noise", ["none", "independent", "correlated", "impulse"])
def test_known_pixels_are_the_uploads_only_where_they_were_taken_to_be_exact(
    tmp_path: Path, noise: str
) -> None:
    upload = picture_pixels()
    restored = 255 - upload
    known = np.ones(upload.shape[:2], bool)
    known[4:9, 5:20] = False
    files = {"upload": encode_png(upload), "restored": encode_png(restored), "mask": encode_mask(known)}
    paths = {name: str(tmp_path / f"{name}.png") for name in files}
    for name, content in files.items():
        Path(paths[name]).write_bytes(content)
    height, width = known.shape
    request = {
        "task": Task(TaskKind.INPAINT, noise=noise).to_json(),
        "picture": paths["upload"],
        "paste": {
            "upload": paths["upload"],
            "upload_mask": paths["mask"],
            "frame": {"box": [0, 0, width, height], "scale": 1.0},
        },
    }
    lease = Lease(1, "token", uuid4(), ItemKind.COMBINE, "", None, request, 60.0)
    whole, _ = _whole(lease, paths["restored"])
    assert np.array_equal(whole[~known], restored[~known])
    assert np.array_equal(whole[known], (upload if noise == "none" else restored)[known])
