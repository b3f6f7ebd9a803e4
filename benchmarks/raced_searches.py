"""Does racing by rungs find as good a network as whole search fits do, and for how much of their cost?

    nice python -m benchmarks.raced_searches [--damages 4x] [--shard 0/2] [--minutes M] [--store DIR | --no-store]

`rungs_replayed` asks this of fields of random networks, which differ more than those of a bred generation. Here are whole
searches as a preview does them (12 individuals, 3 generations, 150 iterations, a crop of 128 px, starters), six photographs
with a seed each, once with whole fits and once raced: every new network is trained for a sixth of the iterations, a third of
them goes on; for noise, of which short fits say less, also raced from a third of the iterations. True PSNR of the found
network's search fit, and of the two best in the mean; the searches' iterations. One row a search, one to four minutes of a core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

from benchmarks.representations import small_question
from benchmarks.study_fits import ORDER, RowFile, add_choices, add_row_options, interval, shard_of
from benchmarks.study_pictures import clean_picture
from nasdip_engine.evolution.search import best_of
from nasdip_engine.local import LocalSearch
from nasdip_engine.store import Store
from nasdip_engine.store_commands import add_options, store_of

_SIDE = 128
_PREVIEW = {"population": 12, "generations": 3, "iterations": 150}
_WHOLE, _GENTLY = "whole fits", "raced from a third"
_RACES: Mapping[str, dict[str, Any]] = {
    _WHOLE: {"first_rung": 1.0},
    "raced": {"first_rung": 0.167, "promoted_share": 0.33},
    _GENTLY: {"first_rung": 0.334, "promoted_share": 0.33},
}
_NOISE = "sigma 25"
_DAMAGES = ("4x", "large hole", "thin strokes", "scattered 50 %", _NOISE)
_KEY = ("picture", "damage", "race", "seed")
Row = Mapping[str, Any]


def row(picture: str, damage: str, race: str, seed: int, *, store: Store | None) -> dict[str, Any]:
    """One search: what it found, and the iterations of all its fits."""
    asked = small_question(picture, damage, seed, _PREVIEW | _RACES[race], _SIDE)
    began = time.monotonic()
    with LocalSearch(asked, workers=1, store=store, reference=clean_picture(picture, _SIDE)) as search:
        history, _ = search.search()
        iterations = sum(outcome["iterations"] for outcome in search.outcomes.values())
        ranked = best_of(history, asked.settings)[: asked.settings.finalists]
        best = [search.evaluate(one.genome) for one in ranked]
    return {
        "genome": ranked[0].genome, "psnr": best[0]["true"]["psnr"], "held_out": best[0]["held_out_psnr"],
        "two_best": fmean(outcome["true"]["psnr"] for outcome in best),
        "iterations": iterations, "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def table(rows: Sequence[Row]) -> str:
    """Markdown: what racing gains over whole fits by damage."""
    by_key = {tuple(one[name] for name in _KEY): one for one in rows}
    lines = [
        "Raced less whole fits, dB: mean ± half of its 95 % interval over the pictures, and in how many it is above 0.",
        "",
        "| degradation | race | pairs | true PSNR | held-out PSNR | mean true PSNR of the two best networks | iterations |",
        "|---" * 7 + "|",
    ]
    for damage, race in ((damage, race) for damage in _DAMAGES for race in _RACES if race != _WHOLE):
        pairs = [
            (one, by_key[picture, damage, _WHOLE, seed])
            for (picture, *at, seed), one in by_key.items()
            if at == [damage, race] and (picture, damage, _WHOLE, seed) in by_key
        ]
        if not pairs:
            continue
        pictures = [raced["picture"] for raced, _ in pairs]
        gains = [
            interval([raced[name] - whole[name] for raced, whole in pairs], pictures)
            for name in ("psnr", "held_out", "two_best")
        ]
        share = fmean(raced["iterations"] / whole["iterations"] for raced, whole in pairs)
        lines.append(f"| {damage} | {race} | {len(pairs)} | {' | '.join(gains)} | {share:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1, help="seeds of each photograph")
    add_choices(parser, damages=_DAMAGES)
    add_row_options(parser, "docs/results/raced-searches.jsonl")
    add_options(parser, default=True)
    arguments = parser.parse_args()
    wanted = [
        (picture, damage, race, round_ * len(ORDER) + place)
        for round_ in range(arguments.rounds)
        for damage in arguments.damages
        for place, picture in enumerate(ORDER)
        for race in _RACES
        if damage == _NOISE or race != _GENTLY
    ]
    file = RowFile(arguments.results, _KEY)
    computed = partial(row, store=store_of(arguments, default=True))
    file.fill(shard_of(arguments, wanted), computed, arguments.minutes)
    file.write_table("Does racing find as good a network?", "raced_searches", table)


if __name__ == "__main__":
    main()
