"""What the studies of one fit share: a damaged picture ready to be fitted, the networks, and rows that are computed once.

Rows are JSON, one a line, appended as each is done, so that shards may write to one file and a broken run goes on where it
was.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from benchmarks.phenotypes import drawn
from benchmarks.study_pictures import Problem
from nasdip_engine.errors import DivergedError, InvalidInput
from nasdip_engine.evolution.settings import SearchSettings, default_cost_cap, settings_for
from nasdip_engine.genome.genome import Genome
from nasdip_engine.genome.starters import starters
from nasdip_engine.restoration.degradation import degradation_for, held_out_set
from nasdip_engine.restoration.fit import Fit, FitSettings, Step, fit, noise_input
from nasdip_engine.restoration.metrics import psnr
from nasdip_engine.restoration.network import build
from nasdip_engine.seeding import Seeds, generator
from nasdip_engine.version import VERSION

__all__ = [
    "NETWORKS",
    "ORDER",
    "RowFile",
    "Study",
    "add_choices",
    "add_row_options",
    "interval",
    "network_of",
    "shard_of",
    "span",
    "write_page",
]

NETWORKS = ("starter", "random")
ORDER = ("astronaut", "chelsea", "coffee", "gravel", "motorcycle", "rocket")
"""PICTURES, so that the first four have two of texture among them."""
_UNITS = 5


def network_of(name: str, picture: str) -> Genome:
    """The starter that every small population has, or a random genome under the preview's cap, another for each picture."""
    if name == "starter":
        return starters(_UNITS)[0]
    cap = default_cost_cap("preview", _UNITS, 128, 32)
    return drawn(len(ORDER), "study fits", cap)[ORDER.index(picture)]


class Study:
    """One damaged picture, its held-out observations and the settings that its task has by default."""

    def __init__(self, asked: Problem) -> None:
        self.problem = asked
        self.settings: SearchSettings = settings_for("preview", asked.task)
        self.seed = Seeds.from_seed(0).evaluation_seed
        self.degradation = degradation_for(asked.task, asked.observed, asked.mask)
        share, block = self.settings.hold_out_share, self.settings.hold_out_block
        self.held_out = held_out_set(self.degradation, asked.task, share, self.seed, block)

    @property
    def held_share(self) -> float:
        """The part of the known observations that is held out, 0 to 1."""
        return int(self.held_out.sum()) / int(self.degradation.known.sum())

    def plan(self, iterations: int, **changes: Any) -> FitSettings:
        """As the task's settings say, to the end, with some of it changed."""
        own = self.settings
        base = FitSettings(
            iterations, own.learning_rate, own.loss, own.average_decay, own.jitter, to_the_end=True
        )
        return replace(base, **changes)

    def input(self, channels: int) -> Tensor:
        """The fixed z, float32 (1, channels, H, W)."""
        height, width = self.degradation.output_size
        return noise_input(channels, height, width, generator(self.seed, "input", channels, height, width))

    def network(self, genome: Genome, channels: int) -> nn.Module:
        phenotype = genome.phenotype()
        height, width = self.degradation.output_size
        return build(phenotype, height, width, channels, generator(self.seed, "weights", phenotype.digest))

    def fitted(
        self,
        network: nn.Module,
        z: Tensor,
        plan: FitSettings,
        report: Callable[[Step], None],
        *,
        whole: bool = False,
    ) -> Fit:
        """The engine's own fit.  whole: on all observations, nothing held out."""
        held_out = torch.zeros_like(self.held_out) if whole else self.held_out
        jitter_rng = generator(self.seed, "jitter", *z.shape[1:])
        return fit(network, z, self.degradation, held_out, plan, jitter_rng=jitter_rng, report=report)

    def watched(self, network: nn.Module, z: Tensor, plan: FitSettings) -> tuple[list[float], list[float]]:
        """A fit with the held-out observations kept out: held-out and true PSNR of the averaged output at every look."""
        held_out: list[float] = []
        averaged: list[float] = []

        def look(step: Step) -> None:
            if step.held_out_psnr is not None:
                held_out.append(round(step.held_out_psnr, 4))
                averaged.append(round(self.true(step.average()), 3))

        self.fitted(network, z, plan, look)
        return held_out, averaged

    def true(self, output: NDArray[np.float32]) -> float:
        """PSNR in dB of an output, float32 (H, W, 3), against the clean picture: in the hole, or of all of it."""
        return psnr(self.degradation.compose(output), self.problem.clean, self.problem.among)


# -------------------------------------------------------------------------------------------------------------- rows


class RowFile:
    """Rows of a study by their key; what stands there is not computed again."""

    def __init__(self, path: Path, key: Sequence[str]) -> None:
        self.path, self._key = path, tuple(key)

    def rows(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def fill(
        self, wanted: Iterable[tuple[Any, ...]], row: Callable[..., dict[str, Any]], minutes: float
    ) -> None:
        """Compute and append what is missing of `wanted`; no row is begun after so many minutes.

        `seconds` are of this process's processor time, unless the row tells its own.
        """
        began = time.monotonic()
        done = {tuple(one[name] for name in self._key) for one in self.rows()}
        for which in wanted:
            if which in done or time.monotonic() - began > 60 * minutes:
                continue
            start = time.process_time()
            try:
                found = row(*which)
            except (
                DivergedError
            ) as cause:  # it would diverge again: kept, so that the rows behind it are computed
                found = {"reason": f"diverged: {cause}"}
            made = dict(zip(self._key, which, strict=True)) | found
            made.setdefault("seconds", round(time.process_time() - start, 1))
            made.setdefault("version", VERSION)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps(made) + "\n")
            print(f"{', '.join(map(str, which))}: {made['seconds']} s", flush=True)

    def write_table(self, title: str, script: str, table: Callable[[list[dict[str, Any]]], str]) -> None:
        """Print the table of the rows that stand, and write it beside them; nothing without a row.

        Rows whose fit diverged have no figures; how many stands under the heading.
        """
        rows = [one for one in self.rows() if not one.get("reason")]
        if not rows:
            return
        lost = len(self.rows()) - len(rows)
        text = (f"Left out because a fit diverged: {lost}.\n\n" if lost else "") + table(rows)
        write_page(self.path.with_suffix(".md"), title, f"nice python -m benchmarks.{script}", text)


def write_page(path: Path, title: str, command: str, text: str) -> None:
    """Print a table and write it below its title and the command that made it."""
    print(text)
    path.write_text(f"# {title}\n\n    {command}\n\n{text}\n", encoding="utf-8")


def add_row_options(parser: argparse.ArgumentParser, results: str) -> None:
    parser.add_argument("--shard", default="0/1", help="i/n: of every n rows only the i-th, counted from 0")
    parser.add_argument("--minutes", type=float, default=1e6, help="time after which no row is begun")
    parser.add_argument(
        "--results", type=Path, default=Path(results), help="rows that stand here are not computed again"
    )


def add_choices(parser: argparse.ArgumentParser, **choices: Collection[Any]) -> None:
    """Options by name, each some of its values, all of them unless said otherwise."""
    for name, values in choices.items():
        kind = type(next(iter(values)))
        parser.add_argument(f"--{name}", nargs="+", type=kind, choices=values, default=list(values))


def shard_of(arguments: argparse.Namespace, wanted: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The rows of this shard.  Raises InvalidInput where it is none."""
    number, _, of = arguments.shard.partition("/")
    if not (number.isdigit() and of.isdigit() and int(number) < int(of)):
        raise InvalidInput(f"shard is {arguments.shard!r}; write 0/2 or 1/2")
    return list(wanted[int(number) :: int(of)])


def span(counts: Sequence[int]) -> str:
    """How many there are in each of some groups: "6", or "5 to 6"."""
    least, most = min(counts), max(counts)
    return str(least) if least == most else f"{least} to {most}"


def interval(gains: Sequence[float], pictures: Sequence[str] | None = None) -> str:
    """Mean with half of its 95 % interval by Student's t over the pictures, and how many gains are above 0.

    pictures: of each gain; without, each is of another one.  Gains of one picture are no independent trials, so they
    are averaged first.
    """
    if not gains:
        return "-"
    grouped: dict[Any, list[float]] = {}
    for name, gain in zip(range(len(gains)) if pictures is None else pictures, gains, strict=True):
        grouped.setdefault(name, []).append(gain)
    means = [statistics.fmean(values) for values in grouped.values()]
    mean = statistics.fmean(means)
    above = f"{sum(gain > 0 for gain in gains)} of {len(gains)}"
    if len(means) < 2:
        return f"{mean:+.2f} ({above})"
    half = stats.t.ppf(0.975, len(means) - 1) * statistics.stdev(means) / len(means) ** 0.5
    return f"{mean:+.2f} ± {half:.2f} ({above})"
