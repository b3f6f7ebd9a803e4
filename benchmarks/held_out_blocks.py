"""Where noise is correlated: in blocks of what side should observations be held out?

    nice python -m benchmarks.held_out_blocks [--sides 96] [--networks starter] [--damages camera] [--shard 0/2] [--minutes M]

A lone pixel's noise can be read off its neighbours, so a fit that copies noise goes on to gain by it; the inside of a large block
is mostly filled in, which is done best earlier than the picture is restored best. Somewhere between is the best stop. Six
photographs, reduced to the side and as a cut of their own pixels, with a camera's noise; the first starter and a random network
under the preview's cost cap. A row has one fit on all observations, its true PSNR every 25 iterations, and one with blocks of
each side held out, up to 600 iterations (96 px; 256 px: 500, a preview's limit): the iteration t* of its least error. A refit of
t* / (1 - share held out) iterations is what a user gets; twice as long stands beside it. About two minutes of one core a row at
96 px, seven at 256.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmarks.stop_rule import stop
from benchmarks.study_fits import (
    NETWORKS,
    ORDER,
    RowFile,
    Study,
    add_choices,
    add_row_options,
    interval,
    network_of,
    shard_of,
)
from benchmarks.study_pictures import problem
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.restoration.fit import CHECK_EVERY, Step
from nasdip_engine.restoration.hold_out import blocks
from nasdip_engine.seeding import generator
from nasdip_engine.task import BLOCK, CORRELATED, Task, TaskKind

_LIMITS = {96: 600, 256: 500}
_BLOCKS = (1, 2, 3, 4, 6, BLOCK)
_LENGTHS = (1.0, 2.0)
_DAMAGES = ("camera, full resolution", "camera")
_KEY = ("picture", "damage", "side", "network")
Row = Mapping[str, Any]


def row(picture: str, damage: str, side: int, network: str) -> dict[str, Any]:
    """All fits of one picture; curves every 25 iterations."""
    asked = replace(problem(picture, damage, side), task=Task(TaskKind.DENOISE, noise=CORRELATED))
    study, limit = Study(asked), _LIMITS[side]
    genome, channels = network_of(network, picture), study.settings.input_channels
    z = study.input(channels)
    everywhere = np.ones((side, side), dtype=np.bool_)
    found: dict[str, dict[str, Any]] = {}
    for block in _BLOCKS:
        rng = generator(0, "held-out blocks", block, side)
        held = blocks(everywhere, study.settings.hold_out_share, rng, block)
        study.held_out = torch.from_numpy(held)
        curve, _ = study.watched(study.network(genome, channels), z, study.plan(limit))
        found[str(block)] = {
            "share": round(study.held_share, 4),
            "best": stop(curve, limit)[0],
            "held_out": curve,
        }
    whole: list[float] = []

    def look(step: Step) -> None:
        if step.iteration % CHECK_EVERY == 0:
            whole.append(round(study.true(step.average()), 3))

    longest = max(one["best"] / (1 - one["share"]) for one in found.values())
    plan = study.plan(round(_LENGTHS[-1] * min(longest, limit / 1.5)) + CHECK_EVERY)
    study.fitted(study.network(genome, channels), z, plan, look, whole=True)
    return {"blocks": found, "whole": whole}


def after(one: Row, block: int, length: float = 1.0) -> float:
    """True PSNR in dB of the fit on all observations after `length` x t* / (1 - share held out), at the nearest look."""
    held = one["blocks"][str(block)]
    looks = round(length * held["best"] / (1 - held["share"]) / CHECK_EVERY)
    return float(one["whole"][min(max(looks, 1), len(one["whole"])) - 1])


def table(rows: Sequence[Row]) -> str:
    """Markdown: by side and noise, what blocks of each side gain over the present ones."""
    arms = [(block, length) for length in _LENGTHS for block in _BLOCKS if (block, length) != (BLOCK, 1.0)]
    lines = [
        f"Gain in true PSNR of the refit, dB, over blocks of {BLOCK} x {BLOCK}: mean ± half of its 95 % interval over the",
        "photographs, and in how many fits it is above 0; in brackets the median of t*. Best: of all lengths, by the truth.",
        "",
        "| pixels a side | noise | fits | "
        + " | ".join(
            f"{block} x {block}" + ("" if length == 1 else ", twice as long") for block, length in arms
        )
        + " | best |",
        "|---" * (4 + len(arms)) + "|",
    ]
    for side in _LIMITS:
        for damage in _DAMAGES:
            mine = [one for one in rows if (one["side"], one["damage"]) == (side, damage)]
            if not mine:
                continue
            pictures, now = [one["picture"] for one in mine], [after(one, BLOCK) for one in mine]
            cells = []
            for block, length in arms:
                gains = [after(one, block, length) - base for one, base in zip(mine, now, strict=True)]
                median = statistics.median(one["blocks"][str(block)]["best"] for one in mine)
                cells.append(f"{interval(gains, pictures)} [{median:.0f}]")
            best = [max(one["whole"]) - base for one, base in zip(mine, now, strict=True)]
            lines.append(
                f"| {side} | {damage} | {len(mine)} | {' | '.join(cells)} | {interval(best, pictures)} |"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_choices(parser, sides=_LIMITS, networks=NETWORKS, damages=_DAMAGES)
    add_row_options(parser, "docs/results/held-out-blocks.jsonl")
    arguments = parser.parse_args()
    use_one_thread()
    wanted = [
        (picture, damage, side, network)
        for side in arguments.sides
        for network in arguments.networks
        for damage in arguments.damages
        for picture in ORDER
    ]
    file = RowFile(arguments.results, _KEY)
    file.fill(shard_of(arguments, wanted), row, arguments.minutes)
    file.write_table("In what blocks should correlated noise be held out?", "held_out_blocks", table)


if __name__ == "__main__":
    main()
