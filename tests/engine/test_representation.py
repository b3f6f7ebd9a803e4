"""The three representations behind one interface: layout, round trips, share of valid genomes, crossover.

What holds for the asymmetric one alone stands in test_genome and test_phenotype.
"""

from __future__ import annotations

import ast
import hashlib
import math
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import settings as checking
from hypothesis import strategies as st

import nasdip_engine
from nasdip_engine.errors import GenomeError, InvalidPhenotype
from nasdip_engine.evolution.breeding import breed, crossover, mutate
from nasdip_engine.evolution.settings import settings_for, task_for
from nasdip_engine.genome.diagram import architecture_svg
from nasdip_engine.genome.genome import REPRESENTATIONS, Genome, encode, genome_length
from nasdip_engine.genome.phenotype import Phenotype, Stage
from nasdip_engine.genome.starters import plain, starters
from nasdip_engine.restoration.network import build
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task, TaskKind
from tests.engine.strategies import genomes, phenotypes_of

ALL = list(REPRESENTATIONS)


def from_text(representation: str, units: int, *fields: str) -> Genome:
    return Genome(representation, units, tuple(map(int, "".join(fields))))


def is_valid(genome: Genome) -> bool:
    try:
        genome.phenotype()
    except InvalidPhenotype:
        return False
    return True


# ------------------------------------------------------------------------------------------------- layout


def test_a_symmetric_unit_is_size_filters_and_own_path() -> None:
    # f = 2 * 0b011 + 1, h = 2 ** (0b101 - 1), rho = 0b1001; then f = 1, h = 1, no path
    genome = from_text("sym", 2, "011", "101", "1001", "000", "001", "0000")
    first, second = Stage(kernel=7, filters=16), Stage(kernel=1, filters=1)
    assert genome.phenotype() == Phenotype(2, (first, second), (first, second), ((0, 0, 9),))
    assert genome.text == "sym:2:" + f"{int('01110110010000010000', 2):05x}"


@pytest.mark.parametrize(("t", "iterations"), [("01", 500), ("10", 1500), ("11", 3500)])
def test_the_last_two_bits_say_how_many_iterations(t: str, iterations: int) -> None:
    network = plain(3)
    genome = Genome("asymt", 3, encode(network).bits + tuple(map(int, t)))
    assert genome.phenotype() == replace(network, epochs=iterations)
    assert genome.phenotype().iterations(otherwise=7) == iterations
    assert network.iterations(otherwise=7) == 7


def test_no_iterations_no_network() -> None:
    genome = Genome("asymt", 3, (*encode(plain(3)).bits, 0, 0))
    with pytest.raises(InvalidPhenotype, match="T is 0"):
        genome.phenotype()


@pytest.mark.parametrize("place", range(3))
def test_a_symmetric_unit_without_filters_is_invalid_wherever_it_stands(place: int) -> None:
    units = ["000" + "001" + "1111"] * 3
    units[place] = "111" + "000" + "1111"
    with pytest.raises(InvalidPhenotype, match=f"D{place + 1} is active but has no filters"):
        from_text("sym", 3, *units).phenotype()


def test_digests_without_epochs_are_those_from_before_there_were_any() -> None:
    canonical = '{"decoders":[[3,16],[3,16]],"encoders":[[3,16],[3,16]],"skips":[[0,0,4],[1,1,4]],"units":2}'
    network = plain(2)
    assert network.digest == hashlib.sha256(canonical.encode()).hexdigest()
    assert "epochs" not in network.to_json()
    digests = {replace(network, epochs=epochs).digest for epochs in (None, 500, 1500, 3500)}
    assert len(digests) == 4


# ------------------------------------------------------------------------------------ round trips, meaning


@pytest.mark.parametrize("representation", ALL)
@given(data=st.data())
def test_decoding_the_encoded_gives_the_same_network(representation: str, data: st.DataObject) -> None:
    phenotype = data.draw(phenotypes_of(representation))
    genome = encode(phenotype, representation)
    assert genome.phenotype() == phenotype
    again = Genome.parse(genome.text).phenotype()
    assert again.digest == phenotype.digest
    assert Phenotype.from_json(again.to_json()) == phenotype


@pytest.mark.parametrize("representation", ALL)
@given(st.integers(1, 8), st.integers(0, 2**31 - 1))
@checking(deadline=None)
def test_encoding_the_decoded_gives_the_genome_without_its_dead_bits(
    representation: str, units: int, seed: int
) -> None:
    rng = generator(seed, "genome")
    genome = Genome.random(units, rng, representation)
    while not is_valid(genome):
        genome = Genome.random(units, rng, representation)
    canonical = encode(genome.phenotype(), representation)
    assert canonical.phenotype() == genome.phenotype()
    assert not any(plainer > drawn for plainer, drawn in zip(canonical.bits, genome.bits, strict=True))


@given(phenotypes_of("sym"), st.data())
def test_a_symmetric_genome_has_no_dead_bits(phenotype: Phenotype, data: st.DataObject) -> None:
    bits = list(encode(phenotype, "sym").bits)
    bits[data.draw(st.integers(0, len(bits) - 1))] ^= 1
    other = Genome("sym", phenotype.units, tuple(bits))
    assert not is_valid(other) or other.phenotype().digest != phenotype.digest


def _output(genome: Genome, side: int = 32) -> np.ndarray:
    phenotype = genome.phenotype()
    network = build(phenotype, side, side, 4, generator(3, "weights", phenotype.digest))
    z = generator(3, "input").random((1, 4, side, side), dtype=np.float32)
    with torch.no_grad():
        return network(torch.from_numpy(z)).numpy()


def _dead(genome: Genome) -> list[int]:
    """Bits that can be flipped without changing the network."""
    places = []
    for place in range(len(genome.bits)):
        bits = list(genome.bits)
        bits[place] ^= 1
        flipped = Genome(genome.representation, genome.units, tuple(bits))
        if is_valid(flipped) and flipped.phenotype() == genome.phenotype():
            places.append(place)
    return places


@pytest.mark.parametrize("representation", ["asym", "asymt"])  # a symmetric genome has no dead bits
@checking(max_examples=8, deadline=None)
@given(data=st.data())
def test_genomes_that_differ_in_dead_bits_have_bit_equal_output(
    representation: str, data: st.DataObject
) -> None:
    genome = encode(data.draw(phenotypes_of(representation, most_units=2)), representation)
    dead = _dead(genome)
    assume(dead)
    bits = list(genome.bits)
    for place in data.draw(st.sets(st.sampled_from(dead), min_size=1)):
        bits[place] ^= 1
    twin = Genome(representation, genome.units, tuple(bits))
    assert twin != genome
    assert twin.phenotype() == genome.phenotype()
    assert np.array_equal(_output(twin), _output(genome))


# ------------------------------------------------------------------------------------------ valid genomes


@pytest.mark.parametrize("units", range(1, 9))
def test_exact_share_of_valid_genomes(units: int) -> None:
    """asymt: three quarters of the asymmetric share, since T = 0 is invalid; sym: (7/8)^N."""
    for t, alive in product(range(4), (True, False)):
        network = encode(plain(units)).bits if alive else (0,) * genome_length(units)
        genome = Genome("asymt", units, (*network, t >> 1, t & 1))
        assert is_valid(genome) == (alive and t > 0)
    # A symmetric unit's other bits don't matter: by every value of (f, rho) for dead and living filters.
    for f, rho in product(range(8), range(16)):
        others = f"{f:03b}", f"{rho:04b}"
        for filters in range(8):
            unit = f"{others[0]}{filters:03b}{others[1]}"
            assert is_valid(from_text("sym", 1, unit)) == (filters > 0)
    sound, dead = "0000010000", "0000000000"
    valid = sum(
        is_valid(from_text("sym", units, *("".join(kinds),))) * 7 ** kinds.count(sound)
        for kinds in product((sound, dead), repeat=units)
    )
    assert Fraction(valid, 8**units) == Fraction(7, 8) ** units


@pytest.mark.parametrize(
    ("representation", "share"),
    [
        ("asym", ((15 / 16) ** 5 - (1 / 2) ** 5) ** 2),
        ("asymt", 0.75 * ((15 / 16) ** 5 - (1 / 2) ** 5) ** 2),
        ("sym", (7 / 8) ** 5),
    ],
)
def test_uniformly_drawn_genomes_are_valid_as_often_as_that(representation: str, share: float) -> None:
    """2000 draws of five units lie within five standard deviations."""
    rng = generator(5, "share", representation)
    valid = sum(is_valid(Genome.random(5, rng, representation)) for _ in range(2000))
    assert abs(valid - 2000 * share) <= 5 * math.sqrt(2000 * share * (1 - share))


# ------------------------------------------------------------------------------------------------ breeding


@pytest.mark.parametrize("representation", ALL)
@given(data=st.data())
def test_crossover_cuts_only_between_units(representation: str, data: st.DataObject) -> None:
    first = data.draw(genomes(representation=representation))
    second = data.draw(genomes(units=first.units, representation=representation))
    splice = data.draw(st.integers(1, first.units))
    child = crossover(first, second, splice)
    kind = REPRESENTATIONS[representation]
    length = kind.unit_length(first.units)
    for unit in range(first.units):
        parent = first if unit + 1 < splice else second
        own = slice(unit * length, (unit + 1) * length)
        assert child.bits[own] == parent.bits[own]
    assert child.bits[first.units * length :] == second.bits[first.units * length :]  # T comes with the tail
    assert len(child.bits) - first.units * length == kind.tail


@pytest.mark.parametrize("representation", ALL)
@given(st.floats(0.01, 0.5), st.integers(0, 2**31 - 1))
@checking(max_examples=30, deadline=None)
def test_mutation_flips_as_many_bits_as_its_rate_says(representation: str, rate: float, seed: int) -> None:
    """Within six standard deviations of the binomial's mean, over all and for the last two bits alone."""
    rng = generator(seed, "mutation")
    genome = Genome.random(5, rng, representation)
    flips = np.array(
        [np.not_equal(mutate(genome, rate, rng).bits, genome.bits) for _ in range(200)], dtype=np.int64
    )
    for counted in (flips, flips[:, -2:]):
        spread = math.sqrt(counted.size * rate * (1 - rate))
        assert abs(int(counted.sum()) - counted.size * rate) <= 6 * spread


@pytest.mark.parametrize("representation", ALL)
@given(st.integers(2, 60), st.integers(0, 2**31 - 1), st.sampled_from(["rank", "fitness", "tournament"]))
@checking(max_examples=30, deadline=None)
def test_the_best_pass_unperturbed_and_the_worst_never_breed(
    representation: str, count: int, seed: int, selection: str
) -> None:
    """One unit and no mutation: a child is its second parent whole, so children show who bred."""
    rng = generator(seed, "population")
    ranked = [Genome.random(1, rng, representation) for _ in range(count)]
    fitness = sorted(rng.random(count).tolist(), reverse=True)
    asked = settings_for(
        "paper",
        task_for("paper", Task(TaskKind.DENOISE)),
        {"population": count, "units": 1, "representation": representation, "selection": selection},
    )
    five_per_cent = max(1, -(-count // 20))
    assert asked.elites == asked.culled == five_per_cent
    bred = breed(ranked, fitness, replace(asked, mutation_rate=1.0), generator(seed, "breed"))
    assert len(bred) == count
    assert bred[:five_per_cent] == tuple(ranked[:five_per_cent])
    unmutated = breed(ranked, fitness, replace(asked, mutation_rate=0.0), generator(seed, "breed"))
    assert set(unmutated) <= set(ranked[: count - five_per_cent])


# ------------------------------------------------------------------------------------------------ starters


@pytest.mark.parametrize("units", range(1, 9))
@pytest.mark.parametrize("representation", ALL)
def test_every_representation_has_starters(representation: str, units: int) -> None:
    family = starters(units, representation)
    networks = [genome.phenotype() for genome in family]
    assert {genome.representation for genome in family} == {representation}
    assert len({network.digest for network in networks}) == len(networks) >= 4
    shortest = 500 if representation == "asymt" else None
    assert {network.epochs for network in networks} == {shortest}
    assert replace(plain(units), epochs=shortest) in networks[:4]  # what cost caps are multiples of
    asymmetric = {genome.phenotype().digest for genome in starters(units)}
    assert {replace(network, epochs=None).digest for network in networks} <= asymmetric


# ------------------------------------------------------------------------------- refusals, one interface


@pytest.mark.parametrize(
    ("phenotype", "representation", "complaint"),
    [
        (replace(plain(2), epochs=500), "asym", "asks for 500 iterations has no asym genome"),
        (replace(plain(2), epochs=500), "sym", "no sym genome"),
        (plain(2), "asymt", "allowed are 500, 1500, 3500"),
        (replace(plain(2), epochs=1000), "asymt", "1000 iterations"),
        (plain(2, encoder=Stage(5, 16)), "sym", "E1 and D1 differ"),
        (plain(2, bypassed=1), "sym", "E2 and D2 differ or are bypassed"),
        (replace(plain(2), skips=((0, 1, 4),)), "sym", "E1 to D2 has no sym genome"),
        (plain(2, skip=16), "sym", "the most is 15"),
    ],
)
def test_networks_that_a_representation_can_not_express_are_refused(
    phenotype: Phenotype, representation: str, complaint: str
) -> None:
    with pytest.raises(GenomeError, match=complaint):
        encode(phenotype, representation)


def test_versions_of_a_representation_have_keys_of_their_own() -> None:
    assert [kind.key for kind in REPRESENTATIONS.values()] == ["asym", "asymt", "sym"]
    assert replace(REPRESENTATIONS["sym"], version=2).key == "sym.2"


def test_the_diagram_tells_how_long_a_network_is_trained() -> None:
    assert "Trained for 1500 iterations" in architecture_svg(replace(plain(2), epochs=1500), title="t")
    assert "Trained for" not in architecture_svg(plain(2), title="t")


def test_nobody_but_the_registry_asks_which_representation_a_genome_has() -> None:
    """No comparison with a representation's name outside its own module: what differs is in the registry."""
    root = Path(nasdip_engine.__file__).parent.parent
    found = []
    for folder in ("nasdip_engine", "webapp", "gpu_worker"):
        for path in (root / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
                if any(isinstance(side, ast.Constant) and side.value in ALL for side in sides):
                    found.append(f"{path.relative_to(root)}:{node.lineno}")
    assert found == []
