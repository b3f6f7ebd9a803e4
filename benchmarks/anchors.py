"""The references on the field's own pictures, beside the figures that were published for them. No GPU.

    python -m benchmarks.anchors --data DIR [--table docs/results/anchors.md]

DIR holds F16_GT.png and zebra_GT.png of the Deep Image Prior repository (data/denoising and data/sr). Published figures
are those of its authors' result pictures: PSNR of 8-bit RGB for noise removal; of luma with a border of 4 pixels left out
for enlarging. About two minutes on a quiet core. Ends with 1 where an anchor is missed.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nasdip_engine import filters
from nasdip_engine.bit_depth import quantised
from nasdip_engine.restoration.metrics import psnr
from nasdip_engine.seeding import generator

__all__ = ["NEAR_DB", "Row", "cropped", "enlarging", "luma", "luma_psnr", "noise_removal", "table"]

Pixels = NDArray[np.uint8]

NEAR_DB = 0.15
"""How near the bars must be."""
SIGMA = 25
BORDER = 4
_MULTIPLE = 32  # the published pictures are cropped so that a network of 5 units divides them
_ZEBRA = {4: 24.01, 8: 19.59}
_SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Row:
    """One measured figure in dB beside the published one; bar: whether they must be within NEAR_DB."""

    what: str
    measured: float
    published: float
    bar: bool = True

    @property
    def apart(self) -> float:
        """Measured less published, in dB."""
        return self.measured - self.published

    @property
    def holds(self) -> bool:
        """Whether a bar is met; what is no bar always holds."""
        return not self.bar or abs(self.apart) <= NEAR_DB


def cropped(picture: Image.Image) -> Image.Image:
    """The middle of a picture, each side a multiple of 32."""
    width, height = (side // _MULTIPLE * _MULTIPLE for side in picture.size)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def luma(pixels: Pixels) -> NDArray[np.float64]:
    """Y of 8-bit RGB (h, w, 3) by ITU-R BT.601 for video: 16 to 235, not rounded."""
    weighted: NDArray[np.float64] = pixels @ np.array([65.481, 128.553, 24.966]) / 255
    return 16 + weighted


def luma_psnr(one: Pixels, other: Pixels) -> float:
    """PSNR in dB of the luma on a range of 255, a border of 4 pixels left out."""
    difference = (luma(one) - luma(other))[BORDER:-BORDER, BORDER:-BORDER]
    return float(10 * np.log10(255**2 / np.mean(difference**2)))


def noise_removal(clean: Pixels) -> list[Row]:
    """BM3D and non-local means on F16 at sigma 25; the noise is known, clipped to [0, 1] and not rounded.

    BM3D once, since it takes a minute; non-local means as the product runs it but for the known sigma, mean of 3 draws.
    """
    level = SIGMA / 255
    noisy = [
        np.clip(clean / 255 + generator(seed, "anchor").normal(0, level, clean.shape), 0, 1).astype(
            np.float32
        )
        for seed in _SEEDS
    ]
    means = np.mean(
        [psnr(quantised(filters.non_local_means(one, level), 8), clean) for one in noisy], dtype=np.float64
    )
    return [
        Row("BM3D, F16, sigma 25", psnr(quantised(filters.bm3d(noisy[0], level), 8), clean), 32.67),
        Row("non-local means, F16, sigma 25 (another program's)", float(means), 31.34, bar=False),
    ]


def enlarging(clean: Image.Image) -> list[Row]:
    """Bicubic on zebra: cropped, reduced by Pillow's antialiased bicubic (a = -0.5), rounded, enlarged by the same."""
    crop = cropped(clean)
    rows = []
    for factor, published in _ZEBRA.items():
        small = crop.resize((crop.width // factor, crop.height // factor), Image.Resampling.BICUBIC)
        large = small.resize(crop.size, Image.Resampling.BICUBIC)
        measured = luma_psnr(np.asarray(large), np.asarray(crop))
        rows.append(Row(f"bicubic, zebra, {factor}x, luma", measured, published))
    return rows


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "# Reference methods beside published figures",
        "",
        "    python -m benchmarks.anchors --data DIR",
        "",
        "PSNR in dB. The bars are to be within 0.15 dB.",
        "",
        "| what | measured | published | difference | bar |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        held = ("holds" if row.holds else "missed") if row.bar else "none"
        lines.append(f"| {row.what} | {row.measured:.2f} | {row.published:.2f} | {row.apart:+.2f} | {held} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with F16_GT.png and zebra_GT.png")
    parser.add_argument("--table", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    with Image.open(arguments.data / "F16_GT.png") as picture:
        clean = np.asarray(picture.convert("RGB"))
    with Image.open(arguments.data / "zebra_GT.png") as picture:
        zebra = picture.convert("RGB")
    rows = [*enlarging(zebra), *noise_removal(clean)]
    told = table(rows)
    print(told, end="")
    if arguments.table:
        arguments.table.write_text(told, encoding="utf-8")
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
