"""Strokes become pixels by one rule; the browser's drawing is the same to the pixel."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasdip_engine.errors import MaskError
from webapp.pictures.strokes import LIMIT_STROKES, Stroke, Tool, draw, parse_strokes

# Quarters give ties (centres at distance exactly size / 2), the wide range gives ends outside the picture.
coordinate = st.one_of(
    st.integers(-200, 400).map(lambda quarters: quarters / 4), st.floats(-60.0, 120.0, allow_nan=False)
)
size = st.one_of(st.integers(1, 90).map(float), st.floats(1.0, 90.0))
lines = st.builds(
    lambda tool, width, points: Stroke(tool, width, tuple(points)),
    st.sampled_from([Tool.BRUSH, Tool.ERASER]),
    size,
    st.lists(st.tuples(coordinate, coordinate), min_size=1, max_size=5),
)
acts = st.one_of(lines, lines, lines, st.sampled_from([Stroke(Tool.CLEAR), Stroke(Tool.INVERT)]))


def by_the_rule(strokes: list[Stroke], width: int, height: int) -> np.ndarray:
    """Every pixel asked by itself, as the docstring of the rule says it."""
    hole = np.zeros((height, width), dtype=bool)
    rows, columns = np.mgrid[:height, :width]
    px, py = columns + 0.5, rows + 0.5
    for stroke in strokes:
        if stroke.tool is Tool.CLEAR:
            hole[:] = False
        elif stroke.tool is Tool.INVERT:
            hole = ~hole
        points = stroke.points if len(stroke.points) > 1 else stroke.points * 2
        for (ax, ay), (bx, by) in pairwise(points):
            dx, dy = bx - ax, by - ay
            square = dx * dx + dy * dy
            t = np.clip(((px - ax) * dx + (py - ay) * dy) / square, 0, 1) if square > 0 else np.zeros_like(px)
            ex, ey = px - (ax + t * dx), py - (ay + t * dy)
            hole[ex * ex + ey * ey <= (stroke.size / 2) * (stroke.size / 2)] = stroke.tool is Tool.BRUSH
    return hole


@given(st.lists(acts, max_size=5), st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=300, deadline=None)
def test_drawing_equals_the_rule_at_every_pixel(strokes: list[Stroke], width: int, height: int) -> None:
    assert np.array_equal(draw(strokes, width, height), by_the_rule(strokes, width, height))


@given(st.lists(acts, max_size=4), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_inverting_twice_changes_nothing(strokes: list[Stroke], width: int, height: int) -> None:
    invert = Stroke(Tool.INVERT)
    assert np.array_equal(draw([*strokes, invert, invert], width, height), draw(strokes, width, height))
    assert np.array_equal(draw([*strokes, invert], width, height), ~draw(strokes, width, height))


@given(st.lists(acts, max_size=4), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_nothing_before_a_clear_counts(strokes: list[Stroke], width: int, height: int) -> None:
    after = [Stroke(Tool.BRUSH, 5.0, ((3.0, 3.0),))]
    assert np.array_equal(
        draw([*strokes, Stroke(Tool.CLEAR), *after], width, height), draw(after, width, height)
    )


@given(st.lists(acts, max_size=5))
@settings(max_examples=60)
def test_strokes_survive_json(strokes: list[Stroke]) -> None:
    assert parse_strokes([stroke.to_json() for stroke in strokes]) == tuple(strokes)


def test_a_one_pixel_brush_paints_one_pixel() -> None:
    hole = draw([Stroke(Tool.BRUSH, 1.0, ((10.5, 7.5),))], 32, 32)
    assert np.argwhere(hole).tolist() == [[7, 10]]


def test_bands_of_a_large_picture_meet_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    strokes = [Stroke(Tool.BRUSH, 37.0, ((5.0, 5.0), (110.0, 180.0), (3.0, 190.0))), Stroke(Tool.INVERT)]
    whole = draw(strokes, 120, 200)
    monkeypatch.setattr("webapp.pictures.strokes.BAND_PIXELS", 120 * 7)
    monkeypatch.setattr("webapp.pictures.strokes.CHUNK_ROWS", 11)
    assert np.array_equal(draw(strokes, 120, 200), whole)


def test_forty_megapixels_are_drawn_in_seconds() -> None:
    width, height = 8000, 5000
    wave = np.linspace(0, 60, 4000)
    points = tuple(zip(wave / 60 * width, (np.sin(wave) + 1) * height / 2, strict=True))
    began = time.process_time()
    hole = draw([Stroke(Tool.BRUSH, 120.0, points), Stroke(Tool.INVERT)], width, height)
    assert time.process_time() - began < 20
    assert 0 < np.count_nonzero(~hole) < hole.size


def test_a_drawing_that_would_take_minutes_is_refused() -> None:
    zigzag = tuple((float(x), 0.0 if x % 2 else 5000.0) for x in range(9000))
    with pytest.raises(MaskError, match="too many large strokes"):
        draw([Stroke(Tool.BRUSH, 4000.0, zigzag)] * 3, 8000, 5000)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({}, "strokes"),
        ([1], "strokes[0]"),
        ([{"tool": "spray"}], "strokes[0].tool"),
        ([{"tool": "brush", "points": [[1, 1]]}], "strokes[0].size"),
        ([{"tool": "brush", "size": 0.5, "points": [[1, 1]]}], "strokes[0].size"),
        ([{"tool": "brush", "size": True, "points": [[1, 1]]}], "strokes[0].size"),
        ([{"tool": "brush", "size": 3, "points": []}], "strokes[0].points"),
        ([{"tool": "clear"}, {"tool": "brush", "size": 3, "points": [[1, 1], [2]]}], "strokes[1].points[1]"),
        ([{"tool": "brush", "size": 3, "points": [[1, float("nan")]]}], "strokes[0].points[0]"),
        ([{"tool": "brush", "size": 3, "points": [[1, 1e9]]}], "strokes[0].points[0]"),
        ([{"tool": "brush", "size": 10**400, "points": [[1, 1]]}], "strokes[0].size"),
        ([{"tool": "brush", "size": 3, "points": [[-(10**400), 1]]}], "strokes[0].points[0]"),
        ([{"tool": "clear"}] * (LIMIT_STROKES + 1), "strokes"),
    ],
)
def test_what_is_no_stroke_is_refused_by_its_place(value: object, field: str) -> None:
    with pytest.raises(MaskError) as refused:
        parse_strokes(value)
    assert refused.value.field == field
