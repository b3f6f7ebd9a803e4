"""A network as the convolutions that it is made of, with the sizes that memory and seconds are reckoned from."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nasdip_engine.genome.phenotype import Phenotype
from nasdip_engine.genome.sizes import Size, stage_sizes

__all__ = ["CHANNEL_BLOCK", "Convolution", "DecoderStage", "Layout", "SkipPath", "area", "layout"]

CHANNEL_BLOCK = 16
"""Channels that oneDNN takes together; 8 where the processor has no AVX-512."""


def _in_blocks(channels: int) -> int:
    return -(-channels // CHANNEL_BLOCK) * CHANNEL_BLOCK


def area(size: Size) -> int:
    """Pixels of a map."""
    return size[0] * size[1]


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution with its batch norm and activation, of a stage or of a skip path.

    kernel: its side in pixels.  before, after: pixels of its input's and its output's map.  All else is told in
    numbers of fp32.  oneDNN works on copies in blocks of channels, which exist while it computes: `forward`,
    `to_input` and `to_weights` are the numbers in them beyond what the step keeps anyway, read off torch 2.14 with
    AVX-512.
    """

    channels: int
    before: int
    kernel: int
    filters: int
    after: int

    @property
    def given(self) -> int:
        """Numbers of the input's map."""
        return self.channels * self.before

    @property
    def made(self) -> int:
        """Numbers of the output's map."""
        return self.filters * self.after

    @property
    def weights(self) -> int:
        """Without a bias, which batch norm would cancel."""
        return self.kernel**2 * self.channels * self.filters

    @property
    def native(self) -> bool:
        """Whether torch takes its own matrix product, which needs no copies."""
        return self.kernel == 1 and self.before == self.after

    @property
    def blocked(self) -> tuple[int, int]:
        """Channels and filters in whole blocks."""
        return _in_blocks(self.channels), _in_blocks(self.filters)

    @property
    def _copies(self) -> tuple[int, int, int]:
        """Blocked copies of the input, the output and the weights."""
        channels, filters = self.blocked
        return channels * self.before, filters * self.after, self.kernel**2 * channels * filters

    @property
    def forward(self) -> int:
        """Beside the output, which is there at last."""
        if self.native:
            return 0
        given, made, weights = self._copies
        whole = given + made + weights if self.channels > CHANNEL_BLOCK else 0
        return max(whole - self.made, made)

    @property
    def to_input(self) -> int:
        """Beside the gradient of the input."""
        if self.native:
            return 0
        given, made, weights = self._copies
        if self.before == self.after:
            return max(given, given + made + weights - self.given)
        return max(2 * self.given, 2 * made + weights)

    @property
    def to_weights(self) -> int:
        """Beside the gradient of the weights."""
        if self.native:
            return 0
        given, made, weights = self._copies
        # A filter of 15 px meets a copy of the input that has the padding in it (`restoration.layers.convolved`).
        padded = math.ceil(self.channels * (math.sqrt(self.before) + 14) ** 2) if self.kernel == 15 else 0
        return padded + (given if self.channels > CHANNEL_BLOCK // 4 else 0) + made + weights


@dataclass(frozen=True, slots=True)
class SkipPath:
    """A skip path. copied: numbers of its resampled map, 0 where the size is right already."""

    encoder: int
    convolution: Convolution
    copied: int


@dataclass(frozen=True, slots=True)
class DecoderStage:
    """A decoder stage. below: numbers of the map that it receives; copied: of the resampled one, or 0.

    joined: of the map that goes into its first batch norm.
    """

    below: int
    copied: int
    paths: tuple[SkipPath, ...]
    joined: int
    convolution: Convolution

    @property
    def owned(self) -> int:
        """Numbers of the joined map, 0 where that is the very map from below."""
        return self.joined if self.paths else self.copied


@dataclass(frozen=True, slots=True)
class Layout:
    """A network at one size. encoders: (unit, its convolution), the active ones; decoders: from the innermost on.

    full: pixels of the output.  decoded: numbers of the last decoder stage's map.  head: of its resampled copy
    that the head works on, 0 where the size is right already.
    """

    input_channels: int
    full: int
    encoders: tuple[tuple[int, Convolution], ...]
    decoders: tuple[DecoderStage, ...]
    decoded: int
    head: int

    @property
    def head_channels(self) -> int:
        """Channels that the head reads."""
        return self.decoders[-1].convolution.filters

    @property
    def convolutions(self) -> tuple[Convolution, ...]:
        """Every convolution but the head's."""
        paths = (path.convolution for decoder in self.decoders for path in decoder.paths)
        return (
            *(convolution for _, convolution in self.encoders),
            *paths,
            *(decoder.convolution for decoder in self.decoders),
        )


def layout(phenotype: Phenotype, height: int, width: int, input_channels: int) -> Layout:
    """The network for an output of height x width pixels, each 32 or more."""
    sizes = stage_sizes(phenotype, height, width)
    encoders: dict[int, Convolution] = {}
    decoders: list[DecoderStage] = []
    full = height * width
    channels, here = input_channels, full
    for unit, stage in enumerate(phenotype.encoders):
        if stage:
            convolution = Convolution(channels, here, stage.kernel, stage.filters, area(sizes.produced[unit]))
            encoders[unit] = convolution
            channels, here = convolution.filters, convolution.after
    for unit in reversed(range(phenotype.units)):
        stage = phenotype.decoders[unit]
        if not stage:
            continue
        target = area(sizes.received[unit])
        paths = []
        for encoder, _, across in phenotype.skips_into(unit):
            source = encoders[encoder]
            convolution = Convolution(source.filters, source.after, 1, across, source.after)
            paths.append(SkipPath(encoder, convolution, across * target if source.after != target else 0))
        joined = channels + sum(path.convolution.filters for path in paths)
        convolution = Convolution(joined, target, stage.kernel, stage.filters, target)
        copied = channels * target if here != target else 0
        decoders.append(DecoderStage(channels * here, copied, tuple(paths), joined * target, convolution))
        channels, here = stage.filters, target
    head = channels * full if here != full else 0
    return Layout(input_channels, full, tuple(encoders.items()), tuple(decoders), channels * here, head)
