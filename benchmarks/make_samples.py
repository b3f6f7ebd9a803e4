"""Makes the sample pictures of static/samples/ out of photographs that come with scikit-image.

    PYTHONPATH=. .venv/bin/python benchmarks/make_samples.py

Gives the same bytes each time. denoise.png: astronaut, 256 px, Gaussian noise of sigma 25 (of 255).
inpaint.png: chelsea, 256 px, with scratches burned in; inpaint-strokes.json holds the same scratches as
strokes of the mask editor. upscale.png: coffee, 64 px.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from nasdip_engine.seeding import generator
from webapp.pictures.strokes import draw, parse_strokes

SAMPLES = Path(__file__).resolve().parents[1] / "static" / "samples"
SIDE = 256
SMALL_SIDE = 64
SIGMA = 25.0
SCRATCHES = 9
SCRATCH_COLOUR = (250, 248, 240)

Pixels = NDArray[np.uint8]


def square(picture: Pixels, side: int) -> Pixels:
    """The largest square in the middle of `picture`, reduced to `side` pixels."""
    height, width = picture.shape[:2]
    edge = min(height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    crop = Image.fromarray(picture[top : top + edge, left : left + edge])
    return np.asarray(crop.resize((side, side), Image.Resampling.LANCZOS))


def noisy(picture: Pixels) -> Pixels:
    noise = generator(25, "sample", "noise").normal(0.0, SIGMA, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


def scratches(side: int) -> list[dict[str, object]]:
    """Thin wavy lines from edge to edge, as strokes of the mask editor."""
    rng = generator(7, "sample", "scratches")
    strokes: list[dict[str, object]] = []
    along = np.linspace(-4, side + 4, 33)
    for number in range(SCRATCHES):
        start, end = rng.uniform(0, side, 2)
        sway = rng.uniform(4, 14) * np.sin(along / side * np.pi * rng.uniform(1, 3) + rng.uniform(0, np.pi))
        across = start + (end - start) * along / side + sway
        line = np.stack([along, across] if number % 2 else [across, along], axis=1)
        points = [[round(float(x), 2), round(float(y), 2)] for x, y in line]
        strokes.append({"tool": "brush", "size": float(rng.integers(3, 6)), "points": points})
    return strokes


def save(picture: Pixels, name: str) -> None:
    Image.fromarray(picture).save(SAMPLES / name, optimize=True)


def main() -> None:
    SAMPLES.mkdir(parents=True, exist_ok=True)
    save(noisy(square(data.astronaut(), SIDE)), "denoise.png")
    strokes = scratches(SIDE)
    hole = draw(parse_strokes(strokes), SIDE, SIDE)
    scratched = square(data.chelsea(), SIDE).copy()
    scratched[hole] = SCRATCH_COLOUR
    save(scratched, "inpaint.png")
    (SAMPLES / "inpaint-strokes.json").write_text(json.dumps(strokes) + "\n", encoding="utf-8")
    save(square(data.coffee(), SMALL_SIDE), "upscale.png")
    print(f"{hole.mean():.1%} of inpaint.png is to be filled")


if __name__ == "__main__":
    main()
