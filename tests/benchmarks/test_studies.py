"""The pure parts of the studies: what is compared, and how tables are made of rows."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from benchmarks import block_searches, content_specific, kernel_study, raced_searches, rungs_replayed
from benchmarks.content_specific import agreement
from benchmarks.search_cost import extrapolated, reached, table
from benchmarks.study_fits import shard_of
from nasdip_engine.errors import InvalidInput
from nasdip_engine.evolution.presets import MEASURED, worth
from nasdip_engine.task import KERNELS, TaskKind

_RESULTS = Path(__file__).parents[2] / "docs" / "results"
_CASES = {"astronaut": TaskKind.DENOISE, "chelsea": TaskKind.INPAINT, "coffee": TaskKind.UPSCALE}


@pytest.mark.parametrize("preset", MEASURED)
def test_what_a_preset_is_said_to_be_worth_was_measured(preset: str) -> None:
    rows = [line for line in (_RESULTS / f"{preset}.md").read_text().splitlines() if "**" in line]
    measured = {
        _CASES[row.split()[1].rstrip(",")]: [
            f"{float(psnr):.1f}" for psnr in re.findall(r"(\d+\.\d+) / ", row)
        ]
        for row in rows
    }
    for task in MEASURED[preset]:
        said = worth(preset, task)
        ours, *rivals = re.findall(r"\d+\.\d", said)
        assert ours == measured[TaskKind(task)][0], said
        assert rivals and set(rivals) <= set(measured[TaskKind(task)][1:]), said


def test_orders_that_agree_lose_nothing_and_those_that_do_not_lose_the_spread() -> None:
    rising, falling = ({number: 20.0 + sign * number for number in range(5)} for sign in (1, -1))
    same = agreement([(rising, rising)])
    assert (same["spearman"], same["transfer"]) == pytest.approx((1, 0))
    opposed = agreement([(rising, falling)])
    assert (opposed["spearman"], opposed["transfer"], opposed["mean_network"]) == pytest.approx((-1, 4, 2))
    with pytest.raises(ValueError, match="in common"):
        agreement([({1: 20.0}, rising)])


def _search(arm: str, *steps: tuple[int, float]) -> dict[str, object]:
    told = [
        {
            "iterations_x_pixels": cost * 10**6,
            "multiply_adds": cost * 10**12,
            "trainings": cost,
            "held_out": db,
            "true": db,
        }
        for cost, db in steps
    ]
    return {"damage": "sigma 25", "seed": 0, "arm": arm, "steps": told, "rungs": []}


def test_the_cost_of_reaching_is_that_from_which_a_search_keeps_it() -> None:
    ours = _search("ours", (2, 20.0), (4, 21.5), (6, 22.0))
    assert reached(ours["steps"], 21.0, "multiply_adds") == 4 * 10**12
    assert reached(ours["steps"], 23.0, "multiply_adds") is None
    told = table([ours, _search("paper", (40, 21.0))])
    assert "| sigma 25 | 0 | ours | 6 | 6 | 6.00 | 22.00 | 22.00 | 1/10.0, 1/10.0 |" in told
    assert "never" in table([_search("ours", (2, 20.0)), _search("paper", (40, 21.0))])
    lucky = _search("ours", (2, 22.0), (4, 20.0), (6, 21.0))
    assert reached(lucky["steps"], 21.0, "multiply_adds") == 6 * 10**12
    # Charged for two generations, not for three.
    early = _search("paper", (40, 21.0), (80, 21.5), (120, 21.5))
    assert "| 1/20.0, 1/20.0 |" in table([_search("ours", (2, 20.0), (4, 21.5)), early])


def test_a_search_of_the_papers_size_is_extrapolated_from_the_bound_and_the_last_generation() -> None:
    """76 networks of 2000 iterations are the bound at K = 16, 9525 at K = 500; half of the bound was taken here."""
    half = 76 * 2000 * 64**2 / 2

    def grown(arm: str, part: float, weight: float) -> dict[str, object]:
        took = [(part * half * number / 5, weight if number == 5 else 1.0) for number in range(1, 6)]
        spent, steps = 0.0, []
        for (pixels, each), before in zip(took, [0.0, *(pixels for pixels, _ in took)], strict=False):
            spent += each * (pixels - before)
            steps.append({"iterations_x_pixels": pixels, "multiply_adds": spent})
        return {"arm": arm, "steps": steps}

    rows = [grown("paper", 1, 100.0), grown("ours", 0.1, 10.0), grown("ours without racing", 0.5, 20.0)]
    paper, ours, whole = extrapolated(rows).splitlines()[2:]
    assert paper == "| paper | 1 | 100 | 39.0 | 1/1.0 | 0.00 | 1/1.0 |"
    assert whole == "| ours without racing | 1 | 20 | 19.5 | 1/2.0 | 0.00 | 1/10.0 |"
    # A race of many networks rounds less up than one of few: not quite 125 times the iterations.
    assert ours == "| ours | 1 | 10 | 3.5 | 1/11.1 | 0.00 | 1/111.0 |"


def test_orders_of_two_pictures_stand_beside_those_of_two_seeds() -> None:
    def rows(picture: str, arm: str, true: list[float]) -> list[dict[str, object]]:
        told = {"picture": picture, "damage": "sigma 25", "arm": arm, "reason": None}
        return [told | {"genome": number, "truth": {"psnr": one}} for number, one in enumerate(true)]

    rising, falling = [1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]
    of_one = rows("coffee", "pixels", rising) + rows("coffee", "again", rising)
    told = content_specific.table(of_one + rows("rocket", "pixels", falling)).splitlines()[2:]
    assert told == [
        "| sigma 25 | on another picture | 4 | 1 | -1.00 | 3.00 | 1.50 |",
        "| sigma 25 | on another picture with another seed | 4 | 1 | -1.00 | 3.00 | 1.50 |",
        "| sigma 25 | on the same picture with another seed | 4 | 1 | 1.00 | 0.00 | 1.50 |",
    ]
    both = of_one + [row for arm in ("pixels", "again") for row in rows("rocket", arm, falling)]
    last = content_specific.beyond_chance(both).splitlines()[-1]
    assert last == "| sigma 25 | -2.00 ± 0.00 (0 of 2) | +3.00 ± 0.00 (2 of 2) |"


def _trained(genome: int, held_out: list[float], true: list[float]) -> dict[str, object]:
    told = {"picture": "coffee", "damage": "4x", "arm": "pixels", "genome": genome, "reason": None}
    return told | {"curves": {"pixels": held_out}, "true": true}


def test_a_replayed_race_ends_where_its_rungs_lead_and_costs_what_they_took() -> None:
    """Genome 0 leads all the way but at the end, 5 overtakes late: a race from 25 iterations never sees it."""
    field = [_trained(number, [20.0 - number] * 11 + [21.0], [30.0 - number] * 12) for number in range(5)]
    field.append(_trained(5, [10.0] * 11 + [25.0], [20.0] * 11 + [33.0]))
    winner, spent = rungs_replayed.raced(field, 300, 0.075, 0.33)
    # A rung of one network decides nothing.
    assert (winner["genome"], spent) == (0, 6 * 25 + 2 * 75 + 1 * 300)
    told = rungs_replayed.table(field)
    assert "| 300 iterations, rungs from 0.075, a third | -3.00 (0 of 1) [0.33] |" in told
    assert rungs_replayed.table(field[:3]) == "No picture has networks enough yet."


def _kernel_fit(
    picture: str, reduced_by: str, assumed: str, held_out: float, true: float
) -> dict[str, object]:
    told = {"picture": picture, "reduced_by": reduced_by, "assumed": assumed}
    return told | {"held_out": held_out, "psnr": true, "iteration": 25}


def test_the_kernel_chosen_is_that_of_the_least_held_out_error_and_judged_by_the_truth() -> None:
    """Box told apart in one picture; in the other the held-out error takes bilinear, which is the worst."""
    fits = [
        _kernel_fit("coffee", "box", name, 30.0 + (name == "box"), 25.0 + (name == "box")) for name in KERNELS
    ]
    fits += [
        _kernel_fit("rocket", "box", name, 30.0 + (name == "bilinear"), 25.0 - 3 * (name == "bilinear"))
        for name in KERNELS
    ]
    unfinished = [_kernel_fit("gravel", "box", "box", 30.0, 40.0)]
    line = kernel_study.table(fits + unfinished).splitlines()[-1]
    assert line.startswith("| box | 2 | ")
    # One picture gains 1 dB, the other loses 3.
    assert line.split(" | ")[6].startswith("-1.00") and line.split(" | ")[7] == "1 of 2"


def test_a_raced_search_is_compared_with_the_same_search_of_whole_fits_alone() -> None:
    def one(picture: str, race: str, seed: int, true: float, iterations: int) -> dict[str, object]:
        told = {"picture": picture, "damage": "4x", "race": race, "seed": seed, "iterations": iterations}
        return told | {"psnr": true, "held_out": 30.0, "two_best": true}

    rows = [one("coffee", "whole fits", 2, 25.0, 4000), one("coffee", "raced", 2, 24.5, 1000)]
    rows += [one("coffee", "raced", 3, 10.0, 9000), one("rocket", "whole fits", 5, 40.0, 1)]
    rows += [one("coffee", "raced from a third", 2, 25.5, 2000)]
    assert raced_searches.table(rows).splitlines()[-2:] == [
        "| 4x | raced | 1 | -0.50 (0 of 1) | +0.00 (0 of 1) | -0.50 (0 of 1) | 0.25 |",
        "| 4x | raced from a third | 1 | +0.50 (1 of 1) | +0.00 (0 of 1) | +0.50 (1 of 1) | 0.50 |",
    ]


def test_previews_are_compared_picture_by_picture_with_the_larger_blocks() -> None:
    def one(picture: str, block: int, seed: int, psnr: float) -> dict[str, object]:
        told = {"picture": picture, "block": block, "seed": seed, "psnr": psnr}
        return told | {"observed": 20.0, "best_iterations": [25 * block, 75]}

    rows = [
        one("rocket", 4, 5, 26.0),
        one("rocket", 8, 5, 25.0),
        one("coffee", 8, 2, 25.0),
        one("coffee", 4, 2, 24.5),
    ]
    told = block_searches.table([*rows, one("gravel", 4, 3, 90.0)]).splitlines()
    coffee, rocket = told[4:6]
    assert coffee.startswith("| coffee | 2 | 20.00 | 25.00 [200, 75] | 24.50 [100, 75] | ")
    assert rocket.startswith("| rocket | 5 | 20.00 | 25.00 [200, 75] | 26.00 [100, 75] | ")
    column = told[2].split(" | ").index("non-local means")
    assert "the noisy picture +5.25 ± " in told[-1]
    assert "8 x 8 +0.25 ± " in told[-1]
    beside = [float(line.split(" | ")[column]) for line in (coffee, rocket)]
    by_hand = (24.5 + 26.0 - sum(beside)) / 2
    assert f"non-local means {by_hand:+.2f} ± " in told[-1]


@pytest.mark.parametrize("text", ["2/2", "0/0", "1", "a/b", "-1/2"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="shard"):
        shard_of(argparse.Namespace(shard=text), [])


def test_shards_have_every_row_once() -> None:
    rows = [(number,) for number in range(7)]
    told = [shard_of(argparse.Namespace(shard=f"{part}/3"), rows) for part in range(3)]
    assert sorted(row for part in told for row in part) == rows
