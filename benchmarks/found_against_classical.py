"""Is what a search finds for a picture better than classical deep image prior, a plain starter, or luck?

    nice python -m benchmarks.found_against_classical [--shard 0/2] [--seeds 2] [--pictures astronaut chelsea ...]
    python -m benchmarks.found_against_classical --table

The pictures of `study_pictures` at 96 px with noise (sigma 25), half of the pixels missing, and to be enlarged 4x. Every arm gets
the same observation, held-out observations, input, 500 iterations, averaged output and stop rule (the averaged output where its
held-out error was least); what differs is the network:

- found: the best by blind score of a search (12 individuals, 4 generations, 150 iterations, cost cap of the preview);
- unaided: the same of a search without starters in its first generation;
- found whole: the found network fitted again on all observations, as the product does for noise and enlarging;
- random: the best of as many random networks under the same cap as the search trained;
- starter: the best of all hand-made networks under that cap;
- classical: the published network, 128 filters a stage, at the learning rate of our settings, without jitter;
- narrow: the same with as many filters as make it cost what the found network costs;
- found, starter, classical and narrow "published": the same networks with the jitter and rate of classical DIP's authors;
- classical slow, narrow slow: their rate alone, where ours is another;
- references: what a user gets in a second, some of them with a strength chosen by the clean picture.

PSNR, SSIM and LPIPS are against the clean picture, which no fit and no choice sees. Two processes with `--shard 0/2` and
`--shard 1/2` may share a results file; an arm that stands there is not computed again. 13 to 20 minutes of one
core for each picture, damage and seed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn, zeros_like

from benchmarks.classical_table import WHOLE, table
from benchmarks.pictures import Case
from benchmarks.rivals import rivals
from benchmarks.study_fits import add_choices, shard_of
from benchmarks.study_pictures import PICTURES, problem
from nasdip_engine.errors import DivergedError
from nasdip_engine.evolution.history import Closed, Generation
from nasdip_engine.evolution.search import (
    Converged,
    Ranked,
    best_of,
    first_generation,
    next_generation,
    refusal,
)
from nasdip_engine.evolution.settings import SearchSettings, settings_for
from nasdip_engine.genome.cost import cost
from nasdip_engine.genome.genome import Genome
from nasdip_engine.genome.phenotype import Phenotype
from nasdip_engine.genome.starters import starters
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.picture import pixel_digest
from nasdip_engine.restoration import classical
from nasdip_engine.restoration.degradation import degradation_for, held_out_set
from nasdip_engine.restoration.fit import Fit, FitSettings, fit, noise_input
from nasdip_engine.restoration.fitness import fitness, held_out_psnr
from nasdip_engine.restoration.metrics import psnr, scores
from nasdip_engine.restoration.network import build
from nasdip_engine.restoration.true_error import TrueError
from nasdip_engine.seeding import Seeds, generator

Row = dict[str, Any]

SIDE = 96
RECIPES: Mapping[str, classical.Recipe] = MappingProxyType(
    {
        "sigma 25": classical.PUBLISHED["F16, sigma 25"],
        "scattered 50 %": classical.PUBLISHED["barbara, 50 % missing"],
        "4x": classical.PUBLISHED["zebra, 4x"],
    }
)
"""Damage -> what its authors published for it; one shape throughout."""

# That of nine of the ten published pictures. The tenth, half of whose pixels are missing, has 0.001 for 11,000 iterations: of
# 500 it would learn next to nothing.
_PUBLISHED_RATE = 0.01
_SETTINGS: Mapping[str, Any] = MappingProxyType(
    {
        "population": 12, "generations": 4, "iterations": 150, "final_iterations": 500, "finalists": 1,
        "starter_share": 0.33, "crop": SIDE, "first_rung": 1.0,
    }
)  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """A way to fit classical DIP. narrow: at the found network's price.  published_rate, jitter: its authors', not ours."""

    narrow: bool = False
    published_rate: bool = False
    jitter: bool = False


CLASSICAL: Mapping[str, Arm] = MappingProxyType(
    {
        "classical": Arm(),
        "narrow": Arm(narrow=True),
        "classical published": Arm(published_rate=True, jitter=True),
        "classical slow": Arm(published_rate=True),
        "narrow published": Arm(narrow=True, published_rate=True, jitter=True),
        "narrow slow": Arm(narrow=True, published_rate=True),
    }
)
_AUTHORS = Arm(published_rate=True, jitter=True)
SEARCHED = ("found", "unaided", "random", "starter")
REFITTED: Mapping[str, str] = MappingProxyType({"found published": "found", "starter published": "starter"})
"""Arm -> whose network it fits once more, with the jitter and rate of classical DIP's authors."""
ARMS = (*SEARCHED, *REFITTED, WHOLE, *CLASSICAL, "references")


def nearest_width(shape: classical.Shape, multiply_adds: int, height: int, width: int, channels: int) -> int:
    """Filters of every stage with which the network costs nearest to so many multiply-adds a forward pass; 1 at least.

    Of two that are equally near, the wider one: the doubt is the rival's.
    """

    def distance(filters: int) -> int:
        price = classical.price(shape.at_width(filters), height, width, channels).multiply_adds
        return abs(price - multiply_adds)

    filters = 1
    while distance(filters + 1) <= distance(filters):
        filters += 1
    return filters


class Study:
    """One damaged picture and one seed: of the damage, of the fits, and of the search."""

    def __init__(self, picture: str, damage: str, seed: int) -> None:
        self.damage = damage
        self.problem = problem(picture, damage, SIDE, seed)
        self.settings: SearchSettings = settings_for("preview", self.problem.task, _SETTINGS)
        self.seeds = Seeds.from_seed(seed)
        self.degradation = degradation_for(self.problem.task, self.problem.observed, self.problem.mask)
        self.held_out = held_out_set(
            self.degradation, self.problem.task, self.settings.hold_out_share, self.seeds.evaluation_seed
        )
        self._tried: dict[str, float] = {}

    # ------------------------------------------------------------------------------------------------ search

    def _fit(self, network: nn.Module, z: Tensor, settings: FitSettings, truth: TrueError | None) -> Fit:
        channels, height, width = z.shape[1:]
        return fit(
            network, z, self.degradation, self.held_out, settings,
            jitter_rng=generator(self.seeds.evaluation_seed, "jitter", channels, height, width),
            report=(lambda _: None) if truth is None else truth.look,
        )  # fmt: skip

    @cached_property
    def _z(self) -> Tensor:
        """The same for every arm; classical deep image prior has as many channels as ours."""
        height, width = self.degradation.output_size
        channels = self.settings.input_channels
        rng = generator(self.seeds.evaluation_seed, "input", channels, height, width)
        return noise_input(channels, height, width, rng)

    def _network(self, phenotype: Phenotype) -> nn.Module:
        rng = generator(self.seeds.evaluation_seed, "weights", phenotype.digest)
        return build(phenotype, *self.degradation.output_size, self.settings.input_channels, rng)

    def _fit_settings(self, iterations: int) -> FitSettings:
        settings = self.settings
        return FitSettings(
            iterations, settings.learning_rate, settings.loss, settings.average_decay, settings.jitter
        )

    def _fitness(self, genome: str) -> float:
        """Blind score of a search fit, 0 where the genome is refused or its fit diverges."""
        if refusal(genome, self.settings) is not None:
            return 0.0
        phenotype = Genome.parse(genome).phenotype()
        if phenotype.digest not in self._tried:
            try:
                short = self._fit_settings(self.settings.iterations)
                error = self._fit(self._network(phenotype), self._z, short, None).held_out_mse
            except DivergedError:
                error = None
            self._tried[phenotype.digest] = 0.0 if error is None else fitness(error)
        return self._tried[phenotype.digest]

    def _closed(self, generation: Generation) -> Closed:
        return Closed(generation, tuple(self._fitness(genome) for genome in generation.genomes))

    def searched(self, arm: str, networks: int) -> list[Closed]:
        """The generations of one of SEARCHED; networks: how many the random search trains."""
        settings = replace(self.settings, starter_share=0.0) if arm == "unaided" else self.settings
        if arm == "starter":
            hand_made = tuple(genome.text for genome in starters(settings.units, settings.representation))
            allowed = tuple(text for text in hand_made if refusal(text, settings) is None)
            return [self._closed(Generation(0, allowed, 0))]
        if arm == "random":
            many = replace(settings, population=networks, generations=1, starter_share=0.0)
            return [self._closed(first_generation(many, self.seeds))]
        history: list[Closed] = []
        step: Generation | Converged = first_generation(settings, self.seeds)
        while isinstance(step, Generation):
            history.append(self._closed(step))
            step = next_generation(settings, self.seeds, history)
        return history

    # ----------------------------------------------------------------------------------------------- the arms

    def from_search(self, arm: str, networks: int = 0) -> Row:
        """The row of one of SEARCHED: its best network by blind score, with what it cost to find."""
        history = self.searched(arm, networks)
        best = best_of(history, self.settings)[0]
        phenotype = Genome.parse(best.genome).phenotype()
        made = self._final(self._network(phenotype), self._final_settings(Arm()), self._price(phenotype))
        return made | {"search": self._spent(history), **self._told(best)}

    def refitted(self, genome: str) -> Row:
        """The row of one of REFITTED, from the genome of the arm that found it."""
        phenotype, settings = Genome.parse(genome).phenotype(), self._final_settings(_AUTHORS)
        return self._final(self._network(phenotype), settings, self._price(phenotype)) | {"genome": genome}

    def whole(self, found: Row) -> Row:
        """The row of WHOLE, from that of the arm "found"."""
        phenotype = Genome.parse(found["genome"]).phenotype()
        known, held = int(self.degradation.known.sum()), int(self.held_out.sum())
        length = self.settings.refit_iterations(found["best_iteration"], known, held)
        done = fit(
            self._network(phenotype), self._z, self.degradation, zeros_like(self.held_out),
            replace(self._final_settings(Arm()), iterations=length),
            jitter_rng=generator(self.seeds.evaluation_seed, "jitter"), report=lambda _: None,
        )  # fmt: skip
        picture = self.degradation.compose(done.average)
        return {"iterations": done.iterations, **scores(picture, self.problem.clean)}

    def _final_settings(self, arm: Arm) -> FitSettings:
        """Our own, or as far as the arm says those of classical DIP's authors."""
        ours = self._fit_settings(self.settings.final_iterations)
        rate = _PUBLISHED_RATE if arm.published_rate else ours.learning_rate
        return replace(
            ours, learning_rate=rate, jitter=RECIPES[self.damage].jitter if arm.jitter else ours.jitter
        )

    def _told(self, best: Ranked) -> Row:
        return {
            "genome": best.genome, "starter": best.starter, "generation": best.generation, "fitness": best.fitness,
        }  # fmt: skip

    def _price(self, phenotype: Phenotype) -> int:
        return cost(phenotype, *self.degradation.output_size, self.settings.input_channels).multiply_adds

    def _spent(self, history: Sequence[Closed]) -> Row:
        """Distinct networks that were trained, their iterations, and multiply-adds of one forward pass each."""
        texts = {text for closed in history for text in closed.generation.genomes}
        admitted = [text for text in texts if refusal(text, self.settings) is None]
        trained = {one.digest: one for one in (Genome.parse(text).phenotype() for text in admitted)}
        iterations = self.settings.iterations
        return {
            "networks": len(trained), "iterations": len(trained) * iterations,
            "multiply_adds": iterations * sum(self._price(one) for one in trained.values()),
        }  # fmt: skip

    def classical(self, arm: Arm, found: int) -> Row:
        """The row of one of CLASSICAL. found: multiply-adds of the found network's forward pass."""
        size, channels = self.degradation.output_size, self._z.shape[1]
        shape = RECIPES[self.damage].shape
        if arm.narrow:
            shape = shape.at_width(nearest_width(shape, found, *size, channels))
        rng = generator(self.seeds.evaluation_seed, "weights", "classical", shape.down[0])
        settings = self._final_settings(arm)
        price = classical.price(shape, *size, channels).multiply_adds
        made = self._final(classical.build(shape, *size, channels, rng), settings, price)
        return made | {"filters": shape.down[0]}

    def _final(self, network: nn.Module, settings: FitSettings, price: int) -> Row:
        """A final fit, and how near it came to the clean picture; `price`: multiply-adds of a forward pass."""
        began = time.process_time()
        clean = self.problem.clean
        told = {
            "learning_rate": settings.learning_rate, "jitter": settings.jitter, "multiply_adds": price,
            "multiply_adds_per_pixel": price / (clean.shape[0] * clean.shape[1]),
        }  # fmt: skip
        truth = TrueError(clean, pixel_digest(clean), self.degradation, settings.iterations)
        try:
            done = self._fit(network, self._z, settings, truth)
        except DivergedError as problem:
            return told | {"reason": str(problem)}
        assert done.held_out_mse is not None
        picture = self.degradation.compose(done.average)
        curve: list[tuple[int, float]] = truth.at(done.best_iteration)["curve"]
        peak = max(curve, key=lambda look: look[1])
        return told | {
            **scores(picture, clean), "judged_psnr": psnr(picture, clean, self.problem.among),
            "peak": peak[1], "peak_iteration": peak[0],
            "held_out_psnr": held_out_psnr(done.held_out_mse), "best_iteration": done.best_iteration,
            "iterations": done.iterations, "curve": [round(value, 3) for _, value in curve],
            "held_out_curve": [round(value, 3) for _, value in done.curve],
            "fit_seconds": time.process_time() - began,
        }  # fmt: skip

    def references(self) -> Row:
        """PSNR, SSIM and LPIPS of what needs no network, by name."""
        asked = self.problem
        case = Case("", str(asked.task.kind), asked.clean, asked.observed, asked.mask, asked.task.factor)
        return {"references": {name: scores(made, asked.clean) for name, made in rivals(case).items()}}


def applies(arm: str, ours: float, refits: bool) -> bool:
    """Whether an arm says anything new: a slow one only where our learning rate is another, WHOLE where there are refits.

    ours, refits: of the settings.
    """
    named = CLASSICAL.get(arm)
    slow = named is not None and named.published_rate and not named.jitter
    return (arm != WHOLE or refits) and (not slow or ours != _PUBLISHED_RATE)


def make(study: Study, arm: str, done: Mapping[str, Row]) -> Row:
    """One arm's row. done: rows of the same place by arm; "found" says what "random" and the narrow ones may cost."""
    if arm == "references":
        return study.references()
    if arm in ("found", "unaided", "starter"):
        return study.from_search(arm)
    needed = REFITTED.get(arm, "found")
    if needed not in done:
        raise SystemExit(f"{arm} needs the arm {needed} of the same picture first")
    if arm in REFITTED:
        return study.refitted(done[needed]["genome"])
    if arm == WHOLE:
        return study.whole(done[needed])
    if arm == "random":
        return study.from_search(arm, done[needed]["search"]["networks"])
    return study.classical(CLASSICAL[arm], done[needed]["multiply_adds"])


def _read(path: Path) -> dict[tuple[str, str, int, str], Row]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    return {(row["picture"], row["damage"], row["seed"], row["arm"]): row for row in rows}


def run(path: Path, places: Iterable[tuple[int, str, str]], arms: Sequence[str]) -> None:
    """Every arm of every (seed, damage, picture) that is not in the results file is made and appended."""
    rows = _read(path)
    for seed, damage, picture in places:
        study = Study(picture, damage, seed)
        settings, task = study.settings, study.problem.task
        said = [one for one in ARMS if applies(one, settings.learning_rate, settings.refits(task))]
        for arm in (one for one in said if one in arms):
            place = (picture, damage, seed, arm)
            if place in rows:
                continue
            began = time.process_time()
            row = make(
                study, arm, {one: rows[at] for one in ARMS if (at := (picture, damage, seed, one)) in rows}
            )
            rows[place] = {"picture": picture, "damage": damage, "seed": seed, "arm": arm, **row}
            rows[place]["seconds"] = time.process_time() - began
            with path.open(
                "a", encoding="utf-8"
            ) as file:  # one write a row, so that two processes may append
                file.write(json.dumps(rows[place]) + "\n")
            figure = "" if row.get("psnr") is None else f" {row['psnr']:.2f} dB,"
            print(
                f"{picture}, {damage}, seed {seed}, {arm}:{figure} {rows[place]['seconds']:.0f} s", flush=True
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    add_choices(parser, pictures=PICTURES, damages=RECIPES, arms=ARMS)
    parser.add_argument("--shard", default="0/1", help="i/n: of every n places only the i-th, counted from 0")
    parser.add_argument("--results", type=Path, default=Path("docs/results/found-against-classical.jsonl"))
    parser.add_argument(
        "--table", action="store_true", help="write the table of what stands, compute nothing"
    )
    arguments = parser.parse_args()
    if arguments.table:
        text = table(list(_read(arguments.results).values()))
        print(text)
        arguments.results.with_suffix(".md").write_text(text, encoding="utf-8")
        return
    use_one_thread()
    places = list(product(range(arguments.seeds), arguments.damages, arguments.pictures))
    run(arguments.results, shard_of(arguments, places), arguments.arms)


if __name__ == "__main__":
    main()
