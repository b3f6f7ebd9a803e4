"""Training-free references: better than nothing, blind to the held-out observations, deterministic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut

from benchmarks import degrade
from nasdip_engine.baselines import (
    BICUBIC,
    BIHARMONIC,
    BIHARMONIC_THEN_MEANS,
    MEDIAN,
    MEDIAN_THEN_BIHARMONIC,
    MEDIAN_THEN_NEAREST,
    NEAREST,
    NEAREST_THEN_MEANS,
    NON_LOCAL_MEANS,
    Baseline,
    baseline,
    baseline_method,
    fill_from_neighbours,
)
from nasdip_engine.errors import SettingsError
from nasdip_engine.restoration.degradation import degradation_for, held_out_set
from nasdip_engine.restoration.metrics import psnr
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task, TaskKind

Pixels = NDArray[np.uint8]
DENOISE, INPAINT, UPSCALE = Task(TaskKind.DENOISE), Task(TaskKind.INPAINT), Task(TaskKind.UPSCALE, 2)
SPECKS, BLOCKS = Task(TaskKind.DENOISE, noise="impulse"), Task(TaskKind.DENOISE, noise="correlated")
NOISY_HOLE, SPECKED_HOLE = (
    Task(TaskKind.INPAINT, noise="independent"),
    Task(TaskKind.INPAINT, noise="impulse"),
)


@pytest.fixture(scope="module")
def clean() -> Pixels:
    return np.asarray(Image.fromarray(astronaut()).resize((96, 96), Image.Resampling.BOX))


@pytest.fixture(scope="module")
def noisy(clean: Pixels) -> Pixels:
    noise = generator(1, "noise").normal(0, 25, clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def mask() -> NDArray[np.bool_]:
    known = np.ones((96, 96), dtype=np.bool_)
    known[20:24, 10:80] = False
    known[50:60, 40:50] = False
    return known


def made(task: Task, pixels: Pixels, mask: NDArray[np.bool_] | None = None, **more: Any) -> Baseline:
    return baseline(task, pixels, mask, hold_out_share=0.05, evaluation_seed=3, alive=lambda: None, **more)


def test_non_local_means_removes_noise(clean: Pixels, noisy: Pixels) -> None:
    found = made(DENOISE, noisy)
    assert found.method == NON_LOCAL_MEANS
    assert psnr(found.picture, clean) > psnr(noisy, clean) + 4
    # The noise itself, sigma 25 = 20.2 dB (a little less after clipping), bounds what held-out pixels can show.
    assert 17 < found.held_out_psnr < 21


def test_a_clean_flat_picture_is_left_alone() -> None:
    flat = np.full((48, 48, 3), 77, dtype=np.uint8)
    assert np.array_equal(made(DENOISE, flat).picture, flat)


def test_biharmonic_fills_better_than_the_nearest_pixel(clean: Pixels, mask: NDArray[np.bool_]) -> None:
    holed = np.where(mask[..., None], clean, 0).astype(np.uint8)
    smooth, nearest = made(INPAINT, holed, mask), made(INPAINT, holed, mask, method=NEAREST)
    assert (smooth.method, nearest.method) == (BIHARMONIC, NEAREST)
    assert (
        psnr(smooth.picture, clean, ~mask) > psnr(nearest.picture, clean, ~mask) > psnr(holed, clean, ~mask)
    )
    for found in (smooth, nearest):
        assert np.array_equal(found.picture[mask], clean[mask])


def test_bicubic_enlarges_like_pillow(clean: Pixels) -> None:
    small = np.asarray(Image.fromarray(clean).resize((48, 48), Image.Resampling.BICUBIC))
    found = made(UPSCALE, small)
    pillows = np.asarray(Image.fromarray(small).resize((96, 96), Image.Resampling.BICUBIC))
    assert found.method == BICUBIC
    # Pillow rounds and clips bytes between its two passes, so it differs where an edge overshoots.
    assert np.mean(np.abs(found.picture.astype(int) - pillows.astype(int)) <= 1) > 0.98


def test_a_median_filter_removes_specks_that_non_local_means_keeps(clean: Pixels) -> None:
    specked = degrade.salt_and_pepper(clean, 0.1, generator(1, "specks"))
    median, means = made(SPECKS, specked), made(SPECKS, specked, method=NON_LOCAL_MEANS)
    assert (median.method, means.method) == (MEDIAN, NON_LOCAL_MEANS)
    assert psnr(median.picture, clean) > max(psnr(means.picture, clean), psnr(specked, clean)) + 3


@pytest.mark.parametrize("kind", ["grain", "specks"])
def test_a_hole_in_a_noisy_picture_is_filled_and_its_known_pixels_are_restored(
    kind: str, clean: Pixels, noisy: Pixels, mask: NDArray[np.bool_]
) -> None:
    specked = degrade.salt_and_pepper(clean, 0.1, generator(1, "specks"))
    task, pixels = (NOISY_HOLE, noisy) if kind == "grain" else (SPECKED_HOLE, specked)
    holed = np.where(mask[..., None], pixels, 0).astype(np.uint8)
    found = made(task, holed, mask)
    assert found.method == (BIHARMONIC_THEN_MEANS if kind == "grain" else MEDIAN_THEN_BIHARMONIC)
    assert psnr(found.picture, clean, mask) > psnr(holed, clean, mask) + 2
    plain = made(INPAINT, holed, mask)
    assert psnr(found.picture, clean, ~mask) > psnr(plain.picture, clean, ~mask)


def test_blocks_are_guessed_from_around_them_before_they_are_scored(clean: Pixels) -> None:
    """The nearest pixel would make a staircase of each block; the score is of a filling without steps."""
    squeezed = degrade.jpeg(clean, 20)
    held_out = held_out_set(degradation_for(BLOCKS, squeezed, None), BLOCKS, 0.05, 3).numpy()
    found = made(BLOCKS, squeezed)
    near = np.where(
        held_out[..., None], fill_from_neighbours(squeezed / np.float32(255), held_out) * 255, squeezed
    )
    assert found.method == NON_LOCAL_MEANS
    assert found.held_out_psnr > psnr(np.rint(near).astype(np.uint8), squeezed, held_out)


@pytest.mark.parametrize(
    "method",
    [
        NON_LOCAL_MEANS, BIHARMONIC, NEAREST, BICUBIC, MEDIAN, BIHARMONIC_THEN_MEANS, NEAREST_THEN_MEANS,
        MEDIAN_THEN_BIHARMONIC, MEDIAN_THEN_NEAREST,
    ],
)  # fmt: skip
def test_the_score_is_blind_to_the_held_out_observations(
    method: str, clean: Pixels, noisy: Pixels, mask: NDArray[np.bool_]
) -> None:
    """Where a held-out pixel is read its score would follow it: set them all to black, and the guess must stay."""
    task, pixels, known = {
        NON_LOCAL_MEANS: (DENOISE, noisy, None),
        BIHARMONIC: (INPAINT, clean, mask),
        NEAREST: (INPAINT, clean, mask),
        BICUBIC: (UPSCALE, clean, None),
        MEDIAN: (SPECKS, clean, None),
        BIHARMONIC_THEN_MEANS: (NOISY_HOLE, noisy, mask),
        NEAREST_THEN_MEANS: (NOISY_HOLE, noisy, mask),
        MEDIAN_THEN_BIHARMONIC: (SPECKED_HOLE, clean, mask),
        MEDIAN_THEN_NEAREST: (SPECKED_HOLE, clean, mask),
    }[method]
    held_out = held_out_set(degradation_for(task, pixels, known), task, 0.05, 3).numpy()
    changed = np.where(held_out[..., None], 0, pixels).astype(np.uint8)
    before, after = made(task, pixels, known, method=method), made(task, changed, known, method=method)
    # Black is far from the picture, so a guess that does not follow scores it far worse.
    assert after.held_out_psnr < before.held_out_psnr - 3


def test_the_same_twice(noisy: Pixels) -> None:
    one, other = made(DENOISE, noisy), made(DENOISE, noisy)
    assert one.held_out_psnr == other.held_out_psnr and np.array_equal(one.picture, other.picture)


def test_the_method_is_decided_by_a_count_of_pixels() -> None:
    assert baseline_method(INPAINT, 60_000) == BIHARMONIC
    assert baseline_method(INPAINT, 60_001) == NEAREST
    assert baseline_method(DENOISE, 10**7) == NON_LOCAL_MEANS
    assert baseline_method(NOISY_HOLE, 60_001) == NEAREST_THEN_MEANS
    assert baseline_method(SPECKED_HOLE, 60_001) == MEDIAN_THEN_NEAREST


def test_a_method_of_another_task_is_refused(noisy: Pixels) -> None:
    with pytest.raises(SettingsError, match=r"'bicubic' is no reference for denoise"):
        made(DENOISE, noisy, method=BICUBIC)


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


def test_the_caller_hears_that_it_is_alive(noisy: Pixels) -> None:
    beats: list[None] = []
    baseline(DENOISE, noisy, None, hold_out_share=0.05, evaluation_seed=3, alive=lambda: beats.append(None))
    assert len(beats) == 3
