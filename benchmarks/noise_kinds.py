"""Each kind of noise and hole that users have: our result under two assumptions, beside a filter.

    nice python -m benchmarks.noise_kinds [--results docs/results/noise-kinds.jsonl] [--table docs/results/noise-kinds.md]

96 px of photographs from scikit-image's wheel. Each arm fits three starter networks for 125 iterations, takes the one with the
least held-out error and fits it for up to 600 (noise and enlarging again with all observations): a preview in small.
What an arm assumes decides its held-out set, its error and its loss, nothing else. The true PSNR against the clean picture
decides nothing: it says what the held-out error cost, as regret (best network of the three less the one taken; best moment of
the last fit less the one taken). An arm that stands in the results file is not run again. About twelve minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from benchmarks import degrade
from benchmarks.pictures import square
from nasdip_engine.baselines import baseline
from nasdip_engine.evolution.settings import SearchSettings, settings_for
from nasdip_engine.genome.genome import Genome
from nasdip_engine.genome.starters import starters
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.restoration.degradation import Degradation, degradation_for, held_out_set
from nasdip_engine.restoration.fit import Fit, FitSettings, Step, fit, noise_input
from nasdip_engine.restoration.fitness import held_out_psnr
from nasdip_engine.restoration.metrics import psnr
from nasdip_engine.restoration.network import build
from nasdip_engine.restoration.noise_level import noise_record
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task, TaskKind

_SIDE, _SEED = 96, 0
_NETWORKS = (1, 7, 15)  # places in the list of starters: with and without skip paths, wide and narrow
_SEARCH, _FINAL = 125, 600

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """assumed: the assumption that theory asks for first, then another that a user might make."""

    name: str
    task: str
    assumed: tuple[str, ...]
    clean: Callable[[], Pixels]
    noise: Callable[[Pixels], Pixels] = lambda pixels: pixels
    hole: Callable[[], Mask] | None = None
    factor: int = 1

    def made(self) -> tuple[Pixels, Pixels, Mask | None]:
        """Clean picture, observation, mask; missing pixels are mid-grey in the observation."""
        clean = square(self.clean(), _SIDE)
        small = Image.fromarray(clean).resize(2 * (_SIDE // self.factor,), Image.Resampling.BICUBIC)
        seen = self.noise(clean if self.factor == 1 else np.asarray(small))
        mask = self.hole() if self.hole else None
        return clean, seen if mask is None else np.where(mask[..., None], seen, np.uint8(128)), mask


def _drawn(name: str) -> np.random.Generator:
    return generator(_SEED, "noise kinds", name)


def _gaussian(pixels: Pixels) -> Pixels:
    return degrade.gaussian(pixels, 25, _drawn("gaussian"))


def _impulses(pixels: Pixels) -> Pixels:
    return degrade.salt_and_pepper(pixels, 0.1, _drawn("impulses"))


def _scratches() -> Mask:
    return degrade.scratches(_SIDE, _SIDE, 8, _drawn("scratches"))


def _large() -> Mask:
    return degrade.large_hole(_SIDE, _SIDE, 0.1, _drawn("large"))


def _face() -> Pixels:
    """Pixels of the camera itself, as users have them: near ones are alike, which reduced pictures deny."""
    return data.astronaut()[96:192, 176:272]


def _cup() -> Pixels:
    return data.coffee()[96:192, 320:416]


def _fur() -> Pixels:
    return data.chelsea()[100:196, 150:246]


_JPEG10, _JPEG20 = partial(degrade.jpeg, quality=10), partial(degrade.jpeg, quality=20)
_CASES = (
    Case("Gaussian, sigma 25", "denoise", ("independent", "correlated"), data.astronaut, _gaussian),
    Case(
        "Poisson, 30 photons at white", "denoise", ("independent",), data.coffee,
        lambda pixels: degrade.poisson(pixels, 30, _drawn("poisson")),
    ),
    Case("salt and pepper, 10 % of the values", "denoise", ("impulse", "independent"), data.chelsea, _impulses),
    Case("JPEG, quality 10", "denoise", ("correlated", "independent"), data.astronaut, _JPEG10),
    Case(
        "camera: mosaic, 60 photons, read noise 4, JPEG 85", "denoise", ("correlated", "independent"), data.coffee,
        lambda pixels: degrade.camera(pixels, 60, 4, 85, _drawn("camera")),
    ),
    Case("JPEG, quality 10, cut out at full resolution", "denoise", ("correlated", "independent"), _face, _JPEG10),
    Case("JPEG, quality 20, another cut", "denoise", ("correlated", "independent"), _fur, _JPEG20),
    Case(
        "camera, 30 photons, another cut", "denoise", ("correlated", "independent"), _fur,
        lambda pixels: degrade.camera(pixels, 30, 6, 85, _drawn("camera")),
    ),
    Case(
        "camera, cut out at full resolution", "denoise", ("correlated", "independent"), _cup,
        lambda pixels: degrade.camera(pixels, 60, 4, 85, _drawn("camera")),
    ),
    Case("text", "inpaint", ("none",), data.astronaut, hole=lambda: degrade.text(_SIDE, _SIDE)),
    Case("scratches", "inpaint", ("none",), data.coffee, hole=_scratches),
    Case("one hole of 10 %", "inpaint", ("none",), data.chelsea, hole=_large),
    Case(
        "50 % of the pixels", "inpaint", ("none",), data.astronaut,
        hole=lambda: degrade.scattered_hole(_SIDE, _SIDE, 0.5, _drawn("scattered")),
    ),
    Case("one hole and Gaussian, sigma 25", "inpaint", ("independent", "none"), data.chelsea, _gaussian, _large),
    Case("scratches and JPEG, quality 20", "inpaint", ("correlated", "none"), data.coffee, _JPEG20, _scratches),
    Case("scratches and salt and pepper", "inpaint", ("impulse", "none"), data.astronaut, _impulses, _scratches),
    Case("2x from JPEG, quality 20", "upscale", ("correlated", "none"), data.astronaut, _JPEG20, factor=2),
)  # fmt: skip


class _Watch:
    """The true PSNR of the averaged output at every look at the held-out error."""

    def __init__(self, degradation: Degradation, clean: Pixels) -> None:
        self._degradation, self._clean = degradation, clean
        self.true: dict[int, float] = {}

    def __call__(self, step: Step) -> None:
        if step.held_out_psnr is not None:
            self.true[step.iteration] = psnr(self._degradation.compose(step.average()), self._clean)


def _fitted(
    genome: Genome,
    degradation: Degradation,
    task: Task,
    settings: SearchSettings,
    iterations: int,
    watch: _Watch,
) -> tuple[float, float, float]:
    """Held-out PSNR, true PSNR where the fit took its output, and the best true PSNR at any look."""
    found = _fit(genome, degradation, task, settings, iterations, settings.hold_out_share, watch)
    assert found.held_out_mse is not None
    return held_out_psnr(found.held_out_mse), watch.true[found.best_iteration], max(watch.true.values())


def _fit(
    genome: Genome,
    degradation: Degradation,
    task: Task,
    settings: SearchSettings,
    iterations: int,
    share: float,
    report: Callable[[Step], None],
) -> Fit:
    """The fit of an evaluation: the same weights and input for each share of held-out observations."""
    height, width = degradation.output_size
    phenotype, channels = genome.phenotype(), settings.input_channels
    return fit(
        build(phenotype, height, width, channels, generator(_SEED, "weights", phenotype.digest)),
        noise_input(channels, height, width, generator(_SEED, "input", channels, height, width)),
        degradation,
        held_out_set(degradation, task, share, _SEED, settings.hold_out_block),
        FitSettings(iterations, settings.learning_rate, settings.loss, settings.average_decay),
        jitter_rng=generator(_SEED, "jitter"),
        report=report,
    )


def arm(case: Case, assumed: str) -> dict[str, Any]:
    """One row: a search in small under one assumption, and the reference filter of that assumption."""
    began = time.process_time()
    clean, observed, mask = case.made()
    task = Task(TaskKind(case.task), case.factor, noise=assumed)
    settings = settings_for("preview", task, {"crop": _SIDE})
    degradation = degradation_for(task, observed, mask)
    genomes = [starters(settings.units)[place] for place in _NETWORKS]
    tried = [
        _fitted(genome, degradation, task, settings, _SEARCH, _Watch(degradation, clean))
        for genome in genomes
    ]
    best = max(range(len(tried)), key=lambda place: tried[place][0])
    watch = _Watch(degradation, clean)
    held, true, highest = _fitted(genomes[best], degradation, task, settings, _FINAL, watch)
    ours, length = true, next(iteration for iteration, value in watch.true.items() if value == true)
    if settings.refits(task):
        among = held_out_set(degradation, task, settings.hold_out_share, _SEED, settings.hold_out_block)
        again = settings.refit_iterations(length, int(degradation.known.sum()), int(among.sum()))
        whole = _fit(genomes[best], degradation, task, settings, again, 0, lambda _: None)
        ours = psnr(degradation.compose(whole.average), clean)
    reference = baseline(
        task,
        observed,
        mask,
        hold_out_share=settings.hold_out_share,
        hold_out_block=settings.hold_out_block,
        evaluation_seed=_SEED,
        alive=lambda: None,
    )
    before = observed if case.factor == 1 else np.asarray(Image.fromarray(observed).resize((_SIDE, _SIDE), 0))
    return {
        "case": case.name, "task": case.task, "assumed": assumed, "right": assumed == case.assumed[0],
        "input": psnr(before, clean), "ours": ours, "held_out": held,
        "network_regret": max(one[1] for one in tried) - tried[best][1], "stopping_regret": highest - true,
        "before_refit": true, "best_iteration": length,
        "reference": reference.method, "reference_psnr": psnr(reference.picture, clean),
        "noise": noise_record(task, observed, mask, held), "core_seconds": time.process_time() - began,
    }  # fmt: skip


_HEADER = """| kind | assumed | input | ours | regret: network, moment | reference | wins |
|---|---|---|---|---|---|---|"""


def _line(row: dict[str, Any]) -> str:
    ours, theirs = round(row["ours"], 2), round(row["reference_psnr"], 2)
    assumed = row["assumed"] if row["right"] else f"{row['assumed']} (other)"
    wins = "equal" if ours == theirs else "ours" if ours > theirs else "reference"
    return (
        f"| {row['task']}: {row['case']} | {assumed} | {row['input']:.2f} | **{ours:.2f}** | {row['network_regret']:.2f}, "
        f"{row['stopping_regret']:.2f} | {row['reference']} {theirs:.2f} | {wins} |"
    )


def _table(rows: list[dict[str, Any]]) -> str:
    spent = sum(row["core_seconds"] for row in rows) / 60
    note = (
        "One row is one arm; `(other)` is an assumption that theory does not ask for. Regret is what the held-out error cost: "
        "the best of the three networks less the one taken, and the best moment of the final fit less the one taken. Input and "
        "reference are pictures too: where a hole is, the input is grey there."
    )
    head = f"PSNR in dB against the clean picture; made by `python -m benchmarks.noise_kinds` in {spent:.0f} minutes of one core."
    return "\n".join(
        ["# Kinds of noise and holes", "", head, "", note, "", _HEADER, *(_line(row) for row in rows), ""]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=Path("docs/results/noise-kinds.jsonl"))
    parser.add_argument("--table", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    use_one_thread()
    lines = arguments.results.read_text(encoding="utf-8").splitlines() if arguments.results.exists() else []
    done = {(row["case"], row["assumed"]): row for row in map(json.loads, lines)}
    for case in _CASES:
        for assumed in case.assumed:
            if (case.name, assumed) not in done:
                row = done[case.name, assumed] = arm(case, assumed)
                with arguments.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
            print(_line(done[case.name, assumed]), flush=True)
    if arguments.table:
        rows = [done[case.name, assumed] for case in _CASES for assumed in case.assumed]
        arguments.table.write_text(_table(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
