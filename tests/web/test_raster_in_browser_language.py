"""The editor's own module, run by a JavaScript engine, paints what the server paints: to the pixel."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
from playwright._impl._driver import compute_driver_executable

from webapp.pictures.strokes import draw, parse_strokes

RASTER = Path(__file__).parents[2] / "static" / "js" / "mask" / "raster.js"
PROGRAM = """
import { drawMask } from %s;
let text = "";
for await (const part of process.stdin) text += part;
const masks = JSON.parse(text).map(({ strokes, width, height }) =>
  Buffer.from(drawMask(strokes, width, height).pixels).toString("base64"));
console.log(JSON.stringify(masks));
"""


def drawings(count: int) -> list[dict[str, object]]:
    """Random drawings; half of their points on a grid of quarters, where ties are."""
    rng = np.random.default_rng(7)
    made: list[dict[str, object]] = []
    for _ in range(count):
        width, height = (int(n) for n in rng.integers(1, 90, 2))
        strokes: list[dict[str, object]] = []
        for _ in range(int(rng.integers(1, 6))):
            tool = str(rng.choice(["brush", "brush", "eraser", "clear", "invert"]))
            if tool in ("clear", "invert"):
                strokes.append({"tool": tool})
                continue
            points = rng.uniform(-30, 120, (int(rng.integers(1, 7)), 2))
            if rng.random() < 0.5:
                points = np.round(points * 4) / 4
            size = float(rng.choice([1, 2, 3, 5, 10, 7.3, 41, 100]))
            strokes.append({"tool": tool, "size": size, "points": points.tolist()})
        made.append({"strokes": strokes, "width": width, "height": height})
    return made


def test_browser_and_server_paint_the_same_pixels() -> None:
    import base64

    given = drawings(400)
    node = compute_driver_executable()[0]
    program = PROGRAM % json.dumps(RASTER.as_uri())
    done = subprocess.run(
        [node, "--input-type=module", "--eval", program],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    painted = 0
    for drawing, mask in zip(given, json.loads(done.stdout), strict=True):
        width, height = drawing["width"], drawing["height"]
        theirs = np.frombuffer(base64.b64decode(mask), dtype=np.uint8).reshape(height, width).astype(bool)
        assert np.array_equal(theirs, draw(parse_strokes(drawing["strokes"]), width, height)), drawing
        painted += int(theirs.sum())
    assert painted > 10_000
