"""The engine from Python: what it says before it begins, what it gives back, and what it refuses before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasdip_engine import Task, restore, search
from nasdip_engine.errors import InvalidInput
from nasdip_engine.picture import LIMIT_PIXELS, encode_png
from tests.engine.searches import noisy

TINY = {"population": 2, "generations": 1, "iterations": 1, "final_iterations": 1, "units": 1, "crop": 32}


@pytest.mark.slow
def test_python_is_told_what_is_reduced_and_what_networks_are_compared_on() -> None:
    mask = np.ones((600, 700), np.bool_)
    mask[100:500, 100:600] = False
    said: list[str] = []
    found = search(
        np.full((600, 700, 3), 120, np.uint8), "inpaint", mask=mask, settings=TINY, say=said.append
    )
    assert said[: len(found.question.notes)] == list(found.question.notes)
    told = " ".join(found.question.notes)
    assert "% of the picture will be filled" in told
    assert "fitted at 73 % of their size" in told
    assert "compared on a part of 32 x 32 pixels; the result is made at full size" in told


@pytest.mark.slow
def test_a_result_has_the_kind_and_size_of_the_picture() -> None:
    grey = noisy()[..., 0].astype(np.uint16) * 257
    made = restore(grey, "upscale", factor=2, settings=TINY)
    for picture in (made.picture, made.baseline):
        assert (picture.dtype, picture.shape) == (np.uint16, (80, 80, 3))
        assert np.array_equal(picture[..., 0], picture[..., 2]), "grey stays grey"
    assert made.genome == made.run["best_genome"]
    assert 0 < made.fitness <= 1
    ((iteration, still),) = made.stills.items()
    assert (iteration, still.dtype, still.shape) == (1, np.uint8, (80, 80, 3))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"picture": np.zeros((40, 40, 3), np.float32)}, "the picture is float32"),
        ({"picture": np.zeros((40, 40, 4), np.uint8)}, r"\(height, width, 3\)"),
        ({"picture": np.zeros((20, 40, 3), np.uint8)}, "40 x 20 pixels; each side must be at least 32"),
        ({"picture": "nowhere.png"}, "nowhere.png: there is no such file"),
        ({"task": "sharpen"}, "task is 'sharpen'; allowed are denoise, inpaint, upscale"),
        ({"task": "upscale"}, "upscale needs a factor, 2 to 8"),
        ({"task": "denoise", "factor": 2}, "factor"),
        (
            {"picture": np.zeros((1300, 1400, 3), np.uint8), "task": "upscale", "factor": 8},
            "116.5 megapixels; a result has up to 100",
        ),
        ({"task": "inpaint"}, "inpaint needs a mask"),
        ({"mask": np.ones((40, 40), np.bool_)}, "a mask was given"),
        ({"task": "inpaint", "mask": np.ones((40, 40), np.uint8)}, "the mask is uint8"),
        ({"task": "inpaint", "mask": np.ones((40, 40), np.bool_)}, "no hole"),
        ({"task": "inpaint", "mask": np.zeros((9, 40), np.bool_)}, "40 x 9 pixels"),
        ({"reference": np.zeros((41, 40, 3), np.uint8)}, "40 x 41 pixels, the result 40 x 40"),
        ({"preset": "quick"}, "preset is 'quick'"),
        ({"settings": {"populaton": 3}}, "'populaton' is unknown"),
        ({"settings": {"population": 1}}, "allowed is 2 to 1000"),
        ({"seed": -1}, "seed"),
        ({"workers": 0}, "workers is 0; it must be a whole number, 1 or more"),
        ({"workers": -1}, "workers is -1"),
        ({"workers": "2"}, "workers is '2'"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(changes: dict[str, Any], told: str) -> None:
    asked = {"picture": noisy(), **changes}
    with pytest.raises(InvalidInput, match=told) as refused:
        restore(asked.pop("picture"), **asked)
    assert "\n" not in str(refused.value)


def test_a_reference_in_a_file_may_be_as_large_as_a_result(tmp_path: Path) -> None:
    """Larger than an upload may be: an enlarged picture is."""
    rows = LIMIT_PIXELS // 4000 + 1
    file = tmp_path / "clean.png"
    file.write_bytes(encode_png(np.zeros((rows, 4000), np.uint8)))
    with pytest.raises(
        InvalidInput, match=f"clean.png: the reference has 4000 x {rows} pixels, the result 40 x 40"
    ):
        restore(noisy(), reference=file)


def test_numbers_and_pixels_of_numpy_are_taken_in_any_byte_order() -> None:
    picture = noisy(48)
    small = {"population": 2, "generations": 1, "iterations": 2, "units": 2}
    plain = picture.astype(np.uint16) * 257
    ours, theirs = (
        search(pixels, Task("upscale", np.int64(2)), settings=small, workers=np.int64(1))  # type: ignore[arg-type]
        for pixels in (plain, plain.astype(">u2"))
    )
    assert [one.fitness for one in ours.ranked] == [one.fitness for one in theirs.ranked]
    for factor in (2.0, True, "2"):
        with pytest.raises(InvalidInput, match="it must be a whole number"):
            Task("upscale", factor)  # type: ignore[arg-type]
