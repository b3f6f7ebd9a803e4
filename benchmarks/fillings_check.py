"""The fillings on four holes: decibels inside the hole and seconds, and OpenCV's Telea beside ours where it is installed.

    python -m benchmarks.fillings_check [--table docs/results/fillings.md]

scikit-image's astronaut and chelsea. OpenCV is no dependency; `pip install opencv-python-headless` into a throw-away
environment adds its column. Under a minute.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage import data

from benchmarks.pictures import chelsea_strokes, square
from nasdip_engine.bit_depth import in_unit_range, quantised
from nasdip_engine.fillings import biharmonic, harmonic, nearest, telea
from nasdip_engine.restoration.metrics import psnr
from nasdip_engine.seeding import generator

__all__ = ["cases", "main"]

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

_BIHARMONIC_LIMIT = 60_000  # as in the engine: beyond it takes minutes


def cases() -> Iterator[tuple[str, Pixels, Mask]]:
    """(name, clean picture, mask with True = known)."""
    strokes = chelsea_strokes()
    assert strokes.mask is not None
    yield "chelsea, 256 px, thin strokes", strokes.clean, strokes.mask
    picture = square(data.astronaut(), 256)
    yield (
        "astronaut, 256 px, half of the pixels scattered",
        picture,
        generator(0, "scattered").random((256, 256)) < 0.5,
    )
    hole = np.ones((256, 256), dtype=np.bool_)
    hole[60:180, 60:200] = False
    yield "astronaut, 256 px, one hole of 140 x 120", picture, hole
    rim = np.zeros((512, 512), dtype=np.bool_)
    rim[[0, -1]] = rim[:, [0, -1]] = True
    yield "astronaut, 512 px, all but the rim", data.astronaut(), rim


def _opencv(picture: Floats, hidden: Mask) -> Floats:
    import cv2

    filled = cv2.inpaint(quantised(picture, 8), hidden.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    return in_unit_range(np.asarray(filled, dtype=np.uint8))


def _cell(fill: Callable[[Floats, Mask], Floats], clean: Pixels, known: Mask) -> str:
    if fill is biharmonic and np.count_nonzero(~known) > _BIHARMONIC_LIMIT:
        return "not computed"
    observed = np.where(known[..., None], in_unit_range(clean), np.float32(0))
    began = time.perf_counter()
    filled = fill(observed, ~known)
    seconds = time.perf_counter() - began
    return f"{psnr(quantised(filled, 8), clean, ~known):.2f} ({seconds:.2f} s)"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--table", type=Path, help="Markdown file to write")
    table: Path | None = parser.parse_args().table
    fills: dict[str, Callable[[Floats, Mask], Floats]] = {
        "nearest pixel": nearest,
        "harmonic": harmonic,
        "biharmonic": biharmonic,
        "Telea": telea,
    }
    if util.find_spec("cv2") is not None:
        fills["OpenCV's Telea, radius 3"] = _opencv
    lines = [
        "# Fillings",
        "",
        "    python -m benchmarks.fillings_check",
        "",
        "PSNR in dB inside the hole, and seconds of wall time, one run.",
        "",
        f"| hole | {' | '.join(fills)} |",
        f"|---|{'---|' * len(fills)}",
    ]
    for name, clean, known in cases():
        lines.append(f"| {name} | {' | '.join(_cell(fill, clean, known) for fill in fills.values())} |")
        print(lines[-1], flush=True)
    if table:
        table.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
