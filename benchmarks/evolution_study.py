"""Does evolution find better networks than luck and than plain hand-made ones, at equal evaluations?

    python -m benchmarks.evolution_study [--seeds 5] [--results docs/results/evolution.jsonl] [--store DIR | --no-store]

scikit-image's astronaut at 96 px, sigma 25, de-noising. Four arms, each seed anew: evolution (9 individuals, 4 generations,
4 elites: 24 networks trained, 3 of them starters), the same from random genomes alone, 24 random genomes under the same cost
cap, and all starters. Fitness is blind (held-out PSNR); the true PSNR against the clean picture is told beside it and decides
nothing. An arm that stands in the results file already is not run again, and no network that the evaluation store holds is
trained again. About a quarter of an hour on two cores.
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


def study(seed: int, store: Store | None, row: dict[str, Any]) -> dict[str, Any]:
    """The arms of one seed that its row lacks, or all of them."""
    case = astronaut_noise(side=96)
    evolution = _settings(population=9, generations=4, elite_share=0.4, starter_share=0.33)
    if "evolved" not in row:
        history, evolved = _searched(case, evolution, seed, store)
        _all_trained(history)
        hand_made = {genome.text for genome in starters(evolution.units, evolution.representation)}
        own = max(
            fitness
            for text, fitness in zip(history[0].generation.genomes, history[0].fitness, strict=True)
            if text in hand_made
        )
        row |= {"evolved": evolved, "bred_means": _bred_means(history), "best_own_starter": own}
    if "unaided" not in row:
        history, unaided = _searched(case, replace(evolution, starter_share=0.0), seed, store)
        _all_trained(history)
        row |= {"unaided": unaided, "unaided_means": _bred_means(history)}
    if "random" not in row:
        many = replace(evolution, population=_EVALUATIONS, generations=1, starter_share=0.0)
        row["random"] = _searched(case, many, seed, store)[1]
    if "starters" not in row:
        row["starters"] = _starters(case, evolution, seed, store)
    return {"seed": seed, **row}


def _all_trained(history: list[Closed]) -> None:
    trained = sum(len(closed.fitness) - closed.generation.elites for closed in history)
    assert trained == _EVALUATIONS or len(history) < 4  # flat search ends early


def _decibels(fitness: float) -> str:
    return f"{10 + 40 * fitness:.2f}"  # the fitness is held-out PSNR, 10..50 dB as 0..1


_ARMS = {"evolved": "evolved", "unaided": "from random alone", "random": "random", "starters": "starters"}


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown, one row a seed, all figures in dB."""
    lines = [
        "| seed | mean of new genomes by generation | the same, from random alone | "
        + " | ".join(f"{name} (true)" for name in _ARMS.values())
        + " | own starter |",
        "|---" * (4 + len(_ARMS)) + "|",
    ]
    for row in rows:
        means = [", ".join(map(_decibels, row[each])) for each in ("bred_means", "unaided_means")]
        arms = [f"{_decibels(row[arm]['fitness'])} ({row[arm]['psnr']:.2f})" for arm in _ARMS]
        cells = [str(row["seed"]), *means, *arms, _decibels(row["best_own_starter"])]
        lines.append(f"| {' | '.join(cells)} |")
    rises, from_random = (
        sum(row[each][-1] > row[each][0] for row in rows) for each in ("bred_means", "unaided_means")
    )
    told = [
        f"\nOf {len(rows)} seeds: the mean of the new genomes rose from generation 0 to the last in {rises}, from random",
        f"alone in {from_random}; evolution beat as many random genomes in {_wins(rows, 'evolved', 'random')} and the best",
        f"of all starters in {_wins(rows, 'evolved', 'starters')}; from random alone it beat them in",
        f"{_wins(rows, 'unaided', 'random')} and {_wins(rows, 'unaided', 'starters')}; the best starter of its own generation",
        f"0 beat the random ones in {sum(row['best_own_starter'] > row['random']['fitness'] for row in rows)}.",
    ]
    lines.append(" ".join(told))
    return "\n".join(lines)


def _wins(rows: list[dict[str, Any]], arm: str, other: str) -> str:
    by_fitness, by_truth = (
        sum(row[arm][figure] > row[other][figure] for row in rows) for figure in ("fitness", "psnr")
    )
    return f"{by_fitness} (by true PSNR {by_truth})"


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
    by_seed = {row["seed"]: row for row in rows}
    for seed in range(arguments.seeds):
        by_seed[seed] = study(seed, store, by_seed.get(seed, {}))
        arguments.results.write_text("".join(json.dumps(row) + "\n" for row in by_seed.values()))
    text = table([by_seed[seed] for seed in sorted(by_seed) if seed < arguments.seeds])
    print(text)
    arguments.results.with_suffix(".md").write_text(f"{_HEADING}{text}\n")


if __name__ == "__main__":
    main()
