"""Sizes of the maps in a network. The one place of the small-size rule: building, pricing and memory read it here."""

from __future__ import annotations

from dataclasses import dataclass

from nasdip_engine.genome.phenotype import Phenotype

__all__ = ["MIN_SIDE", "Size", "StageSizes", "stage_sizes"]

MIN_SIDE = 4
"""A stage that would leave a side under this many pixels keeps its resolution: batch norm fails on 1 x 1."""

Size = tuple[int, int]
"""(height, width) in pixels."""


@dataclass(frozen=True, slots=True)
class StageSizes:
    """Sizes of the maps in a network, one entry a unit.

    received: what unit n's encoder stage receives; unit n's decoder stage restores exactly this size.
    produced: what unit n's encoder stage hands on (equal to received where bypassed).
    strides: 2, or 1 where the stage is bypassed or the small-size rule holds.
    decoded: what the last active decoder stage produces; another size than the output's where the first
        units' decoder stages are bypassed and their encoder stages are not: the head resamples then.
    """

    received: tuple[Size, ...]
    produced: tuple[Size, ...]
    strides: tuple[int, ...]
    decoded: Size


def stage_sizes(phenotype: Phenotype, height: int, width: int) -> StageSizes:
    """Sizes of all stages for an output of height x width pixels, each 32 or more (paper, fig. 2)."""
    received: list[Size] = []
    produced: list[Size] = []
    strides: list[int] = []
    size = (height, width)
    for stage in phenotype.encoders:
        received.append(size)
        halved = ((size[0] + 1) // 2, (size[1] + 1) // 2)
        halves = stage is not None and min(halved) >= MIN_SIDE
        strides.append(2 if halves else 1)
        size = halved if halves else size
        produced.append(size)
    outermost = next(unit for unit, stage in enumerate(phenotype.decoders) if stage)
    return StageSizes(tuple(received), tuple(produced), tuple(strides), received[outermost])
