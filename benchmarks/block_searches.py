"""Does a preview of a camera's noise end better with smaller blocks held out?

    nice python -m benchmarks.block_searches [--rounds 1] [--shard 0/2] [--minutes M]

`held_out_blocks` asks when one network's fit is stopped best. Here are whole previews (12 individuals, 3 generations, 150
iterations, two final fits and their refits, at most 500 iterations) of 128 px cut out of six photographs, with blocks of 8 x 8
and of 4 x 4 held out: networks are chosen, stopped and combined by them. True PSNR of the result, and of the reference filters
on the same noise, which the table makes anew. One row a preview, about five minutes of one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.study_fits import ORDER, RowFile, add_row_options, interval, shard_of
from benchmarks.study_pictures import problem
from nasdip_engine.baseline_names import baselines_of
from nasdip_engine.baselines import baseline
from nasdip_engine.evolution.presets import HELD_OUT_BLOCK
from nasdip_engine.evolution.search import best_of
from nasdip_engine.evolution.settings import settings_for
from nasdip_engine.framing import final_frames, search_frame, searched_frame
from nasdip_engine.local import LocalSearch
from nasdip_engine.picture import Form
from nasdip_engine.question import Question
from nasdip_engine.restoration.metrics import psnr
from nasdip_engine.seeding import Seeds
from nasdip_engine.task import BLOCK, CORRELATED, Task, TaskKind

_SIDE, _DAMAGE = 128, "camera, full resolution"
_KEY = ("picture", "block", "seed")
_TASK = Task(TaskKind.DENOISE, noise=CORRELATED)


def row(picture: str, block: int, seed: int) -> dict[str, Any]:
    """One preview."""
    made = problem(picture, _DAMAGE, _SIDE, seed)
    settings = settings_for("preview", _TASK, {"hold_out_block": block})
    final = final_frames(made.observed, None, _TASK)
    asked = Question(
        upload=made.observed, form=Form(), mask=None, task=_TASK, settings=settings, seeds=Seeds.from_seed(seed),
        notes=(), final=final, search=search_frame(searched_frame(made.observed, final), _TASK, settings),
    )  # fmt: skip
    began = time.monotonic()
    with LocalSearch(asked, workers=1) as search:
        history, _ = search.search()
        ranked = best_of(history, settings)[: settings.finalists]
        told, restored = search.finish([one.genome for one in ranked])
    return {
        "genomes": [one.genome for one in ranked], "choice": told["choice"],
        "best_iterations": [one["learning"]["best_iteration"] for one in told["networks"]],
        "psnr": psnr(restored, made.clean), "observed": psnr(made.observed, made.clean),
        "seconds": round(time.monotonic() - began, 1),
    }  # fmt: skip


def _references(picture: str, seed: int) -> dict[str, float]:
    """True PSNR of each reference method, dB."""
    made, settings = problem(picture, _DAMAGE, _SIDE, seed), settings_for("preview", _TASK)
    found = {
        name: baseline(
            _TASK, made.observed, None, hold_out_share=settings.hold_out_share,
            hold_out_block=settings.hold_out_block, evaluation_seed=seed, method=name, alive=lambda: None,
        )
        for name in baselines_of(_TASK)
    }  # fmt: skip
    return {name: psnr(one.picture, made.clean) for name, one in found.items()}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: each picture with both sides of blocks and with the filters, and what is ahead of what."""
    by_key = {tuple(one[name] for name in _KEY): one for one in rows}
    filters = baselines_of(_TASK)
    sides = (f"{BLOCK} x {BLOCK}", f"{HELD_OUT_BLOCK} x {HELD_OUT_BLOCK}")
    lines = [
        "True PSNR, dB; in brackets the iterations at which the two final fits were stopped.",
        "",
        f"| picture | seed | observed | {' | '.join((*sides, *filters))} |",
        "|---" * (3 + len(sides) + len(filters)) + "|",
    ]
    pictures = []
    ahead: dict[str, list[float]] = {name: [] for name in ("the noisy picture", sides[0], *filters)}
    for (picture, block, seed), small in sorted(by_key.items()):
        large = by_key.get((picture, BLOCK, seed))
        if block != HELD_OUT_BLOCK or large is None:
            continue
        others = _references(picture, seed)
        pictures.append(picture)
        for name, other in zip(ahead, (small["observed"], large["psnr"], *others.values()), strict=True):
            ahead[name].append(small["psnr"] - other)
        fits = [
            f"{one['psnr']:.2f} [{', '.join(map(str, one['best_iterations']))}]" for one in (large, small)
        ]
        beside = [f"{other:.2f}" for other in others.values()]
        lines.append(f"| {picture} | {seed} | {small['observed']:.2f} | {' | '.join(fits + beside)} |")
    told = ", ".join(f"{name} {interval(values, pictures)}" for name, values in ahead.items())
    return "\n".join([*lines, "", f"{sides[1]} ahead of, dB, mean ± half of its 95 % interval: {told}."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1, help="seeds of each photograph")
    add_row_options(parser, "docs/results/block-searches.jsonl")
    arguments = parser.parse_args()
    wanted = [
        (picture, block, round_ * len(ORDER) + place)
        for round_ in range(arguments.rounds)
        for place, picture in enumerate(ORDER)
        for block in (BLOCK, HELD_OUT_BLOCK)
    ]
    file = RowFile(arguments.results, _KEY)
    file.fill(shard_of(arguments, wanted), row, arguments.minutes)
    file.write_table(
        "Previews of a camera's noise by the side of the blocks held out", "block_searches", table
    )


if __name__ == "__main__":
    main()
