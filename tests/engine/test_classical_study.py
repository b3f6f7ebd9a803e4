"""The study of found networks against classical deep image prior: equal cost, resuming, and what its table says."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.classical_table import Comparison, comparisons, interval, reason_of_loss, table
from benchmarks.found_against_classical import (
    CLASSICAL,
    RECIPES,
    Study,
    applies,
    make,
    nearest_width,
    run,
)
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.restoration.classical import PUBLISHED, price

WIDE = PUBLISHED["F16, sigma 25"].shape


def costs(filters: int) -> int:
    return price(WIDE.at_width(filters), 96, 96, 32).multiply_adds


# ---------------------------------------------------------------------------------------------------------------- equal cost


@settings(max_examples=20)
@given(st.integers(1, costs(60)))
def test_no_other_width_costs_nearer_to_what_was_asked(wanted: int) -> None:
    chosen = nearest_width(WIDE, wanted, 96, 96, 32)
    distances = {filters: abs(costs(filters) - wanted) for filters in range(1, 70)}
    assert distances[chosen] == min(distances.values())
    assert chosen == max(filters for filters, away in distances.items() if away == distances[chosen])


def test_a_published_width_is_found_by_its_own_cost() -> None:
    assert nearest_width(WIDE, costs(128), 96, 96, 32) == 128
    assert nearest_width(WIDE, 1, 96, 96, 32) == 1


# -------------------------------------------------------------------------------------------------------------------- the arms


def test_every_damage_has_the_same_published_network_with_as_many_input_channels_as_ours() -> None:
    assert {recipe.shape for recipe in RECIPES.values()} == {WIDE}
    assert {recipe.input_channels for recipe in RECIPES.values()} == {32}


def test_a_slow_arm_is_run_only_where_our_learning_rate_is_another() -> None:
    assert [arm for arm in CLASSICAL if not applies(arm, 0.01, refits=True)] == [
        "classical slow",
        "narrow slow",
    ]
    assert all(applies(arm, 0.02, refits=False) for arm in CLASSICAL)


def short(damage: str = "4x") -> Study:
    use_one_thread()
    study = Study("astronaut", damage, 0)
    study.settings = replace(
        study.settings, population=3, generations=2, iterations=2, final_iterations=25, cost_cap=3000
    )
    return study


def test_random_search_trains_as_many_networks_and_the_narrow_network_costs_as_much() -> None:
    study = short()
    found = make(study, "found", {})
    assert found["search"]["networks"] == 3 + (3 - 1)  # one elite is not trained again
    assert found["search"]["iterations"] == 2 * 5
    random = make(study, "random", {"found": found})
    assert random["search"]["networks"] == 5 and not random["starter"]
    narrow = make(study, "narrow", {"found": found})
    around = [costs(narrow["filters"] + step) for step in (-1, 1)]
    assert around[0] < found["multiply_adds"] < around[1]
    again = make(study, "found published", {"found": found})
    assert again["genome"] == found["genome"] and again["multiply_adds"] == found["multiply_adds"]
    assert (again["learning_rate"], again["jitter"]) == (0.01, 0.03) and again["psnr"] != found["psnr"]
    for row in (found, random, narrow, again):
        assert row["iterations"] == row["best_iteration"] == row["peak_iteration"] == 25
        assert row["peak"] == row["psnr"] == pytest.approx(row["curve"][-1], abs=1e-3)
        assert row["multiply_adds"] == pytest.approx(96 * 96 * row["multiply_adds_per_pixel"])


def test_starters_are_those_under_the_cap_and_the_same_genome_gives_the_same_row() -> None:
    first, again = (make(short("scattered 50 %"), "starter", {}) for _ in range(2))
    assert first["starter"] and first["search"]["networks"] == 1  # one of all starters costs less than 3,000
    assert {key: value for key, value in first.items() if key != "fit_seconds"} == {
        key: value for key, value in again.items() if key != "fit_seconds"
    }
    assert first["judged_psnr"] == pytest.approx(
        first["psnr"] - 10 * math.log10(2), abs=0.1
    )  # half of all pixels


def test_arms_that_need_the_found_network_say_so() -> None:
    with pytest.raises(SystemExit, match="starter published needs the arm starter"):
        make(short(), "starter published", {"found": {}})
    with pytest.raises(SystemExit, match="narrow needs the arm found"):
        make(short(), "narrow", {})


def test_what_stands_in_the_results_file_is_not_computed_again(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    run(path, [(0, "4x", "astronaut")], ["references"])
    [row] = [json.loads(line) for line in path.read_text().splitlines()]
    assert (row["picture"], row["damage"], row["seed"], row["arm"]) == ("astronaut", "4x", 0, "references")
    assert row["references"]["bicubic"]["psnr"] > row["references"]["nearest pixel"]["psnr"]
    before = path.read_bytes()
    run(path, [(0, "4x", "astronaut")], ["references"])
    assert path.read_bytes() == before
    run(path, [(1, "4x", "astronaut")], ["references"])
    assert path.read_bytes().startswith(before) and path.read_bytes() != before


# ------------------------------------------------------------------------------------------------------------------- the table


def made(arm: str, psnr: float | None, picture: str = "coffee", seed: int = 0, **more: Any) -> dict[str, Any]:
    row = {
        "picture": picture, "damage": "sigma 25", "seed": seed, "arm": arm, "psnr": psnr, "ssim": 0.8, "lpips": 0.2,
        "peak": psnr, "peak_iteration": 300, "held_out_psnr": 19.0, "iterations": 500, "multiply_adds": 100,
        "multiply_adds_per_pixel": 10_000.0, "seconds": 1800.0,
    }  # fmt: skip
    if arm in ("found", "random", "starter"):
        row |= {"starter": False, "generation": 3, "search": {"networks": 45, "multiply_adds": 5000}}
    return row | more


def test_an_interval_averages_the_seeds_of_a_picture_first() -> None:
    mean, half = interval({"coffee": [0.0, 2.0], "rocket": [3.0, 3.0]})
    assert mean == 2.0
    assert half == pytest.approx(12.7062, abs=1e-3)  # t of one degree of freedom times sqrt(2) / sqrt(2)
    assert interval({"coffee": [1.0, 2.0]}) == (1.5, math.inf)


def test_of_several_arms_the_held_out_error_chooses_on_either_side_and_diverged_ones_are_left_out() -> None:
    rows = [
        made("found", 26.0), made("found published", 27.0, held_out_psnr=18.0),
        made("classical", 25.5), made("classical published", 25.0, held_out_psnr=19.5),
        made("narrow", None, reason="the loss was nan"), made("found", 26.0, seed=1), made("classical", 27.0, seed=1),
    ]  # fmt: skip
    whole = "classical, each at its own settings"
    # Seed 1 is half done: it would compare two with one.
    assert [one.seed for one in comparisons(rows, whole)] == [0]
    rows += [
        made("found published", 20.0, seed=1, held_out_psnr=1.0),
        made("classical published", 20.0, seed=1, held_out_psnr=1.0),
    ]
    chosen = comparisons(rows, whole)
    assert [(one.seed, one.arm, one.gain) for one in chosen] == [
        (0, "classical published", 1.0), (1, "classical", -1.0)
    ]  # fmt: skip
    assert [one.gain for one in comparisons(rows, "classical, equal iterations")] == [0.5, -1.0]
    both = comparisons(rows, "classical, both with its authors' rate and jitter")
    assert [one.gain for one in both] == [2.0, 0.0]
    assert comparisons(rows, "classical, equal multiply-adds") == []
    assert "1 fits diverged" in table(rows) and "| diverged |" in table(rows)


def loss(arm: str, peak: float, held_out: float) -> str:
    found = made("found", 25.0, peak=peak, held_out_psnr=held_out)
    return reason_of_loss(Comparison("coffee", "sigma 25", 0, "rival", arm, found, made(arm, 26.0)))


def test_a_loss_is_put_down_to_the_first_reason_that_its_figures_bear_out() -> None:
    assert loss("starter", 26.5, 19.1).startswith("stop: 1.50 dB better at iteration 300")
    assert loss("starter", 25.5, 19.1) == "score: held-out +0.10 dB"
    assert loss("random", 25.5, 18.9) == "short fits: held-out -0.10 dB"
    assert loss("classical", 26.0, 18.9).startswith("stop")
    assert loss("classical", 25.5, 18.9) == (
        "unexplained: its best moment is 0.50 dB short of the rival; held-out -0.10 dB"
    )


def four(gains: list[float]) -> list[dict[str, Any]]:
    rows = []
    for picture, gain in zip(("astronaut", "chelsea", "coffee", "rocket"), gains, strict=True):
        rows += [made("found", 25 + gain, picture), made("classical", 25.0, picture)]
    return rows


def test_a_goal_needs_the_mean_and_the_wins() -> None:
    assert "measured +0.40 dB and 75 % wins: reached" in table(four([0.6, 0.6, 0.6, -0.2]))
    assert "measured +0.40 dB and 50 % wins: missed" in table(four([1.0, 1.0, -0.2, -0.2]))
    assert "measured +0.20 dB and 100 % wins: missed" in table(four([0.2, 0.2, 0.2, 0.2]))


def test_the_page_holds_every_row_and_every_loss() -> None:
    rows = four([0.6, 0.6, 0.6, -0.2])
    rows.append({
        "picture": "coffee", "damage": "sigma 25", "seed": 0, "arm": "references", "seconds": 1800.0,
        "references": {"blur": {"psnr": 24.0}, "BM3D": {"psnr": 27.0}},
    })  # fmt: skip
    page = table(rows)
    assert "| classical, equal iterations | +0.40 ± 0.64 (3 of 4) |" in page
    assert "| best starter | - |" in page
    assert page.count("| lost to |") == 1
    assert page.count("| classical, equal iterations | rocket | sigma 25 | 0 | -0.20 |") == 1
    assert "| 25.60 (25.60) | - | - | - | - | - | - | 25.00 (25.00) |" in page and "BM3D 27.00 (wins)" in page
    assert "of generation 3, 10,000 | 45, 1.10 |" in page  # (5000 + 100 x 500) / (100 x 500)
    assert "9 rows in 4.5 hours" in page
    assert "None." in table(four([0.1] * 4))
