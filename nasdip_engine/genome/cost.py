"""Sizes and cost of a network at a picture size, known before any training.

The one place of the small-size rule: building a network and pricing it read the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from nasdip_engine.genome.phenotype import Phenotype

__all__ = ["MIN_SIDE", "Cost", "Size", "StageSizes", "cost", "multiply_adds_per_pixel", "stage_sizes"]

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


@dataclass(frozen=True, slots=True)
class Cost:
    """Price of one network at one size.

    parameters: numbers that are trained: convolution weights, batch norms, the head's bias.  Convolutions
        before a batch norm have no bias, which that would cancel.
    multiply_adds: of the convolutions in one forward pass; an iteration of training costs about three times
        that.
    peak_bytes: modelled memory of one training step in fp32: maps kept for the backward pass, parameters
        with gradient and Adam's two moments, without the library's own.
    """

    parameters: int
    multiply_adds: int
    peak_bytes: int


def cost(phenotype: Phenotype, height: int, width: int, input_channels: int = 32) -> Cost:
    """Price of a forward pass for an output of height x width pixels."""
    sizes = stage_sizes(phenotype, height, width)
    areas = [rows * columns for rows, columns in sizes.produced]
    parameters, operations, kept = 0, 0, input_channels * height * width
    channels = input_channels
    encoded: dict[int, int] = {}
    for unit, stage in enumerate(phenotype.encoders):
        if stage:
            weights = stage.kernel**2 * channels * stage.filters
            parameters += weights + 2 * stage.filters
            operations += weights * areas[unit]
            kept += 3 * stage.filters * areas[unit]  # convolution, batch norm, activation
            channels = stage.filters
        encoded[unit] = channels
    for unit in reversed(range(phenotype.units)):
        stage = phenotype.decoders[unit]
        if not stage:
            continue
        area = sizes.received[unit][0] * sizes.received[unit][1]
        for encoder, _, width_of_path in phenotype.skips_into(unit):
            weights = encoded[encoder] * width_of_path
            parameters += weights + 2 * width_of_path
            operations += weights * areas[encoder]
            kept += width_of_path * (3 * areas[encoder] + area)
            channels += width_of_path
        weights = stage.kernel**2 * channels * stage.filters
        parameters += weights + 2 * channels + 2 * stage.filters
        operations += weights * area
        # resampled, joined and normed; then convolution, batch norm, activation
        kept += (3 * channels + 3 * stage.filters) * area
        channels = stage.filters
    full = height * width
    if sizes.decoded != (height, width):
        kept += channels * full
    parameters += 3 * channels + 3
    operations += 3 * channels * full
    kept += 2 * 3 * full
    return Cost(parameters, operations, 4 * (kept + 4 * parameters))


def multiply_adds_per_pixel(phenotype: Phenotype, side: int, input_channels: int = 32) -> float:
    """Forward multiply-adds for each output pixel of a square of side pixels: the unit of the cost cap."""
    return cost(phenotype, side, side, input_channels).multiply_adds / side**2
