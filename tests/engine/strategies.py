"""Hypothesis strategies for the values that tests of the engine range over."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from nasdip_engine.genome.genome import Genome, genome_length
from nasdip_engine.genome.phenotype import Phenotype, Stage


@st.composite
def genomes(draw: st.DrawFn, units: int | None = None, representation: str = "asym") -> Genome:
    """Any bits; about half of them describe no network."""
    size = units or draw(st.integers(1, 8))
    length = genome_length(size, representation)
    value = draw(st.integers(0, 2**length - 1))
    return Genome(representation, size, tuple((value >> place) & 1 for place in reversed(range(length))))


stages = st.builds(Stage, st.sampled_from(range(1, 16, 2)), st.sampled_from([1, 2, 4, 8, 16, 32, 64]))


@st.composite
def phenotypes(draw: st.DrawFn, most_units: int = 8) -> Phenotype:
    """Networks of the asymmetric representation."""
    units = draw(st.integers(1, most_units))
    sides = [draw(st.lists(st.none() | stages, min_size=units, max_size=units).filter(any)) for _ in range(2)]
    pairs = [(e, d) for e in range(units) for d in range(units) if sides[0][e] and sides[1][d]]
    channels = draw(st.lists(st.integers(0, 15), min_size=len(pairs), max_size=len(pairs)))
    skips = tuple((e, d, count) for (e, d), count in zip(pairs, channels, strict=True) if count)
    return Phenotype(units, tuple(sides[0]), tuple(sides[1]), skips)


@st.composite
def symmetric_phenotypes(draw: st.DrawFn, most_units: int = 8) -> Phenotype:
    """Networks of the symmetric representation."""
    both = tuple(draw(st.lists(stages, min_size=1, max_size=most_units)))
    channels = draw(st.lists(st.integers(0, 15), min_size=len(both), max_size=len(both)))
    skips = tuple((unit, unit, count) for unit, count in enumerate(channels) if count)
    return Phenotype(len(both), both, both, skips)


def phenotypes_of(representation: str, most_units: int = 8) -> st.SearchStrategy[Phenotype]:
    """Networks that a representation can express."""
    with_length = st.builds(
        replace, phenotypes(most_units=most_units), epochs=st.sampled_from([500, 1500, 3500])
    )
    return {
        "asym": phenotypes(most_units=most_units),
        "asymt": with_length,
        "sym": symmetric_phenotypes(most_units=most_units),
    }[representation]
