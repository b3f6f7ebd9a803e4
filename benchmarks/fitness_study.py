"""What tells a good network without the clean picture? One training for every score that could.

    nice python -m benchmarks.fitness_study [--genomes 30] [--damages 4x] [--arms pixels] [--shard 0/2] [--minutes M]
    python -m benchmarks.fitness_tables

Six photographs x nine degradations x random genomes under the preview's cost cap, 96 px (4x: 128 px, so that LPIPS can be
taken of the small picture), 300 iterations at learning rate 0.01, squared error, averaged output. Each training keeps every
kind of held-out observations out of the loss at once, so that one fit serves every question; where noise is correlated, and
for sigma 25 beside it, blocks of 8 x 8 get a training of their own (arm "blocks"), since so much held out would change the fit.
In four degradations the first twelve genomes are trained once more from other first weights and another input (arm "again", which
has the truth alone): how much of the order of networks is chance. In three they are also trained with three times as many
pixels held out (arm "wider", which has its curve and the truth alone): would a larger sample choose better? And where noise
is correlated with blocks of 4 x 4 instead (arm "small blocks", likewise); a camera's noise is there twice, in reduced pictures
and in cuts of their own pixels, with the first twelve genomes. Of a large hole eight copies are held out at once, the most alike
in what surrounds them first. The engine holds out less, and moves its copies without looking: arm "moved copies" has those, arm
"alike copies" the two most alike ones alone, about as many pixels.

One row a training: every score at the stop (least held-out error of the arm's first set) and at the end, curves by iteration,
and the truth against the clean picture, which nothing sees. Rows are ordered genome by genome, so that any prefix is balanced; a
row that stands is not computed again. The rows are the study's own store, not the evaluation store: that one forgets everything
with each mended line of the engine, and its evaluations hold one set out, not several. With --keep DIR the averaged outputs stay
there too, so that a score that is thought of later costs no training: it is added to `_scores` here and to `scores_of` in
`fitness_tables`, and rows made before it lack it. About 10 s of one core a row, some nine core-hours in all.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.blind_scores import (
    OutputVariance,
    copies_of_hole,
    lpips_around,
    patch_distance,
    seam_jump,
    strip_distance,
)
from benchmarks.phenotypes import drawn
from benchmarks.study_fits import RowFile, add_choices, add_row_options, shard_of
from benchmarks.study_pictures import PICTURES, Problem, problem
from nasdip_engine.bit_depth import in_unit_range
from nasdip_engine.errors import DivergedError
from nasdip_engine.evolution.settings import default_cost_cap
from nasdip_engine.genome.cost import cost
from nasdip_engine.genome.genome import Genome
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.restoration.degradation import Degradation, degradation_for
from nasdip_engine.restoration.fit import CHECK_EVERY, FitSettings, Step, fit, noise_input
from nasdip_engine.restoration.fitness import held_out_psnr
from nasdip_engine.restoration.hold_out import blocks, moved_copies, scattered
from nasdip_engine.restoration.metrics import psnr, ssim
from nasdip_engine.restoration.network import build
from nasdip_engine.restoration.perceptual import lpips, observed_distance
from nasdip_engine.seeding import generator
from nasdip_engine.task import BLOCK, Task, TaskKind
from nasdip_engine.version import VERSION

__all__ = ["COPIES_ALONE", "DAMAGES", "KEY", "ROWS", "cells"]

KEY = ("picture", "damage", "arm", "genome")
ROWS = Path("docs/results/fitness-study.jsonl")

_ITERATIONS, _LEARNING_RATE, _CHANNELS, _DECAY = 300, 0.01, 32, 0.99
_SHARE = 0.05
_WIDER_SHARE = 0.15  # the most that the setting `hold_out_share` allows; both are doubled below 20,000 pixels
_COPIES = 8
_POOLED_COPIES = 2  # by the error of the first of them, those most alike, a large hole's fit is stopped
_UNTRAINED = 4  # outputs that the strip distance is the mean of
_FULL_CAMERA = "camera, full resolution"
DAMAGES = (
    "sigma 15", "sigma 25", "sigma 50", "JPEG 10", "camera", _FULL_CAMERA,
    "strokes", "scattered 50 %", "large hole", "4x",
)  # fmt: skip
"""What the pictures of this study suffered, in the order of its tables."""
_WITH_BLOCKS = ("sigma 25", "JPEG 10", "camera", _FULL_CAMERA)
_AGAIN = ("sigma 25", "strokes", "scattered 50 %", "4x")
_WIDER = ("sigma 25", "scattered 50 %", "4x")
_SMALL_BLOCKS = ("JPEG 10", "camera", _FULL_CAMERA)
_ONCE_MORE = {"again": _AGAIN, "wider": _WIDER, "small blocks": _SMALL_BLOCKS}
_ONCE_MORE_GENOMES = 12
_BLOCKS = {"blocks": BLOCK, "small blocks": 4}
COPIES_ALONE = ("moved copies", "alike copies")
"""Arms that hold out copies of a large hole and nothing else."""
_ARMS = ("pixels", "blocks", *_ONCE_MORE, *COPIES_ALONE)

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def side_of(damage: str) -> int:
    """Pixels a side of the restored picture."""
    return 128 if damage == "4x" else 96


def cells() -> list[tuple[str, str, str]]:
    """(picture, damage, arm) of every training of one genome."""
    arms = [(damage, "pixels") for damage in DAMAGES]
    arms += [(damage, "blocks") for damage in _WITH_BLOCKS]
    arms += [(damage, arm) for arm, damages in _ONCE_MORE.items() for damage in damages]
    arms += [("large hole", arm) for arm in COPIES_ALONE]
    return [(picture, damage, arm) for damage, arm in arms for picture in PICTURES]


class _Tapped(nn.Module):
    """The network, with a view of its raw outputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.variance = network, OutputVariance()

    def forward(self, z: Tensor) -> Tensor:
        output: Tensor = self.network(z)
        self.variance.add(output.detach()[0].permute(1, 2, 0).numpy().copy())
        return output


@dataclass
class _Watch:
    """The averaged output at every look."""

    outputs: dict[int, Floats] = field(default_factory=dict)
    loss: float = math.nan

    def look(self, step: Step) -> None:
        self.loss = step.loss
        if step.iteration % CHECK_EVERY == 0:
            self.outputs[step.iteration] = step.average().copy()


def _tensor(picture: Floats) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))[None])


def _held_out(asked: Problem, damage: str, arm: str, degradation: Degradation) -> dict[str, Mask]:
    """Disjoint sets by name, the one that stops the fit first; the same for every genome."""
    known = degradation.known.numpy()

    def rng(name: str) -> np.random.Generator:
        return generator(0, "fitness study", name, damage)

    if arm in _BLOCKS:
        return {"blocks": blocks(known, _SHARE, rng(arm), _BLOCKS[arm])}
    if arm == "wider":
        return {"pixels": scattered(known, _WIDER_SHARE, rng("pixels"))}
    if arm == "moved copies":
        return {"copies": moved_copies(known, _SHARE, rng("copies"))}
    if damage == "strokes":
        copies = moved_copies(known, _SHARE, rng("copies"))
        return {"copies": copies, "pixels": scattered(known & ~copies, _SHARE / 2, rng("pixels"))}
    if damage == "large hole":
        each = copies_of_hole(known, in_unit_range(asked.observed), _COPIES, rng("copies"))
        if arm == "alike copies":
            return {"copies": np.logical_or.reduce(each[:_POOLED_COPIES])}
        sets = {f"copy {number}": copy for number, copy in enumerate(each, 1)}
        away = known & ~np.logical_or.reduce(each)
        return {"pixels": scattered(away, _SHARE / 2, rng("pixels")), **sets}
    return {"pixels": scattered(known, _SHARE, rng("pixels"))}


def _fitted(
    genome: Genome, degradation: Degradation, held: Mask, *, name: str, seed: int = 0
) -> tuple[_Watch, OutputVariance]:
    phenotype = genome.phenotype()
    height, width = degradation.output_size
    weights = generator(seed, "weights", phenotype.digest)
    network = _Tapped(build(phenotype, height, width, _CHANNELS, weights))
    watch = _Watch()
    fit(
        network,
        noise_input(_CHANNELS, height, width, generator(seed, "input", _CHANNELS, height, width)),
        degradation,
        torch.from_numpy(held),
        FitSettings(_ITERATIONS, _LEARNING_RATE, "squared", _DECAY, to_the_end=True),
        jitter_rng=generator(seed, name),
        report=watch.look,
    )
    return watch, network.variance


@dataclass(frozen=True, eq=False)
class _Trained:
    """One training with what is needed to score it."""

    asked: Problem
    degradation: Degradation
    sets: Mapping[str, Mask]
    watch: _Watch
    variance: OutputVariance

    @property
    def hidden(self) -> Mask:
        return np.logical_or.reduce(list(self.sets.values()))

    def error(self, output: Floats, among: Mask) -> float:
        return held_out_psnr(self.degradation.error(_tensor(output), torch.from_numpy(among)))

    def curves(self) -> dict[str, dict[int, float]]:
        """PSNR by iteration on every set but single copies, the one that stops the fit first: of a large hole two copies."""
        sets = {name: among for name, among in self.sets.items() if not name.startswith("copy ")}
        copies = [among for name, among in self.sets.items() if name.startswith("copy ")]
        if copies:
            sets = {"two copies": np.logical_or.reduce(copies[:_POOLED_COPIES])} | sets
        return {
            name: {place: self.error(output, among) for place, output in self.watch.outputs.items()}
            for name, among in sets.items()
        }

    def true(self, output: Floats) -> float:
        return psnr(self.degradation.compose(output), self.asked.clean, self.asked.among)


def _scores(trained: _Trained, output: Floats) -> dict[str, Any]:
    """Every score of one output."""
    degradation, asked = trained.degradation, trained.asked
    fitted = degradation.known.numpy() & ~trained.hidden
    found: dict[str, Any] = {
        "fitted": trained.error(output, fitted),
        "lpips observed": observed_distance(degradation, output),
        "held out": {name: trained.error(output, among) for name, among in trained.sets.items()},
    }
    seen = np.clip(degradation.observe(_tensor(output))[0].permute(1, 2, 0).numpy(), 0, 1)
    observed = in_unit_range(asked.observed)
    known = degradation.known.numpy()[..., None]
    mixed = np.where(trained.hidden[..., None], seen, observed) * known
    found["lpips held out"] = lpips(np.ascontiguousarray(mixed), np.ascontiguousarray(observed * known))
    if asked.mask is not None:
        filled = in_unit_range(degradation.compose(output))
        found["seam"] = seam_jump(filled, ~asked.mask)
        if asked.mask.mean() > 0.6:  # where missing pixels are everywhere no known patch is whole
            found["patches"] = patch_distance(filled, ~asked.mask)
        found["lpips copies"] = {
            name: lpips_around(output, observed, among)
            for name, among in trained.sets.items()
            if name.startswith("copy ")
        }
    return found


def _truth(trained: _Trained, output: Floats) -> dict[str, float]:
    picture = trained.degradation.compose(output)
    clean = trained.asked.clean
    return {"psnr": trained.true(output), "ssim": ssim(picture, clean), "lpips": lpips(picture, clean)}


def _strip(genome: Genome, degradation: Degradation, observed: Floats) -> float:
    """The training-free score, of as many untrained networks."""
    height, width = degradation.output_size
    phenotype, outputs = genome.phenotype(), []
    for number in range(_UNTRAINED):
        network = build(phenotype, height, width, _CHANNELS, generator(number, "weights", phenotype.digest))
        z = noise_input(_CHANNELS, height, width, generator(number, "input", _CHANNELS, height, width))
        with torch.no_grad():
            seen = degradation.observe(network(z)) * degradation.known
        outputs.append(seen[0].permute(1, 2, 0).numpy())
    return strip_distance(outputs, observed * degradation.known.numpy()[..., None])


def _reduced_resolution(genome: Genome, asked: Problem) -> float:
    """The small picture reduced once more by the same factor, enlarged by the network, and compared with itself."""
    from PIL import Image

    height, width = (side // asked.task.factor for side in asked.observed.shape[:2])
    smaller = np.asarray(Image.fromarray(asked.observed).resize((width, height), Image.Resampling.BICUBIC))
    degradation = degradation_for(asked.task, smaller, None)
    nothing = np.zeros(degradation.known.shape, dtype=np.bool_)
    watch, _ = _fitted(genome, degradation, nothing, name="reduced")
    return psnr(degradation.compose(watch.outputs[_ITERATIONS]), asked.observed)


def _consistency(genome: Genome, trained: _Trained, output: Floats) -> float:
    """Half of the fill hidden again and filled anew by another draw of the same genome's network: PSNR between the two.

    Re-in-painting self-consistency (arXiv 2405.16263) with one mask, the half of the hole right of its middle. With the
    same first weights and input two smooth fills would agree whatever they are worth.
    """
    assert trained.asked.mask is not None
    hole = ~trained.asked.mask
    columns = np.flatnonzero(hole.any(axis=0))
    half = hole & (np.arange(hole.shape[1]) > (columns[0] + columns[-1]) / 2)
    once = trained.degradation.compose(output)
    again = degradation_for(Task(TaskKind.INPAINT), once, ~half)
    watch, _ = _fitted(genome, again, np.zeros_like(hole), name="consistency", seed=1)
    return psnr(again.compose(watch.outputs[_ITERATIONS]), once, half)


def row(
    picture: str, damage: str, arm: str, number: int, genome: Genome, keep: Path | None
) -> dict[str, Any]:
    """One training and all that it says."""
    asked = problem(picture, damage, side_of(damage))
    degradation = degradation_for(asked.task, asked.observed, asked.mask)
    price = cost(genome.phenotype(), *degradation.output_size, _CHANNELS)
    told: dict[str, Any] = {
        "text": genome.text,
        "parameters": price.parameters, "multiply_adds": price.multiply_adds, "version": VERSION,
    }  # fmt: skip
    sets = _held_out(asked, damage, arm, degradation)
    try:
        watch, variance = _fitted(
            genome,
            degradation,
            np.logical_or.reduce(list(sets.values())),
            name="jitter",
            seed=int(arm == "again"),
        )
    except DivergedError as cause:
        return told | {"reason": f"diverged: {cause}"}
    trained = _Trained(asked, degradation, sets, watch, variance)
    curves = trained.curves()
    first = next(iter(curves))
    stop = max(curves[first], key=lambda place: curves[first][place])
    true = {place: trained.true(output) for place, output in watch.outputs.items()}
    at_stop, at_end = watch.outputs[stop], watch.outputs[_ITERATIONS]
    told |= {
        "reason": None, "stop": stop, "truth": _truth(trained, at_stop),
        "truth_end": true[_ITERATIONS], "truth_peak": max(true.values()),
        "curves": {name: list(curve.values()) for name, curve in curves.items()}, "true": list(true.values()),
    }  # fmt: skip
    if arm in (*_ONCE_MORE, *COPIES_ALONE):
        return told
    still = variance.least
    told |= {
        "at_stop": _scores(trained, at_stop), "at_end": _scores(trained, at_end), "loss": watch.loss,
        "variance": {"iteration": still[0], "value": still[1]},
        "strip": _strip(genome, degradation, in_unit_range(asked.observed)),
    }  # fmt: skip
    if damage == "4x":
        told["reduced"] = _reduced_resolution(genome, asked)
    if damage == "large hole":
        told["consistency"] = _consistency(genome, trained, at_stop)
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        name = f"{picture}-{damage}-{arm}-{number}".replace(" ", "_").replace("%", "")
        np.savez_compressed(keep / name, stop=at_stop.astype(np.float16), end=at_end.astype(np.float16))
    return told


def _rounded(value: Any) -> Any:
    """Five significant digits: a row is a measurement, and the file stays small."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genomes", type=int, default=30)
    add_choices(parser, damages=DAMAGES, arms=_ARMS)
    parser.add_argument("--keep", type=Path, help="folder for the averaged outputs")
    add_row_options(parser, str(ROWS))
    arguments = parser.parse_args()
    use_one_thread()
    genomes = drawn(arguments.genomes, "fitness study", default_cost_cap("preview", 5, 128, _CHANNELS))

    def computed(picture: str, damage: str, arm: str, number: int) -> dict[str, Any]:
        found: dict[str, Any] = _rounded(row(picture, damage, arm, number, genomes[number], arguments.keep))
        return found

    asked = [cell for cell in cells() if cell[1] in arguments.damages and cell[2] in arguments.arms]
    wanted = [
        (*cell, number)
        for number in range(arguments.genomes)
        for cell in asked
        if number < _ONCE_MORE_GENOMES or (cell[1] != _FULL_CAMERA and cell[2] not in _ONCE_MORE)
    ]
    RowFile(arguments.results, KEY).fill(shard_of(arguments, wanted), computed, arguments.minutes)


if __name__ == "__main__":
    main()
