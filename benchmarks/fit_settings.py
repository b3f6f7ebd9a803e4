"""Which way of fitting gives most in equal multiply-adds? One setting changed at a time.

    nice python -m benchmarks.fit_settings [--shard 0/2] [--minutes M] [--pictures 4] [--results docs/results/fit-settings.jsonl]

Photographs x damages, 96 px, each fitted by the first starter and by a random network under the preview's cost cap. The budget
is that of 300 iterations by the task's default settings (1x) or 900 (3x), in multiply-adds: an arm whose iteration has more of
them (another number of input channels) gets fewer iterations. That leaves out what jitter's random numbers cost and what small
convolutions lose, so the processor time that was spent stands in the table too.

The result of a fit is the averaged output at the least held-out error, without the refit that some tasks have; PSNR against the
clean picture, in the hole where there is one. Gains are against the default of the task at the same budget; of so many arms in
five damages a few are far from 0 by chance. `observation` adds three channels to the
input: what was observed, grey where it is missing or held out (4x: held-out pixels replaced by the mean of their neighbours,
then enlarged), so that no held-out pixel reaches the network. `cosine` lowers the learning rate from 0.02 to 0.002 over the
fit. One row an arm, about 6 s of one core at 1x, 20 s at 3x; some 200 s for all arms of a picture, damage and network.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from benchmarks.study_fits import (
    NETWORKS,
    ORDER,
    RowFile,
    Study,
    add_row_options,
    interval,
    network_of,
    shard_of,
)
from benchmarks.study_pictures import problem
from nasdip_engine.genome.cost import cost
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.restoration.fit import Step
from nasdip_engine.task import TaskKind

_SIDE, _ITERATIONS = 96, 300
_DAMAGES = ("sigma 25", "scattered 50 %", "large hole", "4x", "strokes")
_KEY = ("picture", "damage", "network", "arm")
_JITTER = 1 / 30
_OBSERVED = 3  # channels
_COSINE = (0.02, 0.002)


@dataclass(frozen=True)
class _Arm:
    """What is changed of the task's default; budget: in multiples of `_ITERATIONS`."""

    budget: int = 1
    learning_rate: float | None = None
    cosine: bool = False
    jitter: float = 0.0
    decay: float | None = None
    loss: str | None = None
    channels: int | None = None
    observation: bool = False


_ONCE: Mapping[str, _Arm] = {
    "default": _Arm(),
    "learning rate 0.003": _Arm(learning_rate=0.003),
    "learning rate 0.01": _Arm(learning_rate=0.01),
    "learning rate 0.02": _Arm(learning_rate=0.02),
    "cosine": _Arm(cosine=True),
    "jitter 1/30": _Arm(jitter=_JITTER),
    "last output": _Arm(decay=0.0),
    "absolute loss": _Arm(loss="absolute"),
    "8 channels": _Arm(channels=8),
    "observation": _Arm(observation=True),
}
_LONGER = (
    "default",
    "learning rate 0.003",
    "learning rate 0.01",
    "learning rate 0.02",
    "cosine",
    "jitter 1/30",
)
_ARMS: Mapping[str, _Arm] = {
    **{f"{name}, 1x": arm for name, arm in _ONCE.items()},
    **{f"{name}, 3x": replace(_ONCE[name], budget=3) for name in _LONGER},
}


def _is_default(arm: _Arm, study: Study) -> bool:
    """Whether the arm only names what the task does by default."""
    return arm.learning_rate == study.settings.learning_rate


def _visible(study: Study) -> Tensor:
    return (study.degradation.known & ~study.held_out).float()[None, None]


def _observed(study: Study) -> Tensor:
    """What the network may see, float32 (1, 3, H, W) in [0, 1]: nothing missing, nothing held out."""
    visible, observation = _visible(study), study.degradation.observation
    if study.problem.task.kind is not TaskKind.UPSCALE:
        return observation * visible + 0.5 * (1 - visible)
    near = torch.ones(1, 1, 3, 3)
    weight = functional.conv2d(visible, near, padding=1)
    total = functional.conv2d((observation * visible).transpose(0, 1), near, padding=1).transpose(0, 1)
    filled = torch.where(visible > 0, observation, torch.where(weight > 0, total / weight.clamp(min=1), 0.5))
    size = study.degradation.output_size
    return functional.interpolate(filled, size=size, mode="bicubic", align_corners=False).clamp(0, 1)


@contextmanager
def _schedule(iterations: int, rates: tuple[float, float] | None) -> Iterator[None]:
    """Every optimiser's learning rate from the first to the second of `rates` along half a cosine."""
    if rates is None:
        yield
        return
    count = 0

    def lower(optimiser: Optimizer, *_: Any) -> None:
        nonlocal count
        share = (1 + math.cos(math.pi * count / max(1, iterations - 1))) / 2
        count += 1
        for group in optimiser.param_groups:
            group["lr"] = rates[1] + (rates[0] - rates[1]) * share

    handle = register_optimizer_step_pre_hook(lower)
    try:
        yield
    finally:
        handle.remove()


def row(picture: str, damage: str, name: str, arm_name: str) -> dict[str, Any]:
    """One fit."""
    study, arm = Study(problem(picture, damage, _SIDE)), _ARMS[arm_name]
    genome = network_of(name, picture)
    height, width = study.degradation.output_size
    own = study.settings.input_channels
    drawn = own if arm.channels is None else arm.channels
    channels = drawn + (_OBSERVED if arm.observation else 0)
    prices = [cost(genome.phenotype(), height, width, count).multiply_adds for count in (own, channels)]
    iterations = round(arm.budget * _ITERATIONS * prices[0] / prices[1])
    z = study.input(drawn)
    if arm.observation:
        z = torch.cat([z, _observed(study)], dim=1)
    plan = study.plan(iterations, jitter=arm.jitter)
    changes: dict[str, Any] = {
        "learning_rate": arm.learning_rate,
        "average_decay": arm.decay,
        "loss": arm.loss,
    }
    plan = replace(plan, **{key: value for key, value in changes.items() if value is not None})
    last: list[float] = []

    def look(step: Step) -> None:
        if step.iteration == iterations:
            last.append(study.true(step.average()))

    with _schedule(iterations, _COSINE if arm.cosine else None):
        made = study.fitted(study.network(genome, channels), z, plan, look)
    return {
        "task": study.problem.task.kind.value, "genome": genome.text, "budget": arm.budget,
        "iterations": iterations, "best_iteration": made.best_iteration,
        "psnr": study.true(made.average), "last": last[0], "held_out": made.curve and max(b for _, b in made.curve),
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- tables


def _gains(
    rows: Mapping[tuple[str, ...], Mapping[str, Any]], arm: str, figure: Callable[[Mapping[str, Any]], float]
) -> dict[str, list[tuple[str, float]]]:
    """By damage: pictures, and an arm's figure less that of the default at the same budget."""
    base = "default, " + arm.rpartition(", ")[2]
    gains: dict[str, list[tuple[str, float]]] = {damage: [] for damage in _DAMAGES}
    for (picture, damage, name, which), one in rows.items():
        against = rows.get((picture, damage, name, base))
        if which == arm and against is not None:
            gains[damage].append((picture, figure(one) - figure(against)))
    return gains


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: mean gains with their intervals by damage, one line an arm."""
    rows = {tuple(one[name] for name in _KEY): one for one in found}
    damages = [damage for damage in _DAMAGES if any(key[1] == damage for key in rows)]
    lines = [
        f"{len(rows)} rows. Gain in true PSNR, dB, over the task's default at the same budget: mean ± half of its 95 %",
        "interval (Student's t over the pictures, whose networks are averaged), and in how many rows it is above 0; in brackets",
        "the mean gain in held-out PSNR, by which a user could tell. Last column: processor time against the default's.",
        "",
        "| arm | " + " | ".join(damages) + " | processor time |",
        "|---" * (len(damages) + 2) + "|",
    ]
    for arm in _ARMS:
        if arm.startswith("default"):
            continue
        true, held = (
            _gains(rows, arm, figure) for figure in (lambda one: one["psnr"], lambda one: one["held_out"])
        )
        times = _times(rows, arm)
        if not times:
            continue
        cells = [
            f"{_spread(true[damage])} [{statistics.fmean(gain for _, gain in held[damage]):+.2f}]"
            if true[damage]
            else "-"
            for damage in damages
        ]
        lines.append(f"| {arm} | " + " | ".join(cells) + f" | {statistics.median(times):.2f}x |")
    return "\n".join([*lines, "", *_longer(rows, damages)])


def _spread(gains: Sequence[tuple[str, float]]) -> str:
    return interval([gain for _, gain in gains], [picture for picture, _ in gains])


def _times(rows: Mapping[tuple[str, ...], Mapping[str, Any]], arm: str) -> list[float]:
    base = "default, " + arm.rpartition(", ")[2]
    return [
        one["seconds"] / rows[*key[:3], base]["seconds"]
        for key, one in rows.items()
        if key[3] == arm and (*key[:3], base) in rows
    ]


def _longer(rows: Mapping[tuple[str, ...], Mapping[str, Any]], damages: Sequence[str]) -> list[str]:
    """What three times the time gives by default settings, and where the result was taken."""
    cells = []
    for damage in damages:
        pairs = [
            (one, rows[*key[:3], "default, 3x"])
            for key, one in rows.items()
            if key[1] == damage and key[3] == "default, 1x" and (*key[:3], "default, 3x") in rows
        ]
        gains = [(short["picture"], long["psnr"] - short["psnr"]) for short, long in pairs]
        taken = [
            f"{statistics.fmean(pair[side]['best_iteration'] for pair in pairs):.0f}" if pairs else ""
            for side in (0, 1)
        ]
        cells.append(f"{_spread(gains)}, taken at {' and '.join(taken)}" if pairs else "-")
    return [
        "| default | " + " | ".join(damages) + " |",
        "|---" * (len(damages) + 1) + "|",
        "| 3x against 1x | " + " | ".join(cells) + " |",
    ]


def _wanted(pictures: int) -> list[tuple[str, str, str, str]]:
    """Picture by picture, so that any prefix has every damage; arms that only name a default are left out."""
    wanted = []
    for picture in ORDER[:pictures]:
        for damage in _DAMAGES:
            study = Study(problem(picture, damage, _SIDE))
            arms = [name for name, arm in _ARMS.items() if not _is_default(arm, study)]
            wanted += [(picture, damage, network, arm) for network in NETWORKS for arm in arms]
    return wanted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=4, help="only the first so many")
    add_row_options(parser, "docs/results/fit-settings.jsonl")
    arguments = parser.parse_args()
    use_one_thread()
    file = RowFile(arguments.results, _KEY)
    file.fill(shard_of(arguments, _wanted(arguments.pictures)), row, arguments.minutes)
    file.write_table("Ways of fitting, in equal multiply-adds", "fit_settings", table)


if __name__ == "__main__":
    main()
