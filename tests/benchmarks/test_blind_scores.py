"""The scores that the fitness study compares do what their names say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage import data

from benchmarks.blind_scores import (
    OutputVariance,
    copies_of_hole,
    lpips_around,
    patch_distance,
    seam_jump,
    strip_distance,
)
from benchmarks.fitness_tables import arms_table, judged, missed
from nasdip_engine.seeding import generator

SIDE = 48


def _hole(top: int = 20, left: int = 18, side: int = 8) -> np.ndarray:
    hole = np.zeros((SIDE, SIDE), dtype=bool)
    hole[top : top + side, left : left + side] = True
    return hole


def _stripes() -> np.ndarray:
    return np.repeat(
        (np.arange(SIDE) % 4 < 2).astype(float)[None, :, None] * np.ones((SIDE, 1, 1)), 3, axis=2
    )


def test_the_variance_is_least_where_outputs_stand_still() -> None:
    watched, rng = OutputVariance(window=20, step=5), generator(1, "outputs")
    for iteration in range(1, 101):
        moving = 0.0 if 40 <= iteration <= 70 else 1.0
        watched.add(np.full((4, 4, 3), 0.5) + moving * rng.normal(0, 0.1, (4, 4, 3)))
    place, value = watched.least
    assert 55 <= place <= 70
    assert value == 0
    assert OutputVariance().least == (0, math.inf)


def test_the_strip_distance_is_nothing_for_the_observation_itself_and_looks_at_its_ring_alone() -> None:
    picture = data.astronaut()[:64, :64] / 255.0
    assert strip_distance([picture], picture) == 0
    assert strip_distance([picture * 0.5], picture) == pytest.approx((20 * math.log10(0.5)) ** 2)
    checker = (
        picture + 0.2 * (np.indices((64, 64)).sum(axis=0) % 2)[..., None]
    )  # the highest frequency there is
    assert strip_distance([checker], picture) == pytest.approx(0, abs=1e-12)


def test_a_fill_that_goes_on_has_no_seam_and_one_that_does_not_has() -> None:
    ramp = np.repeat(np.linspace(0, 1, SIDE)[None, :, None] * np.ones((SIDE, 1, 1)), 3, axis=2)
    patched = np.where(_hole()[..., None], 0.9, ramp)
    assert seam_jump(ramp, _hole()) == pytest.approx(0, abs=1e-12)
    assert seam_jump(patched, _hole()) > 0.001


def test_patches_of_the_picture_itself_are_coherent_and_grey_ones_are_not() -> None:
    stripes = _stripes()
    assert patch_distance(stripes, _hole()) == pytest.approx(0, abs=1e-12)
    assert patch_distance(np.where(_hole()[..., None], 0.5, stripes), _hole()) > 0.1
    with pytest.raises(ValueError, match="no patch"):
        patch_distance(stripes, np.ones((SIDE, SIDE), dtype=bool))


def test_copies_are_whole_apart_and_the_same_each_time() -> None:
    known, picture = ~_hole(), data.astronaut()[100 : 100 + SIDE, 100 : 100 + SIDE] / 255.0
    copies = copies_of_hole(known, picture, 5, generator(3, "copies"))
    assert len(copies) == 5
    assert all(copy.sum() == _hole().sum() and not (copy & ~known).any() for copy in copies)
    assert np.sum(copies, axis=0).max() == 1
    again = copies_of_hole(known, picture, 5, generator(3, "copies"))
    assert all((one == other).all() for one, other in zip(copies, again, strict=True))


def test_the_most_alike_place_comes_first() -> None:
    picture = np.zeros((SIDE, SIDE, 3))
    picture[:, SIDE // 2 :] = 1.0
    copies = copies_of_hole(~_hole(left=2), picture, 6, generator(4, "copies"))
    shares = [float(picture[copy].mean()) for copy in copies]
    assert shares[0] == 0
    assert max(shares) > 0.9


@pytest.mark.parametrize("corner", [(0, 0), (SIDE - 8, SIDE - 8), (20, 18)])
def test_lpips_around_sees_the_hidden_pixels_alone(corner: tuple[int, int]) -> None:
    observed = data.astronaut()[:SIDE, :SIDE] / 255.0
    hidden = _hole(*corner)
    elsewhere = np.where(hidden[..., None], observed, 1 - observed)
    assert lpips_around(elsewhere, observed, hidden) == 0
    assert lpips_around(1 - observed, observed, hidden) > 0.01


def test_a_perfect_score_has_no_regret_and_a_wrong_one_has_it_all() -> None:
    truth = [20.0, 22.0, 25.0, 21.0, 24.0]
    rows = [
        {"truth": {"psnr": value, "ssim": value / 30, "lpips": 1 - value / 30}, "truth_end": value - 2}
        for value in truth
    ]
    score = np.array(truth)
    assert judged(score, rows) == pytest.approx({"psnr": 1, "ssim": 1, "lpips": 1, "regret": 0, "at_end": 2})
    wrong = judged(-score, rows)
    assert (wrong["psnr"], wrong["regret"], wrong["at_end"]) == pytest.approx((-1, 5, 7))
    assert math.isnan(judged(np.ones(5), rows)["psnr"])


def test_noise_that_all_networks_share_hides_nothing_and_what_they_do_not_share_does() -> None:
    true = np.array([100.0, 110, 120, 130, 140, 150, 900])  # the last is not among the six best
    strayed = np.array([3.0, -3, 3, -3, 3, -3, 500])

    def rows(held_out: np.ndarray) -> list[dict[str, object]]:
        told = [10 * np.log10(255**2 / values) for values in (true, held_out)]
        return [
            {"truth": {"psnr": psnr}, "curves": {"pixels": [held - 1, held]}}
            for psnr, held in zip(*told, strict=True)
        ]

    spread = float(np.std(true[:6], ddof=1))
    assert missed(rows(true + 625)) == pytest.approx((spread, 0), abs=1e-9)
    assert missed(rows(true + 625 + strayed)) == pytest.approx((spread, np.std(strayed[:6], ddof=1)))


def test_a_larger_sample_is_judged_by_other_trainings_of_the_same_networks() -> None:
    """A tenth of the pixels ranks backwards, three tenths as the other trainings do."""

    def field(picture: str) -> list[dict[str, object]]:
        return [
            {"picture": picture, "damage": "4x", "arm": arm, "genome": number, "reason": None}
            | {"curves": {"pixels": [score]}, "truth": {"psnr": float(number)}}
            for number in range(5)
            for arm, score in (("pixels", 5 - number), ("wider", number), ("again", 0))
        ]

    rows = field("coffee") + field("rocket") + field("gravel")[:6]
    told = arms_table(rows, ("pixels", "wider"), "again").splitlines()[-1]
    figures = ("-1.00", "1.00", "2.00", "4.00", "0.00", "-4.00", "0.00", "4.00", "4.00")
    assert told == "| 4x | 5 | " + " | ".join(f"{one} ± 0.00" for one in figures) + " |"
