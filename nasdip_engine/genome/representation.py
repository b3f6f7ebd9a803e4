"""How bits become networks: the representations of the paper's sec. 3.1 behind one interface, in one registry.

Most significant bit first; N units, numbered from the outside in:

    asym   NAS-DIP    E^s 1 | E^f 3 | E^h 3 | R_n 4N | D^s 1 | D^f 3 | D^h 3     N(14 + 4N) bits
    asymt  NAS-DIP-T  the same units, then t 2: T = 500 (2^t - 1)                N(14 + 4N) + 2 bits
    sym    symmetric  f 3 | h 3 | rho 4                                          10N bits

Filter size f = 2v + 1; filters h = 2^(v-1), none for v = 0; s = 1 bypasses the stage; each group of four bits
holds the channels of a skip path, 0 for no path, from E_n to D_i in R_n and from E_n to its own D_n in rho.
(The paper's sentence "skip gate is open if r = 0" and its figure differ; a path of 0 channels can't exist, so 0
is read as no path.)  In `sym` encoder and decoder stage share f and h and nothing is bypassed.

T counts training iterations: the data is one picture, so an epoch is an iteration.  T = 0 trains nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from nasdip_engine.errors import GenomeError, InvalidPhenotype
from nasdip_engine.genome.phenotype import Phenotype, Skip, Stage

__all__ = ["REPRESENTATIONS", "Bits", "Representation", "number_of", "to_bits"]

Bits = tuple[int, ...]
_SIZES = 6  # bits of filter size and filters
_STAGE = 1 + _SIZES  # and the bypass bit before them
_GATE = 4  # bits of one skip path
_MOST_CHANNELS = 2**_GATE - 1
_EPOCHS = 2  # bits of t


@dataclass(frozen=True, slots=True)
class Representation:
    """One kind of genome: how its bits are laid out and read.

    unit_length: bits of one unit, given the number of units; crossover splices only at its multiples.
    tail: bits after the last unit, which a child has from the parent that gave the last unit.
    lengths: training iterations that a genome can ask for, the shortest first; empty where the settings decide.
    decode: (bits, units) -> Phenotype, raises InvalidPhenotype.
    encode: the inverse, dead bits 0; raises GenomeError for a network that this kind can't express.
    """

    name: str
    unit_length: Callable[[int], int]
    decode: Callable[[Bits, int], Phenotype]
    encode: Callable[[Phenotype], Bits]
    tail: int = 0
    lengths: tuple[int, ...] = ()
    version: int = 1

    @property
    def key(self) -> str:
        """What begins the text form and stands in settings: the name, from version 2 on ``name.2``."""
        return self.name if self.version == 1 else f"{self.name}.{self.version}"

    def length(self, units: int) -> int:
        """Bits of a whole genome."""
        return units * self.unit_length(units) + self.tail


def number_of(bits: Bits) -> int:
    """The number that bits write, most significant first."""
    value = 0
    for bit in bits:
        value = 2 * value + bit
    return value


def to_bits(value: int, width: int) -> Bits:
    """The inverse of number_of."""
    return tuple((value >> place) & 1 for place in reversed(range(width)))


def _read_sizes(bits: Bits, name: str) -> Stage:
    filters = number_of(bits[3:])
    if filters == 0:
        raise InvalidPhenotype(f"stage {name} is active but has no filters")
    return Stage(kernel=2 * number_of(bits[:3]) + 1, filters=2 ** (filters - 1))


def _write_sizes(stage: Stage) -> Bits:
    if stage.kernel not in range(1, 16, 2) or stage.filters not in (1, 2, 4, 8, 16, 32, 64):
        raise GenomeError(
            f"a stage of {stage.filters} filters of {stage.kernel} x {stage.kernel} has no genome; "
            "sizes are odd from 1 to 15, filters powers of two from 1 to 64"
        )
    return (*to_bits(stage.kernel // 2, 3), *to_bits(stage.filters.bit_length(), 3))


def _write_gate(channels: int) -> Bits:
    if channels > _MOST_CHANNELS:
        raise GenomeError(f"a skip path of {channels} channels has no genome; the most is {_MOST_CHANNELS}")
    return to_bits(channels, _GATE)


def _refuse_epochs(phenotype: Phenotype, name: str) -> None:
    if phenotype.epochs is not None:
        raise GenomeError(
            f"a network that asks for {phenotype.epochs} iterations has no {name} genome; asymt has them"
        )


# ------------------------------------------------------------------------------------ asymmetric (NAS-DIP)


def _asymmetric_unit_length(units: int) -> int:
    return 2 * _STAGE + _GATE * units


def _read_stage(bits: Bits, name: str) -> Stage | None:
    return None if bits[0] else _read_sizes(bits[1:], name)


def _write_stage(stage: Stage | None) -> Bits:
    return (0, *_write_sizes(stage)) if stage else (1, *(0,) * _SIZES)


def _decode_asymmetric(bits: Bits, units: int) -> Phenotype:
    length = _asymmetric_unit_length(units)
    encoders: list[Stage | None] = []
    decoders: list[Stage | None] = []
    gates: list[Skip] = []
    for unit in range(units):
        own = bits[unit * length : (unit + 1) * length]
        encoders.append(_read_stage(own[:_STAGE], f"E{unit + 1}"))
        decoders.append(_read_stage(own[-_STAGE:], f"D{unit + 1}"))
        gates += [
            (unit, target, number_of(own[_STAGE + _GATE * target : _STAGE + _GATE * (target + 1)]))
            for target in range(units)
        ]
    live = tuple(gate for gate in gates if gate[2] and encoders[gate[0]] and decoders[gate[1]])
    return Phenotype(units, tuple(encoders), tuple(decoders), live)


def _encode_asymmetric(phenotype: Phenotype) -> Bits:
    _refuse_epochs(phenotype, "asym")
    channels = {(encoder, decoder): count for encoder, decoder, count in phenotype.skips}
    bits: list[int] = []
    for unit in range(phenotype.units):
        bits += _write_stage(phenotype.encoders[unit])
        for target in range(phenotype.units):
            bits += _write_gate(channels.get((unit, target), 0))
        bits += _write_stage(phenotype.decoders[unit])
    return tuple(bits)


# ------------------------------------------------------------------------- with epoch count (NAS-DIP-T)


def _iterations(t: int) -> int:
    return int(500 * (2**t - 1))


_LENGTHS = tuple(_iterations(t) for t in range(1, 2**_EPOCHS))


def _decode_with_epochs(bits: Bits, units: int) -> Phenotype:
    network = _decode_asymmetric(bits[:-_EPOCHS], units)
    t = number_of(bits[-_EPOCHS:])
    if t == 0:
        raise InvalidPhenotype("T is 0: the network would be trained for no iteration")
    return replace(network, epochs=_iterations(t))


def _encode_with_epochs(phenotype: Phenotype) -> Bits:
    if phenotype.epochs not in _LENGTHS:
        told = "no" if phenotype.epochs is None else str(phenotype.epochs)
        raise GenomeError(
            f"a network that asks for {told} iterations has no asymt genome; "
            f"allowed are {', '.join(map(str, _LENGTHS))}"
        )
    t = _LENGTHS.index(phenotype.epochs) + 1
    return _encode_asymmetric(replace(phenotype, epochs=None)) + to_bits(t, _EPOCHS)


# --------------------------------------------------------------------------------------------- symmetric


def _symmetric_unit_length(_: int) -> int:
    return _SIZES + _GATE


def _decode_symmetric(bits: Bits, units: int) -> Phenotype:
    length = _symmetric_unit_length(units)
    own = [bits[unit * length : (unit + 1) * length] for unit in range(units)]
    stages = tuple(_read_sizes(part[:_SIZES], f"E{unit} = D{unit}") for unit, part in enumerate(own, start=1))
    gates = ((unit, unit, number_of(part[_SIZES:])) for unit, part in enumerate(own))
    return Phenotype(units, stages, stages, tuple(gate for gate in gates if gate[2]))


def _encode_symmetric(phenotype: Phenotype) -> Bits:
    _refuse_epochs(phenotype, "sym")
    channels = {encoder: count for encoder, _, count in phenotype.skips}
    bits: list[int] = []
    for unit, (encoder, decoder) in enumerate(zip(phenotype.encoders, phenotype.decoders, strict=True)):
        if encoder is None or encoder != decoder:
            raise GenomeError(
                f"E{unit + 1} and D{unit + 1} differ or are bypassed; a sym genome has one active stage for both"
            )
        bits += (*_write_sizes(encoder), *_write_gate(channels.get(unit, 0)))
    for start, end, _ in phenotype.skips:
        if start != end:
            raise GenomeError(
                f"the skip path E{start + 1} to D{end + 1} has no sym genome; it leads to the own decoder only"
            )
    return tuple(bits)


_ALL = (
    Representation("asym", _asymmetric_unit_length, _decode_asymmetric, _encode_asymmetric),
    Representation(
        "asymt",
        _asymmetric_unit_length,
        _decode_with_epochs,
        _encode_with_epochs,
        tail=_EPOCHS,
        lengths=_LENGTHS,
    ),
    Representation("sym", _symmetric_unit_length, _decode_symmetric, _encode_symmetric),
)

REPRESENTATIONS: Mapping[str, Representation] = MappingProxyType({one.key: one for one in _ALL})
"""Every representation by what begins its text form: name and version."""
