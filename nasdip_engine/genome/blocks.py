"""A network as the convolutions that it is made of, with the sizes that memory and seconds are reckoned from."""

from __future__ import annotations

from dataclasses import dataclass

from nasdip_engine.genome.phenotype import Phenotype
from nasdip_engine.genome.sizes import Size, stage_sizes

__all__ = ["BLOCK", "Block", "Joint", "Layout", "Path", "area", "layout"]

BLOCK = 16
"""Channels that oneDNN takes together; 8 where the processor has no AVX-512."""


def _blocked(channels: int) -> int:
    return -(-channels // BLOCK) * BLOCK


def area(size: Size) -> int:
    return size[0] * size[1]


@dataclass(frozen=True, slots=True)
class Block:
    """A convolution, batch norm and activation; before and after are the areas of its maps in pixels.

    oneDNN works on copies in blocks of channels, which exist while it computes: `forward`, `to_input` and
    `to_weights` are the numbers in them beyond what the step keeps anyway, read off torch 2.14 with AVX-512.
    """

    channels: int
    before: int
    kernel: int
    filters: int
    after: int

    @property
    def given(self) -> int:
        return self.channels * self.before

    @property
    def made(self) -> int:
        return self.filters * self.after

    @property
    def weights(self) -> int:
        return self.kernel**2 * self.channels * self.filters

    @property
    def native(self) -> bool:
        """Whether torch takes its own matrix product, which needs no copies."""
        return self.kernel == 1 and self.before == self.after

    @property
    def blocked(self) -> tuple[int, int]:
        """Channels and filters in whole blocks."""
        return _blocked(self.channels), _blocked(self.filters)

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
        whole = given + made + weights if self.channels > BLOCK else 0
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
        if self.native:
            return 0
        given, made, weights = self._copies
        if self.kernel == 15 and self.channels <= 2 and self.filters >= BLOCK:
            return self.kernel**2 * self.channels * self.after + made  # columns of a matrix product
        return (given if self.channels > BLOCK // 4 else 0) + made + weights


@dataclass(frozen=True, slots=True)
class Path:
    """A skip path. copied: numbers of its resampled map, 0 where the size is right already."""

    encoder: int
    block: Block
    copied: int


@dataclass(frozen=True, slots=True)
class Joint:
    """A decoder stage. below: numbers of the map that it receives; copied: of the resampled one, or 0.

    joined: of the map that goes into its first batch norm.
    """

    below: int
    copied: int
    paths: tuple[Path, ...]
    joined: int
    block: Block

    @property
    def owned(self) -> int:
        """Numbers of the joined map, 0 where that is the very map from below."""
        return self.joined if self.paths else self.copied


@dataclass(frozen=True, slots=True)
class Layout:
    """A network at one size. encoders: (unit, block); joints: the decoder stages from the innermost on.

    full: pixels of the output.  decoded: numbers of the last decoder stage's map.  head: of its resampled copy
    that the head works on, 0 where the size is right already.
    """

    input_channels: int
    full: int
    encoders: tuple[tuple[int, Block], ...]
    joints: tuple[Joint, ...]
    decoded: int
    head: int

    @property
    def head_channels(self) -> int:
        """Channels that the head reads."""
        return self.joints[-1].block.filters

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Every convolution but the head's."""
        paths = (path.block for joint in self.joints for path in joint.paths)
        return (*(block for _, block in self.encoders), *paths, *(joint.block for joint in self.joints))


def layout(phenotype: Phenotype, height: int, width: int, input_channels: int) -> Layout:
    """The network for an output of height x width pixels, each 32 or more."""
    sizes = stage_sizes(phenotype, height, width)
    encoders: dict[int, Block] = {}
    joints: list[Joint] = []
    full = height * width
    channels, here = input_channels, full
    for unit, stage in enumerate(phenotype.encoders):
        if stage:
            block = Block(channels, here, stage.kernel, stage.filters, area(sizes.produced[unit]))
            encoders[unit] = block
            channels, here = block.filters, block.after
    for unit in reversed(range(phenotype.units)):
        stage = phenotype.decoders[unit]
        if not stage:
            continue
        target = area(sizes.received[unit])
        paths = []
        for encoder, _, across in phenotype.skips_into(unit):
            source = encoders[encoder]
            block = Block(source.filters, source.after, 1, across, source.after)
            paths.append(Path(encoder, block, across * target if source.after != target else 0))
        joined = channels + sum(path.block.filters for path in paths)
        block = Block(joined, target, stage.kernel, stage.filters, target)
        copied = channels * target if here != target else 0
        joints.append(Joint(channels * here, copied, tuple(paths), joined * target, block))
        channels, here = stage.filters, target
    head = channels * full if here != full else 0
    return Layout(input_channels, full, tuple(encoders.items()), tuple(joints), channels * here, head)
