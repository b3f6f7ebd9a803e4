"""The conventions by which references are held against published figures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from skimage import data

from benchmarks.anchors import Row, cropped, enlarging, luma, luma_psnr, table


def test_luma_is_that_of_video() -> None:
    """BT.601: black is 16, white 235, and green weighs most."""
    black_white = np.array([[[0, 0, 0], [255, 255, 255]]], dtype=np.uint8)
    assert luma(black_white)[0] == pytest.approx([16, 235], abs=1e-3)
    red, green, blue = luma(255 * np.eye(3, dtype=np.uint8)[None])[0]
    assert green > red > blue > 16


def test_the_border_does_not_count() -> None:
    one = np.full((20, 20, 3), 100, dtype=np.uint8)
    other = one.copy()
    other[:4] = other[-4:] = other[:, :4] = other[:, -4:] = 0
    other[10, 10] = 101
    expected = 10 * np.log10(255**2 * 144 / (219 / 255) ** 2)
    assert luma_psnr(one, other) == pytest.approx(expected, abs=0.01)


def test_the_middle_is_cropped_to_multiples_of_32() -> None:
    picture = Image.fromarray(np.arange(100 * 70 * 3, dtype=np.uint32).astype(np.uint8).reshape(70, 100, 3))
    crop = cropped(picture)
    assert crop.size == (96, 64)
    assert np.array_equal(np.asarray(crop), np.asarray(picture)[3:67, 2:98])


def test_a_larger_factor_loses_more_and_bars_hold_within_their_distance() -> None:
    four, eight = enlarging(Image.fromarray(data.astronaut()))
    assert 20 < eight.measured < four.measured - 1
    assert Row("a", 24.15, 24.01).holds and not Row("a", 24.17, 24.01).holds
    assert Row("a", 20.0, 24.01, bar=False).holds
    told = table([Row("a", 24.17, 24.01), Row("b", 20.0, 24.0, bar=False), Row("c", 1, 1)])
    assert "| a | 24.17 | 24.01 | +0.16 | missed |" in told
    assert "| b | 20.00 | 24.00 | -4.00 | none |" in told and "| c | 1.00 | 1.00 | +0.00 | holds |" in told
