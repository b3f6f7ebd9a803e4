"""Starter genomes: plain hand-made networks that take part in generation 0.

Most random genomes are poor: on one picture fourteen of them reached 14.5 to 28.4 dB where the first
network of this family reached 29.6 in the same time.  A departure from the paper, which starts from
uniform bits alone (sec. 3.2.1); a search says whether its winner is one of these.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from nasdip_engine.errors import GenomeError
from nasdip_engine.genome.cost import multiply_adds_per_pixel
from nasdip_engine.genome.genome import REPRESENTATIONS, Genome, encode
from nasdip_engine.genome.phenotype import Phenotype, Stage

__all__ = ["cheapest_starter", "plain", "starter_multiply_adds_per_pixel", "starters"]

_STAGE = Stage(kernel=3, filters=16)

# (encoder filters, encoder size, decoder filters, decoder size, bypassed inner units, skip channels),
# the most promising first: a small population takes only the head of the list. Wide skip paths and large encoder
# filters gain most in short fits of noise and strokes (docs/decisions/0007-starters-and-presets.md).
_FAMILY = (
    (32, 5, 16, 3, 0, 15),
    (16, 3, 16, 3, 0, 4),
    (64, 3, 16, 3, 0, 15),
    (32, 7, 16, 3, 0, 15),
    (32, 3, 16, 3, 0, 4),
    (16, 5, 16, 3, 0, 4),
    (16, 3, 16, 3, 1, 4),
    (16, 3, 16, 3, 0, 0),
    (32, 3, 32, 3, 0, 4),
    (16, 3, 8, 5, 0, 4),
    (8, 3, 8, 3, 0, 4),
    (16, 3, 16, 3, 2, 4),
    (8, 7, 8, 5, 0, 4),
    (16, 3, 32, 1, 0, 8),
    (32, 3, 16, 3, 2, 0),
    (8, 3, 16, 3, 0, 8),
)


def plain(
    units: int,
    *,
    encoder: Stage = _STAGE,
    decoder: Stage = _STAGE,
    bypassed: int = 0,
    skip: int = 4,
) -> Phenotype:
    """The same two stages in every unit, a skip path from each encoder stage to its own decoder stage.

    bypassed: how many of the innermost units stand out, so that the network is less deep; at least one
    unit stays.  skip: channels of each path, 0 for none.
    """
    active = max(1, units - bypassed)
    idle: tuple[Stage | None, ...] = (None,) * (units - active)
    paths = tuple((unit, unit, skip) for unit in range(active)) if skip else ()
    return Phenotype(units, (encoder,) * active + idle, (decoder,) * active + idle, paths)


@cache
def starters(units: int, representation: str = "asym") -> tuple[Genome, ...]:
    """Hand-made genomes of distinct networks, the most promising first.

    Those of the family that the representation can express: all of them in an asymmetric one, in the symmetric
    one those whose encoder and decoder stages are alike and that bypass nothing.  Where genomes say how long
    they are trained, starters ask for the shortest length.
    """
    lengths = REPRESENTATIONS[representation].lengths
    distinct: dict[str, Genome] = {}
    for outward, outward_size, inward, inward_size, bypassed, skip in _FAMILY:
        network = plain(
            units,
            encoder=Stage(outward_size, outward),
            decoder=Stage(inward_size, inward),
            bypassed=bypassed,
            skip=skip,
        )
        phenotype = replace(network, epochs=lengths[0] if lengths else None)
        try:
            distinct.setdefault(phenotype.digest, encode(phenotype, representation))
        except GenomeError:
            continue  # this representation has no such network
    return tuple(distinct.values())


def starter_multiply_adds_per_pixel(units: int, side: int, input_channels: int = 32) -> float:
    """Price of the plain network of 16 filters of 3 x 3: what the cost caps of the presets are multiples of."""
    return multiply_adds_per_pixel(plain(units), side, input_channels)


@cache
def cheapest_starter(units: int, side: int, input_channels: int = 32, representation: str = "asym") -> float:
    """The least price of a starter in multiply-adds a pixel: no cost cap may be under it."""
    return min(
        multiply_adds_per_pixel(genome.phenotype(), side, input_channels)
        for genome in starters(units, representation)
    )
