"""Genomes: constant-length bit strings, their text form, and the networks they decode to (paper, sec. 3.1).

Layout of one unit of the asymmetric representation, most significant bit first:

    E^s 1 | E^f 3 | E^h 3 | R_n 4N | D^s 1 | D^f 3 | D^h 3        14 + 4N bits, N units

Filter size f = 2v + 1; filters h = 2^(v-1), none for v = 0; s = 1 bypasses the stage; each of the N groups
of R_n holds the channels of the skip path from E_n to D_i, 0 for no path.  (The paper's sentence "skip gate
is open if r = 0" and its figure differ; a path of 0 channels can't exist, so 0 is read as no path.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from nasdip_engine.errors import GenomeError, InvalidPhenotype
from nasdip_engine.genome.phenotype import Phenotype, Skip, Stage

__all__ = ["MAX_UNITS", "REPRESENTATIONS", "Bits", "Genome", "Representation", "encode", "genome_length"]

MAX_UNITS = 8
Bits = tuple[int, ...]
_STAGE = 7  # bits of one stage: bypass 1, filter size 3, filters 3
_GATE = 4  # bits of one skip path


@dataclass(frozen=True, slots=True)
class Representation:
    """How bits of one named kind are laid out and read.

    unit_length: bits of one unit, given the number of units; crossover splices only at its multiples.
    decode: (bits, units) -> Phenotype, raises InvalidPhenotype.  encode: the inverse, dead bits 0.
    """

    name: str
    unit_length: Callable[[int], int]
    decode: Callable[[Bits, int], Phenotype]
    encode: Callable[[Phenotype], Bits]

    def length(self, units: int) -> int:
        """Bits of a whole genome."""
        return units * self.unit_length(units)


def _number(bits: Bits) -> int:
    value = 0
    for bit in bits:
        value = 2 * value + bit
    return value


def _bits(value: int, width: int) -> Bits:
    return tuple((value >> place) & 1 for place in reversed(range(width)))


def _read_stage(bits: Bits, name: str) -> Stage | None:
    if bits[0]:
        return None
    filters = _number(bits[4:7])
    if filters == 0:
        raise InvalidPhenotype(f"stage {name} is active but has no filters")
    return Stage(kernel=2 * _number(bits[1:4]) + 1, filters=2 ** (filters - 1))


def _decode_asymmetric(bits: Bits, units: int) -> Phenotype:
    length = _STAGE + _GATE * units + _STAGE
    encoders: list[Stage | None] = []
    decoders: list[Stage | None] = []
    gates: list[Skip] = []
    for unit in range(units):
        own = bits[unit * length : (unit + 1) * length]
        encoders.append(_read_stage(own[:_STAGE], f"E{unit + 1}"))
        decoders.append(_read_stage(own[-_STAGE:], f"D{unit + 1}"))
        gates += [
            (unit, target, _number(own[_STAGE + _GATE * target : _STAGE + _GATE * (target + 1)]))
            for target in range(units)
        ]
    live = tuple(gate for gate in gates if gate[2] and encoders[gate[0]] and decoders[gate[1]])
    return Phenotype(units, tuple(encoders), tuple(decoders), live)


def _write_stage(stage: Stage | None) -> Bits:
    if stage is None:
        return (1, 0, 0, 0, 0, 0, 0)
    if stage.kernel not in range(1, 16, 2) or stage.filters not in (1, 2, 4, 8, 16, 32, 64):
        raise GenomeError(
            f"a stage of {stage.filters} filters of {stage.kernel} x {stage.kernel} has no genome; "
            "sizes are odd from 1 to 15, filters powers of two from 1 to 64"
        )
    return (0, *_bits(stage.kernel // 2, 3), *_bits(stage.filters.bit_length(), 3))


def _encode_asymmetric(phenotype: Phenotype) -> Bits:
    channels = {(encoder, decoder): count for encoder, decoder, count in phenotype.skips}
    bits: list[int] = []
    for unit in range(phenotype.units):
        bits += _write_stage(phenotype.encoders[unit])
        for target in range(phenotype.units):
            count = channels.get((unit, target), 0)
            if count > 15:
                raise GenomeError(f"a skip path of {count} channels has no genome; the most is 15")
            bits += _bits(count, _GATE)
        bits += _write_stage(phenotype.decoders[unit])
    return tuple(bits)


def _asymmetric_unit_length(units: int) -> int:
    return 2 * _STAGE + _GATE * units


REPRESENTATIONS: Mapping[str, Representation] = MappingProxyType(
    {"asym": Representation("asym", _asymmetric_unit_length, _decode_asymmetric, _encode_asymmetric)}
)
"""Every representation by the name that begins its text form."""

_TEXT = re.compile(r"(?P<name>[a-z]+):(?P<units>[0-9]+):(?P<hex>[0-9a-fA-F]+)", re.ASCII)


def genome_length(units: int, representation: str = "asym") -> int:
    """Bits of a genome: N(14 + 4N) for the asymmetric one."""
    return REPRESENTATIONS[representation].length(units)


@dataclass(frozen=True, slots=True)
class Genome:
    """One individual's bits.  Raises GenomeError where name, units and bits don't belong together."""

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
            raise GenomeError(f"genome {text[:80]!r} can't be read; write it as asym:UNITS:HEX")
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
        return cls(name, units, _bits(value, length))

    @property
    def text(self) -> str:
        """The canonical text form, lower-case hex."""
        return f"{self.representation}:{self.units}:{_number(self.bits):0{-(-len(self.bits) // 4)}x}"

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
