"""Which mutation rate lets a search find the best network? The paper says 0.05 (sec. 4.2, table 3).

    nice python -m benchmarks.mutation_rates [--seeds 3] [--shard 0/2] [--minutes M] [--store DIR | --no-store]

Population 16, 6 generations, no starters, 64 px, 100 iterations, the preview's cost cap; two pictures, noise of sigma 25 and thin
strokes, each seed with the same first population for every rate. Held-out PSNR, by which the search chooses, and true PSNR of the
best genome. One row a search, one to two minutes of one core.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks.representations import searched, small_question
from benchmarks.study_fits import RowFile, add_row_options, interval, shard_of
from benchmarks.study_pictures import problem
from nasdip_engine.store import Store
from nasdip_engine.store_commands import add_options, store_of

_RATES = (0.01, 0.02, 0.05, 0.1)
_PAPER = 0.05
_SETTINGS = {"population": 16, "generations": 6, "iterations": 100, "starter_share": 0.0}
_PICTURES = ("astronaut", "gravel")
_DAMAGES = ("sigma 25", "strokes")
_KEY = ("picture", "damage", "rate", "seed")


def row(
    picture: str, damage: str, rate: float, seed: int, *, store: Store | None, workers: int
) -> dict[str, Any]:
    """One search."""
    asked = small_question(picture, damage, seed, {**_SETTINGS, "mutation_rate": rate})
    clean = problem(picture, damage, asked.settings.crop).clean
    return searched(asked, clean, store=store, workers=workers)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: each rate against the paper's, same picture, damage and seed."""
    by_key = {tuple(one[name] for name in _KEY): one for one in rows}
    lines = [
        "| mutation rate | searches | held-out PSNR against 0.05 | true PSNR against 0.05 | mean true PSNR |",
        "|---" * 5 + "|",
    ]
    for rate in _RATES:
        mine = [one for one in rows if one["rate"] == rate]
        if not mine:
            continue
        pairs = [
            (one, by_key[one["picture"], one["damage"], _PAPER, one["seed"]])
            for one in mine
            if (one["picture"], one["damage"], _PAPER, one["seed"]) in by_key
        ]
        gains = [
            "-" if rate == _PAPER else interval([one[figure] - paper[figure] for one, paper in pairs])
            for figure in ("held_out", "psnr")
        ]
        mean = statistics.fmean(one["psnr"] for one in mine)
        lines.append(f"| {rate} | {len(mine)} | {gains[0]} | {gains[1]} | {mean:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="evaluations at once")
    add_row_options(parser, "docs/results/mutation-rates.jsonl")
    add_options(parser, default=True)
    arguments = parser.parse_args()
    wanted = [
        (picture, damage, rate, seed)
        for seed in range(arguments.seeds)
        for picture in _PICTURES
        for damage in _DAMAGES
        for rate in _RATES
    ]
    file = RowFile(arguments.results, _KEY)
    computed = partial(row, store=store_of(arguments, default=True), workers=arguments.workers)
    file.fill(shard_of(arguments, wanted), computed, arguments.minutes)
    file.write_table("Which mutation rate?", "mutation_rates", table)


if __name__ == "__main__":
    main()
