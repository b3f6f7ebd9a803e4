"""PSNR, SSIM and LPIPS against a reference."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from nasdip_engine.errors import PictureError
from nasdip_engine.restoration import metrics
from nasdip_engine.restoration.metrics import psnr, scores, ssim
from nasdip_engine.restoration.perceptual import lpips
from nasdip_engine.seeding import generator
from tests.engine.pictures import photo


def test_psnr_is_scikit_images() -> None:
    one, other = photo(40, 30), photo(40, 31)[:30]
    assert psnr(one, other) == pytest.approx(peak_signal_noise_ratio(one, other, data_range=255), abs=1e-9)


def test_psnr_of_one_grey_level_everywhere() -> None:
    flat = np.full((12, 12, 3), 100, dtype=np.uint8)
    assert psnr(flat, flat + 1) == pytest.approx(20 * math.log10(255))
    assert psnr(flat, flat) == math.inf


def test_psnr_among_some_pixels_sees_no_other() -> None:
    one, other = photo(40, 30), photo(40, 30)
    other[:10] = 255 - other[:10]
    below = np.zeros((30, 40), dtype=np.bool_)
    below[10:] = True
    assert psnr(one, other, below) == math.inf
    assert psnr(one, other, ~below) < psnr(one, other) < math.inf


def test_ssim_is_one_for_equals_and_falls_with_noise() -> None:
    picture = np.clip(np.add.outer(np.arange(64), np.arange(64))[..., None] * [1, 1, 1], 0, 255).astype(
        np.uint8
    )
    rng = generator(1, "noise")
    little, much = (
        np.clip(picture + rng.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8) for sigma in (3, 30)
    )
    assert ssim(picture, picture) == 1.0
    assert 1 > ssim(little, picture) > ssim(much, picture) > 0


def test_pictures_of_eight_and_of_sixteen_bits_can_be_compared() -> None:
    picture, reference = photo(40, 32), photo(40, 33)[:32]
    deep = picture.astype(np.uint16) * np.uint16(257)
    assert psnr(deep, picture) == math.inf
    assert psnr(deep, reference) == pytest.approx(psnr(picture, reference), abs=1e-9)
    assert ssim(deep, reference) == pytest.approx(ssim(picture, reference), abs=1e-9)
    assert psnr(deep, deep ^ np.uint16(1)) == pytest.approx(20 * math.log10(65535))


def test_a_large_picture_in_bands_has_the_scores_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, reference = photo(40, 61), photo(40, 62)[:61]
    among = photo(40, 61, 1)[..., 0] > 100
    whole = psnr(picture, reference), psnr(picture, reference, among), ssim(picture, reference)
    for rows in (1, 7, 60):
        monkeypatch.setattr(metrics, "_BAND_PIXELS", rows * 40)
        banded = psnr(picture, reference), psnr(picture, reference, among), ssim(picture, reference)
        assert banded == pytest.approx(whole, abs=1e-9)


def test_scores_are_all_three_and_json() -> None:
    picture, reference = photo(40, 32), photo(40, 33)[:32]
    found = scores(picture, reference)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found == {
        "psnr": psnr(picture, reference),
        "ssim": ssim(picture, reference),
        "lpips": lpips(picture, reference),
    }
    assert scores(picture, picture) == {"psnr": None, "ssim": 1.0, "lpips": 0.0}


def test_pictures_of_two_sizes_are_refused_with_both() -> None:
    with pytest.raises(PictureError, match=r"40x30.*41x30"):
        psnr(photo(41, 30), photo(40, 30))
    with pytest.raises(PictureError, match=r"11 pixels.*40x10"):
        ssim(photo(40, 10), photo(40, 10))
