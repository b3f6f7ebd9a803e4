"""Which mutation rate lets a search find the best network? The paper says 0.05 (sec. 4.2, table 3).

    nice python -m benchmarks.mutation_rates [--rounds 1] [--shard 0/2] [--minutes M] [--store DIR | --no-store]

Population 16, 6 generations, no starters, 64 px, 100 iterations, the preview's cost cap; six photographs with seeds of their own,
noise of sigma 25 and thin strokes, the same first population for every rate. Held-out PSNR, by which the search chooses, and true
PSNR of the best genome. One row a search, one to two minutes of one core.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks.representations import searched, small_question
from benchmarks.study_fits import ORDER, RowFile, add_row_options, interval, shard_of
from benchmarks.study_pictures import clean_picture
from nasdip_engine.store import Store
from nasdip_engine.store_commands import add_options, store_of

_RATES = (0.01, 0.02, 0.05, 0.1)
_PAPER = 0.05
_SETTINGS = {"population": 16, "generations": 6, "iterations": 100, "starter_share": 0.0}
_DAMAGES = ("sigma 25", "thin strokes")
_KEY = ("picture", "damage", "rate", "seed")


def row(
    picture: str, damage: str, rate: float, seed: int, *, store: Store | None, workers: int
) -> dict[str, Any]:
    """One search."""
    asked = small_question(picture, damage, seed, {**_SETTINGS, "mutation_rate": rate})
    return searched(asked, clean_picture(picture, asked.settings.crop), store=store, workers=workers)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: each rate against the paper's, same picture, damage and seed."""
    by_key = {tuple(one[name] for name in _KEY): one for one in rows}
    lines = [
        "| mutation rate | pairs | networks trained | held-out PSNR against 0.05 | true PSNR against 0.05 | mean true PSNR |",
        "|---" * 6 + "|",
    ]
    for rate in _RATES:
        pairs = [
            (one, by_key[*key[:2], _PAPER, key[3]])
            for key, one in by_key.items()
            if key[2] == rate and (*key[:2], _PAPER, key[3]) in by_key
        ]
        mine = [one for one, _ in pairs]
        if not mine:
            continue
        gains = [
            "-"
            if rate == _PAPER
            else interval(
                [one[figure] - paper[figure] for one, paper in pairs], [one["picture"] for one in mine]
            )
            for figure in ("held_out", "psnr")
        ]
        mean, trained = (statistics.fmean(one[figure] for one in mine) for figure in ("psnr", "evaluations"))
        lines.append(f"| {rate} | {len(pairs)} | {trained:.0f} | {gains[0]} | {gains[1]} | {mean:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1, help="seeds of each photograph")
    parser.add_argument("--workers", type=int, default=1, help="evaluations at once")
    add_row_options(parser, "docs/results/mutation-rates.jsonl")
    add_options(parser, default=True)
    arguments = parser.parse_args()
    wanted = [
        (picture, damage, rate, round_ * len(ORDER) + place)
        for round_ in range(arguments.rounds)
        for place, picture in enumerate(ORDER)
        for damage in _DAMAGES
        for rate in _RATES
    ]
    file = RowFile(arguments.results, _KEY)
    computed = partial(row, store=store_of(arguments, default=True), workers=arguments.workers)
    file.fill(shard_of(arguments, wanted), computed, arguments.minutes)
    file.write_table("Which mutation rate?", "mutation_rates", table)


if __name__ == "__main__":
    main()
