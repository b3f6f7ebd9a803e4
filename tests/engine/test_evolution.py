"""Breeding as the paper describes it (sec. 3.2.1 and 3.2.2)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasdip_engine.evolution.breeding import TRIES, breed, crossover, draw_until, mutate, selection_weights
from nasdip_engine.evolution.settings import SearchSettings
from nasdip_engine.genome.genome import REPRESENTATIONS, Genome, genome_length
from nasdip_engine.seeding import generator
from tests.engine.strategies import genomes


def settings(population: int, **changed: object) -> SearchSettings:
    values: dict[str, object] = {
        "preset": "preview",
        "population": population,
        "generations": 5,
        "iterations": 10,
        "final_iterations": 10,
        "finalists": 1,
        "cost_cap": 0,
        "units": 5,
        "redraw": False,
        **changed,
    }
    return SearchSettings(**values)  # type: ignore[arg-type]


def population(count: int, units: int = 5) -> list[Genome]:
    rng = generator(1, "test population", count)
    return [Genome.random(units, rng) for _ in range(count)]


def falling(count: int) -> list[float]:
    return [1 - place / (2 * count) for place in range(count)]


@pytest.mark.parametrize(
    ("count", "expected"),
    [(2, 1), (12, 1), (20, 1), (21, 2), (40, 2), (100, 5), (500, 25), (501, 26), (1000, 50)],
)
def test_elites_and_culled_are_five_per_cent_rounded_up(count: int, expected: int) -> None:
    assert settings(count).elites == settings(count).culled == expected


def test_shares_are_counted_as_written() -> None:
    assert settings(100, elite_share=0.07).elites == 7  # 0.07 * 100 is 7.000000000000001
    assert settings(100, elite_share=0.0, cull_share=0.0).elites == 1
    assert settings(2, cull_share=0.5).culled == 1


@pytest.mark.parametrize("selection", ["rank", "fitness", "tournament"])
@pytest.mark.parametrize("count", [2, 21, 100])
def test_elite_passes_unperturbed(selection: str, count: int) -> None:
    asked = settings(count, selection=selection, mutation_rate=1.0)
    ranked = population(count)
    bred = breed(ranked, falling(count), asked, generator(3, "breed"))
    assert len(bred) == count
    assert bred[: asked.elites] == tuple(ranked[: asked.elites])
    assert not set(bred[asked.elites :]) & set(ranked[: asked.elites])


@pytest.mark.parametrize("selection", ["rank", "fitness", "tournament"])
def test_as_many_of_the_worst_as_the_cull_share_says_never_breed(selection: str) -> None:
    """Without mutation and with one unit a child is a copy of its second parent: it shows who bred."""
    ranked = population(40, units=1)
    assert len(set(ranked)) == 40
    bred: set[Genome] = set()
    asked = settings(40, units=1, mutation_rate=0.0, cull_share=0.25, selection=selection)
    for number in range(60):
        bred |= set(breed(ranked, falling(40), asked, generator(number, "breed")))
    assert not bred & set(ranked[30:])
    assert len(bred) > (25 if selection != "tournament" else 20)


@pytest.mark.parametrize("selection", ["rank", "fitness", "tournament"])
def test_what_has_no_fitness_never_breeds_but_elites_do(selection: str) -> None:
    ranked = population(20, units=1)
    fitness = [0.9, 0.8, 0.7] + [0.0] * 17
    asked = settings(20, units=1, mutation_rate=0.0, selection=selection)
    bred = [
        genome for number in range(20) for genome in breed(ranked, fitness, asked, generator(number, "b"))[1:]
    ]
    assert set(bred) == set(ranked[:3])


def test_selection_by_fitness_is_proportional() -> None:
    """p = f / sum f: 3000 draws of an individual with p = 0.6 lie within five standard deviations."""
    ranked, fitness = population(4, units=1), [0.6, 0.3, 0.1, 0.0]
    asked = settings(4, units=1, mutation_rate=0.0, selection="fitness")
    bred = [breed(ranked, fitness, asked, generator(number, "p"))[1:] for number in range(1000)]
    children = [genome for three in bred for genome in three]
    for parent, share in zip(ranked, fitness, strict=True):
        spread = 5 * math.sqrt(3000 * share * (1 - share))
        assert abs(children.count(parent) - 3000 * share) <= spread


def test_rank_selection_ignores_how_close_the_fitnesses_are() -> None:
    assert selection_weights([0.3001, 0.3, 0.2999, 0.0], "rank") == [3, 2, 1, 0]
    assert selection_weights([0.9, 0.2, 0.1, 0.0], "rank") == [3, 2, 1, 0]


def test_a_population_without_fitness_can_not_breed() -> None:
    with pytest.raises(ValueError, match="can't breed"):
        breed(population(4), [0.0] * 4, settings(4), generator(1, "b"))


@given(genomes(units=5), genomes(units=5), st.integers(1, 5))
def test_crossover_cuts_only_between_units(first: Genome, second: Genome, splice: int) -> None:
    child = crossover(first, second, splice)
    length = REPRESENTATIONS["asym"].unit_length(5)
    for unit in range(5):
        parent = first if unit + 1 < splice else second
        place = slice(unit * length, (unit + 1) * length)
        assert child.bits[place] == parent.bits[place]


@given(genomes(), st.data())
def test_splice_point_one_copies_the_second_parent_whole(first: Genome, data: st.DataObject) -> None:
    second = data.draw(genomes(units=first.units))
    assert crossover(first, second, 1) == second


@pytest.mark.parametrize("splice", [0, 6])
def test_there_is_no_splice_point_outside_the_units(splice: int) -> None:
    first, second = population(2)
    with pytest.raises(ValueError, match="1 to 5"):
        crossover(first, second, splice)


def test_all_splice_points_occur_and_are_about_as_frequent() -> None:
    """Two parents that differ in every bit, no mutation: the child shows the splice point."""
    length = genome_length(5)
    zeros, ones = Genome("asym", 5, (0,) * length), Genome("asym", 5, (1,) * length)
    seen = dict.fromkeys(range(1, 6), 0)
    unit = length // 5
    mixed = 0
    # One is always culled, so a third individual is needed for two to be parents.
    asked = settings(3, mutation_rate=0.0, selection="fitness")
    for number in range(2000):
        child = breed([zeros, ones, zeros], [0.5, 0.5, 0.1], asked, generator(number, "splice"))[1]
        if len(set(child.bits)) == 2:
            border = next(place for place in range(length) if child.bits[place] != child.bits[0])
            assert border % unit == 0
            seen[border // unit + 1] += 1
            mixed += 1
    assert seen.pop(1) == 0
    assert 700 < mixed < 900  # parents differ in half of the draws, S = 1 hides a fifth of those
    assert all(abs(count - mixed / 4) < 5 * math.sqrt(mixed * 3 / 16) for count in seen.values())


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.5])
def test_mutation_flips_each_bit_at_its_rate(rate: float) -> None:
    """600 genomes of 170 bits: the count of flips lies within five standard deviations of the binomial's."""
    genome = population(1)[0]
    rng = generator(11, "mutation")
    flips = [
        sum(a != b for a, b in zip(genome.bits, mutate(genome, rate, rng).bits, strict=True))
        for _ in range(600)
    ]
    trials = 600 * 170
    assert abs(sum(flips) - trials * rate) <= 5 * math.sqrt(trials * rate * (1 - rate))
    assert len(set(flips)) > 5  # bits flip one by one, not a fixed number of them


def test_mutation_at_the_ends_of_its_range() -> None:
    genome = population(1)[0]
    assert mutate(genome, 0.0, generator(1, "m")) == genome
    assert mutate(genome, 1.0, generator(1, "m")).bits == tuple(1 - bit for bit in genome.bits)


def test_breeding_is_a_function_of_its_arguments() -> None:
    ranked, fitness, asked = population(30), falling(30), settings(30)
    first, second = (breed(ranked, fitness, asked, generator(5, "generation", 2)) for _ in range(2))
    assert first == second != breed(ranked, fitness, asked, generator(6, "generation", 2))


def test_drawing_again_is_bounded() -> None:
    drawn = population(TRIES + 5)
    offered = iter(drawn)
    assert draw_until(lambda genome: genome == drawn[3], lambda: next(offered)) == drawn[3]
    offered = iter(drawn)
    assert draw_until(lambda _: False, lambda: next(offered)) == drawn[TRIES - 1]
