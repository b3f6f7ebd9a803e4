"""`nasdip describe`: the price of a network on standard output, before any training."""

from __future__ import annotations

import json

import pytest

from nasdip_engine.genome.cost import cost
from nasdip_engine.genome.genome import encode
from nasdip_engine.genome.starters import plain
from tests.commandline.conftest import nasdip

STARTER = encode(plain(5)).text


def test_the_price_is_the_one_that_a_search_reckons_with() -> None:
    ended = nasdip("describe", STARTER, "--size", "96x64")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    price = cost(plain(5), 64, 96)
    assert (told["parameters"], told["multiply_adds"]) == (price.parameters, price.multiply_adds)
    assert told["peak_bytes"] == price.peak_bytes
    assert told["phenotype"] == plain(5).digest
    assert told["seconds_an_iteration"] > 0


def test_a_genome_without_a_network_says_why() -> None:
    ended = nasdip("describe", "asym:1:" + "0" * 5)
    assert ended.code == 0, ended.err
    assert "no filters" in json.loads(ended.out)["reason"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["asym:5:zz"], "asym:5:zz"),
        ([STARTER, "--size", "large"], "'large'"),
        ([STARTER, "--size", "16x64"], "16x64"),
        ([STARTER, "--input-channels", "0"], "1 to 128"),
    ],
)
def test_what_cannot_be_described_is_refused_in_one_line(arguments: list[str], told: str) -> None:
    ended = nasdip("describe", *arguments)
    assert ended.code == 2
    assert told in ended.line
    assert ended.out == ""
