"""The true error by iteration: the PSNR that a reader would compute, and no influence on the outcome."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nasdip_engine.errors import PictureError
from nasdip_engine.evaluation import evaluate
from nasdip_engine.picture import pixel_digest
from nasdip_engine.request import Kind, Request
from nasdip_engine.restoration.degradation import degradation_for
from nasdip_engine.restoration.metrics import psnr
from tests.engine.test_evaluation import SIDE, outcome, request, smooth_picture

MASK = np.ones((SIDE, SIDE), dtype=np.bool_)
MASK[10:16, 9:17] = False


def clean_file(folder: Path, side: int = SIDE) -> tuple[str, np.ndarray]:
    clean = np.flip(smooth_picture(side), axis=0).copy()
    path = folder / "clean.png"
    Image.fromarray(clean).save(path)
    return str(path), clean


@pytest.mark.parametrize("task", ["denoise", "inpaint", "upscale"])
def test_the_curve_ends_at_the_figure_of_the_output(tmp_path: Path, task: str) -> None:
    path, clean = clean_file(tmp_path, 2 * SIDE if task == "upscale" else SIDE)
    output = str(tmp_path / "output.npy")
    found = outcome(request(tmp_path, task=task, output=output, reference=path))
    true = found.pop("true")
    assert found == outcome(request(tmp_path, task=task)), "nothing else is different to the bit"
    assert true["reference"] == pixel_digest(clean)
    assert (
        [iteration for iteration, _ in true["curve"]]
        == [iteration for iteration, _ in found["curve"]]
        == [25, 30]
    )
    asked = request(tmp_path, task=task).task
    composed = degradation_for(asked, smooth_picture(), MASK if task == "inpaint" else None).compose(
        np.load(output)
    )
    assert true["psnr"] == dict(true["curve"])[found["best_iteration"]] == psnr(composed, clean)


def test_a_final_fit_can_be_watched_too(tmp_path: Path) -> None:
    path, _ = clean_file(tmp_path)
    found = outcome(request(tmp_path, Kind.FINISH, output=str(tmp_path / "final.npy"), reference=path))
    assert [iteration for iteration, _ in found["true"]["curve"]] == [25, 50, 60]


def test_a_fit_that_diverges_has_no_true_figure(tmp_path: Path) -> None:
    path, _ = clean_file(tmp_path)
    found = outcome(request(tmp_path, reference=path, hook="nan:"))
    assert found["reason"].startswith("diverged")
    assert (found["true"]["psnr"], found["true"]["curve"]) == (None, [])


def test_a_reference_of_another_size_is_refused(tmp_path: Path) -> None:
    path, _ = clean_file(tmp_path, SIDE + 1)
    with pytest.raises(PictureError, match="the reference has 33 x 33 pixels, the output of the fit 32 x 32"):
        outcome(request(tmp_path, reference=path))


def test_a_request_without_reference_is_one_of_an_older_version(tmp_path: Path) -> None:
    value: dict[str, Any] = request(tmp_path).to_json()
    del value["reference"]
    assert Request.from_json(value) == request(tmp_path)
    assert "true" not in evaluate(value, lambda _: None)
