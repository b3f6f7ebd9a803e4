"""What is the mean of the best k final fits worth over the best one, and what would a refit on all observations give?

    nice python -m benchmarks.final_mean [--seeds 2] [--minutes 10] [--results docs/results/final-mean.jsonl]

Three photographs of scikit-image, 96 px a side, each with noise (sigma 25), with strokes missing, and to be enlarged 2x. Of the
first four starters the best three by held-out error after 100 iterations get a final fit of at most 400, with the held-out
observations kept out and the averaged output taken where their error was least, as the product does. Each is then fitted again
from the same first weights on *all* observations, for as many iterations as the held-out error said, lengthened by the share
that was held out. PSNR against the clean picture, which no fit and no choice sees. One process, one thread; a row that stands in
the results file is not computed again, and no row is begun after so many minutes of processor time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from benchmarks.pictures import PHOTOGRAPHS, Case, case
from nasdip_engine.evolution.settings import SearchSettings, settings_for
from nasdip_engine.genome.genome import Genome
from nasdip_engine.genome.starters import starters
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.restoration.degradation import Degradation, degradation_for, held_out_set
from nasdip_engine.restoration.final import MEAN, combine_finals
from nasdip_engine.restoration.fit import CHECK_EVERY, Fit, FitSettings, fit, noise_input
from nasdip_engine.restoration.metrics import psnr
from nasdip_engine.restoration.network import build
from nasdip_engine.seeding import Seeds, generator
from nasdip_engine.task import Task, TaskKind

_SIDE, _CANDIDATES, _NETWORKS = 96, 4, 3
_SEARCH, _FINAL = 100, 400
_TASKS = ("denoise", "inpaint", "upscale")
_GAINS = {
    "mean of 2": lambda row: row["means"][0] - row["singles"][0],
    "mean of 3": lambda row: row["means"][1] - row["singles"][0],
    "chosen of 2": lambda row: row["chosen"][0] - row["singles"][0],
    "chosen of 3": lambda row: row["chosen"][1] - row["singles"][0],
    "refit": lambda row: statistics.fmean(row["refits"]) - statistics.fmean(row["singles"]),
    "refit, mean of 2": lambda row: row["refit_means"][0] - row["means"][0],
}

_LEGEND = (
    "Gain in true PSNR, dB: mean over pictures and seeds ± half of its 95 % interval (Student's t over the rows, which "
    "share photographs, so it is a little narrow), and in how many rows it is above 0. Against the single network that was "
    "best by search fit; `refit` against the same network with its held-out observations kept, averaged over the networks."
)
_HEADER = (
    "| picture | task | seed | best single | mean of 2 | mean of 3 | chosen of 2 | chosen of 3 | other singles "
    "| refit of the best | refits, mean of 2 | stopped at | refitted for |"
)


class _AllObservations:
    """A degradation of which nothing is held out: the fit's one look, at its end, finds no error and stops nothing."""

    def __init__(self, degradation: Degradation) -> None:
        self._degradation = degradation

    def __getattr__(self, name: str) -> Any:
        return getattr(self._degradation, name)

    def error(self, output: torch.Tensor, among: torch.Tensor) -> float:  # noqa: ARG002
        return 0.0


class _Study:
    """One damaged picture and one seed."""

    def __init__(self, photograph: str, task: str, seed: int) -> None:
        self.case: Case = case(photograph, task, _SIDE)
        self.task = Task(TaskKind(task), self.case.factor)
        self.settings: SearchSettings = settings_for("preview", self.task, {"finalists": _NETWORKS})
        self.seed = Seeds.from_seed(seed).evaluation_seed
        self.degradation = degradation_for(self.task, self.case.observation, self.case.mask)
        self.held_out = held_out_set(self.degradation, self.task, self.settings.hold_out_share, self.seed)

    def fitted(self, genome: str, iterations: int, *, whole: bool = False) -> Fit:
        """A fit as an evaluation makes it; whole: on all observations, to the last iteration."""
        height, width = self.degradation.output_size
        channels, settings = self.settings.input_channels, self.settings
        phenotype = Genome.parse(genome).phenotype()
        return fit(
            build(phenotype, height, width, channels, generator(self.seed, "weights", phenotype.digest)),
            noise_input(channels, height, width, generator(self.seed, "input", channels, height, width)),
            _AllObservations(self.degradation) if whole else self.degradation,
            torch.zeros_like(self.held_out) if whole else self.held_out,
            FitSettings(
                iterations, settings.learning_rate, settings.loss, settings.average_decay, settings.jitter,
                check_every=iterations if whole else CHECK_EVERY,
            ),
            jitter_rng=generator(self.seed, "jitter", channels, height, width),
            report=lambda _: None,
        )  # fmt: skip

    def searched(self, genome: str) -> float:
        """Held-out error of a search fit."""
        error = self.fitted(genome, _SEARCH).held_out_mse
        assert error is not None
        return error

    def true(self, *arrays: NDArray[np.float32]) -> float:
        """PSNR in dB against the clean picture of the mean of some outputs."""
        mean = np.asarray(np.mean(np.stack(arrays), axis=0, dtype=np.float64), dtype=np.float32)
        return psnr(self.degradation.compose(mean), self.case.clean)

    def chosen(self, arrays: Sequence[NDArray[np.float32]], genomes: Sequence[str]) -> tuple[float, str]:
        """What the product would take, the held-out error choosing between the mean and one alone."""
        made = combine_finals(
            arrays, genomes, pixels=self.case.observation, mask=self.case.mask, task=self.task,
            settings=self.settings, evaluation_seed=self.seed,
        )  # fmt: skip
        return psnr(made.picture, self.case.clean), MEAN if made.choice == MEAN else "one"


def row(photograph: str, task: str, seed: int) -> dict[str, Any]:
    """All figures of one picture, task and seed; singles in the order of the search fits' held-out error."""
    study = _Study(photograph, task, seed)
    known = int(study.degradation.known.sum())
    longer = known / (known - int(study.held_out.sum()))
    candidates = [genome.text for genome in starters(study.settings.units)[:_CANDIDATES]]
    ranked = sorted(candidates, key=study.searched)
    genomes = ranked[:_NETWORKS]
    fits = [study.fitted(genome, _FINAL) for genome in genomes]
    again = [round(one.best_iteration * longer) for one in fits]
    refits = [
        study.fitted(genome, length, whole=True).average
        for genome, length in zip(genomes, again, strict=True)
    ]
    arrays = [one.average for one in fits]
    counts = range(2, _NETWORKS + 1)
    choices = [study.chosen(arrays[:count], genomes[:count]) for count in counts]
    return {
        "photograph": photograph, "task": task, "seed": seed, "genomes": genomes,
        "iterations": [one.best_iteration for one in fits], "refit_iterations": again,
        "singles": [study.true(array) for array in arrays],
        "means": [study.true(*arrays[:count]) for count in counts],
        "chosen": [value for value, _ in choices], "choices": [choice for _, choice in choices],
        "refits": [study.true(array) for array in refits],
        "refit_means": [study.true(*refits[:count]) for count in counts],
    }  # fmt: skip


def _interval(gains: Sequence[float]) -> str:
    """Mean with its 95 % interval by Student's t over the rows, and how many are above 0."""
    mean = statistics.fmean(gains)
    above = f"{sum(gain > 0 for gain in gains)} of {len(gains)}"
    if len(gains) < 2:
        return f"{mean:+.2f} ({above})"
    half = stats.t.ppf(0.975, len(gains) - 1) * statistics.stdev(gains) / len(gains) ** 0.5
    return f"{mean:+.2f} ± {half:.2f} ({above})"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown: the gains with their intervals by task, then one line a row, all in dB."""
    lines = [
        _LEGEND,
        "",
        "| gain | " + " | ".join((*_TASKS, "all")) + " |",
        "|---" * (len(_TASKS) + 2) + "|",
    ]
    for name, gain in _GAINS.items():
        cells = [_gains(rows, gain, task) for task in (*_TASKS, None)]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        _HEADER,
        "|---" * 13 + "|",
    ]
    for one in rows:
        figures = [one["singles"][0], *one["means"], *one["chosen"]]
        others = ", ".join(f"{value:.2f}" for value in one["singles"][1:])
        lines.append(
            f"| {one['photograph']} | {one['task']} | {one['seed']} | "
            + " | ".join(f"{value:.2f}" for value in figures)
            + f" | {others} | {one['refits'][0]:.2f} | {one['refit_means'][0]:.2f} "
            + f"| {', '.join(map(str, one['iterations']))} | {', '.join(map(str, one['refit_iterations']))} |"
        )
    return "\n".join(lines)


def _gains(rows: Sequence[dict[str, Any]], gain: Callable[[dict[str, Any]], float], task: str | None) -> str:
    found = [gain(one) for one in rows if task in (None, one["task"])]
    return _interval(found) if found else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="processor time after which no row is begun"
    )
    parser.add_argument("--results", type=Path, default=Path("docs/results/final-mean.jsonl"))
    arguments = parser.parse_args()
    use_one_thread()
    path: Path = arguments.results
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {(one["photograph"], one["task"], one["seed"]) for one in rows}
    wanted = [
        (photograph, task, seed)
        for seed in range(arguments.seeds)
        for photograph in PHOTOGRAPHS
        for task in _TASKS
    ]
    for which in wanted:
        if which in done or time.process_time() > 60 * arguments.minutes:
            continue
        rows.append(row(*which))
        path.write_text("".join(json.dumps(one) + "\n" for one in rows))
        print(f"{', '.join(map(str, which))}: {time.process_time():.0f} s so far", flush=True)
    text = table(rows)
    print(text)
    heading = "# Mean of the final fits, and a refit\n\n    nice python -m benchmarks.final_mean\n\n"
    path.with_suffix(".md").write_text(heading + text + "\n")


if __name__ == "__main__":
    main()
