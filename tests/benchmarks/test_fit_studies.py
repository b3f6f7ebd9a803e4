"""The studies of one fit: rules that decide offline what the engine decides while it fits, and tables of their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import final_fits, fit_settings, held_out_blocks, held_out_winners, refit_limits, stop_rule
from benchmarks.stop_rule import _MovingVariance, stop
from benchmarks.study_fits import RowFile, Study, interval
from benchmarks.study_pictures import problem
from nasdip_engine.errors import DivergedError
from nasdip_engine.genome.starters import starters
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.restoration.fit import FitSettings
from nasdip_engine.seeding import generator


@pytest.mark.parametrize("limit", [175, 400])
def test_the_offline_stop_is_the_engines(limit: int) -> None:
    """A learning rate that is too high turns early, so that patience ends the fit."""
    use_one_thread()
    study = Study(problem("astronaut", "sigma 50", 32))
    genome = starters(1)[1]
    seen: list[float] = []

    def fitted(plan: FitSettings, held_out: list[float]) -> tuple[int, int]:
        made = study.fitted(
            study.network(genome, 8),
            study.input(8),
            plan,
            lambda step: held_out.append(step.held_out_psnr) if step.held_out_psnr is not None else None,
        )
        return made.best_iteration, made.iterations

    fitted(study.plan(limit, learning_rate=0.1), seen)
    engines = fitted(study.plan(limit, learning_rate=0.1, to_the_end=False), [])
    assert stop(seen, limit) == engines
    assert (engines[1] < limit) is (limit == 400)


def test_the_moving_variance_is_least_where_outputs_vary_least() -> None:
    """Against the plain formula; then patience runs out and nothing is taken any more."""
    rng, rule = generator(1, "outputs"), _MovingVariance()
    strength = np.concatenate([np.linspace(1, 0.1, 250), np.linspace(0.1, 1, 150), np.full(1200, 1.0)])
    outputs = [(0.5 + value * rng.normal(size=(4, 4, 3))).astype(np.float32) for value in strength]
    best = min(
        range(100, 1001),
        key=lambda end: float(np.var(np.stack(outputs[end - 100 : end]).astype(np.float64), axis=0).mean()),
    )
    for iteration, output in enumerate(outputs, 1):
        rule.add(iteration, output)
    assert (rule.best, rule.stopped) == (best, best + 1000)


def test_rows_that_stand_are_not_computed_again(tmp_path: Path) -> None:
    file, asked = RowFile(tmp_path / "rows.jsonl", ("name", "seed")), []

    def row(name: str, seed: int) -> dict[str, Any]:
        asked.append((name, seed))
        return {"value": seed}

    file.fill([("a", 0), ("a", 1)], row, 10)
    RowFile(file.path, ("name", "seed")).fill([("a", 1), ("b", 0)], row, 10)
    assert asked == [("a", 0), ("a", 1), ("b", 0)]
    assert [(one["name"], one["seed"], one["value"]) for one in file.rows()] == [
        ("a", 0, 0), ("a", 1, 1), ("b", 0, 0),
    ]  # fmt: skip
    file.fill([("c", 0)], row, 0)
    assert len(file.rows()) == 3


def test_a_fit_that_diverges_is_a_row_and_what_follows_is_computed(tmp_path: Path) -> None:
    def row(number: int) -> dict[str, Any]:
        if number == 1:
            raise DivergedError("the loss was nan at iteration 3")
        return {"value": number}

    file = RowFile(tmp_path / "rows.jsonl", ("number",))
    file.fill([(1,), (2,)], row, 1)
    assert [one.get("reason") for one in file.rows()] == ["diverged: the loss was nan at iteration 3", None]
    file.write_table("Numbers", "numbers", lambda rows: f"{len(rows)} rows")
    assert "Left out because a fit diverged: 1.\n\n1 rows" in (tmp_path / "rows.md").read_text()


def test_an_interval_tells_what_students_t_does() -> None:
    assert interval([1.0, 2.0, 3.0]) == "+2.00 ± 2.48 (3 of 3)"
    assert (interval([-1.0]), interval([])) == ("-1.00 (0 of 1)", "-")


def test_gains_of_one_picture_are_one_trial() -> None:
    assert interval([0.0, 2.0, 2.0, 3.0, 3.0], ["cat", "cat", "cup", "sky", "sky"]) == "+2.00 ± 2.48 (4 of 5)"
    assert interval([1.0, 2.0], ["cat", "cat"]) == "+1.50 (2 of 2)"


def _stopped(held: list[float], whole: list[float], best: int) -> dict[str, Any]:
    limits = [str(limit) for limit in (400, 700, 1500, 2500)]
    return {
        "picture": "astronaut", "damage": "4x", "network": "starter", "task": "upscale",
        "stops": {limit: [best, best + 300] for limit in limits},
        "refits": {limit: [best + 10, 27.0] for limit in limits},
        "held": {"averaged": held, "raw": held},
        "whole": {"averaged": whole, "wmv": {"best": 900, "stopped": 1900, "raw": 25.0, "averaged": 26.0}},
    }  # fmt: skip


def test_losses_are_against_the_best_of_a_fit_to_all_observations() -> None:
    held, whole = [20.0] * 100, [21.0] * 100
    held[11], held[15], whole[12], whole[79] = 26.0, 26.5, 27.5, 22.0
    told = stop_rule.table([_stopped(held, whole, best=300)])
    assert "| held-out | 1.50 / 1.50 | 1.50 / 1.50 | 600 |" in told
    assert "| held-out, refit | 0.50 / 0.50 | 0.50 / 0.50 | 910 |" in told
    assert "| fixed 2000 | 5.50 / 5.50 | 5.50 / 5.50 | 2000 |" in told
    assert "| ES-WMV | 2.50 / 2.50 | 2.50 / 2.50 | 1900 |" in told
    assert "| held-out, against the best of its own fit | 0.50 / 0.50 |" in told
    assert "+1.00 (1 of 1) [910, 600]" in told


def test_gains_are_over_the_default_of_the_same_budget() -> None:
    def one(arm: str, psnr: float, seconds: float) -> dict[str, Any]:
        key = {"picture": "coffee", "damage": "4x", "network": "random", "arm": arm}
        return key | {"psnr": psnr, "held_out": psnr - 5, "seconds": seconds, "best_iteration": 75}

    rows = [
        one("default, 1x", 25.0, 5.0), one("cosine, 1x", 25.5, 6.0),
        one("default, 3x", 26.0, 15.0), one("cosine, 3x", 25.0, 15.0),
    ]  # fmt: skip
    told = fit_settings.table(rows)
    assert "| cosine, 1x | +0.50 (1 of 1) [+0.50] | 1.20x |" in told
    assert "| cosine, 3x | -1.00 (0 of 1) [-1.00] | 1.00x |" in told
    assert "| 3x against 1x | +1.00 (1 of 1), taken at 75 and 75 |" in told


def test_what_is_held_out_reaches_no_network_through_its_input() -> None:
    for damage in ("sigma 25", "scattered 50 %", "4x"):
        study = Study(problem("coffee", damage, 64))
        before = fit_settings._observed(study)
        hidden = study.held_out if damage != "scattered 50 %" else study.held_out | ~study.degradation.known
        study.degradation.observation[..., hidden] = 1 - study.degradation.observation[..., hidden]
        assert bool((fit_settings._observed(study) == before).all())
        assert before.shape == (1, 3, *study.degradation.output_size)


def test_limits_are_told_against_the_longest_without_a_refit() -> None:
    limits = {
        str(limit): {"best": limit, "psnr": 20 + limit / 1000, "refit": limit + 20, "refit_psnr": 21.0}
        for limit in (300, 350, 400, 450, 500, 600, 700)
    }
    held_out = [20.0] * 11 + [21.0] + [20.0] * 16  # best at 300, so that patience ends it at 600
    told = refit_limits.table([{"picture": "gravel", "damage": "4x", "limits": limits, "held_out": held_out}])
    assert "| 400 | -0.30 (0 of 1) [400] |" in told
    assert "| 400 and refit | +0.30 (1 of 1) [820] |" in told
    assert "| 700 | +0.00 (0 of 1) [600] |" in told


def test_a_limit_is_told_by_what_the_stop_rule_takes_within_it() -> None:
    def one(arm: str, averaged: list[float], seconds: float) -> dict[str, Any]:
        key = {"picture": "coffee", "damage": "strokes", "network": "found 2", "arm": arm, "seconds": seconds}
        held_out = [value + 1 for value in averaged]
        return key | {"held_out": held_out, "averaged": averaged}

    rising = [20.0 + number / 4 for number in range(68)]
    rows = [one("default", [25.0] * 68, 100.0), one("8 channels", rising, 110.0)]
    assert final_fits.within(rows[1], 400) == (23.75, 24.75)
    assert final_fits.within(rows[0], 1700) == (25.0, 26.0)
    told = final_fits.table(rows)
    assert "| found, 8 channels | 400 | -1.25 (0 of 1) [-1.25] | 1.10x |" in told
    assert "| found, 8 channels | 1700 | +11.75 (1 of 1) [+11.75] | 1.10x |" in told
    assert "| found, default | 1700 | +0.00 (0 of 1) |" in told


def _blocks_row(picture: str, best: dict[int, int], whole: list[float]) -> dict[str, object]:
    told = {"picture": picture, "damage": "camera", "side": 96, "network": "starter", "whole": whole}
    return told | {
        "blocks": {str(side): {"share": 0.0, "best": best.get(side, 50)} for side in (1, 2, 3, 4, 6, 8)}
    }


def test_blocks_are_compared_by_the_refit_that_each_asks_for() -> None:
    """The truth peaks after 75 iterations; blocks of 8 say 25, blocks of 3 the right moment, all others 50."""
    whole = [20.0, 21.0, 23.0, 22.0]
    row = _blocks_row("coffee", {8: 25, 3: 75}, whole)
    assert [held_out_blocks.after(row, side) for side in (8, 3, 4)] == [20.0, 23.0, 21.0]
    assert held_out_blocks.after(row, 4, 2) == 22.0 and held_out_blocks.after(row, 3, 2) == 22.0, (
        "the last look"
    )
    cells = held_out_blocks.table([row]).splitlines()[-1].split(" | ")
    assert cells[:3] == ["| 96", "camera", "1"]
    assert cells[3:8] == [
        f"+{gain:.2f} (1 of 1) [{best}]" for gain, best in ((1, 50), (1, 50), (3, 75), (1, 50), (1, 50))
    ]
    assert cells[-1] == "+3.00 (1 of 1) |"


def test_a_figure_is_right_where_it_names_the_truly_best_method() -> None:
    """Two photographs: one in which the figure is right, one in which it names the reference that is 2 dB behind."""

    def one(picture: str, ours: list[float], other: list[float]) -> dict[str, Any]:
        return {
            "picture": picture, "damage": "4x", "side": 128, "network": "starter", "observed": None,
            "best_iteration": 100, "methods": {"ours": ours, "bicubic": other, "Lanczos": [10.0, 10.05]},
        }  # fmt: skip

    told = held_out_winners.table([one("coffee", [20, 21], [19, 20]), one("rocket", [20, 22], [21, 20])])
    assert (
        "| 4x | 128 | 2 | 1 / 2 | 1 of 2 | +1.00 ± 12.71 (1 of 2), at most 2.00 | 3 of 4 | 2 of 2 |" in told
    )
    assert "less that of the noisy picture" not in told
