"""Genomes: bits, text and the share of them that describes a network (paper, sec. 3.1)."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasdip_engine.errors import GenomeError, InvalidPhenotype
from nasdip_engine.genome.genome import REPRESENTATIONS, Genome, genome_length
from nasdip_engine.genome.phenotype import Stage
from nasdip_engine.seeding import generator
from tests.engine.strategies import genomes


@pytest.mark.parametrize(("units", "length"), [(1, 18), (5, 170), (6, 228), (8, 368)])
def test_a_genome_has_as_many_bits_as_the_paper_says(units: int, length: int) -> None:
    assert genome_length(units) == length == units * (14 + 4 * units)
    assert genome_length(units, "asymt") == length + 2
    assert genome_length(units, "sym") == 10 * units


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@given(data=st.data())
def test_text_form_round_trips(representation: str, data: st.DataObject) -> None:
    genome = data.draw(genomes(representation=representation))
    assert Genome.parse(genome.text) == genome
    name, units, digits = genome.text.split(":")
    assert len(digits) == -(-len(genome.bits) // 4)
    assert Genome.parse(f"{name}:{units}:{digits.upper()}") == genome


def test_fields_are_read_most_significant_bit_first_in_the_order_of_the_paper() -> None:
    # E: active, f = 2 * 0b011 + 1, h = 2 ** (0b101 - 1); own path 0b1001; D: f = 2 * 0b110 + 1, h = 2 ** 0
    genome = Genome("asym", 1, tuple(int(bit) for bit in "0011101" + "1001" + "0110001"))
    phenotype = genome.phenotype()
    assert phenotype.encoders == (Stage(kernel=7, filters=16),)
    assert phenotype.decoders == (Stage(kernel=13, filters=1),)
    assert phenotype.skips == ((0, 0, 9),)
    assert genome.text == "asym:1:" + f"{int('001110110010110001', 2):05x}"


def test_skip_group_i_of_unit_n_leads_to_decoder_i() -> None:
    stage = "0001001"
    first, second = "0000" + "0011", "0101" + "0000"
    bits = stage + first + stage + stage + second + stage
    assert Genome("asym", 2, tuple(map(int, bits))).phenotype().skips == ((0, 1, 3), (1, 0, 5))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "can't be read"),
        ("bogus:5:00", "'bogus' is unknown"),
        ("sym:5:0", "50 bits, so 13 digits"),
        ("sym:5:4000000000000", "padding must be 0"),
        ("asymt:5:0", "172 bits, so 43 digits"),
        ("asym.2:5:0", "'asym.2' is unknown"),
        ("symt:5:0", "known: asym, asymt, sym"),
        ("sym:9:0", "allowed is 1 to 8"),
        ("asym:0:0", "allowed is 1 to 8"),
        ("asym:9:0", "allowed is 1 to 8"),
        ("asym:1:1234", "so 5 digits"),
        ("asym:1:4ffff", "padding must be 0"),
        ("asym:1:0000g", "can't be read"),
        ("asym:1:00000\n", "can't be read"),
        ("asym:1: 0000", "can't be read"),
        ("asym:١:00000", "can't be read"),
    ],
)
def test_anything_else_is_refused_with_a_sentence(text: str, complaint: str) -> None:
    with pytest.raises(GenomeError, match=complaint):
        Genome.parse(text)


def test_bits_of_another_length_are_no_genome() -> None:
    with pytest.raises(GenomeError, match="18 bits"):
        Genome("asym", 1, (0, 1, 0))


def test_random_genomes_repeat_with_their_generator_and_differ_with_another() -> None:
    drawn = [Genome.random(5, generator(7, "generation", number)) for number in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def _is_valid(genome: Genome) -> bool:
    try:
        genome.phenotype()
    except InvalidPhenotype:
        return False
    return True


@pytest.mark.parametrize("units", range(1, 9))
def test_exact_share_of_valid_genomes(units: int) -> None:
    """((15/16)^N - (1/2)^N)^2, by counting.

    Whether a genome is valid depends on each stage's kind alone (bypassed, active with or without filters):
    the decoder is asked about every combination of kinds of one side beside a valid other side, and each
    combination is weighed with the exact number of bit patterns that it stands for.
    """
    kinds = {"1000000": 64, "0000000": 8, "0000001": 56}  # one pattern of each kind, and how many there are
    assert sum(kinds.values()) == 2**7

    def built(encoders: tuple[str, ...], decoders: tuple[str, ...]) -> Genome:
        gates = "0000" * units
        units_text = (e + gates + d for e, d in zip(encoders, decoders, strict=True))
        return Genome("asym", units, tuple(map(int, "".join(units_text))))

    sound = ("0000001",) * units
    share = Fraction(1)
    for side in (0, 1):
        valid = 0
        for combination in product(kinds, repeat=units):
            weight = 1
            for kind in combination:
                weight *= kinds[kind]
            genome = built(combination, sound) if side == 0 else built(sound, combination)
            valid += weight * _is_valid(genome)
        share *= Fraction(valid, 2 ** (7 * units))
    assert share == (Fraction(15, 16) ** units - Fraction(1, 2) ** units) ** 2
    if units == 5:
        assert round(float(share), 3) == 0.480


@pytest.mark.parametrize("units", [1])
def test_share_of_valid_genomes_by_every_genome_there_is(units: int) -> None:
    length = genome_length(units)
    valid = sum(
        _is_valid(Genome("asym", units, tuple((value >> place) & 1 for place in reversed(range(length)))))
        for value in range(2**length)
    )
    assert Fraction(valid, 2**length) == (Fraction(15, 16) - Fraction(1, 2)) ** 2


def test_kinds_of_a_stage_are_all_that_validity_depends_on() -> None:
    """The premise of the count above: skip bits and the other bits of a stage change nothing."""
    for number in range(300):
        rng = generator(number, "premise")
        genome = Genome.random(3, rng)
        bits = list(genome.bits)
        length = REPRESENTATIONS["asym"].unit_length(3)
        for unit in range(3):
            for start in (unit * length, (unit + 1) * length - 7):
                bits[start + 1 : start + 4] = [int(bit) for bit in rng.integers(0, 2, 3)]  # filter size
            bits[unit * length + 7 : (unit + 1) * length - 7] = [int(bit) for bit in rng.integers(0, 2, 12)]
        assert _is_valid(genome) == _is_valid(Genome("asym", 3, tuple(bits)))
