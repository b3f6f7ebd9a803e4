"""What the weights' gradient of filters of 15 px costs whole and in two halves, and what that is worth to random networks.

    python -m benchmarks.wide_filters [--table docs/results/wide-filters.md]

oneDNN has no kernel of its own for filters wider than 14 px there. Processor milliseconds, one thread, the least of five; then
seconds of a training iteration of random networks under the preview's cap at 128 px with `restoration.layers.convolved` as it is,
against the whole filter. Ratios are of one run. One to two minutes of one core.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch

from benchmarks.memory_model import train
from benchmarks.phenotypes import drawn
from nasdip_engine.evolution.settings import default_cost_cap
from nasdip_engine.genome.phenotype import Phenotype
from nasdip_engine.numerics import fingerprint, use_one_thread
from nasdip_engine.restoration import layers
from nasdip_engine.restoration.fit import Step
from nasdip_engine.seeding import generator

_SHAPES = ((32, 1), (1, 32), (2, 16), (16, 16), (54, 8))  # channels, filters
_SIDES, _STRIDES = (32, 128), (1, 2)
_NETWORKS, _SIDE, _STEPS = 30, 128, 6


def _least(call: Callable[[], object]) -> float:
    """Milliseconds."""
    call()
    times = []
    for _ in range(5):
        began = time.process_time()
        call()
        times.append(time.process_time() - began)
    return 1000 * min(times)


def _backward(channels: int, filters: int, side: int, stride: int, widest: int) -> float:
    rng = generator(0, "wide filters", channels, filters, side, stride)
    layers._WIDEST = widest  # noqa: SLF001 - the switch that is measured
    features = torch.from_numpy(rng.random((1, channels, side, side), dtype="float32"))
    weight = torch.from_numpy(rng.random((filters, channels, 15, 15), dtype="float32")).requires_grad_()
    output = layers.convolved(features, weight, stride, 7)
    gradient = torch.ones_like(output)
    return _least(lambda: torch.autograd.grad(output, weight, gradient, retain_graph=True))


def _iteration(phenotype: Phenotype, widest: int) -> float:
    """Seconds, the median of some after the first."""
    layers._WIDEST = widest  # noqa: SLF001
    times: list[float] = []

    def note(_: Step) -> None:
        times.append(time.process_time())

    train(phenotype, _SIDE, _STEPS, note)
    return statistics.median(after - before for before, after in pairwise(times))


def table() -> str:
    """Markdown."""
    lines = ["| channels, filters | side | stride | whole, ms | halves, ms | ratio |", "|---" * 6 + "|"]
    for channels, filters in _SHAPES:
        for side in _SIDES:
            for stride in _STRIDES:
                whole, halves = (_backward(channels, filters, side, stride, widest) for widest in (15, 14))
                lines.append(
                    f"| {channels}, {filters} | {side} | {stride} | {whole:.2f} | {halves:.2f} | {whole / halves:.1f} |"
                )
    genomes = drawn(_NETWORKS, "fitness study", default_cost_cap("preview", 5, 128, 32))
    ratios, totals = [], [0.0, 0.0]
    for phenotype in (genome.phenotype() for genome in genomes):
        wide = any(stage and stage.kernel == 15 for stage in (*phenotype.encoders, *phenotype.decoders))
        now = _iteration(phenotype, 14)
        before = _iteration(phenotype, 15) if wide else now
        if wide:
            ratios.append(before / now)
        totals = [totals[0] + before, totals[1] + now]
    mean = math.exp(statistics.fmean(math.log(ratio) for ratio in ratios))
    told = (
        f"Of {_NETWORKS} random networks {len(ratios)} have an active stage of 15 px. A training iteration of these is "
        f"{mean:.2f} times as fast by the halves (geometric mean; {min(ratios):.2f} to {max(ratios):.2f}), of all "
        f"{_NETWORKS} together {totals[0] / totals[1]:.2f} times."
    )
    return "\n".join([*lines, "", told])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    use_one_thread()
    text = table()
    print(text)
    if arguments.table:
        machine = fingerprint()
        heading = "# Filters of 15 px\n\n    python -m benchmarks.wide_filters --table docs/results/wide-filters.md\n\n"
        arguments.table.write_text(f"{heading}{machine['cpu_model']}, torch {machine['torch']}.\n\n{text}\n")


if __name__ == "__main__":
    main()
