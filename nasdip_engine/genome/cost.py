"""Cost of a network at a picture size, known before any training."""

from __future__ import annotations

from dataclasses import dataclass

from nasdip_engine.genome.layout import Layout, layout
from nasdip_engine.genome.memory import live_bytes, peak_bytes
from nasdip_engine.genome.phenotype import Phenotype

__all__ = ["Cost", "cost", "multiply_adds_per_pixel"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Price of one network at one size.

    parameters: numbers that are trained: convolution weights, batch norms, the head's bias.  Convolutions
        before a batch norm have no bias, which that would cancel.
    multiply_adds: of the convolutions in one forward pass; an iteration of training costs about three times
        that.
    peak_bytes: modelled growth of a process's resident memory while it trains the network in fp32: maps kept for
        the backward pass, gradients, parameters with Adam's two moments, and what the library needs around them
        (docs/results/memory-model.md).
    """

    parameters: int
    multiply_adds: int
    peak_bytes: int


def cost(phenotype: Phenotype, height: int, width: int, input_channels: int = 32) -> Cost:
    """Price of a network for an output of height x width pixels, each 32 or more."""
    network = layout(phenotype, height, width, input_channels)
    parameters = _parameters(network)
    return Cost(parameters, _multiply_adds(network), peak_bytes(live_bytes(network, parameters)))


def multiply_adds_per_pixel(phenotype: Phenotype, side: int, input_channels: int = 32) -> float:
    """Forward multiply-adds for each output pixel of a square of side pixels: the unit of the cost cap."""
    return _multiply_adds(layout(phenotype, side, side, input_channels)) / side**2


def _parameters(network: Layout) -> int:
    convolutions = sum(convolution.weights + 2 * convolution.filters for convolution in network.convolutions)
    joined = sum(2 * decoder.convolution.channels for decoder in network.decoders)
    return convolutions + joined + 3 * network.head_channels + 3


def _multiply_adds(network: Layout) -> int:
    return (
        sum(convolution.weights * convolution.after for convolution in network.convolutions)
        + 3 * network.head_channels * network.full
    )
