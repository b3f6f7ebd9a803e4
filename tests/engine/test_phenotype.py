"""Phenotypes: equal networks are equal values, whatever their genomes' meaningless bits."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nasdip_engine.errors import GenomeError, InvalidPhenotype
from nasdip_engine.genome.genome import Genome, encode, genome_length
from nasdip_engine.genome.phenotype import Phenotype, Stage
from nasdip_engine.genome.starters import plain, starters
from tests.engine.strategies import phenotypes


@given(phenotypes())
def test_decoding_the_encoded_gives_the_same_network(phenotype: Phenotype) -> None:
    genome = encode(phenotype)
    assert genome.phenotype() == phenotype
    assert Genome.parse(genome.text).phenotype().digest == phenotype.digest


@given(phenotypes())
def test_json_round_trips(phenotype: Phenotype) -> None:
    again = Phenotype.from_json(json.loads(json.dumps(phenotype.to_json())))
    assert again == phenotype
    assert again.digest == phenotype.digest


def _dead_places(phenotype: Phenotype) -> list[int]:
    """Bits that mean nothing: of bypassed stages but the bypass itself, and of paths from or into one."""
    units = phenotype.units
    length = 14 + 4 * units
    dead: list[int] = []
    for unit in range(units):
        start = unit * length
        if phenotype.encoders[unit] is None:
            dead += range(start + 1, start + 7)
        if phenotype.decoders[unit] is None:
            dead += range(start + length - 6, start + length)
        for target in range(units):
            if phenotype.encoders[unit] is None or phenotype.decoders[target] is None:
                dead += range(start + 7 + 4 * target, start + 11 + 4 * target)
    return dead


@given(phenotypes(), st.data())
def test_dead_bits_change_neither_network_nor_digest(phenotype: Phenotype, data: st.DataObject) -> None:
    dead = _dead_places(phenotype)
    assume(dead)
    bits = list(encode(phenotype).bits)
    for place in data.draw(st.sets(st.sampled_from(dead), min_size=1)):
        bits[place] ^= 1
    changed = Genome("asym", phenotype.units, tuple(bits))
    assert changed != encode(phenotype)
    assert changed.phenotype() == phenotype
    assert changed.phenotype().digest == phenotype.digest


@given(phenotypes(), st.data())
def test_every_other_bit_changes_the_network(phenotype: Phenotype, data: st.DataObject) -> None:
    live = sorted(set(range(genome_length(phenotype.units))) - set(_dead_places(phenotype)))
    bits = list(encode(phenotype).bits)
    bits[data.draw(st.sampled_from(live))] ^= 1
    try:
        other = Genome("asym", phenotype.units, tuple(bits)).phenotype()
    except InvalidPhenotype:
        return
    assert other != phenotype
    assert other.digest != phenotype.digest


def _bits(*fields: str) -> Genome:
    text = "".join(fields)
    units = {18: 1, 44: 2}[len(text)]
    return Genome("asym", units, tuple(map(int, text)))


@pytest.mark.parametrize(
    ("genome", "reason"),
    [
        (_bits("1001001", "0000", "0001001"), "no active encoder stage"),
        (_bits("0001001", "0000", "1001001"), "no active decoder stage"),
        (_bits("0001000", "0000", "0001001"), "E1 is active but has no filters"),
        (
            _bits("0001001", "00000000", "0001001", "0001001", "00000000", "0001000"),
            "D2 is active but has no filters",
        ),
    ],
)
def test_a_genome_without_network_says_why(genome: Genome, reason: str) -> None:
    with pytest.raises(InvalidPhenotype, match=reason):
        genome.phenotype()


def test_a_bypassed_stage_without_filters_is_fine() -> None:
    genome = _bits("0001001", "00000000", "0001001", "1000000", "00000000", "1000000")
    assert genome.phenotype().encoders[1] is None


@pytest.mark.parametrize("skips", [((0, 1, 4), (0, 0, 4)), ((0, 0, 4), (0, 0, 2)), ((0, 0, 0),)])
def test_a_phenotype_that_is_not_canonical_is_refused(skips: tuple[tuple[int, int, int], ...]) -> None:
    stage = Stage(3, 8)
    with pytest.raises(InvalidPhenotype):
        Phenotype(2, (stage, stage), (stage, stage), skips)


def test_networks_outside_the_representation_have_no_genome() -> None:
    for stage in (Stage(3, 24), Stage(17, 16), Stage(3, 128)):
        with pytest.raises(GenomeError, match="has no genome"):
            encode(plain(2, encoder=stage))


@pytest.mark.parametrize("units", range(1, 9))
def test_starters_are_distinct_networks_and_the_plain_one_is_among_the_first_four(units: int) -> None:
    family = [genome.phenotype() for genome in starters(units)]
    assert plain(units) in family[:4]  # a preview takes four
    assert plain(units).skips == tuple((unit, unit, 4) for unit in range(units))
    assert len({phenotype.digest for phenotype in family}) == len(family) >= 8
