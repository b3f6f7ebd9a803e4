"""The diagram of a network: whole, standalone, and within a strict content security policy."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given

from nasdip_engine.genome.diagram import architecture_svg
from nasdip_engine.genome.phenotype import Phenotype, Stage
from nasdip_engine.genome.starters import plain
from tests.engine.strategies import phenotypes

SVG = "{http://www.w3.org/2000/svg}"


def _drawn(phenotype: Phenotype, title: str = "best network") -> ET.Element:
    return ET.fromstring(architecture_svg(phenotype, title=title))


@given(phenotypes())
def test_every_stage_and_every_path_is_drawn_once(phenotype: Phenotype) -> None:
    root = _drawn(phenotype)
    stages = [*phenotype.encoders, *phenotype.decoders]
    assert len(root.findall(f"{SVG}rect")) == sum(stage is not None for stage in stages)
    assert len(root.findall(f"{SVG}line")) == sum(stage is None for stage in stages)
    assert len(root.findall(f"{SVG}path")) == len(phenotype.skips)


@given(phenotypes())
def test_nothing_leaves_the_view_box(phenotype: Phenotype) -> None:
    root = _drawn(phenotype)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for bar in root.findall(f"{SVG}rect"):
        x, y, w, h = (float(bar.attrib[name]) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width
        assert 0 <= y <= y + h <= height
    for arc in root.findall(f"{SVG}path"):
        numbers = [float(text) for text in re.findall(r"-?[0-9.]+", arc.attrib["d"])]
        start, first, second, end = numbers[1::2]
        heights = [
            start * (1 - t) ** 3 + 3 * first * t * (1 - t) ** 2 + 3 * second * t**2 * (1 - t) + end * t**3
            for t in (step / 50 for step in range(51))
        ]
        assert min(heights) - float(arc.attrib["stroke-width"]) / 2 > 0


def test_bars_are_as_high_as_filters_and_as_wide_as_filter_sizes() -> None:
    phenotype = Phenotype(2, (Stage(3, 16), Stage(9, 32)), (Stage(15, 64), Stage(15, 8)), ())
    bars = _drawn(phenotype).findall(f"{SVG}rect")
    heights = [float(bar.attrib["height"]) for bar in bars]
    widths = [float(bar.attrib["width"]) for bar in bars]
    assert heights == pytest.approx([14, 28, 56, 7])
    assert widths[1] == pytest.approx(3 * widths[0], abs=0.2)
    assert widths[2] == widths[3] > widths[1]


def test_paths_are_as_thick_as_they_have_channels() -> None:
    stage = Stage(3, 8)
    skips = ((0, 0, 1), (0, 1, 15))
    thin, thick = _drawn(Phenotype(2, (stage, stage), (stage, stage), skips)).findall(f"{SVG}path")
    assert float(thick.attrib["stroke-width"]) > 4 * float(thin.attrib["stroke-width"])


def test_a_strict_policy_lets_it_stand_in_a_page() -> None:
    root = _drawn(plain(5))
    assert root.attrib["role"] == "img"
    assert root.attrib["fill"] == "currentColor"
    for element in root.iter():
        assert element.tag not in {f"{SVG}script", f"{SVG}style", f"{SVG}foreignObject", f"{SVG}image"}
        assert not {
            name for name in element.attrib if name == "style" or name.startswith("on") or "href" in name
        }


def test_the_title_is_text_whatever_it_holds() -> None:
    root = _drawn(plain(1), title='<script>alert("1")</script> & more')
    assert root.findtext(f"{SVG}title") == '<script>alert("1")</script> & more'
    assert "E1 16 filters of 3 by 3" in (root.findtext(f"{SVG}desc") or "")
