"""Does the figure that a user is shown name the best method?

    nice python -m benchmarks.held_out_winners [--sides 128] [--networks starter] [--damages camera] [--shard 0/2] [--minutes M]

Every result stands beside reference methods with one figure each, the PSNR on observations that none was shown. Here the clean
picture is at hand: six photographs, thirteen kinds of damage, the first starter and a random network under the preview's cost
cap, fitted for a preview's 500 iterations at most and, where its settings say so, again on all observations. How often is the
method with the best figure the one with the best true PSNR, and what does a user lose who follows the figure? Then pair by pair:
our fit against each reference, where they truly differ by 0.1 dB, and references against each other, to tell whether a figure is
unfair to networks or merely noisy. 20 to 70 seconds of one core a row at 128 px, four times as long at 256.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.study_fits import (
    NETWORKS,
    ORDER,
    RowFile,
    Study,
    add_choices,
    add_row_options,
    interval,
    network_of,
    shard_of,
)
from benchmarks.study_pictures import Problem, problem
from nasdip_engine.baseline_names import baselines_of
from nasdip_engine.baselines import baseline
from nasdip_engine.bit_depth import in_unit_range
from nasdip_engine.errors import LeftOutError
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.restoration.fitness import held_out_psnr
from nasdip_engine.restoration.metrics import psnr
from nasdip_engine.restoration.noise_level import noise_sigma
from nasdip_engine.task import CORRELATED, Task, TaskKind

_SIDES, _ITERATIONS = (128, 256), 500
_CAMERA, _JPEG = "camera, full resolution", "JPEG 10, full resolution"
_AS_GRAIN = ", as fine grain"
"""As a page offers for a JPEG: its noise is taken to be independent."""
_DAMAGES = (
    "sigma 25", "sigma 50", "salt and pepper 10 %", f"{_JPEG}{_AS_GRAIN}", f"JPEG 30, full resolution{_AS_GRAIN}",
    "camera", _CAMERA, _JPEG, "thin strokes", "scattered 50 %", "large hole", "2x", "4x",
)  # fmt: skip
_CORRELATED = {"camera", _CAMERA, _JPEG}
_KEY = ("picture", "damage", "side", "network")
_OURS = "ours"
_DIFFERENT = 0.1
"""dB; methods that truly differ by less are no test of a figure."""
Row = Mapping[str, Any]


def _asked(picture: str, damage: str, side: int) -> Problem:
    made = problem(picture, damage.removesuffix(_AS_GRAIN), side)
    return replace(made, task=Task(TaskKind.DENOISE, noise=CORRELATED)) if damage in _CORRELATED else made


def row(picture: str, damage: str, side: int, network: str) -> dict[str, Any]:
    """observed: PSNR of a noisy picture; methods: by name the held-out and the true PSNR of its result; dB."""
    asked = _asked(picture, damage, side)
    study = Study(asked)
    settings, channels = study.settings, study.settings.input_channels
    genome, z = network_of(network, picture), study.input(channels)
    plan = study.plan(_ITERATIONS, to_the_end=False)
    found = study.fitted(study.network(genome, channels), z, plan, lambda _: None)
    assert found.held_out_mse is not None
    shown = found
    if settings.refits(asked.task):
        known, held = int(study.degradation.known.sum()), int(study.held_out.sum())
        again = study.plan(settings.refit_iterations(found.best_iteration, known, held))
        shown = study.fitted(study.network(genome, channels), z, again, lambda _: None, whole=True)
    methods = {_OURS: [held_out_psnr(found.held_out_mse), study.true(shown.average)]}
    for name in baselines_of(asked.task):
        try:
            made = baseline(
                asked.task, asked.observed, asked.mask, hold_out_share=settings.hold_out_share,
                hold_out_block=settings.hold_out_block, evaluation_seed=study.seed, method=name, alive=lambda: None,
            )  # fmt: skip
        except LeftOutError:
            continue
        assert made.held_out_psnr is not None
        methods[name] = [made.held_out_psnr, psnr(made.picture, asked.clean, asked.among)]
    noisy = psnr(asked.observed, asked.clean) if asked.task.kind is TaskKind.DENOISE else None
    return {
        "observed": noisy and round(noisy, 3),
        "best_iteration": found.best_iteration,
        "methods": {name: [round(one, 3) for one in both] for name, both in methods.items()},
    }


def _pairs(rows: Sequence[Row], *, ours: bool) -> list[tuple[float, float]]:
    """(by the figure, truly) how far the first method is ahead, dB: pairs with our fit, or without it.

    References of one picture are the same beside each network, and counted once.
    """
    gaps = []
    for one in rows if ours else {one["picture"]: one for one in rows}.values():
        for (first, mine), (_, other) in itertools.combinations(one["methods"].items(), 2):
            gap = mine[0] - other[0], mine[1] - other[1]
            if (first == _OURS) is ours and abs(gap[1]) >= _DIFFERENT:
                gaps.append(gap)
    return gaps


def _agree(gaps: Sequence[tuple[float, float]]) -> str:
    return f"{sum(told * true > 0 for told, true in gaps)} of {len(gaps)}" if gaps else "-"


def _line(damage: str, side: int, rows: Sequence[Row]) -> str:
    by_figure = [max(one["methods"], key=lambda name: one["methods"][name][0]) for one in rows]
    truly = [max(one["methods"], key=lambda name: one["methods"][name][1]) for one in rows]
    lost = [
        one["methods"][best][1] - one["methods"][named][1]
        for one, named, best in zip(rows, by_figure, truly, strict=True)
    ]
    right = sum(named == best for named, best in zip(by_figure, truly, strict=True))
    cells = [
        damage, str(side), str(len(rows)), f"{by_figure.count(_OURS)} / {truly.count(_OURS)}", f"{right} of {len(rows)}",
        f"{interval(lost, [one['picture'] for one in rows])}, at most {max(lost):.2f}",
        _agree(_pairs(rows, ours=True)), _agree(_pairs(rows, ours=False)),
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def table(rows: Sequence[Row]) -> str:
    """Markdown: a line a damage."""
    lines = [
        "Ours best: by the figure / truly. Lost: how far the method with the best figure is behind the truly best, true PSNR in",
        "dB: mean ± half of its 95 % interval over the photographs (in how many rows it is above 0). Same order: of the pairs",
        "that truly differ by 0.1 dB, those that the figure puts in the right order.",
        "",
        "| damage | pixels a side | fits | ours best | right one named | lost | same order: ours and another | two others |",
        "|---" * 8 + "|",
    ]
    for damage, side in itertools.product(_DAMAGES, _SIDES):
        mine = [one for one in rows if (one["damage"], one["side"]) == (damage, side)]
        if mine:
            lines.append(_line(damage, side, mine))
    return "\n".join([*lines, "", *_gains(rows)])


def _gains(rows: Sequence[Row]) -> list[str]:
    """What each method gains over the noisy picture."""
    mine = [one for one in rows if one.get("observed")]
    names = list(dict.fromkeys(name for one in mine for name in one["methods"]))
    lines = [
        "True PSNR less that of the noisy picture, dB: mean ± half of its 95 % interval (in how many rows it is above 0).",
        "",
        f"| damage | pixels a side | {' | '.join(names)} |",
        "|---" * (2 + len(names)) + "|",
    ]
    for damage, side in itertools.product(_DAMAGES, _SIDES):
        here = [one for one in mine if (one["damage"], one["side"]) == (damage, side)]
        pictures = [one["picture"] for one in here]
        told = [
            interval([one["methods"][name][1] - one["observed"] for one in here], pictures)
            if here and name in here[0]["methods"]
            else "-"
            for name in names
        ]
        if here:
            lines.append(f"| {damage} | {side} | {' | '.join(told)} |")
    return [*lines, "", *_strengths()] if mine else []


def _strengths() -> list[str]:
    """How strong the noise is, and how strong it is estimated to be."""
    lines = [
        "Standard deviation of the noise, of 255, at 128 px: least to largest of the photographs.",
        "",
        "| damage | truly | by the finest wavelets | by the next scale |",
        "|---|---|---|---|",
    ]
    for damage in _DAMAGES:
        asked = [_asked(picture, damage, _SIDES[0]) for picture in ORDER]
        if asked[0].task.kind is not TaskKind.DENOISE:
            continue
        pictures = [in_unit_range(one.observed) for one in asked]
        true = [
            float(np.sqrt(np.mean(np.square(noisy - in_unit_range(one.clean)))))
            for noisy, one in zip(pictures, asked, strict=True)
        ]
        found = [
            [noise_sigma(noisy, correlated=coarse) or 0 for noisy in pictures] for coarse in (False, True)
        ]
        told = [f"{255 * min(values):.1f} to {255 * max(values):.1f}" for values in (true, *found)]
        lines.append(f"| {damage} | {' | '.join(told)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_choices(parser, sides=_SIDES, networks=NETWORKS, damages=_DAMAGES)
    add_row_options(parser, "docs/results/held-out-winners.jsonl")
    arguments = parser.parse_args()
    use_one_thread()
    wanted = [
        (picture, damage, side, network)
        for side in arguments.sides
        for network in arguments.networks
        for damage in arguments.damages
        for picture in ORDER
    ]
    file = RowFile(arguments.results, _KEY)
    file.fill(shard_of(arguments, wanted), row, arguments.minutes)
    file.write_table("Does the held-out figure name the best method?", "held_out_winners", table)


if __name__ == "__main__":
    main()
