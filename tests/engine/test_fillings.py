"""Each way to fill a hole has the property that defines it, and touches no pixel that is seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from nasdip_engine import filters
from nasdip_engine.fillings import biharmonic, fill_from_neighbours, harmonic, nearest, telea
from nasdip_engine.seeding import generator

Floats = NDArray[np.float32]
Fill = Callable[[Floats, NDArray[np.bool_]], Floats]
ALL = [nearest, harmonic, biharmonic, telea]


@pytest.fixture
def picture() -> Floats:
    return generator(2, "picture").random((24, 31, 3), dtype=np.float32)


@pytest.fixture
def hidden() -> NDArray[np.bool_]:
    """A hole inside, one at a corner, single pixels."""
    hole = np.zeros((24, 31), dtype=np.bool_)
    hole[6:14, 9:20] = hole[18:, 25:] = True
    hole[2, 3] = hole[2, 5] = hole[20, 0] = True
    return hole


@pytest.mark.parametrize("fill", ALL)
def test_seen_pixels_stay_and_hidden_ones_are_never_read(
    fill: Fill, picture: Floats, hidden: NDArray[np.bool_]
) -> None:
    filled = fill(picture, hidden)
    assert filled.dtype == np.float32 and filled.shape == picture.shape
    assert np.array_equal(filled[~hidden], picture[~hidden])
    assert np.array_equal(fill(np.where(hidden[..., None], np.float32(0.9), picture), hidden), filled)
    assert 0 <= filled.min() <= filled.max() <= 1


@pytest.mark.parametrize("fill", ALL)
def test_a_flat_picture_is_filled_flat(fill: Fill, hidden: NDArray[np.bool_]) -> None:
    flat = np.where(hidden[..., None], 0, np.full((24, 31, 3), 0.25)).astype(np.float32)
    assert fill(flat, hidden) == pytest.approx(0.25, abs=1e-5)


@pytest.mark.parametrize("fill", ALL)
def test_nothing_hidden_is_nothing_filled(fill: Fill, picture: Floats) -> None:
    assert np.array_equal(fill(picture, np.zeros(picture.shape[:2], dtype=np.bool_)), picture)


def test_a_harmonic_pixel_is_the_mean_of_its_neighbours(picture: Floats, hidden: NDArray[np.bool_]) -> None:
    filled = harmonic(picture, hidden)
    height, width = hidden.shape
    for row, column in np.argwhere(hidden):
        around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        inside = [filled[y, x] for y, x in around if 0 <= y < height and 0 <= x < width]
        assert filled[row, column] == pytest.approx(np.mean(inside, axis=0), abs=1e-5)


def test_a_slope_is_continued_by_harmonic_filling(hidden: NDArray[np.bool_]) -> None:
    """A plane solves Laplace's equation, inside the picture: over its edge nothing flows."""
    hidden[18:, 25:] = hidden[20, 0] = False
    rows, columns = np.mgrid[0:24, 0:31]
    plane = np.repeat((rows / 50 + columns / 70)[..., None], 3, axis=2).astype(np.float32)
    assert harmonic(plane, hidden) == pytest.approx(plane, abs=1e-5)


def test_the_nearest_pixel_is_the_nearest() -> None:
    row = np.repeat(np.arange(8, dtype=np.float32)[None, :, None] / 8, 3, axis=2)
    hidden = np.zeros((1, 8), dtype=np.bool_)
    hidden[0, 2:6] = True
    assert list(nearest(row, hidden)[0, :, 0] * 8) == [0, 1, 1, 1, 6, 6, 6, 7]


def test_telea_fills_from_the_rim_inwards_with_what_is_near() -> None:
    """Left black, right white: near its ends a hole takes the side that it lies at, and in between it passes over."""
    picture = np.zeros((21, 40, 3), dtype=np.float32)
    picture[:, 20:] = 1
    hidden = np.zeros((21, 40), dtype=np.bool_)
    hidden[5:16, 8:32] = True
    middle = telea(picture, hidden)[10, :, 0]
    assert np.all(middle[:13] < 0.02) and np.all(middle[27:] > 0.98)
    assert np.all(np.diff(middle[13:27]) > -0.1) and 0 < middle[19:21].mean() < 1


def test_telea_weighs_a_pixel_by_its_distance_and_uses_what_is_filled() -> None:
    """Two hidden pixels in a row, seen ones beside them: the first takes more of the nearer, the second of the first."""
    picture = np.zeros((1, 4, 3), dtype=np.float32)
    picture[0, 0], picture[0, 3] = 0.2, 0.8
    first, second = telea(picture, np.array([[False, True, True, False]]))[0, 1:3, 0]
    assert 0.2 < first < 0.5  # the nearer one weighs 4 times as much, being half as far
    assert first == pytest.approx((4 * 0.2 + 0.8) / 5, abs=0.05)
    assert first < second < 0.8


def test_hidden_pixels_are_the_weighted_mean_of_seen_neighbours() -> None:
    picture = generator(2, "picture").random((6, 7, 3), dtype=np.float32)
    hidden = np.zeros((6, 7), dtype=np.bool_)
    hidden[2, 3] = hidden[2, 4] = True
    filled = fill_from_neighbours(picture, hidden)
    seen = [(1, 2, 1), (1, 3, 2), (1, 4, 1), (2, 2, 2), (3, 2, 1), (3, 3, 2), (3, 4, 1)]
    expected = sum(weight * picture[row, column] for row, column, weight in seen) / 10
    assert filled[2, 3] == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(filled[~hidden], picture[~hidden])
    lonely = np.ones((6, 7), dtype=np.bool_)
    lonely[0, 0] = False
    assert np.array_equal(fill_from_neighbours(picture, lonely)[5, 6], picture[0, 0])


def test_bands_of_bm3d_are_nearly_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bands see beyond their rows, so a seam shows nowhere; a picture of one band is done whole."""
    if not filters.bm3d_is_installed():
        pytest.skip("the package bm3d is optional")
    rows, columns = np.mgrid[0:96, 0:48]
    smooth = np.stack([rows / 96, columns / 48, (rows + columns) / 144], axis=-1)
    noisy = np.clip(smooth + generator(1, "noise").normal(0, 0.1, smooth.shape), 0, 1).astype(np.float32)
    whole = filters.bm3d(noisy, 0.1)
    beats: list[None] = []
    assert np.array_equal(filters.bm3d_in_bands(noisy, 0.1, lambda: beats.append(None)), whole)
    assert len(beats) == 1
    monkeypatch.setattr(filters, "_BAND_PIXELS", 32 * 48)
    banded = filters.bm3d_in_bands(noisy, 0.1, lambda: beats.append(None))
    assert len(beats) == 1 + 3
    assert not np.array_equal(banded, whole)
    error = np.sqrt(np.mean((whole - smooth) ** 2))
    assert np.sqrt(np.mean((banded - smooth) ** 2)) < 1.2 * error
    assert np.abs(banded - whole).max() < 0.1


def test_without_noise_nothing_is_filtered(picture: Floats) -> None:
    assert filters.non_local_means(picture, None) is picture
    if filters.bm3d_is_installed():
        assert filters.bm3d(picture, 0.0) is picture
