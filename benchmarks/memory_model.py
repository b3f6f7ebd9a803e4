"""Is the cost that is known before training the cost that is measured?

    python -m benchmarks.memory_model [--sizes 128 256] [--count 30] [--draw test] [--table docs/results/memory-model.md]

For random networks under a wide cost cap: the growth of the resident memory of a process that trains one, measured as the
product does it (a child forked from a warm host, glibc's own settings), beside the model's; and processor seconds of a training
step on one thread, beside the predictor's, which knows the machine by one probe of less than a second. Linux only. About three
minutes on one core. `--draw calibration --raw FILE` measures the other list, from which the model's constants were fitted.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.phenotypes import drawn
from nasdip_engine.genome.cost import cost
from nasdip_engine.genome.genome import Genome
from nasdip_engine.genome.pace import seconds_an_iteration
from nasdip_engine.genome.phenotype import Phenotype
from nasdip_engine.genome.starters import plain
from nasdip_engine.numerics import fingerprint, use_one_thread
from nasdip_engine.restoration.degradation import degradation_for, held_out_set
from nasdip_engine.restoration.fit import FitSettings, Step, fit, noise_input
from nasdip_engine.restoration.network import build
from nasdip_engine.restoration.probe import machine_factor
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task, TaskKind

CAP = 60_000.0  # multiply-adds a pixel: three times the cap of the preset "preview"
_CHANNELS = 32
_STEPS = 12
_HEADER = (
    "| size | networks | measured, MB | model / measured: least, median, most | within 25 % "
    "| seconds, predicted / measured: median | fold error: median, 90th percentile |"
)


def train(phenotype: Phenotype, side: int, steps: int, report: Callable[[Step], None]) -> None:
    """A few iterations of the engine's own fit, on noise."""
    task = Task(TaskKind.DENOISE)
    pixels = generator(0, "benchmark picture").integers(0, 256, (side, side, 3), dtype=np.uint8)
    degradation = degradation_for(task, pixels, None)
    fit(
        build(phenotype, side, side, _CHANNELS, generator(0, "weights")),
        noise_input(_CHANNELS, side, side, generator(0, "input")),
        degradation,
        held_out_set(degradation, task, 0.05, 0),
        FitSettings(steps, 0.01, "squared", 0.99),
        jitter_rng=generator(0, "jitter"),
        report=report,
    )


def measured(phenotype: Phenotype, side: int) -> dict[str, float]:
    """Peak growth of resident memory in bytes and the least processor seconds of a step, in a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        train(phenotype, 32, 2, lambda _: None)  # maps the library's code, which all processes share
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = _status("VmRSS")
        times = [time.thread_time()]
        train(phenotype, side, _STEPS, lambda _: times.append(time.thread_time()))
        steps = [later - earlier for earlier, later in pairwise(times[2:])]
        found = {"bytes": _status("VmHWM") - before, "seconds": min(steps)}
        os.write(writing, json.dumps(found).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told: dict[str, float] = json.loads(pipe.read())
    os.waitpid(child, 0)
    return told


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {name}")


def study(genomes: list[Genome], sizes: list[int]) -> list[dict[str, Any]]:
    """A row a network and size."""
    use_one_thread()
    train(plain(5), 32, 2, lambda _: None)  # what loads late is loaded before the fork
    rows = []
    for side in sizes:
        for genome in genomes:
            phenotype = genome.phenotype()
            # The probe at once before each: what else the machine does in these minutes is not the model's error.
            row = {
                "genome": genome.text,
                "side": side,
                "factor": machine_factor(),
                **measured(phenotype, side),
            }
            rows.append(
                row
                | {
                    "model_bytes": cost(phenotype, side, side, _CHANNELS).peak_bytes,
                    "model_seconds": seconds_an_iteration(phenotype, side, side, _CHANNELS),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    return rows


def _fold(ratio: float) -> float:
    return max(ratio, 1 / ratio)


def _quantile(values: list[float], share: float) -> float:
    return float(np.quantile(values, share))


def told(rows: list[dict[str, Any]]) -> str:
    """The tables, for docs/results."""
    lines = [
        f"{_processor()}, torch {torch.__version__}, glibc's malloc, one thread; machine factor by the probe {_factors(rows)}.",
        "",
        _HEADER,
        "|---|---|---|---|---|---|---|",
    ]
    sides = sorted({row["side"] for row in rows})
    for chosen in [*([side] for side in sides), sides] if len(sides) > 1 else [sides]:
        some = [row for row in rows if row["side"] in chosen]
        memory = [row["model_bytes"] / row["bytes"] for row in some]
        pace = [row["factor"] * row["model_seconds"] / row["seconds"] for row in some]
        folds = [_fold(ratio) for ratio in pace]
        name = f"{chosen[0]} px" if len(chosen) == 1 else "all"
        inside = sum(0.75 <= ratio <= 1.25 for ratio in memory)
        lines.append(
            f"| {name} | {len(some)} | {min(row['bytes'] for row in some) / 1e6:.0f} to"
            f" {max(row['bytes'] for row in some) / 1e6:.0f} | {min(memory):.2f}, {statistics.median(memory):.2f},"
            f" {max(memory):.2f} | {inside} of {len(some)} | {statistics.median(pace):.2f} |"
            f" {statistics.median(folds):.2f}, {_quantile(folds, 0.9):.2f} |"
        )
    lines += [
        "",
        "| size | genome | measured, MB | model, MB | ratio | measured, ms an iteration | predicted, ms |",
    ]
    lines.append("|---|---|---|---|---|---|---|")
    lines += [
        f"| {row['side']} px | `{row['genome']}` | {row['bytes'] / 1e6:.1f} | {row['model_bytes'] / 1e6:.1f} |"
        f" {row['model_bytes'] / row['bytes']:.2f} | {1e3 * row['seconds']:.1f} |"
        f" {1e3 * row['factor'] * row['model_seconds']:.1f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _factors(rows: list[dict[str, Any]]) -> str:
    factors = [row["factor"] for row in rows]
    return f"{min(factors):.2f} to {max(factors):.2f}, median {statistics.median(factors):.2f}"


def _processor() -> str:
    machine = fingerprint()
    return f"{machine['cpu_model']}, {machine['cpu_capability']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--draw", default="test")
    parser.add_argument("--raw", type=Path, help="also keep the rows, as JSON lines")
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    rows = study(drawn(arguments.count, arguments.draw, CAP), arguments.sizes)
    if arguments.raw:
        arguments.raw.write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = told(rows)
    print(text)
    if arguments.table:
        command = f"python -m benchmarks.memory_model --table {arguments.table}"
        arguments.table.write_text(f"# Cost before training\n\n    {command}\n\n{text}")


if __name__ == "__main__":
    main()
