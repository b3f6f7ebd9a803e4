"""At the size of the presets' final fits: a short fit with a refit, or a longer one without? What a preset should ask for.

    nice python -m benchmarks.refit_limits [--shard 0/2] [--minutes M] [--results docs/results/refit-limits.jsonl]

Photographs of 256 px a side, each fitted by the first starter with the task's default settings: up to 700 iterations with the
held-out observations kept out (what a preview did without a refit), then on all observations. From the two records follow, for
every limit of the first fit, where it is stopped, what its result is worth, and what the refit's is. PSNR against the clean
picture, in the hole where there is one. Half as much is held out as in `stop_rule` at 96 px (from 20,000 observations on, 5 %).
About three minutes of one core a row.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.stop_rule import stop
from benchmarks.study_fits import RowFile, Study, add_row_options, interval, network_of, shard_of
from benchmarks.study_pictures import problem
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.restoration.fit import CHECK_EVERY, Step

_SIDE, _ITERATIONS = 256, 700
_LIMITS = (300, 350, 400, 450, 500, 600, _ITERATIONS)
_PICTURES, _DAMAGES = ("astronaut", "gravel", "coffee"), ("sigma 25", "4x", "strokes", "scattered 50 %")
_KEY = ("picture", "damage")


def row(picture: str, damage: str) -> dict[str, Any]:
    """Both fits of one picture; curves every 25 iterations."""
    study = Study(problem(picture, damage, _SIDE))
    genome, channels = network_of("starter", picture), study.settings.input_channels
    z = study.input(channels)
    held_out, averaged = study.watched(study.network(genome, channels), z, study.plan(_ITERATIONS))
    stops = {limit: stop(held_out, limit)[0] for limit in _LIMITS}
    lengths = {limit: round(best / (1 - study.held_share)) for limit, best in stops.items()}
    whole: dict[int, float] = {}

    def look_again(step: Step) -> None:
        if step.iteration in lengths.values():
            whole[step.iteration] = study.true(step.average())

    plan = study.plan(max(lengths.values()))
    study.fitted(study.network(genome, channels), z, plan, look_again, whole=True)
    return {
        "task": study.problem.task.kind.value, "held_share": round(study.held_share, 4),
        "held_out": held_out, "averaged": averaged,
        "limits": {
            str(limit): {"best": best, "psnr": averaged[best // CHECK_EVERY - 1], "refit": lengths[limit],
                         "refit_psnr": whole[lengths[limit]]}
            for limit, best in stops.items()
        },
    }  # fmt: skip


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: by damage, every limit with its refit against 700 iterations without one."""
    damages = [damage for damage in _DAMAGES if any(one["damage"] == damage for one in rows)]
    groups = {damage: [one for one in rows if one["damage"] == damage] for damage in damages}
    lines = [
        f"{len(rows)} rows. Gain in dB over at most {_ITERATIONS} iterations without a refit: mean ± half of its 95 % interval,",
        "and in how many rows it is above 0; in brackets the iterations that it takes, patience and both fits counted.",
        "",
        "| at most | " + " | ".join(damages) + " |",
        "|---" * (len(damages) + 1) + "|",
    ]
    last = str(_ITERATIONS)
    for limit in map(str, _LIMITS):
        plain, again = [], []
        for group in groups.values():
            alone = [one["limits"][last]["psnr"] for one in group]
            first = statistics.fmean(stop(one["held_out"], int(limit))[1] for one in group)
            second = statistics.fmean(one["limits"][limit]["refit"] for one in group)
            gains = [one["limits"][limit]["psnr"] - other for one, other in zip(group, alone, strict=True)]
            plain.append(f"{interval(gains)} [{first:.0f}]")
            gains = [
                one["limits"][limit]["refit_psnr"] - other for one, other in zip(group, alone, strict=True)
            ]
            again.append(f"{interval(gains)} [{first + second:.0f}]")
        lines.append(f"| {limit} | " + " | ".join(plain) + " |")
        lines.append(f"| {limit} and refit | " + " | ".join(again) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_row_options(parser, "docs/results/refit-limits.jsonl")
    arguments = parser.parse_args()
    use_one_thread()
    wanted = [(picture, damage) for picture in _PICTURES for damage in _DAMAGES]
    file = RowFile(arguments.results, _KEY)
    file.fill(shard_of(arguments, wanted), row, arguments.minutes)
    file.write_table("How long before a refit", "refit_limits", table)


if __name__ == "__main__":
    main()
