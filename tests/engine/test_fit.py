"""The fit: averaged output, held-out stopping, heartbeat, divergence; one code for every task."""

from __future__ import annotations

import ast
import inspect
import math
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nasdip_engine.errors import DivergedError
from nasdip_engine.genome.starters import starters
from nasdip_engine.restoration import fit as fit_module
from nasdip_engine.restoration.degradation import Degradation, degradation_for, held_out_set
from nasdip_engine.restoration.fit import Fit, FitSettings, Step, fit, noise_input
from nasdip_engine.restoration.fitness import held_out_psnr
from nasdip_engine.restoration.network import build
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task, TaskKind
from tests.engine.pictures import photo

SIDE = 32
TASK = Task(TaskKind.DENOISE)


def smooth_degradation() -> Degradation:
    """A ramp: a picture that a small network learns in tens of iterations."""
    ramp = np.linspace(20, 230, SIDE)
    pixels = np.stack([np.add.outer(ramp, ramp) / 2] * 3, axis=-1).astype(np.uint8)
    return degradation_for(TASK, pixels, None)


@dataclass
class Recorder:
    steps: list[Step] = field(default_factory=list)
    averages: list[np.ndarray] = field(default_factory=list)

    def __call__(self, step: Step) -> None:
        self.steps.append(step)
        self.averages.append(step.average())


def run(
    degradation: Degradation,
    network: nn.Module | None = None,
    report: Recorder | None = None,
    **changes: float,
) -> Fit:
    phenotype = starters(2)[0].phenotype()
    values = {"iterations": 40, "learning_rate": 0.01, "loss": "squared", "average_decay": 0.9, **changes}
    return fit(
        network or build(phenotype, SIDE, SIDE, 8, generator(1, "weights")),
        noise_input(8, SIDE, SIDE, generator(1, "input")),
        degradation,
        held_out_set(degradation, TASK, 0.05, 1),
        FitSettings(**values),  # type: ignore[arg-type]
        jitter_rng=generator(1, "jitter"),
        report=report or Recorder(),
    )


class Scripted(nn.Module):
    """Puts out one grey level after another, whatever its weight: the fit sees a script."""

    def __init__(self, levels: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self._levels = iter(levels)

    def forward(self, z: Tensor) -> Tensor:
        return torch.full((1, 3, *z.shape[2:]), next(self._levels)) + 0 * self.weight


def flat_degradation(level: int) -> Degradation:
    return degradation_for(TASK, np.full((SIDE, SIDE, 3), level, dtype=np.uint8), None)


def test_the_error_falls_and_is_reported_every_iteration() -> None:
    recorder = Recorder()
    found = run(smooth_degradation(), report=recorder, iterations=60)
    assert [step.iteration for step in recorder.steps] == list(range(1, 61))
    assert recorder.steps[-1].loss < 0.25 * recorder.steps[0].loss
    assert [iteration for iteration, _ in found.curve] == [25, 50, 60]
    seen = [(step.iteration, step.held_out_psnr) for step in recorder.steps if step.held_out_psnr is not None]
    assert seen == list(found.curve)
    assert found.held_out_mse == min(10 ** (-decibels / 10) for _, decibels in found.curve) or math.isclose(
        held_out_psnr(found.held_out_mse), max(decibels for _, decibels in found.curve)
    )


def test_same_generators_same_bits() -> None:
    one, other = run(smooth_degradation()), run(smooth_degradation())
    assert one.held_out_mse == other.held_out_mse and one.curve == other.curve
    assert np.array_equal(one.average, other.average)


def test_the_average_reaches_back_an_eighth_of_the_fit_and_no_further_than_its_decay() -> None:
    levels = [float(level) for level in generator(4, "levels").random(40)]
    recorder = Recorder()
    run(flat_degradation(128), Scripted(levels), recorder, iterations=40, average_decay=0.75)
    mean = 0.0
    for count, level in enumerate(levels, start=1):
        kept = min(0.75, max(0.0, 1 - 8 / count))
        mean = kept * mean + (1 - kept) * level
        assert recorder.averages[count - 1] == pytest.approx(np.full((SIDE, SIDE, 3), mean), abs=1e-6)
    assert recorder.averages[0].max() == pytest.approx(levels[0])  # no pull towards 0 at the beginning


def test_the_average_at_the_least_held_out_error_is_kept() -> None:
    """The script comes nearer to the picture until iteration 50, then goes away from it."""
    away = [abs(iteration - 50) / 100 for iteration in range(1, 101)]
    found = run(flat_degradation(0), Scripted(away), iterations=100, average_decay=0.0)
    assert found.best_iteration == 50 and found.iterations == 100
    assert not found.still_falling
    assert found.average.max() == pytest.approx(0.0, abs=1e-6)


def test_patience_is_300_iterations_or_half_of_those_so_far() -> None:
    early = [0.5] + [0.6] * 2000
    assert run(flat_degradation(0), Scripted(early), iterations=2000, average_decay=0.0).iterations == 325
    late = [0.9 - 0.0005 * iteration for iteration in range(1000)] + [0.9] * 3000
    found = run(flat_degradation(0), Scripted(late), iterations=4000, average_decay=0.0)
    assert (found.best_iteration, found.iterations) == (1000, 2000)


def test_a_fit_of_a_chosen_length_goes_to_its_end() -> None:
    """NAS-DIP-T: the genome says how many iterations, so no held-out error ends it before."""
    early = [0.5] + [0.6] * 2000
    found = run(flat_degradation(0), Scripted(early), iterations=500, average_decay=0.0, to_the_end=True)
    assert found.iterations == 500
    assert found.best_iteration < 200


def test_a_fit_that_still_falls_says_so() -> None:
    falling = [0.9 - 0.01 * iteration for iteration in range(60)]
    found = run(flat_degradation(0), Scripted(falling), iterations=60, average_decay=0.0)
    assert found.still_falling and found.best_iteration == 60


def test_a_loss_that_is_no_number_diverges() -> None:
    with pytest.raises(DivergedError, match="the loss was nan at iteration 3"):
        run(flat_degradation(0), Scripted([0.1, 0.2, float("nan")]), iterations=9)
    with pytest.raises(DivergedError, match="the loss was inf at iteration 1"):
        run(flat_degradation(0), Scripted([1e30]), iterations=9)


def test_held_out_observations_have_no_part_in_the_fit() -> None:
    """Two pictures that differ in the held-out pixels alone give the same restoration, to the bit."""
    pixels = photo(SIDE, SIDE)
    held_out = held_out_set(degradation_for(TASK, pixels, None), TASK, 0.05, 1).numpy()
    other = np.where(held_out[..., None], 255 - pixels, pixels).astype(np.uint8)
    one, two = (run(degradation_for(TASK, picture, None), iterations=25) for picture in (pixels, other))
    assert np.array_equal(one.average, two.average)
    assert one.held_out_mse != two.held_out_mse


def test_jitter_changes_the_fit_and_repeats() -> None:
    still, jittered = run(smooth_degradation()), run(smooth_degradation(), jitter=0.03)
    assert not np.array_equal(still.average, jittered.average)
    assert np.array_equal(jittered.average, run(smooth_degradation(), jitter=0.03).average)


@pytest.mark.parametrize("loss", ["squared", "absolute"])
@pytest.mark.parametrize("kind", ["inpaint", "upscale"])
def test_every_task_runs_through_the_same_code(kind: str, loss: str) -> None:
    factor = 2 if kind == "upscale" else 1
    task = Task(TaskKind(kind), factor)
    pixels = photo(SIDE // factor, SIDE // factor)
    mask = None
    if kind == "inpaint":
        mask = np.ones((SIDE, SIDE), dtype=np.bool_)
        mask[10:16, 8:15] = False
    recorder = Recorder()
    found = run(degradation_for(task, pixels, mask), report=recorder, loss=loss)  # type: ignore[arg-type]
    assert found.average.shape == (SIDE, SIDE, 3)
    assert recorder.steps[-1].loss < recorder.steps[0].loss


def test_fit_knows_no_task() -> None:
    names = {
        node.id for node in ast.walk(ast.parse(inspect.getsource(fit_module))) if isinstance(node, ast.Name)
    }
    assert not {name for name in names if "task" in name.lower()}
