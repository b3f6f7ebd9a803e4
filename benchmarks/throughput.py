"""Genomes x iterations a second: the engine's way against a plain loop, in one run.

    python -m benchmarks.throughput --results FILE.jsonl [--sizes 128 256] [--count 30] [--table docs/results/throughput.md]

The same networks (fixed seed, under the cap of the preset "preview") on the same noisy picture: by `LocalSearch` as `nasdip
restore` does it (a forked child each, one thread each, as many at once as there are cores), and one after the other by the loop
that one writes first (Adam, torch's default threads). Half of the plain loop runs before the engine and half after, so that a
machine that drifts favours neither. Beside the ratio: equal bits of the engine's results alone and in the batch, the share of the
machine's measured convolution peak, and where the time goes. About eight minutes on two cores that do nothing else; each part
is kept in FILE as it ends and not measured again by the next call.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from benchmarks.phenotypes import drawn
from benchmarks.pictures import astronaut_noise
from benchmarks.starter_study import question
from nasdip_engine.evolution.settings import default_cost_cap
from nasdip_engine.genome.genome import Genome
from nasdip_engine.local import LocalSearch
from nasdip_engine.numerics import fingerprint, use_one_thread
from nasdip_engine.restoration.degradation import degradation_for
from nasdip_engine.restoration.fit import noise_input
from nasdip_engine.restoration.network import build
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task, TaskKind

_ITERATIONS = {128: 150, 256: 40}  # what "preview" trains at 128 px; fewer of the four times dearer ones
_CHANNELS = 32
_CHECKED = 4  # genomes that are evaluated again, each alone
_HEADER = (
    (
        "| size | iterations | engine, genomes x iterations a second | plain loop | ratio of the whole list"
        " | geometric mean over networks | least, most | engine's share of the peak of all cores |"
    ),
    "|---|---|---|---|---|---|---|---|",
)
_PASSES = 3  # forward, and about twice that backward


def iterations_at(side: int) -> int:
    """Iterations of each fit at `side` pixels a side."""
    return _ITERATIONS.get(side, 40)


def plain_loop(genome: str, side: int, iterations: int) -> dict[str, Any]:
    """Deep Image Prior as one writes it first: no child, no fused step, no average, torch's threads as they are."""
    began = time.perf_counter()
    case = astronaut_noise(side)
    degradation = degradation_for(Task(TaskKind.DENOISE), case.observation, None)
    network = build(Genome.parse(genome).phenotype(), side, side, _CHANNELS, generator(0, "weights"))
    z = noise_input(_CHANNELS, side, side, generator(0, "input"))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01, fused=False, foreach=False)
    last = math.nan
    for _ in range(iterations):
        optimiser.zero_grad()
        loss = functional.mse_loss(network(z), degradation.observation)
        loss.backward()
        optimiser.step()
        last = loss.item()
    return {"seconds": time.perf_counter() - began, "loss": last.hex(), "threads": torch.get_num_threads()}


def plain_process(
    genomes: list[str], side: int, iterations: int, threads: int | None = None
) -> list[dict[str, Any]]:
    """The plain loop over some genomes in a process of its own; threads: other than torch's default."""
    asked = json.dumps({"genomes": genomes, "side": side, "iterations": iterations, "threads": threads})
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.throughput", "--plain", asked],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in ran.stdout.splitlines()]


def _plain_child(asked: dict[str, Any]) -> None:
    if asked["threads"]:
        torch.set_num_threads(asked["threads"])
    plain_loop(asked["genomes"][0], 32, 2)  # what loads late is loaded
    for genome in asked["genomes"]:
        print(json.dumps(plain_loop(genome, asked["side"], asked["iterations"])), flush=True)


def engine_way(genomes: list[str], side: int, iterations: int, workers: int | None = None) -> dict[str, Any]:
    """All genomes by LocalSearch: wall seconds without the start of the host, and each outcome."""
    with LocalSearch(
        question(astronaut_noise(side), crop=side, iterations=iterations), workers=workers
    ) as search:
        began = time.perf_counter()
        outcomes = search.evaluate_all(genomes)
        wall = time.perf_counter() - began
    kept = ("fitness_hex", "seconds", "iterations", "multiply_adds", "reason")
    return {"wall": wall, "outcomes": [{name: outcome[name] for name in kept} for outcome in outcomes]}


def convolution_peak(threads: int) -> float:
    """Multiply-adds a second of a large convolution, forward: the best of ten, 64 channels to 64, 3 x 3, 256 px."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    rng = generator(0, "peak")
    picture = torch.from_numpy(rng.random((1, 64, 256, 256), dtype=np.float32))
    weight = torch.from_numpy(rng.random((64, 64, 3, 3), dtype=np.float32))
    times = []
    with torch.no_grad():
        for _ in range(12):
            began = time.perf_counter()
            functional.conv2d(picture, weight, padding=1)
            times.append(time.perf_counter() - began)
    torch.set_num_threads(before)
    return float(9 * 64 * 64 * 256 * 256 / min(times[2:]))


def profiled(genomes: list[str], side: int) -> list[list[Any]]:
    """Where an iteration's time goes: operation, share of the processor time, calls an iteration."""
    use_one_thread()
    plain_loop(genomes[0], 32, 2)
    rounds = 5
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        for genome in genomes:
            plain_loop(genome, side, rounds)
    events = [event for event in recorded.key_averages() if event.self_cpu_time_total > 0]
    total = sum(event.self_cpu_time_total for event in events)
    events.sort(key=lambda event: -event.self_cpu_time_total)
    return [
        [event.key, event.self_cpu_time_total / total, event.count / rounds / len(genomes)]
        for event in events[:14]
    ]


def measure(sizes: list[int], genomes: list[str], kept: Callable[[str, Callable[[], Any]], Any]) -> None:
    """Every part in order; `kept` runs one that is not in the file yet."""
    kept("peak", lambda: {"one": convolution_peak(1), "all": convolution_peak(os.cpu_count() or 1)})
    half = len(genomes) // 2
    for side in sizes:
        rounds = iterations_at(side)
        kept(f"plain before {side}", partial(plain_process, genomes[:half], side, rounds))
        kept(f"engine {side}", partial(engine_way, genomes, side, rounds))
        kept(f"plain after {side}", partial(plain_process, genomes[half:], side, rounds))
    some, side = genomes[:: max(1, len(genomes) // _CHECKED)][:_CHECKED], sizes[0]
    kept("alone", lambda: engine_way(some, side, iterations_at(side), workers=1))
    kept("threads 1", lambda: plain_process(some, side, 10, threads=1))
    kept("threads default", lambda: plain_process(some, side, 10))
    kept("profile", lambda: profiled(genomes[:: max(1, len(genomes) // 6)], sizes[0]))


def told(parts: dict[str, Any], sizes: list[int], genomes: list[str]) -> str:
    """The tables, for docs/results."""
    cores = os.cpu_count() or 1
    machine, peak = fingerprint(), parts["peak"]
    lines = [
        f"{machine['cpu_model']}, {machine['cpu_capability']}, {cores} cores, torch {machine['torch']}; {len(genomes)} networks.",
        f"Convolution peak in G multiply-adds a second: {peak['one'] / 1e9:.0f} on one core, {peak['all'] / 1e9:.0f} on all.",
        "",
        *_HEADER,
    ]
    every: list[float] = []
    for side in sizes:
        engine, rounds = parts[f"engine {side}"], iterations_at(side)
        plain = [*parts[f"plain before {side}"], *parts[f"plain after {side}"]]
        done = sum(outcome["iterations"] for outcome in engine["outcomes"])
        plain_wall = sum(row["seconds"] for row in plain)
        spent = sum(outcome["seconds"] for outcome in engine["outcomes"])
        between = (engine["wall"] * cores - spent) / len(genomes)  # dispatch and waiting, shared out
        ratios = [
            row["seconds"] / ((outcome["seconds"] + between) / cores)
            for row, outcome in zip(plain, engine["outcomes"], strict=True)
        ]
        every += ratios
        rate = done / engine["wall"] / (len(genomes) * rounds / plain_wall)
        work = _PASSES * sum(outcome["multiply_adds"] for outcome in engine["outcomes"]) / engine["wall"]
        lines.append(
            f"| {side} px | {rounds} | {done / engine['wall']:.1f} | {len(genomes) * rounds / plain_wall:.1f} |"
            f" {rate:.2f} | **{statistics.geometric_mean(ratios):.2f}** | {min(ratios):.2f}, {max(ratios):.2f} |"
            f" {work / peak['all']:.0%} |"
        )
    lines += ["", f"Geometric mean over networks and sizes: **{statistics.geometric_mean(every):.2f}**.", ""]
    return "\n".join([*lines, *_bits(parts, sizes, genomes), "", *_profile(parts, sizes[0])]) + "\n"


def _bits(parts: dict[str, Any], sizes: list[int], genomes: list[str]) -> list[str]:
    some = genomes[:: max(1, len(genomes) // _CHECKED)][:_CHECKED]
    batch = dict(zip(genomes, parts[f"engine {sizes[0]}"]["outcomes"], strict=True))
    alone = parts["alone"]["outcomes"]
    equal = sum(
        batch[genome]["fitness_hex"] == one["fitness_hex"] for genome, one in zip(some, alone, strict=True)
    )
    pairs = list(zip(parts["threads 1"], parts["threads default"], strict=True))
    same = sum(one["loss"] == many["loss"] for one, many in pairs)
    threads = pairs[0][1]["threads"]
    return [
        f"Bits: of {len(some)} networks evaluated again, one after the other by another host, {equal} have the fitness of",
        "the batch to the last bit. The plain loop's loss after 10 iterations is the same to the bit with 1 and with",
        f"{threads} threads for {same} of {len(pairs)}.",
    ]


def _profile(parts: dict[str, Any], side: int) -> list[str]:
    rows = [f"| `{name}` | {share:.1%} | {calls:.1f} |" for name, share, calls in parts["profile"]]
    header = [
        f"| operation, {side} px, one thread | share of the time itself | calls an iteration |",
        "|---|---|---|",
    ]
    return [*header, *rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--results", type=Path, default=Path("throughput.jsonl"))
    parser.add_argument("--table", type=Path)
    parser.add_argument("--plain", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plain:
        _plain_child(json.loads(arguments.plain))
        return
    cap = default_cost_cap("preview", 5, 128, _CHANNELS)
    genomes = [genome.text for genome in drawn(arguments.count, "throughput", cap)]
    parts: dict[str, Any] = {}
    if arguments.results.exists():
        rows = [json.loads(line) for line in arguments.results.read_text().splitlines()]
        parts = {row["part"]: row["value"] for row in rows if row["genomes"] == genomes}

    def kept(part: str, run: Callable[[], Any]) -> Any:
        if part not in parts:
            began = time.perf_counter()
            parts[part] = run()
            with arguments.results.open("a") as file:
                file.write(json.dumps({"part": part, "genomes": genomes, "value": parts[part]}) + "\n")
            print(f"{part}: {time.perf_counter() - began:.0f} s", flush=True)
        return parts[part]

    measure(arguments.sizes, genomes, kept)
    text = told(parts, arguments.sizes, genomes)
    print(text)
    if arguments.table:
        command = f"python -m benchmarks.throughput --results FILE.jsonl --table {arguments.table}"
        arguments.table.write_text(f"# Throughput\n\n    {command}\n\n{text}")


if __name__ == "__main__":
    main()
