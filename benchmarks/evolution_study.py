"""Does evolution find better networks than luck and than plain hand-made ones, at equal evaluations?

    python -m benchmarks.evolution_study [--seeds 5] [--results docs/results/evolution.jsonl] [--store DIR | --no-store]

scikit-image's astronaut at 96 px, sigma 25, de-noising. Three arms, each seed anew: evolution (9 individuals, 4 generations,
4 elites: 24 networks trained, 3 of them starters), 24 random genomes under the same cost cap, and all starters. Fitness is
blind (held-out PSNR); the true PSNR against the clean picture is told beside it and decides nothing. A seed that stands in the
results file already is not run again, and no network that the evaluation store holds is trained again.
About ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.pictures import Case, astronaut_noise
from benchmarks.starter_study import question
from nasdip_engine.evolution.history import Closed
from nasdip_engine.evolution.search import best_of
from nasdip_engine.evolution.settings import SearchSettings, settings_for
from nasdip_engine.framing import search_frame
from nasdip_engine.genome.starters import starters
from nasdip_engine.local import LocalSearch
from nasdip_engine.local_run import true_scores
from nasdip_engine.question import Question
from nasdip_engine.seeding import Seeds
from nasdip_engine.store import Store
from nasdip_engine.store_commands import add_options, store_of
from nasdip_engine.task import Task, TaskKind

_EVALUATIONS = 24
_HEADING = "# Does evolution pay?\n\n    python -m benchmarks.evolution_study\n\n"
_ITERATIONS = 200


def _question(case: Case, settings: SearchSettings, seed: int) -> Question:
    asked = question(case)
    return replace(
        asked,
        settings=settings,
        seeds=Seeds.from_seed(seed),
        search=search_frame(asked.final[0], asked.task, settings),
    )


def _settings(**changes: Any) -> SearchSettings:
    base = settings_for("preview", Task(TaskKind.DENOISE), {"iterations": _ITERATIONS, "crop": 96})
    return replace(base, **changes)


def _searched(
    case: Case, settings: SearchSettings, seed: int, store: Store | None
) -> tuple[list[Closed], dict[str, Any]]:
    asked = _question(case, settings, seed)
    with LocalSearch(asked, say=print, store=store, reference=case.clean) as search:
        history, _ = search.search()
        best = best_of(history, settings)[0]
        scores = true_scores(search, best.genome, case.clean)
        return history, {
            "fitness": best.fitness,
            "genome": best.genome,
            "starter": best.starter,
            **scores,
        }


def _starters(case: Case, settings: SearchSettings, seed: int, store: Store | None) -> dict[str, Any]:
    asked = _question(case, settings, seed)
    with LocalSearch(asked, say=print, store=store, reference=case.clean) as search:
        genomes = [genome.text for genome in starters(settings.units, settings.representation)]
        fitness = [outcome["fitness"] for outcome in search.evaluate_all(genomes)]
        best = max(range(len(genomes)), key=fitness.__getitem__)
        return {
            "fitness": fitness[best],
            "genome": genomes[best],
            **true_scores(search, genomes[best], case.clean),
        }


def _bred_means(history: list[Closed]) -> list[float]:
    """Mean fitness of what was new in each generation: the elites, trained before, are left out."""
    return [statistics.fmean(closed.fitness[closed.generation.elites :]) for closed in history]


def study(seed: int, store: Store | None) -> dict[str, Any]:
    """All arms of one seed."""
    case = astronaut_noise(side=96)
    evolution = _settings(population=9, generations=4, elite_share=0.4, starter_share=0.33)
    history, evolved = _searched(case, evolution, seed, store)
    assert (
        sum(len(c.fitness) - c.generation.elites for c in history) == _EVALUATIONS or len(history) < 4
    )  # flat search ends early
    _, random = _searched(
        case, replace(evolution, population=_EVALUATIONS, generations=1, starter_share=0.0), seed, store
    )
    own = max(
        fitness
        for text, fitness in zip(history[0].generation.genomes, history[0].fitness, strict=True)
        if text in {genome.text for genome in starters(evolution.units, evolution.representation)}
    )
    return {
        "seed": seed, "bred_means": _bred_means(history), "evolved": evolved, "random": random,
        "starters": _starters(case, evolution, seed, store), "best_own_starter": own,
    }  # fmt: skip


def _decibels(fitness: float) -> str:
    return f"{10 + 40 * fitness:.2f}"  # the fitness is held-out PSNR, 10..50 dB as 0..1


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, one row a seed, all figures in dB."""
    lines = [
        "| seed | mean of new genomes by generation | evolved (true) | random (true) | starters (true) | own starter |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        means = ", ".join(_decibels(mean) for mean in row["bred_means"])
        arms = [
            f"{_decibels(row[arm]['fitness'])} ({row[arm]['psnr']:.2f})"
            for arm in ("evolved", "random", "starters")
        ]
        lines.append(
            f"| {row['seed']} | {means} | {' | '.join(arms)} | {_decibels(row['best_own_starter'])} |"
        )
    wins = {
        arm: sum(row["evolved"]["fitness"] > row[arm]["fitness"] for row in rows)
        for arm in ("random", "starters")
    }
    true_wins = {
        arm: sum(row["evolved"]["psnr"] > row[arm]["psnr"] for row in rows) for arm in ("random", "starters")
    }
    rises = sum(row["bred_means"][-1] > row["bred_means"][0] for row in rows)
    lines.append(
        f"\nOf {len(rows)} seeds: the mean of the new genomes rose from generation 0 to the last in {rises}; "
        f"evolution beat as many random genomes in {wins['random']} (by true PSNR {true_wins['random']}) "
        f"and the best of all starters in {wins['starters']} (by true PSNR {true_wins['starters']})."
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=Path("docs/results/evolution.jsonl"))
    add_options(parser, default=True)
    arguments = parser.parse_args()
    store = store_of(arguments, default=True)
    rows = (
        [json.loads(line) for line in arguments.results.read_text().splitlines()]
        if arguments.results.exists()
        else []
    )
    for seed in range(arguments.seeds):
        if all(row["seed"] != seed for row in rows):
            rows.append(study(seed, store))
            arguments.results.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = table(sorted(rows, key=lambda row: row["seed"]))
    print(text)
    arguments.results.with_suffix(".md").write_text(f"{_HEADING}{text}\n")


if __name__ == "__main__":
    main()
