"""Which representation of genomes finds the better network at equal evaluations, task by task?

    nice python -m benchmarks.representations [--rounds 2] [--shard 0/2] [--workers 1] [--minutes M] [--store DIR | --no-store]

The paper says that asymmetric networks beat symmetric ones, but that symmetric ones are best for enlarging (sec. 4). Small
searches: population 10, 3 generations, 64 px, 150 iterations, the preview's cost cap (of the same multiply-adds a pixel for
both), six photographs x damages; with the starters that a preview has, and without any, as the paper. Each round gives every
photograph a seed of its own, of the damage and of the search, since seeds of one picture are no independent trials. Without
starters it is the representations alone that are compared; the asymmetric starters are more and others than the symmetric ones.
`asymt` is left out: its shortest training is 500 iterations, so equal evaluations would not be equal cost.

True PSNR of the best genome's search fit against the clean picture, which no search sees, and held-out PSNR, by which the
search chose. One row a search, about a minute of one core; no network that the evaluation store holds is trained again.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.study_fits import ORDER, RowFile, add_row_options, interval, shard_of
from benchmarks.study_pictures import clean_picture, problem
from nasdip_engine.errors import InvalidPhenotype
from nasdip_engine.evolution.search import best_of
from nasdip_engine.evolution.settings import settings_for
from nasdip_engine.framing import final_frames, search_frame, searched_frame
from nasdip_engine.genome.cost import cost
from nasdip_engine.genome.genome import Genome
from nasdip_engine.local import LocalSearch
from nasdip_engine.picture import Form
from nasdip_engine.question import Question
from nasdip_engine.seeding import Seeds
from nasdip_engine.store import Store
from nasdip_engine.store_commands import add_options, store_of

__all__ = ["searched", "small_question"]

_SIDE = 64
_SETTINGS = {"population": 10, "generations": 3, "iterations": 150, "first_rung": 1.0}
_DAMAGES = ("sigma 25", "thin strokes", "4x")
_STARTERS = {"starters": 0.33, "no starters": 0.0}
_REPRESENTATIONS = ("asym", "sym")
_KEY = ("picture", "damage", "starters", "representation", "seed")


def small_question(
    picture: str, damage: str, seed: int, changes: Mapping[str, Any], side: int = _SIDE
) -> Question:
    """A study picture of so many pixels a side as the command line would ask it, searched whole.

    changes: settings set by hand over those of `_SETTINGS` and, where these are silent, a preview's.
    """
    asked = problem(picture, damage, side, seed)
    settings = settings_for("preview", asked.task, {**_SETTINGS, "crop": side, **changes})
    final = final_frames(asked.observed, asked.mask, asked.task)
    return Question(
        upload=asked.observed, form=Form(), mask=asked.mask, task=asked.task, settings=settings,
        seeds=Seeds.from_seed(seed), notes=(), final=final,
        search=search_frame(searched_frame(asked.observed, final), asked.task, settings),
    )  # fmt: skip


def _price(text: str) -> int:
    """Multiply-adds of a forward pass, 0 for a genome that describes no network."""
    try:
        return cost(Genome.parse(text).phenotype(), _SIDE, _SIDE, 32).multiply_adds
    except InvalidPhenotype:
        return 0


def row(
    picture: str,
    damage: str,
    starters: str,
    representation: str,
    seed: int,
    *,
    store: Store | None,
    workers: int,
) -> dict[str, Any]:
    """One search."""
    changes = {"representation": representation, "starter_share": _STARTERS[starters]}
    asked = small_question(picture, damage, seed, changes)
    return searched(asked, clean_picture(picture, _SIDE), store=store, workers=workers)


def searched(
    asked: Question, clean: NDArray[np.uint8], *, store: Store | None, workers: int
) -> dict[str, Any]:
    """What a search found, with the true PSNR of its networks against the clean picture, which it never sees."""
    began = time.monotonic()
    with LocalSearch(asked, workers=workers, store=store, reference=clean) as search:
        history, _ = search.search()
        ranked = best_of(history, asked.settings)
        outcomes = {one.genome: search.evaluate(one.genome) for one in ranked}
    best = outcomes[ranked[0].genome]
    true = [outcome["true"]["psnr"] for outcome in outcomes.values()]
    return {
        "task": asked.task.kind.value, "genome": ranked[0].genome, "is_starter": ranked[0].starter,
        "psnr": best["true"]["psnr"], "held_out": best["held_out_psnr"],
        "networks": len(ranked), "median_psnr": statistics.median(true), "most_psnr": max(true),
        "evaluations": sum(len(closed.fitness) for closed in history)
        - (len(history) - 1) * asked.settings.elites,
        "multiply_adds": _price(ranked[0].genome), "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


_FIGURES: Mapping[str, Callable[[Mapping[str, Any]], float]] = {
    "best genome, true PSNR": lambda one: one["psnr"],
    "best genome, held-out PSNR": lambda one: one["held_out"],
    "all its networks, median true PSNR": lambda one: one["median_psnr"],
}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: what the symmetric representation gains over the asymmetric one, by damage."""
    by_key = {tuple(one[name] for name in _KEY): one for one in rows}
    damages = [damage for damage in _DAMAGES if any(one["damage"] == damage for one in rows)]
    lines = [
        f"{len(rows)} searches. Symmetric less asymmetric in dB, same picture and seed: mean ± half of its 95 % interval",
        "(Student's t over the pictures, whose pairs are averaged), and in how many pairs it is above 0.",
        "",
        "| generation 0 | figure | " + " | ".join(damages) + " |",
        "|---" * (len(damages) + 2) + "|",
    ]
    for starters in _STARTERS:
        for figure, value in _FIGURES.items():
            cells = []
            for damage in damages:
                pairs = _pairs(by_key, damage, starters)
                gains = [value(sym) - value(asym) for asym, sym in pairs]
                cells.append(interval(gains, [asym["picture"] for asym, _ in pairs]))
            lines.append(f"| {starters} | {figure} | " + " | ".join(cells) + " |")
        cells = [_absolute(_pairs(by_key, damage, starters)) for damage in damages]
        lines.append(
            f"| {starters} | mean true PSNR, asymmetric and symmetric (multiply-adds of the best, in M) | "
            + " | ".join(cells)
            + " |"
        )
    return "\n".join(lines)


def _pairs(
    rows: Mapping[tuple[Any, ...], Mapping[str, Any]], damage: str, starters: str
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    return [
        (one, rows[picture, which, share, "sym", seed])
        for (picture, which, share, representation, seed), one in rows.items()
        if (which, share, representation) == (damage, starters, "asym")
        and (picture, which, share, "sym", seed) in rows
    ]


def _absolute(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> str:
    if not pairs:
        return "-"
    sides = list(zip(*pairs, strict=True))
    psnr = [statistics.fmean(one["psnr"] for one in side) for side in sides]
    price = [statistics.fmean(one["multiply_adds"] for one in side) / 1e6 for side in sides]
    return f"{psnr[0]:.2f} and {psnr[1]:.2f} ({price[0]:.0f} and {price[1]:.0f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2, help="seeds of each photograph")
    parser.add_argument("--workers", type=int, default=1, help="evaluations at once")
    add_row_options(parser, "docs/results/representations.jsonl")
    add_options(parser, default=True)
    arguments = parser.parse_args()
    wanted = [
        (picture, damage, starters, representation, round_ * len(ORDER) + place)
        for round_ in range(arguments.rounds)
        for place, picture in enumerate(ORDER)
        for damage in _DAMAGES
        for starters in _STARTERS
        for representation in _REPRESENTATIONS
    ]
    file = RowFile(arguments.results, _KEY)
    computed = partial(row, store=store_of(arguments, default=True), workers=arguments.workers)
    file.fill(shard_of(arguments, wanted), computed, arguments.minutes)
    file.write_table("Asymmetric or symmetric?", "representations", table)


if __name__ == "__main__":
    main()
