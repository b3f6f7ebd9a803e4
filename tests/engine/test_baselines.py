"""Training-free references: better than nothing, blind to the held-out observations, deterministic."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut, chelsea

from benchmarks import degrade
from nasdip_engine import filters
from nasdip_engine.baseline_names import (
    BICUBIC,
    BIHARMONIC,
    BM3D,
    FILLINGS,
    GAUSSIAN_BLUR,
    HARMONIC,
    LANCZOS,
    MEDIAN,
    NEAREST,
    NON_LOCAL_MEANS,
    TELEA,
    WIDE_MEDIAN,
    baseline_of_slug,
    baselines_of,
    best_of_figures,
    first_made,
    left_out_record,
    median_then,
    no_order,
    slug_of,
    then_means,
)
from nasdip_engine.baselines import Baseline, _numbers, baseline, baseline_method, check_makeable
from nasdip_engine.bit_depth import at_depth, in_unit_range, quantised
from nasdip_engine.errors import LeftOutError, SettingsError
from nasdip_engine.fillings import fill_from_neighbours
from nasdip_engine.restoration.degradation import degradation_for, held_out_set
from nasdip_engine.restoration.metrics import psnr
from nasdip_engine.seeding import generator
from nasdip_engine.task import BLOCK, Task, TaskKind

Pixels = NDArray[np.uint8]
DENOISE, INPAINT, UPSCALE = Task(TaskKind.DENOISE), Task(TaskKind.INPAINT), Task(TaskKind.UPSCALE, 2)
SPECKS, BLOCKS = Task(TaskKind.DENOISE, noise="impulse"), Task(TaskKind.DENOISE, noise="correlated")
NOISY_HOLE, SPECKED_HOLE = (
    Task(TaskKind.INPAINT, noise="independent"),
    Task(TaskKind.INPAINT, noise="impulse"),
)
TASKS = (DENOISE, SPECKS, BLOCKS, INPAINT, NOISY_HOLE, SPECKED_HOLE, UPSCALE)


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
    return baseline(
        task,
        pixels,
        mask,
        hold_out_share=0.05,
        hold_out_block=BLOCK,
        evaluation_seed=3,
        alive=lambda: None,
        **more,
    )


def test_non_local_means_removes_noise(clean: Pixels, noisy: Pixels) -> None:
    found = made(DENOISE, noisy)
    assert found.method == NON_LOCAL_MEANS
    assert psnr(found.picture, clean) > psnr(noisy, clean) + 4
    # The noise itself, sigma 25 = 20.2 dB (a little less after clipping), bounds what held-out pixels can show.
    assert 17 < found.held_out_psnr < 21


@pytest.mark.parametrize("method", [NON_LOCAL_MEANS, BM3D, GAUSSIAN_BLUR])
def test_a_filter_removes_noise_that_near_pixels_share_where_it_is_told_so(method: str) -> None:
    """Strong rivals alone say what a network is worth; by the finest wavelets they would leave such noise as it is."""
    if method == BM3D:
        needs_bm3d()
    clean = chelsea()[102:198, 178:274]
    observed = degrade.camera(clean, 60, 4, 85, generator(1, "camera"))
    found = made(BLOCKS, observed, method=method)
    assert psnr(found.picture, clean) > psnr(observed, clean) + 0.3
    if method != GAUSSIAN_BLUR:
        untold = made(DENOISE, observed, method=method)
        assert psnr(found.picture, clean) > psnr(untold.picture, clean) + 0.3


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
    lanczos = made(UPSCALE, small, method=LANCZOS)
    assert psnr(lanczos.picture, clean) > psnr(found.picture, clean)
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
    assert found.method == (then_means(BIHARMONIC) if kind == "grain" else median_then(BIHARMONIC))
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
    ("task", "method"),
    [(task, method) for task in TASKS for method in baselines_of(task)],
    ids=lambda value: value if isinstance(value, str) else f"{value.kind}-{value.noise}",
)
def test_the_score_is_blind_to_the_held_out_observations(
    task: Task, method: str, clean: Pixels, noisy: Pixels, mask: NDArray[np.bool_]
) -> None:
    """Where a held-out pixel is read its score would follow it: set them all to black, and the guess must stay."""
    if method == BM3D:
        needs_bm3d()
    pixels = noisy if task.noise == "independent" else clean
    known = mask if task.kind is TaskKind.INPAINT else None
    held_out = held_out_set(degradation_for(task, pixels, known), task, 0.05, 3).numpy()
    changed = np.where(held_out[..., None], 0, pixels).astype(np.uint8)
    before, after = made(task, pixels, known, method=method), made(task, changed, known, method=method)
    # Black is far from the picture, so a guess that does not follow scores it far worse.
    assert after.held_out_psnr < before.held_out_psnr - 3


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("task", [DENOISE, INPAINT, UPSCALE], ids=lambda task: str(task.kind))
def test_every_reference_has_the_results_size_depth_and_known_pixels(
    task: Task, depth: int, clean: Pixels, mask: NDArray[np.bool_]
) -> None:
    pixels = at_depth(clean[:64, :72], depth)
    known = mask[:64, :72] if task.kind is TaskKind.INPAINT else None
    for method in baselines_of(task):
        if method == BM3D and not filters.bm3d_is_installed():
            continue
        found = made(task, pixels, known, method=method)
        assert found.method == method and found.held_out > 0
        assert found.picture.dtype == pixels.dtype
        assert found.picture.shape == (64 * task.factor, 72 * task.factor, 3)
        assert np.isfinite(found.array).all() and 0 <= found.array.min() <= found.array.max() <= 1
        if known is not None:
            assert np.array_equal(found.picture[known], pixels[known])
            assert not np.array_equal(found.picture[~known], pixels[~known])


def test_a_blur_finds_its_own_width(clean: Pixels) -> None:
    """Blind, it is nearly as good as the best width by the clean picture."""
    for sigma in (25.0, 50.0):
        noisy = degrade.gaussian(clean, sigma, generator(1, "noise"))
        best = max(
            psnr(quantised(filters.gaussian_blur(in_unit_range(noisy), width), 8), clean)
            for width in np.arange(0.3, 3, 0.1)
        )
        found = made(DENOISE, noisy, method=GAUSSIAN_BLUR)
        assert psnr(found.picture, clean) > max(best - 0.25, psnr(noisy, clean) + 0.5)


def needs_bm3d() -> None:
    if not filters.bm3d_is_installed():
        pytest.skip("the package bm3d is optional")


def test_bm3d_is_the_best_filter_of_a_photograph(clean: Pixels, noisy: Pixels) -> None:
    needs_bm3d()
    found = {method: made(DENOISE, noisy, method=method) for method in (BM3D, NON_LOCAL_MEANS, GAUSSIAN_BLUR)}
    for other in (NON_LOCAL_MEANS, GAUSSIAN_BLUR):
        assert psnr(found[BM3D].picture, clean) > psnr(found[other].picture, clean)
        assert found[BM3D].held_out_psnr > found[other].held_out_psnr


@pytest.mark.parametrize("channels", [(1, 1, 1), (1, 0, 1)], ids=["grey", "purple"])
def test_bm3d_removes_the_noise_of_a_picture_of_one_hue(clean: Pixels, channels: tuple[int, ...]) -> None:
    """Its package divides by the range of colours, which a grey picture has none of."""
    needs_bm3d()
    grey, rng = clean.mean(axis=2), generator(1, "noise")
    noisy_grey = np.clip(grey + rng.normal(0, 25, grey.shape), 0, 255)
    toned, noisy = ((one[..., None] * channels).astype(np.uint8) for one in (grey, noisy_grey))
    found = made(DENOISE, noisy, method=BM3D)
    assert psnr(found.picture, toned) > psnr(noisy, toned) + 2
    assert found.held_out_psnr > 15
    if set(channels) == {1}:
        assert not np.ptp(found.picture, axis=2).any()
    flat = np.full((48, 48, 3), 77, dtype=np.float32) / 255
    assert np.allclose(filters.bm3d(flat, 0.1), flat, atol=1e-3)


def test_a_reference_that_is_no_number_is_left_out() -> None:
    """A figure that JSON has no word for would lose the whole restoration."""
    fine = np.zeros((4, 4, 3), dtype=np.float32)
    assert _numbers(BM3D, fine) is fine
    for bad in (np.nan, np.inf):
        broken = fine.copy()
        broken[1, 2, 0] = bad
        with pytest.raises(LeftOutError, match="BM3D: it gave values that are no numbers"):
            _numbers(BM3D, broken)


def test_the_same_twice(noisy: Pixels) -> None:
    one, other = made(DENOISE, noisy), made(DENOISE, noisy)
    assert one.held_out_psnr == other.held_out_psnr and np.array_equal(one.picture, other.picture)


def test_the_method_is_decided_by_a_count_of_pixels() -> None:
    assert baseline_method(INPAINT, 60_000) == BIHARMONIC
    assert baseline_method(INPAINT, 60_001) == NEAREST
    assert baseline_method(DENOISE, 10**7) == NON_LOCAL_MEANS
    assert baseline_method(NOISY_HOLE, 60_001) == then_means(NEAREST)
    assert baseline_method(SPECKED_HOLE, 60_001) == median_then(NEAREST)


def test_a_method_that_would_take_too_long_is_left_out_with_a_sentence() -> None:
    for task, around in ((INPAINT, str), (NOISY_HOLE, then_means), (SPECKED_HOLE, median_then)):
        check_makeable(task, around(BIHARMONIC), 60_000, 10**7)
        with pytest.raises(LeftOutError, match=r"60,001 pixels .* up to 60,000"):
            check_makeable(task, around(BIHARMONIC), 60_001, 10**7)
        for filling in (HARMONIC, TELEA):
            check_makeable(task, around(filling), 300_000, 10**7)
            with pytest.raises(LeftOutError, match=r"300,001 pixels .* up to 300,000"):
                check_makeable(task, around(filling), 300_001, 10**7)
        check_makeable(task, around(NEAREST), 10**7, 10**7)
    needs_bm3d()
    check_makeable(DENOISE, BM3D, 0, 2**20)
    with pytest.raises(LeftOutError, match="BM3D: the picture has 1,048,577 pixels"):
        check_makeable(DENOISE, BM3D, 0, 2**20 + 1)


def test_bm3d_is_left_out_where_its_package_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "bm3d" else there(name))
    with pytest.raises(LeftOutError, match="non-commercial use alone, is not installed"):
        check_makeable(DENOISE, BM3D, 0, 4096)


def test_each_task_has_its_references_in_an_order_that_begins_with_its_own() -> None:
    assert baselines_of(DENOISE) == baselines_of(BLOCKS) == (NON_LOCAL_MEANS, BM3D, GAUSSIAN_BLUR)
    assert baselines_of(SPECKS) == (MEDIAN, WIDE_MEDIAN)
    assert baselines_of(INPAINT) == FILLINGS == (BIHARMONIC, NEAREST, HARMONIC, TELEA)
    assert baselines_of(UPSCALE) == (BICUBIC, LANCZOS, NEAREST)
    for task in TASKS:
        slugs = [slug_of(name) for name in baselines_of(task)]
        assert len(set(slugs)) == len(slugs)
        assert [baseline_of_slug(task, slug) for slug in slugs] == list(baselines_of(task))
        assert baselines_of(task)[0] == baseline_method(task, 0)
    with pytest.raises(SettingsError, match="'telea' is no reference for denoise"):
        baseline_of_slug(DENOISE, "telea")


def test_the_first_reference_that_was_made_is_the_tasks_own() -> None:
    out = left_out_record(BIHARMONIC, "too many pixels")
    near = {"method": NEAREST, "held_out_psnr": 20.5, "digest": "d", "more": 1}
    assert first_made([out, near]) == {"method": NEAREST, "held_out_psnr": 20.5, "digest": "d"}
    assert first_made([out]) is None and first_made([]) is None


def test_the_best_figure_is_named_where_figures_tell_an_order() -> None:
    figures = {"this restoration": 20.0, "one": 20.04, "two": 19.0, "three": None}
    noisy_picture = Task(TaskKind.INPAINT, noise="correlated")
    for task in (DENOISE, SPECKS, INPAINT, NOISY_HOLE, SPECKED_HOLE):
        assert best_of_figures(task, figures) == {"this restoration", "one"}
        assert best_of_figures(task, {"this restoration": 20.0, "three": None}) == set()
        assert no_order(task) == ""
    for task in (BLOCKS, noisy_picture, UPSCALE):
        assert best_of_figures(task, figures) == set()
        assert no_order(task)


def test_a_method_of_another_task_is_refused(noisy: Pixels) -> None:
    with pytest.raises(SettingsError, match=r"'bicubic' is no reference for denoise"):
        made(DENOISE, noisy, method=BICUBIC)


def test_the_caller_hears_that_it_is_alive(noisy: Pixels) -> None:
    beats: list[None] = []
    baseline(
        DENOISE,
        noisy,
        None,
        hold_out_share=0.05,
        hold_out_block=BLOCK,
        evaluation_seed=3,
        alive=lambda: beats.append(None),
    )
    assert len(beats) == 3
