"""When to stop, and is a refit on all observations worth its cost? Rules against the oracle.

    nice python -m benchmarks.stop_rule [--shard 0/2] [--minutes M] [--pictures 4] [--results docs/results/stop-rule.jsonl]

Photographs x damages, 96 px, each fitted by the first starter and by a random network under the preview's cost cap, with the
task's default settings. Two fits of 2500 iterations make a row: one with the held-out observations kept out, one on all of
them, from the same first weights. The truth is looked at every 25 iterations and never told to a rule; from the two records
follow all of them:

- held-out: the averaged output at the least held-out error (patience max(300, half of the iterations so far));
- refit: that iteration t*, then the averaged output of the fit on all observations after as many for each observation;
- fixed 2000: the averaged output after 2000 iterations on all observations;
- ES-WMV (Wang et al., TMLR 2023; window 100, patience 1000): the last output of the window in which the raw outputs vary
  least, of the fit on all observations; "averaged" takes the averaged output of the same iteration;
- oracle: the best averaged output of the fit on all observations, by the truth. Losses are against this one; the held-out
  rule's loss against the best of its own fit stands beside it, since that is what the rule itself can be blamed for.

The first two also under limits of 400, 700 and 1500 iterations, as presets have them: a limit of 400 with a refit costs about
what 700 costs without. In-painting is judged in the hole, the others everywhere. One to seven minutes of one core a row.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

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
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.restoration.fit import CHECK_EVERY, Step

_SIDE, _ITERATIONS, _FIXED = 96, 2500, 2000
_LIMITS = (400, 700, 1500, _ITERATIONS)
_WINDOW, _WMV_PATIENCE = 100, 1000
_DAMAGES = ("sigma 25", "sigma 50", "scattered 50 %", "strokes", "large hole", "4x")
_KEY = ("picture", "damage", "network")
_GOALS = (0.2, 0.5)

Floats = NDArray[np.float32]


class _Tapped(nn.Module):
    """The network, with its last raw output, float32 (1, 3, H, W)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.last: Tensor | None = None

    def forward(self, z: Tensor) -> Tensor:
        output: Tensor = self.network(z)
        self.last = output.detach()
        return output

    def raw(self) -> Floats:
        assert self.last is not None
        return np.ascontiguousarray(self.last[0].permute(1, 2, 0).numpy())


class _MovingVariance:
    """ES-WMV: mean over pixels of the variance of the last 100 raw outputs; least until it has not fallen for 1000."""

    def __init__(self) -> None:
        self._window: deque[Floats] = deque()
        self._sum: Any = 0.0
        self._squares: Any = 0.0
        self._least = math.inf
        self.best = self.stopped = 0

    def add(self, iteration: int, output: Floats) -> bool:
        """Whether the variance is the least so far and the patience has not run out."""
        if self.stopped:
            return False
        wide = output.astype(np.float64)
        self._window.append(output)
        self._sum, self._squares = self._sum + wide, self._squares + wide * wide
        if len(self._window) > _WINDOW:
            old = self._window.popleft().astype(np.float64)
            self._sum, self._squares = self._sum - old, self._squares - old * old
        if len(self._window) < _WINDOW:
            return False
        variance = float(np.mean(self._squares / _WINDOW - (self._sum / _WINDOW) ** 2))
        if variance < self._least:
            self._least, self.best = variance, iteration
            return True
        if iteration - self.best >= _WMV_PATIENCE:
            self.stopped = iteration
        return False


class _Record:
    """Truth and held-out error of one fit at every look, and at iterations that were asked for."""

    def __init__(self, study: Study, network: _Tapped, wanted: Sequence[int] = ()) -> None:
        self._study, self._network, self._wanted = study, network, frozenset(wanted)
        self.averaged: list[float] = []
        self.raw: list[float] = []
        self.held_out: list[float] = []
        self.at: dict[int, float] = {}
        self.variance = _MovingVariance()
        self._least: tuple[Floats, Floats] | None = None

    def look(self, step: Step) -> None:
        output = self._network.raw()
        if step.iteration <= _ITERATIONS and self.variance.add(step.iteration, output):
            self._least = (output, step.average().copy())
        if step.iteration in self._wanted:
            self.at[step.iteration] = self._study.true(step.average())
        if step.iteration % CHECK_EVERY == 0 and step.iteration <= _ITERATIONS:
            self.averaged.append(self._study.true(step.average()))
            self.raw.append(self._study.true(output))
            if step.held_out_psnr is not None:
                self.held_out.append(step.held_out_psnr)

    def told(self) -> dict[str, Any]:
        """JSON value: PSNR in dB at iteration 25, 50, ...; of ES-WMV the iteration taken and where it stopped."""
        assert self._least is not None
        raw, averaged = (self._study.true(output) for output in self._least)
        variance = {"best": self.variance.best, "stopped": self.variance.stopped or _ITERATIONS}
        curves = {"averaged": self.averaged, "raw": self.raw, "held_out": self.held_out}
        told: dict[str, Any] = {
            name: [round(value, 3) for value in curve] for name, curve in curves.items() if curve
        }
        return told | {"wmv": variance | {"raw": raw, "averaged": averaged}}


def stop(held_out: Sequence[float], limit: int) -> tuple[int, int]:
    """The iteration that the engine's rule takes, and the last one it needs, from held-out PSNR every 25 iterations."""
    best, most, iteration = 0, -math.inf, 0
    for number, decibels in enumerate(held_out[: limit // CHECK_EVERY], 1):
        iteration = number * CHECK_EVERY
        if decibels > most:
            best, most = iteration, decibels
        if iteration - best >= max(300, iteration // 2):
            break
    return best, iteration


def row(picture: str, damage: str, name: str) -> dict[str, Any]:
    """Both fits of one picture and network, and what each limit's refit gives."""
    study = Study(problem(picture, damage, _SIDE))
    genome, channels = network_of(name, picture), study.settings.input_channels
    z, plan = study.input(channels), study.plan(_ITERATIONS)
    network = _Tapped(study.network(genome, channels))
    held = _Record(study, network)
    study.fitted(network, z, plan, held.look)
    stops = {limit: stop(held.held_out, limit) for limit in _LIMITS}
    known, held_out = int(study.degradation.known.sum()), int(study.held_out.sum())
    rules = replace(study.settings, refit=True)
    longer = {limit: rules.refit_iterations(best, known, held_out) for limit, (best, _) in stops.items()}
    network = _Tapped(study.network(genome, channels))
    whole = _Record(study, network, list(longer.values()))
    longest = study.plan(max(_ITERATIONS, *longer.values()))
    study.fitted(network, z, longest, whole.look, whole=True)
    return {
        "genome": genome.text, "task": study.problem.task.kind.value, "held_share": round(study.held_share, 4),
        "stops": {str(limit): list(pair) for limit, pair in stops.items()},
        "refits": {str(limit): [length, whole.at[length]] for limit, length in longer.items()},
        "held": held.told(), "whole": whole.told(),
    }  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- tables


def _at(curve: Sequence[float], iteration: int) -> float:
    return curve[iteration // CHECK_EVERY - 1]


def _held_out(one: Mapping[str, Any], limit: int = _ITERATIONS) -> float:
    return _at(one["held"]["averaged"], one["stops"][str(limit)][0])


def _refit(one: Mapping[str, Any], limit: int = _ITERATIONS) -> float:
    value: float = one["refits"][str(limit)][1]
    return value


_RULES: Mapping[str, Callable[[Mapping[str, Any]], float]] = {
    "held-out": _held_out,
    "held-out, refit": _refit,
    f"fixed {_FIXED}": lambda one: _at(one["whole"]["averaged"], _FIXED),
    "ES-WMV": lambda one: one["whole"]["wmv"]["raw"],
    "ES-WMV, averaged": lambda one: one["whole"]["wmv"]["averaged"],
}
_COSTS: Mapping[str, Callable[[Mapping[str, Any]], float]] = {
    "held-out": lambda one: one["stops"][str(_ITERATIONS)][1],
    "held-out, refit": lambda one: one["stops"][str(_ITERATIONS)][1] + one["refits"][str(_ITERATIONS)][0],
    f"fixed {_FIXED}": lambda _: _FIXED,
    "ES-WMV": lambda one: one["whole"]["wmv"]["stopped"],
    "ES-WMV, averaged": lambda one: one["whole"]["wmv"]["stopped"],
}


def _oracle(one: Mapping[str, Any], fit: str = "whole") -> float:
    return max(one[fit]["averaged"])


def _own_loss(one: Mapping[str, Any]) -> float:
    return _oracle(one, "held") - _held_out(one)


def _spread(losses: Sequence[float]) -> str:
    return f"{statistics.median(losses):.2f} / {float(np.quantile(losses, 0.9)):.2f}"


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: losses by rule and damage, by rule and task with costs, then preset limits with and without refit."""
    damages = [damage for damage in _DAMAGES if any(one["damage"] == damage for one in rows)]
    groups = {damage: [one for one in rows if one["damage"] == damage] for damage in damages} | {"all": rows}
    median, tail = _GOALS
    lines = [
        f"{len(rows)} rows. Loss in dB to the oracle, the best averaged output of a fit on all observations:",
        f"median / 90th percentile. Goal: {median} / {tail}. Last column: iterations in the mean, both fits together.",
        "",
        "| rule | " + " | ".join(groups) + " | iterations |",
        "|---" * (len(groups) + 2) + "|",
    ]
    for rule, value in _RULES.items():
        cells = [_spread([_oracle(one) - value(one) for one in group]) for group in groups.values()]
        cost = statistics.fmean(_COSTS[rule](one) for one in rows)
        lines.append(f"| {rule} | " + " | ".join(cells) + f" | {cost:.0f} |")
    cells = [_spread([_own_loss(one) for one in group]) for group in groups.values()]
    lines.append("| held-out, against the best of its own fit | " + " | ".join(cells) + " | |")
    unspent = sum(one["whole"]["wmv"]["stopped"] == _ITERATIONS for one in rows)
    lines += [
        "",
        f"ES-WMV's patience was not spent after {_ITERATIONS} iterations, where it is taken to have stopped, in {unspent} rows.",
    ]
    return "\n".join([*lines, "", *_limits(groups)])


def _limits(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """What the refit is worth at each limit, and what a shorter fit with one is worth against a longer without."""
    lines = [
        "Gain in dB, mean ± half of its 95 % interval over the pictures, whose rows are averaged, and in how many rows it is",
        "above 0; in brackets iterations with the refit and without.",
        "",
        "| gain | " + " | ".join(groups) + " |",
        "|---" * (len(groups) + 1) + "|",
    ]
    compared = [(limit, limit) for limit in _LIMITS] + [(400, 700), (700, 1500), (1500, _ITERATIONS)]
    for short, long in compared:
        cells = []
        for group in groups.values():
            gains = [_refit(one, short) - _held_out(one, long) for one in group]
            cost = [one["stops"][str(short)][1] + one["refits"][str(short)][0] for one in group]
            alone = [one["stops"][str(long)][1] for one in group]
            spent = f" [{statistics.fmean(cost):.0f}, {statistics.fmean(alone):.0f}]"
            cells.append(interval(gains, [one["picture"] for one in group]) + spent)
        lines.append(
            f"| at most {short} and refit, against at most {long} without | " + " | ".join(cells) + " |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=len(ORDER), help="only the first so many")
    add_row_options(parser, "docs/results/stop-rule.jsonl")
    arguments = parser.parse_args()
    use_one_thread()
    wanted = [
        (picture, damage, name)
        for picture in ORDER[: arguments.pictures]
        for damage in _DAMAGES
        for name in NETWORKS
    ]
    file = RowFile(arguments.results, _KEY)
    file.fill(shard_of(arguments, wanted), row, arguments.minutes)
    file.write_table("When to stop, and what a refit is worth", "stop_rule", table)


if __name__ == "__main__":
    main()
