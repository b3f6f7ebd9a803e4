"""Strokes of the mask editor, and the one rule by which they become pixels.

A drawing is a list in picture coordinates (pixel (column i, row j) has its centre at (i + 0.5, j + 0.5)):

    {"tool": "brush" | "eraser", "size": diameter in pixels >= 1, "points": [[x, y], ...]}
    {"tool": "clear"}    {"tool": "invert"}

Painted means hole.  A pixel belongs to a stroke when the distance from its centre to the polyline is at
most size / 2 (round caps, no anti-aliasing).  The browser draws by the same rule with the same order of
floating-point operations (`static/js/mask/raster.js`), so that both agree to the pixel:

    t  = clamp(((px - ax) * dx + (py - ay) * dy) / (dx * dx + dy * dy), 0, 1)     with (dx, dy) = b - a
    ex = px - (ax + t * dx);  ey = py - (ay + t * dy)
    painted when  ex * ex + ey * ey <= (size / 2) * (size / 2)

Work is bounded and counted (`Effort`).  The part of a row inside one segment is one interval (a capsule is
convex), so a segment costs its height and not its area.  Strokes that follow each other and set the same value
are painted together.  The picture is drawn in bands of rows, and in a band only the columns that are touched.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasdip_engine.errors import MaskError

__all__ = ["LIMIT_POINTS", "LIMIT_STROKES", "LIMIT_WORK", "Effort", "Stroke", "Tool", "draw", "parse_strokes"]

LIMIT_STROKES = 10_000
LIMIT_POINTS = 200_000
# Far outside any picture of 40 megapixels, near enough that squares of distances stay exact enough.
LIMIT_COORDINATE = 1_000_000.0
LIMIT_SIZE = 20_000.0
# The unit of work is a pixel of a band that strokes touch, about 3 ns on one core; what a row of a segment and
# a visit of a band take besides was measured in it.  The limit is then about six seconds: fifty strokes, each
# painted over the one before with the other tool, that all cover 40 megapixels.
WORK_OF_ROW = 120
WORK_OF_VISIT = 70_000
LIMIT_WORK = 2_000_000_000
BAND_PIXELS = 1_000_000
CHUNK_ROWS = 200_000

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.int64]


class Tool(StrEnum):
    """What a stroke does to the pixels under it."""

    BRUSH = "brush"
    ERASER = "eraser"
    CLEAR = "clear"
    INVERT = "invert"


@dataclass(frozen=True)
class Stroke:
    """One act in the editor.

    size: diameter in picture pixels (0 for clear and invert).
    points: (x, y) in picture coordinates, empty for clear and invert.
    """

    tool: Tool
    size: float = 0.0
    points: tuple[tuple[float, float], ...] = ()

    def to_json(self) -> dict[str, Any]:
        if self.tool in (Tool.CLEAR, Tool.INVERT):
            return {"tool": self.tool.value}
        return {"tool": self.tool.value, "size": self.size, "points": [list(point) for point in self.points]}


def refusal(field: str, sentence: str) -> MaskError:
    """A MaskError that names the place in the JSON."""
    return MaskError(f"{field}: {sentence}", field=field)


def number(value: Any, field: str, low: float, high: float) -> float:
    # Not isfinite: JSON knows integers that no float holds.
    if isinstance(value, bool) or not isinstance(value, int | float) or not -math.inf < value < math.inf:
        raise refusal(field, f"{value!r:.60} is not a finite number.")
    if not low <= value <= high:
        raise refusal(field, f"{value!s:.60} is outside {low:g} to {high:g}.")
    return float(value)


def parse_stroke(value: Any, field: str) -> Stroke:
    if not isinstance(value, dict):
        raise refusal(field, "a stroke is an object with a tool.")
    try:
        tool = Tool(str(value.get("tool")))
    except ValueError:
        tools = ", ".join(tool.value for tool in Tool)
        raise refusal(f"{field}.tool", f"{value.get('tool')!r:.60} is not one of {tools}.") from None
    if tool in (Tool.CLEAR, Tool.INVERT):
        return Stroke(tool)
    size = number(value.get("size"), f"{field}.size", 1.0, LIMIT_SIZE)
    raw = value.get("points")
    if not isinstance(raw, list) or not raw:
        raise refusal(f"{field}.points", "a stroke needs a list of at least one [x, y] point.")
    points = []
    for at, point in enumerate(raw):
        place = f"{field}.points[{at}]"
        if not isinstance(point, list) or len(point) != 2:
            raise refusal(place, "a point is [x, y].")
        x, y = (number(part, place, -LIMIT_COORDINATE, LIMIT_COORDINATE) for part in point)
        points.append((x, y))
    return Stroke(tool, size, tuple(points))


def parse_strokes(value: Any) -> tuple[Stroke, ...]:
    """The strokes of a request's JSON.  Raises MaskError that names the stroke and the point."""
    if not isinstance(value, list):
        raise refusal("strokes", "a drawing is a list of strokes.")
    if len(value) > LIMIT_STROKES:
        raise refusal("strokes", f"{len(value)} strokes are more than the {LIMIT_STROKES} that are kept.")
    strokes = []
    points = 0
    for at, item in enumerate(value):
        strokes.append(parse_stroke(item, f"strokes[{at}]"))
        points += len(strokes[-1].points)
        if points > LIMIT_POINTS:
            raise refusal("strokes", f"more than {LIMIT_POINTS} points: draw with fewer strokes.")
    return tuple(strokes)


@dataclass
class Effort:
    """What drawing has cost so far, and what it may cost, in pixels."""

    limit: int = LIMIT_WORK
    spent: int = 0

    def spend(self, work: int) -> None:
        """Count `work` before it is done.  Raises MaskError when it would be too much."""
        self.spent += work
        if self.spent > self.limit:
            raise refusal(
                "strokes", "this drawing has too many large strokes: clear it and paint with fewer."
            )


@dataclass(frozen=True)
class _Segments:
    """Segments that are painted together: float64 arrays (n,) of both ends, and the radius of each in pixels."""

    ax: Floats
    ay: Floats
    bx: Floats
    by: Floats
    radius: Floats

    @classmethod
    def of(cls, strokes: Sequence[Stroke]) -> _Segments:
        starts, ends, radii = [], [], []
        for stroke in strokes:
            points = np.asarray(stroke.points, dtype=np.float64).reshape(-1, 2)
            keep = np.ones(len(points), dtype=bool)
            keep[1:] = np.any(points[1:] != points[:-1], axis=1)
            points = points[keep]
            starts.append(points[:-1] if len(points) > 1 else points)
            ends.append(points[1:] if len(points) > 1 else points)
            radii.append(np.full(len(starts[-1]), stroke.size / 2))
        start, end = np.concatenate(starts), np.concatenate(ends)
        return cls(start[:, 0], start[:, 1], end[:, 0], end[:, 1], np.concatenate(radii))

    def rows(self, height: int) -> tuple[Integers, Integers]:
        """First and last picture row that each segment can touch; last < first where it touches none."""
        low = np.floor(np.minimum(self.ay, self.by) - self.radius - 0.5)
        high = np.ceil(np.maximum(self.ay, self.by) + self.radius - 0.5)
        first = np.clip(low, 0, height).astype(np.int64)
        last = np.clip(high, -1, height - 1).astype(np.int64)
        return first, last

    def columns(self, top: int, bottom: int, width: int) -> tuple[int, int]:
        """The columns, from .. up to, that any of the segments can touch in the rows top .. bottom - 1."""
        dx, dy = self.bx - self.ax, self.by - self.ay
        # Only a steep segment is cut to the rows: for a flat one the quotient would be mostly rounding.
        steep = np.abs(dy) >= 1.0
        rise = np.where(steep, dy, 1.0)
        one, other = (top - self.radius - self.ay) / rise, (bottom + self.radius - self.ay) / rise
        begin = np.where(steep, np.clip(np.minimum(one, other), 0.0, 1.0), 0.0)
        end = np.where(steep, np.clip(np.maximum(one, other), 0.0, 1.0), 1.0)
        left = self.ax + dx * np.where(dx > 0, begin, end) - self.radius
        right = self.ax + dx * np.where(dx > 0, end, begin) + self.radius
        low = int(np.clip(left.min() - 2.0, 0, width))
        return low, max(low, int(np.clip(right.max() + 3.0, 0, width)))

    def take(self, index: Integers) -> _Segments:
        return _Segments(self.ax[index], self.ay[index], self.bx[index], self.by[index], self.radius[index])


@dataclass(frozen=True)
class _Layer:
    """Strokes in a row that set the same value: their segments, the rows of each, and of all together."""

    value: bool
    segments: _Segments
    first: Integers
    last: Integers
    top: int
    bottom: int

    @classmethod
    def of(cls, value: bool, strokes: Sequence[Stroke], height: int) -> _Layer:
        segments = _Segments.of(strokes)
        first, last = segments.rows(height)
        return cls(value, segments, first, last, int(first.min()), int(last.max()) + 1)

    @property
    def work_of_rows(self) -> int:
        return WORK_OF_ROW * int(np.maximum(self.last - self.first + 1, 0).sum())


def _layers(strokes: Sequence[Stroke], height: int) -> tuple[list[_Layer], bool]:
    """What to paint in order, and whether to invert all of it at the end.

    Painting on an inverted picture is inverting after painting the other value: so inverting costs nothing.
    """
    begin = max((at for at, stroke in enumerate(strokes) if stroke.tool is Tool.CLEAR), default=-1) + 1
    inverted = False
    layers: list[tuple[bool, list[Stroke]]] = []
    for stroke in strokes[begin:]:
        if stroke.tool is Tool.INVERT:
            inverted = not inverted
            continue
        value = (stroke.tool is Tool.BRUSH) != inverted
        if layers and layers[-1][0] == value:
            layers[-1][1].append(stroke)
        elif layers or value:  # erasing what is empty changes nothing
            layers.append((value, [stroke]))
    return [_Layer.of(value, painted, height) for value, painted in layers], inverted


def draw(
    strokes: Sequence[Stroke], width: int, height: int, effort: Effort | None = None
) -> NDArray[np.bool_]:
    """The hole that the strokes paint: bool (height, width), True = to be filled.

    effort: counts the work.  Raises MaskError when the strokes together would take more than its limit.
    """
    effort = effort or Effort()
    layers, inverted = _layers(strokes, height)
    effort.spend(sum(layer.work_of_rows for layer in layers))
    hole = np.zeros((height, width), dtype=bool)
    step = max(1, BAND_PIXELS // width)
    for top in range(0, height, step):
        band = hole[top : top + step]
        for layer in layers:
            if layer.top < top + len(band) and layer.bottom > top:
                _paint(band, top, layer, effort)
    return np.logical_not(hole, out=hole) if inverted else hole


def _paint(band: NDArray[np.bool_], top: int, layer: _Layer, effort: Effort) -> None:
    """Set the pixels of the layer within the band (rows top .. top + len(band)) to its value."""
    rows, width = band.shape
    first, last = np.maximum(layer.first, top), np.minimum(layer.last, top + rows - 1)
    counts = np.maximum(last - first + 1, 0)
    index = np.flatnonzero(counts)
    if not len(index):
        return
    low, high = int(first[index].min()), int(last[index].max()) + 1
    begin, end = layer.segments.take(index).columns(low, high, width)
    across = end - begin + 1
    effort.spend(WORK_OF_VISIT + (high - low) * across)
    # +1 where an interval begins and -1 after its end; the running sum counts the segments over a pixel.
    edges = np.zeros((high - low, across), dtype=np.int32)
    ends = np.cumsum(counts[index])
    start = 0
    while start < len(index):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + CHUNK_ROWS, side="right")))
        part = index[start:stop]
        n = counts[part]
        which = np.repeat(part, n)
        row = np.arange(int(n.sum())) - np.repeat(np.cumsum(n) - n, n) + np.repeat(first[part], n)
        left, right = _interval(layer.segments.take(which), row, width)
        some = left <= right
        flat = (row[some] - low) * across - begin
        np.add.at(edges.reshape(-1), flat + left[some], 1)
        np.subtract.at(edges.reshape(-1), flat + right[some] + 1, 1)
        start = stop
    np.cumsum(edges, axis=1, out=edges)
    band[low - top : high - top, begin:end][edges[:, : end - begin] > 0] = layer.value


def _interval(s: _Segments, row: Integers, width: int) -> tuple[Integers, Integers]:
    """First and last painted column of each (segment, row) pair, within the picture; left > right = none.

    Geometry gives the ends to within a pixel; the rule itself decides the pixels around each end.
    """
    py = row + 0.5
    low, high = _extent(s, py)
    left = np.ceil(np.clip(low, -2.0, width + 2.0) - 0.5).astype(np.int64)
    right = np.floor(np.clip(high, -2.0, width + 2.0) - 0.5).astype(np.int64)
    none = low > high
    # From the inside outwards, so that the outermost pixel that the rule accepts is what stays.
    found_left = np.full(len(row), width + 9, dtype=np.int64)
    found_right = np.full(len(row), -9, dtype=np.int64)
    for shift in (1, 0, -1):
        column = left + shift
        hit = _inside(s, column + 0.5, py)
        found_left[hit] = column[hit]
        column = right - shift
        hit = _inside(s, column + 0.5, py)
        found_right[hit] = column[hit]
    # An end far from both candidates' pixels (outside the picture) needs no rule: the row is cut there.
    found_left = np.where(low < -1.0, 0, found_left)
    found_right = np.where(high > width + 1.0, width - 1, found_right)
    found_left = np.where(none, width, np.clip(found_left, 0, None))
    found_right = np.where(none, -1, np.clip(found_right, None, width - 1))
    return found_left, found_right


def _extent(s: _Segments, py: Floats) -> tuple[Floats, Floats]:
    """Where the capsule of each segment cuts the line y = py: least and greatest x (inf, -inf = nowhere)."""
    low = np.full(len(py), np.inf)
    high = np.full(len(py), -np.inf)
    r = s.radius
    slack = 1e-9 * (1.0 + r * r)
    for cx, cy in ((s.ax, s.ay), (s.bx, s.by)):
        square = r * r - (py - cy) ** 2
        half = np.sqrt(np.maximum(square, 0.0))
        hit = square >= -slack
        low = np.where(hit, np.minimum(low, cx - half), low)
        high = np.where(hit, np.maximum(high, cx + half), high)
    dx, dy = s.bx - s.ax, s.by - s.ay
    length = np.hypot(dx, dy)
    safe = np.where(length > 0, length, 1.0)
    nx, ny = -dy / safe * r, dx / safe * r
    corners = ((s.ax + nx, s.ay + ny), (s.bx + nx, s.by + ny), (s.bx - nx, s.by - ny), (s.ax - nx, s.ay - ny))
    for (px, qy), (rx, sy) in zip(corners, corners[1:] + corners[:1], strict=True):
        rise = sy - qy
        hit = (np.minimum(qy, sy) <= py) & (py <= np.maximum(qy, sy)) & (rise != 0)
        x = px + (py - qy) / np.where(rise == 0, 1.0, rise) * (rx - px)
        low = np.where(hit, np.minimum(low, x), low)
        high = np.where(hit, np.maximum(high, x), high)
    return low, high


def _inside(s: _Segments, px: Floats, py: Floats) -> NDArray[np.bool_]:
    """The rule of this file, in the order of operations that the browser uses."""
    dx, dy = s.bx - s.ax, s.by - s.ay
    square = dx * dx + dy * dy
    along = (px - s.ax) * dx + (py - s.ay) * dy
    t = np.where(square > 0, along / np.where(square > 0, square, 1.0), 0.0)
    t = np.minimum(np.maximum(t, 0.0), 1.0)
    ex = px - (s.ax + t * dx)
    ey = py - (s.ay + t * dy)
    return ex * ex + ey * ey <= s.radius * s.radius
