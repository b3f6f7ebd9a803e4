"""What a search reaches for what it costs: the paper's protocol, ours, and ours with each technique switched off.

    nice python -m benchmarks.search_cost [--shard 0/2] [--minutes M] [--workers N] [--store DIR | --no-store]

scikit-image's astronaut at 64 px: noise of sigma 25, half of the pixels missing, enlarging 2x (so that LPIPS, which the paper's
protocol selects by, can be taken of the small picture); K = 16, 5 generations, two seeds. The paper's protocol is
`preset="paper"` with K, generations and crop cut down: every valid genome is fitted for 2000 iterations at learning rate 0.001.
Ours is `balanced` with the same K and generations, search fits of 600 iterations, racing by rungs. On the noisy picture each
technique is switched off once, the other two selections are tried, and both protocols run with K = 32; where pixels are
missing ours runs once without racing and once without the cost cap.

What a protocol has found after each generation, its best genome by its own score, is scored afresh and alike for all: a fit of
2000 iterations at learning rate 0.01 with another evaluation seed, held-out PSNR at its least held-out error (and the true PSNR
there, which nothing sees), the mean of two such fits. Cost is training iterations x output pixels, and forward multiply-adds, of
the search alone. What a search had reached at a cost is what its picks keep from there on, the paper's own search included: a
lucky pick that a later one falls behind counts for nobody, and a search that finds its best in its first generation is charged
for that one alone. A row that stands is not computed again. About thirteen core-hours,
nearly all of them the paper's protocol.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

from benchmarks.pictures import Case
from benchmarks.starter_study import question
from benchmarks.study_fits import RowFile, add_row_options, shard_of
from benchmarks.study_pictures import Problem, problem
from nasdip_engine.evolution.history import Closed, Generation
from nasdip_engine.evolution.search import best_of
from nasdip_engine.evolution.settings import SearchSettings, describe, settings_for, task_for
from nasdip_engine.framing import search_frame
from nasdip_engine.genome.genome import Genome
from nasdip_engine.local import LocalSearch
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.restoration.degradation import degradation_for, held_out_set
from nasdip_engine.restoration.fit import FitSettings, fit, noise_input
from nasdip_engine.restoration.fitness import held_out_psnr
from nasdip_engine.restoration.metrics import psnr
from nasdip_engine.restoration.network import build
from nasdip_engine.seeding import Seeds, generator
from nasdip_engine.store import Store
from nasdip_engine.store_commands import add_options, store_of

__all__ = ["reached", "table"]

_SIDE, _GENERATIONS = 64, 5
_LARGE_K, _LARGE_GENERATIONS = 500, 20
_DAMAGES = ("sigma 25", "scattered 50 %", "2x")
_AFRESH, _AFRESH_SEEDS = 2000, (990_001, 990_002)
_PAPER, _OURS = "paper", "ours"
_OURS_OVERRIDES: Mapping[str, Any] = {"iterations": 600, "first_rung": 0.075, "promoted_share": 0.33}
_ARMS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    _PAPER: ("paper", {}),
    _OURS: ("balanced", {}),
    "ours without racing": ("balanced", {"first_rung": 1.0}),
    "ours without starters": ("balanced", {"starter_share": 0.0}),
    "ours without cost cap": ("balanced", {"cost_cap": 0}),
    "ours without drawing again": ("balanced", {"redraw": False}),
    "ours, selection by fitness": ("balanced", {"selection": "fitness"}),
    "ours, selection by tournament": ("balanced", {"selection": "tournament"}),
    "ours, learning rate 0.001": ("balanced", {"learning_rate": 0.001}),
    "paper, K = 32": ("paper", {"population": 32}),
    "ours, K = 32": ("balanced", {"population": 32}),
}
Row = Mapping[str, Any]


class _Metered(LocalSearch):
    """A search that notes what it had spent when each generation closed."""

    spent: list[dict[str, int]]

    def _close(self, generation: Generation) -> tuple[Closed, dict[str, Any]]:
        closed = super()._close(generation)
        done = list(self.outcomes.values())
        self.spent.append(
            {
                "iterations_x_pixels": sum(one["iterations"] * one["pixels"] for one in done),
                "multiply_adds": sum(one["multiply_adds"] for one in done),
                "trainings": len(done),
            }
        )
        return closed


def _settings(arm: str, asked: Problem) -> SearchSettings:
    preset, changes = _ARMS[arm]
    ours = _OURS_OVERRIDES if preset != "paper" else {}
    common = {"population": 16, "generations": _GENERATIONS, "crop": _SIDE}
    return settings_for(preset, task_for(preset, asked.task), {**common, **ours, **changes})


def _afresh(asked: Problem, genome: str) -> dict[str, float]:
    """The common score of a genome: dB on held-out observations of other seeds, and against the clean picture."""
    fits = [_fitted_afresh(asked, genome, seed) for seed in _AFRESH_SEEDS]
    return {
        name: round(statistics.fmean(values), 4)
        for name, values in zip(("held_out", "true"), zip(*fits, strict=True), strict=True)
    }


def _fitted_afresh(asked: Problem, genome: str, seed: int) -> tuple[float, float]:
    degradation = degradation_for(asked.task, asked.observed, asked.mask)
    phenotype = Genome.parse(genome).phenotype()
    height, width = degradation.output_size
    found = fit(
        build(phenotype, height, width, 32, generator(seed, "weights", phenotype.digest)),
        noise_input(32, height, width, generator(seed, "input", 32, height, width)),
        degradation,
        held_out_set(degradation, asked.task, 0.05, seed),
        FitSettings(_AFRESH, 0.01, "squared", 0.99),
        jitter_rng=generator(seed, "jitter"),
        report=lambda _: None,
    )
    assert found.held_out_mse is not None
    true = psnr(degradation.compose(found.average), asked.clean, asked.among)
    return held_out_psnr(found.held_out_mse), true


def row(damage: str, seed: int, arm: str, *, store: Store | None, workers: int) -> dict[str, Any]:
    """One search and what it had reached after each generation."""
    began = time.monotonic()
    asked = problem("astronaut", damage, _SIDE, seed)
    settings = _settings(arm, asked)
    plain = question(Case("", asked.task.kind, asked.clean, asked.observed, asked.mask, asked.task.factor))
    task = task_for(settings.preset, asked.task)
    put = replace(
        plain, task=task, settings=settings, seeds=Seeds.from_seed(seed),
        search=search_frame(plain.final[0], task, settings),
    )  # fmt: skip
    scored = cache(lambda genome: _afresh(asked, genome))
    with _Metered(put, workers=workers, store=store) as search:
        search.spent = []
        history, records = search.search()
        spent = search.spent
    steps = []
    for number, cost in enumerate(spent, 1):
        best = best_of(history[:number], settings)
        if best:
            steps.append(
                {**cost, "genome": best[0].genome, "starter": best[0].starter, **scored(best[0].genome)}
            )
    rungs = [rung for record in records for rung in record.get("rungs", [])]
    return {"steps": steps, "rungs": rungs, "seconds": round(time.monotonic() - began, 1)}


def reached(steps: Sequence[Row], aim: float, unit: str) -> float | None:
    """The cost from which on every later pick of a search scores `aim` dB or more afresh; None: its last one does not."""
    cost = None
    for step in reversed(steps):
        if step["held_out"] < aim:
            break
        cost = step[unit]
    return cost


def _wanted() -> list[tuple[str, int, str]]:
    # An arm in one piece, so that two shards get of the paper's long searches one each.
    main = [(damage, seed, arm) for seed in (0, 1) for arm in (_OURS, _PAPER) for damage in _DAMAGES]
    noise = [(_DAMAGES[0], 0, arm) for arm in _ARMS if arm not in (_PAPER, _OURS)]
    # Is it the race or the cap that loses there?
    return main + noise + [(_DAMAGES[1], 0, f"ours without {part}") for part in ("racing", "cost cap")]


_HEADER = (
    "| degradation | seed | protocol | trainings | iterations x pixels, M | multiply-adds, T | held out, dB | true, dB "
    "| reached the paper's at, of its cost: iterations x pixels, multiply-adds |\n|---|---|---|---|---|---|---|---|---|"
)


def table(rows: Sequence[Row]) -> str:
    """Markdown: each search, and for what share of the paper's cost it had reached the paper's final score."""
    rows = [row for row in rows if row["steps"]]
    papers = {(row["damage"], row["seed"]): row for row in rows if row["arm"] == _PAPER}
    larger = {(row["damage"], row["seed"]): row for row in rows if row["arm"] == "paper, K = 32"}
    lines = [_HEADER]
    for row in sorted(
        rows, key=lambda one: (_DAMAGES.index(one["damage"]), one["seed"], list(_ARMS).index(one["arm"]))
    ):
        last = row["steps"][-1]
        against = (larger if "K = 32" in row["arm"] else papers).get((row["damage"], row["seed"]))
        share = "-" if against is None or against is row else _share(row["steps"], against["steps"])
        lines.append(
            f"| {row['damage']} | {row['seed']} | {row['arm']} | {last['trainings']} | "
            f"{last['iterations_x_pixels'] / 1e6:.0f} | {last['multiply_adds'] / 1e12:.2f} | {last['held_out']:.2f} | "
            f"{last['true']:.2f} | {share} |"
        )
    return "\n".join(lines)


def _share(steps: Sequence[Row], papers: Sequence[Row]) -> str:
    """For what part of what the paper's search needed for its last pick's score this one has it."""
    figures, aim = [], papers[-1]["held_out"]
    for unit in ("iterations_x_pixels", "multiply_adds"):
        cost, theirs = reached(steps, aim, unit), reached(papers, aim, unit)
        assert theirs is not None
        figures.append("never" if cost is None else f"1/{theirs / cost:.1f}")
    return ", ".join(figures)


def _bound(settings: SearchSettings, asked: Problem) -> int:
    """Iterations x pixels that a search takes at most."""
    return describe(settings, asked.task)["search_iterations"] * _SIDE**2


def extrapolated(rows: Sequence[Row]) -> str:
    """Markdown: what whole searches of the paper's size would cost, each protocol against the paper's.

    Iterations are the bound that is known beforehand (`describe`) times the part of it that the rows of K = 16 took.  A
    network's multiply-adds an iteration and pixel are those of the rows' last generations.  Nothing here says that a search of
    that size finds as good a network.
    """
    asked = problem("astronaut", _DAMAGES[0], _SIDE, 0)
    heads = (
        "protocol",
        "rows",
        "multiply-adds an iteration and pixel",
        "iterations x pixels, G",
        "of the paper's",
    )
    lines = [f"| {' | '.join((*heads, 'multiply-adds, P', heads[-1]))} |", "|---|---|---|---|---|---|---|"]
    papers: tuple[float, float] | None = None
    for arm in (_PAPER, _OURS, "ours without racing"):
        own = [row["steps"] for row in rows if row["arm"] == arm and len(row["steps"]) == _GENERATIONS]
        if not own:
            return "Not every protocol has a whole search yet."
        settings = _settings(arm, asked)
        bound = _bound(settings, asked)
        larger = _bound(replace(settings, population=_LARGE_K, generations=_LARGE_GENERATIONS), asked)
        taken = statistics.fmean(steps[-1]["iterations_x_pixels"] for steps in own) / bound
        pixels = larger * taken
        weight = statistics.fmean(
            (steps[-1]["multiply_adds"] - steps[-2]["multiply_adds"])
            / (steps[-1]["iterations_x_pixels"] - steps[-2]["iterations_x_pixels"])
            for steps in own
        )
        papers = papers or (pixels, pixels * weight)
        lines.append(
            f"| {arm} | {len(own)} | {weight:,.0f} | {pixels / 1e9:.1f} | 1/{papers[0] / pixels:.1f} | "
            f"{pixels * weight / 1e15:.2f} | 1/{papers[1] / (pixels * weight):.1f} |"
        )
    return "\n".join(lines)


def _tables(rows: Sequence[Row]) -> str:
    return (
        f"{table(rows)}\n\nWhole searches of the paper's size (K = {_LARGE_K}, {_LARGE_GENERATIONS} generations) "
        f"at 64 px, extrapolated, whatever they find:\n\n{extrapolated(rows)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_row_options(parser, "docs/results/search-cost.jsonl")
    parser.add_argument("--workers", type=int, default=1, help="evaluations at once")
    add_options(parser, default=True)
    arguments = parser.parse_args()
    use_one_thread()
    file = RowFile(arguments.results, ("damage", "seed", "arm"))
    computed = partial(row, store=store_of(arguments, default=True), workers=arguments.workers)
    file.fill(shard_of(arguments, _wanted()), computed, arguments.minutes)
    file.write_table("What a search costs", "search_cost", _tables)


if __name__ == "__main__":
    main()
