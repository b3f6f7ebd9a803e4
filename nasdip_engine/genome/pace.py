"""Seconds of one training iteration, told from the network alone: estimates for people, never for a fitness.

Convolutions work in blocks of channels, so a stage of one filter costs what one of sixteen does; the rest is maps
that are read and written, and calls. The coefficients are seconds on one core of the processor that
docs/results/memory-model.md names; another machine differs by a factor, which `restoration.probe` measures.
"""

from __future__ import annotations

from nasdip_engine.genome.layout import CHANNEL_BLOCK, Convolution, Layout, layout
from nasdip_engine.genome.phenotype import Phenotype

__all__ = ["seconds_an_iteration"]

_MULTIPLY_ADD = 1.25e-11  # in whole blocks of channels
_NUMBER = 7.9e-9  # of a map, all its norms, activations and copies together
_PIXEL = 1.0e-7  # of the output: loss and average
_CALL = 3.9e-4  # of a convolution with what belongs to it


def seconds_an_iteration(
    phenotype: Phenotype, height: int, width: int, input_channels: int = 32, factor: float = 1.0
) -> float:
    """One iteration of a fit at an output of height x width pixels, on one core; factor: of the machine, 1 is the reference."""
    network = layout(phenotype, height, width, input_channels)
    unwanted = network.encoders[0][1]  # the fixed input wants no gradient
    computed = sum(
        _multiply_adds(convolution, convolution is not unwanted) for convolution in network.convolutions
    )
    seconds = (
        _MULTIPLY_ADD * computed
        + _NUMBER * _numbers(network)
        + _PIXEL * network.full
        + _CALL * len(network.convolutions)
    )
    return factor * seconds


def _multiply_adds(convolution: Convolution, inner: bool) -> int:
    """In whole blocks: of the output, the weights' gradient and, where it is wanted, the input's."""
    if convolution.native:
        return 0  # one pass over maps, which is counted with them
    given, filters = convolution.blocked
    read = convolution.channels if convolution.channels < CHANNEL_BLOCK else given
    passes = 2 * read + (given if inner else 0)
    return convolution.kernel**2 * convolution.after * filters * passes


def _numbers(network: Layout) -> int:
    maps = sum(convolution.made for convolution in network.convolutions)
    joined = sum(decoder.joined + decoder.copied for decoder in network.decoders)
    paths = sum(path.copied for decoder in network.decoders for path in decoder.paths)
    return maps + joined + paths + network.head
