"""Does the small picture itself tell which kernel it was reduced by, and what is a wrong guess worth?

    nice python -m benchmarks.kernel_study [--shard 0/2] [--minutes M] [--results docs/results/kernels.jsonl]

Six photographs of 128 px, reduced 4x by each of the engine's four kernels (Pillow's antialiased ones), and fitted by the first
starter with each of the four as the D of eq. 5: 300 iterations at most, stopped by the held-out pixels of the small picture.
Among the fits of one small picture the held-out PSNR is of the same pixels, so that it could choose the kernel; the true PSNR
says what that choice is worth, and what it costs to assume a bicubic one always, as every preset but the paper's does. About
5 s of one core a row.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.study_fits import ORDER, RowFile, Study, add_row_options, interval, network_of, shard_of
from benchmarks.study_pictures import Problem, clean_picture
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.restoration.fit import CHECK_EVERY
from nasdip_engine.task import KERNELS, Task, TaskKind

_SIDE, _FACTOR, _ITERATIONS = 128, 4, 300
_KEY = ("picture", "reduced_by", "assumed")
_DEFAULT = Task(TaskKind.UPSCALE, _FACTOR).kernel
Row = Mapping[str, Any]


def row(picture: str, reduced_by: str, assumed: str) -> dict[str, Any]:
    """One fit: held-out and true PSNR in dB where its held-out error is least."""
    clean = clean_picture(picture, _SIDE)
    small = Image.fromarray(clean).resize((_SIDE // _FACTOR,) * 2, Image.Resampling[reduced_by.upper()])
    task = Task(TaskKind.UPSCALE, _FACTOR, kernel=assumed)
    study = Study(Problem(clean, np.asarray(small), None, task))
    channels = study.settings.input_channels
    network = study.network(network_of("starter", picture), channels)
    held_out, true = study.watched(network, study.input(channels), study.plan(_ITERATIONS))
    best = max(range(len(held_out)), key=held_out.__getitem__)
    return {"iteration": CHECK_EVERY * (best + 1), "held_out": held_out[best], "psnr": true[best]}


def _chosen(fits: Mapping[str, Row]) -> str:
    """The kernel whose fit has the least held-out error."""
    return max(KERNELS, key=lambda name: fits[name]["held_out"])


def table(rows: Sequence[Row]) -> str:
    """Markdown: by the kernel that reduced, what each assumption and the held-out error's choice gain over the default."""
    fits: dict[tuple[str, str], dict[str, Row]] = defaultdict(dict)
    for one in rows:
        fits[one["reduced_by"], one["picture"]][one["assumed"]] = one
    lines = [
        (
            f"Gain in true PSNR, dB, over assuming {_DEFAULT}: mean ± half of its 95 % interval over the pictures, and in how "
            "many it is above 0."
        ),
        "",
        "| reduced by | pictures | "
        + " | ".join(KERNELS)
        + " | chosen by held-out error | chose right | the best of all |",
        "|---" * (len(KERNELS) + 5) + "|",
    ]
    for reduced_by in KERNELS:
        whole = [by for (name, _), by in fits.items() if name == reduced_by and len(by) == len(KERNELS)]
        if not whole:
            continue
        chosen = [_chosen(by) for by in whole]
        pick = [by[name]["psnr"] - by[_DEFAULT]["psnr"] for by, name in zip(whole, chosen, strict=True)]
        best = [max(one["psnr"] for one in by.values()) - by[_DEFAULT]["psnr"] for by in whole]
        each = [interval([by[name]["psnr"] - by[_DEFAULT]["psnr"] for by in whole]) for name in KERNELS]
        lines.append(
            f"| {reduced_by} | {len(whole)} | {' | '.join(each)} | {interval(pick)} | "
            f"{chosen.count(reduced_by)} of {len(whole)} | {interval(best)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_row_options(parser, "docs/results/kernels.jsonl")
    arguments = parser.parse_args()
    use_one_thread()
    file = RowFile(arguments.results, _KEY)
    wanted = list(product(ORDER, KERNELS, KERNELS))
    file.fill(shard_of(arguments, wanted), row, arguments.minutes)
    file.write_table("Does the small picture tell its kernel?", "kernel_study", table)


if __name__ == "__main__":
    main()
