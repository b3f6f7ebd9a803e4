"""A network as a picture: one standalone SVG, readable at 240 px and as a poster.

Stages are bars, as high as they have filters and as wide as their filter size: the encoder goes down from
the left, the decoder back up to the right.  Skip paths are arcs as thick as their channels; a bypassed
stage is a dashed hairline.  Under each bar stand its filters and, lighter, its filter size.  Only
presentation attributes are used, so a strict content security policy lets it stand in a page, in whose
colour it is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from nasdip_engine.genome.phenotype import Phenotype, Stage

__all__ = ["architecture_svg"]

_WIDTH, _HEIGHT, _MARGIN = 240, 150, 6
_FLOOR = 88.0  # lower end of the first unit's bars
_DESCENT = 30.0  # by how much the innermost unit's bars stand lower
_TALLEST, _MOST_FILTERS, _WIDEST_FILTER, _MOST_CHANNELS = 56.0, 64, 15, 15
_LABEL_ROWS = (132, 143)
_CROWN_LIMIT = -4.0  # control point that keeps the arc between two tallest bars inside the view box


@dataclass(frozen=True, slots=True)
class _Bar:
    """Where one stage stands: centre, lower end, size; all in units of the view box."""

    stage: Stage | None
    x: float
    floor: float
    width: float
    height: float

    @property
    def top(self) -> float:
        return self.floor - self.height


def _bar(stage: Stage | None, column: int, unit: int, units: int) -> _Bar:
    pitch = (_WIDTH - 2 * _MARGIN) / (2 * units)
    floor = _FLOOR + (_DESCENT * unit / (units - 1) if units > 1 else 0.0)
    widest = min(0.86 * pitch, 24.0)
    width = max(2.0, widest * stage.kernel / _WIDEST_FILTER) if stage else 0.0
    height = max(2.0, _TALLEST * stage.filters / _MOST_FILTERS) if stage else 12.0
    return _Bar(stage, _MARGIN + (column + 0.5) * pitch, floor, width, height)


def _draw_bar(bar: _Bar, opacity: float) -> Iterator[str]:
    if bar.stage is None:
        yield (
            f'<line x1="{bar.x:.1f}" y1="{bar.floor:.1f}" x2="{bar.x:.1f}" y2="{bar.top:.1f}" '
            'stroke-width="0.5" stroke-dasharray="2 1.5" stroke-opacity="0.6"/>'
        )
        return
    yield (
        f'<rect x="{bar.x - bar.width / 2:.1f}" y="{bar.top:.1f}" width="{bar.width:.1f}" '
        f'height="{bar.height:.1f}" rx="0.8" fill-opacity="{opacity}" stroke="none"/>'
    )
    labels = zip(_LABEL_ROWS, (bar.stage.filters, bar.stage.kernel), (1, 0.65), strict=True)
    for row, number, strength in labels:
        yield f'<text x="{bar.x:.1f}" y="{row}" stroke="none" fill-opacity="{strength}">{number}</text>'


def _draw_path(start: _Bar, end: _Bar, channels: int) -> str:
    """An arc whose crown rises with its span, so that nested paths stay apart."""
    crown = max(_CROWN_LIMIT, min(start.top, end.top) - 6 - 0.3 * (end.x - start.x))
    width = 0.5 + 3.5 * channels / _MOST_CHANNELS
    return (
        f'<path d="M{start.x:.1f} {start.top:.1f}C{start.x:.1f} {crown:.1f} {end.x:.1f} {crown:.1f} '
        f'{end.x:.1f} {end.top:.1f}" fill="none" stroke-width="{width:.2f}" stroke-opacity="0.35"/>'
    )


def _in_words(phenotype: Phenotype) -> str:
    stages = [
        f"{letter}{unit} {stage.filters} filters of {stage.kernel} by {stage.kernel}"
        if stage
        else f"{letter}{unit} bypassed"
        for letter, row in (("E", phenotype.encoders), ("D", phenotype.decoders))
        for unit, stage in enumerate(row, start=1)
    ]
    paths = [f"E{start + 1} to D{end + 1} {channels} channels" for start, end, channels in phenotype.skips]
    length = "" if phenotype.epochs is None else f" Trained for {phenotype.epochs} iterations."
    return "; ".join(stages) + ". Skip paths: " + ("; ".join(paths) or "none") + "." + length


def architecture_svg(phenotype: Phenotype, *, title: str, ink: str = "currentColor") -> str:
    """The diagram as SVG text.

    title: what a screen reader says first; every stage and path follows in words.  ink: the one colour;
    "currentColor" takes the page's, a file that is shown as an image needs one of its own.
    """
    units = phenotype.units
    encoders = [_bar(stage, unit, unit, units) for unit, stage in enumerate(phenotype.encoders)]
    decoders = [
        _bar(stage, 2 * units - 1 - unit, unit, units) for unit, stage in enumerate(phenotype.decoders)
    ]
    flow = " ".join(f"{bar.x:.1f},{bar.floor:.1f}" for bar in [*encoders, *reversed(decoders)])
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            f"fill={quoteattr(ink)} stroke={quoteattr(ink)} "
            'font-family="system-ui, sans-serif" font-size="8" text-anchor="middle">'
        ),
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(_in_words(phenotype))}</desc>",
        f'<polyline points="{flow}" fill="none" stroke-width="0.5" stroke-opacity="0.4"/>',
        *(_draw_path(encoders[start], decoders[end], channels) for start, end, channels in phenotype.skips),
    ]
    for bars, opacity in ((encoders, 0.9), (decoders, 0.6)):
        for bar in bars:
            lines += _draw_bar(bar, opacity)
    return "\n".join([*lines, "</svg>"]) + "\n"
