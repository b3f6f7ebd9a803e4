"""Hypothesis strategies for the values that tests of the engine range over."""

from __future__ import annotations

from hypothesis import strategies as st

from nasdip_engine.genome.genome import Genome, genome_length
from nasdip_engine.genome.phenotype import Phenotype, Stage


@st.composite
def genomes(draw: st.DrawFn, units: int | None = None) -> Genome:
    size = units or draw(st.integers(1, 8))
    length = genome_length(size)
    value = draw(st.integers(0, 2**length - 1))
    return Genome("asym", size, tuple((value >> place) & 1 for place in reversed(range(length))))


stages = st.builds(Stage, st.sampled_from(range(1, 16, 2)), st.sampled_from([1, 2, 4, 8, 16, 32, 64]))


@st.composite
def phenotypes(draw: st.DrawFn) -> Phenotype:
    units = draw(st.integers(1, 8))
    sides = [draw(st.lists(st.none() | stages, min_size=units, max_size=units).filter(any)) for _ in range(2)]
    pairs = [(e, d) for e in range(units) for d in range(units) if sides[0][e] and sides[1][d]]
    channels = draw(st.lists(st.integers(0, 15), min_size=len(pairs), max_size=len(pairs)))
    skips = tuple((e, d, count) for (e, d), count in zip(pairs, channels, strict=True) if count)
    return Phenotype(units, tuple(sides[0]), tuple(sides[1]), skips)
