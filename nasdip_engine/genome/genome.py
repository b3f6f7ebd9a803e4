"""Genomes: constant-length bit strings and their text form ``asym:5:HEX`` (paper, sec. 3.1).

What the bits of each representation mean stands in `representation`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from nasdip_engine.errors import GenomeError
from nasdip_engine.genome.phenotype import Phenotype
from nasdip_engine.genome.representation import REPRESENTATIONS, Bits, Representation, number_of, to_bits

__all__ = ["MAX_UNITS", "REPRESENTATIONS", "Bits", "Genome", "Representation", "encode", "genome_length"]

MAX_UNITS = 8

_TEXT = re.compile(r"(?P<name>[a-z]+(?:\.[0-9]+)?):(?P<units>[0-9]+):(?P<hex>[0-9a-fA-F]+)", re.ASCII)


def genome_length(units: int, representation: str = "asym") -> int:
    """Bits of a genome: N(14 + 4N) for the asymmetric one, 2 more with epochs, 10N for the symmetric one."""
    return REPRESENTATIONS[representation].length(units)


@dataclass(frozen=True, slots=True)
class Genome:
    """One individual's bits, of which `phenotype` makes a network (paper, sec. 3.1).

    representation: "asym", "asymt" or "sym".  units: N pairs of stages, 1 to 8.  bits: 0 or 1, as many as
    `genome_length(units, representation)`.  Raises GenomeError where name, units and bits don't belong together.
    """

    representation: str
    units: int
    bits: Bits

    def __post_init__(self) -> None:
        if self.representation not in REPRESENTATIONS:
            known = ", ".join(REPRESENTATIONS)
            raise GenomeError(f"{self.representation!r} is no genome representation; known: {known}")
        if not 1 <= self.units <= MAX_UNITS:
            raise GenomeError(f"a genome of {self.units} units; allowed is 1 to {MAX_UNITS}")
        expected = genome_length(self.units, self.representation)
        if len(self.bits) != expected or not set(self.bits) <= {0, 1}:
            raise GenomeError(f"{self.units} units need {expected} bits, each 0 or 1; got {len(self.bits)}")

    @classmethod
    def parse(cls, text: str) -> Genome:
        """Read ``asym:5:HEX``; hex digits of either case, left-padded with zero bits to whole nibbles.

        Raises GenomeError that says which part is wrong.
        """
        match = _TEXT.fullmatch(text)
        if not match:
            names = "|".join(REPRESENTATIONS)
            raise GenomeError(f"genome {text[:80]!r} can't be read; write it as {names}:UNITS:HEX")
        name, units, digits = match["name"], int(match["units"]), match["hex"]
        if name not in REPRESENTATIONS:
            known = ", ".join(REPRESENTATIONS)
            raise GenomeError(f"genome representation {name!r} is unknown; known: {known}")
        if not 1 <= units <= MAX_UNITS:
            raise GenomeError(f"genome with {units} units; allowed is 1 to {MAX_UNITS}")
        length = genome_length(units, name)
        nibbles = -(-length // 4)
        if len(digits) != nibbles:
            raise GenomeError(
                f"genome with {len(digits)} hex digits; {name}:{units} has {length} bits, so {nibbles} digits"
            )
        value = int(digits, 16)
        if value >> length:
            raise GenomeError(
                f"genome begins with {digits[0]!r}; {name}:{units} has {length} bits, the padding must be 0"
            )
        return cls(name, units, to_bits(value, length))

    @property
    def text(self) -> str:
        """The canonical text form, lower-case hex."""
        return f"{self.representation}:{self.units}:{number_of(self.bits):0{-(-len(self.bits) // 4)}x}"

    @classmethod
    def random(cls, units: int, rng: np.random.Generator, representation: str = "asym") -> Genome:
        """Uniform over all bit strings (paper, sec. 3.2.1); about half of them describe no network."""
        drawn = rng.integers(0, 2, size=genome_length(units, representation))
        return cls(representation, units, tuple(int(bit) for bit in drawn))

    def phenotype(self) -> Phenotype:
        """The network.  Raises InvalidPhenotype with the reason where there is none."""
        return REPRESENTATIONS[self.representation].decode(self.bits, self.units)


def encode(phenotype: Phenotype, representation: str = "asym") -> Genome:
    """The genome of a network with every meaningless bit 0.  Raises GenomeError where it has none."""
    return Genome(representation, phenotype.units, REPRESENTATIONS[representation].encode(phenotype))
