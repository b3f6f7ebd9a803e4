"""Classical deep image prior as published (Ulyanov, Vedaldi, Lempitsky 2018): the baseline to be beaten.

Its "skip" network is one that no genome here can express: every encoder stage has a second convolution, every decoder
stage a 1 x 1 one behind its own, and skip paths leave before a stage, not after it. Shapes and settings are those that
the authors' notebooks name for each picture. Two things that their files name have no effect and so don't stand here: noise
on the weights (the library picture) only changes a local name, and falling back to older weights only answers a
fit that breaks down.

The restoration by it goes through `fit.py`, with the same degradation, held-out observations, averaged output and
stop rule as any network. For comparing only, on the CPU: it pads by reflection, whose gradient torch adds up
in no fixed order on CUDA, so that nothing there repeats to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nasdip_engine.errors import PictureError, SettingsError
from nasdip_engine.restoration.fit import noise_input
from nasdip_engine.restoration.layers import SLOPE, BatchNorm, drawn
from nasdip_engine.restoration.resample import bilinear

__all__ = [
    "PUBLISHED",
    "ClassicalNetwork",
    "ClassicalPrice",
    "Recipe",
    "Shape",
    "build",
    "network_input",
    "price",
]

BILINEAR, NEAREST = "bilinear", "nearest"
STRIDE, AVERAGE = "stride", "average"
NOISE, MESHGRID = "noise", "meshgrid"

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Shape:
    """A published network: one entry of each tuple a scale, the outermost first.

    down, up: filters of the encoder and the decoder stages.  skip: of the paths between them, 0 for none.
    down_kernel, up_kernel: sides in pixels.  upsampling: "bilinear" or "nearest".  downsampling: "stride", or
    "average": a stride of 1 and 2 x 2 means of its output.  second: whether a decoder stage ends with a 1 x 1
    convolution.  Raises SettingsError for tuples of several lengths or a word that is not known.
    """

    down: tuple[int, ...]
    up: tuple[int, ...]
    skip: tuple[int, ...]
    down_kernel: int = 3
    up_kernel: int = 3
    upsampling: str = BILINEAR
    downsampling: str = STRIDE
    second: bool = True

    def __post_init__(self) -> None:
        if not len(self.down) == len(self.up) == len(self.skip) > 0:
            raise SettingsError(
                f"{len(self.down)}, {len(self.up)} and {len(self.skip)} scales: not one number"
            )
        if self.upsampling not in (BILINEAR, NEAREST):
            raise SettingsError(f"upsampling is {self.upsampling!r}; allowed: {BILINEAR}, {NEAREST}")
        if self.downsampling not in (STRIDE, AVERAGE):
            raise SettingsError(f"downsampling is {self.downsampling!r}; allowed: {STRIDE}, {AVERAGE}")

    @property
    def scales(self) -> int:
        """How often the picture is halved."""
        return len(self.down)

    def at_width(self, filters: int) -> Shape:
        """The same network with so many filters in every stage; its skip paths stay."""
        same = (filters,) * self.scales
        return replace(self, down=same, up=same)

    def sizes(self, height: int, width: int) -> tuple[Size, ...]:
        """What each scale receives, then what the innermost hands on: `scales` + 1 sizes.

        Raises PictureError where a map would be too small to be padded by reflection.
        """
        sizes = [(height, width)]
        for _ in range(self.scales):
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        rim = max(self.down_kernel, self.up_kernel, 3) // 2  # and batch norm needs more than one pixel
        if min(sizes[-1]) <= rim:
            raise PictureError(
                f"halved {self.scales} times, {width} x {height} pixels leave {sizes[-1][1]} x {sizes[-1][0]}; "
                f"padding by reflection needs {rim + 1} pixels a side: take a larger picture"
            )
        return tuple(sizes)


@dataclass(frozen=True, slots=True)
class Recipe:
    """The published settings of one picture; Adam and the squared error throughout.

    input: "noise", U(0, 0.1), or "meshgrid", the two coordinates.  jitter: standard deviation of the noise added to the
    input in each iteration.  average_decay: of the averaged output, 0 where the last output is shown.
    """

    shape: Shape
    learning_rate: float
    iterations: int
    jitter: float
    input: str = NOISE
    input_channels: int = 32
    average_decay: float = 0.0


def _wide(skip: int = 4, upsampling: str = BILINEAR) -> Shape:
    return Shape((128,) * 5, (128,) * 5, (skip,) * 5, upsampling=upsampling)


_GROWING = (16, 32, 64, 128, 128)

# From the authors' notebooks denoising, inpainting, restoration and super-resolution. Pictures were cut to whole multiples
# of 32 or 64 pixels there; barbara stands for its set of grey pictures, whose networks have one output channel.
PUBLISHED: Mapping[str, Recipe] = MappingProxyType(
    {
        "F16, sigma 25": Recipe(_wide(), 0.01, 3000, 1 / 30, average_decay=0.99),
        "F16, sigma 50": Recipe(_wide(), 0.01, 3000, 1 / 20, average_decay=0.99),
        "snail, JPEG": Recipe(
            Shape((8, 16, 32, 64, 128), (8, 16, 32, 64, 128), (0, 0, 0, 4, 4)),
            0.01, 2400, 1 / 30, input_channels=3, average_decay=0.99,
        ),
        "vase, region": Recipe(_wide(0, NEAREST), 0.01, 5001, 0.03, MESHGRID, 2),
        "kate, text": Recipe(_wide(128, NEAREST), 0.01, 6001, 0.03),
        "library, region": Recipe(
            Shape((*_GROWING, 128), (*_GROWING, 128), (0,) * 6, down_kernel=5, upsampling=NEAREST, second=False),
            0.01, 3001, 0.0, input_channels=1,
        ),
        "barbara, 50 % missing": Recipe(_wide(), 0.001, 11_000, 0.03),
        "kate, 98 % missing": Recipe(
            Shape(_GROWING, _GROWING, (0,) * 5, downsampling=AVERAGE), 0.01, 1000, 0.0
        ),
        "zebra, 4x": Recipe(_wide(), 0.01, 2000, 0.03),
        "zebra, 8x": Recipe(_wide(), 0.01, 4000, 0.05),
    }
)  # fmt: skip
"""Picture and damage -> settings."""


@dataclass(frozen=True, slots=True)
class ClassicalPrice:
    """parameters: all that is trained, the convolutions' biases too.  multiply_adds: as in `genome.cost.Cost`."""

    parameters: int
    multiply_adds: int


def price(shape: Shape, height: int, width: int, input_channels: int = 32) -> ClassicalPrice:
    """Price of a network for an output of height x width pixels; raises as `Shape.sizes`.

    Multiply-adds are of the convolutions in one forward pass, three times that an iteration, as for a phenotype.
    """
    sizes = [rows * columns for rows, columns in shape.sizes(height, width)]
    parameters = multiply_adds = 0

    def convolution(channels: int, filters: int, kernel: int, pixels: int) -> None:
        nonlocal parameters, multiply_adds
        weights = kernel**2 * channels * filters
        parameters += weights + filters  # and its bias
        multiply_adds += weights * pixels

    def norm(channels: int) -> None:
        nonlocal parameters
        parameters += 2 * channels

    channels = input_channels
    for scale in range(shape.scales):
        received, halved = sizes[scale : scale + 2]
        down, up, skip = shape.down[scale], shape.up[scale], shape.skip[scale]
        convolution(channels, down, shape.down_kernel, halved if shape.downsampling == STRIDE else received)
        convolution(down, down, shape.down_kernel, halved)
        norm(2 * down)
        if skip:
            convolution(channels, skip, 1, received)
            norm(skip)
        joined = skip + (shape.up[scale + 1] if scale + 1 < shape.scales else down)
        norm(joined)
        convolution(joined, up, shape.up_kernel, received)
        norm(up)
        if shape.second:
            convolution(up, up, 1, received)
            norm(up)
        channels = down
    convolution(shape.up[0], 3, 1, sizes[0])
    return ClassicalPrice(parameters, multiply_adds)


def network_input(recipe: Recipe, height: int, width: int, rng: np.random.Generator) -> Tensor:
    """The fixed input of a recipe: float32 (1, input_channels, height, width).

    A meshgrid needs no numbers of `rng`: columns, then rows, each running from 0 to 1.
    """
    if recipe.input == NOISE:
        return noise_input(recipe.input_channels, height, width, rng)
    columns, rows = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return torch.from_numpy(np.stack([columns, rows])[None].astype(np.float32))


def build(
    shape: Shape, height: int, width: int, input_channels: int, rng: np.random.Generator
) -> ClassicalNetwork:
    """The network for an output of height x width pixels, first weights drawn from `rng` alone.

    Maps float32 (1, input_channels, height, width) to (1, 3, height, width) in [0, 1].  Raises as `Shape.sizes`.
    """
    shape.sizes(height, width)
    return ClassicalNetwork(shape, input_channels, rng)


class _Convolution(nn.Module):
    """Reflection padding, convolution with bias -> batch norm -> LeakyReLU(0.2).

    The bias is cancelled by the batch norm; it stands since the published count of parameters has it.
    """

    def __init__(
        self, channels: int, filters: int, kernel: int, rng: np.random.Generator, downsampling: str = ""
    ) -> None:
        """downsampling: how the output is halved, "stride" or "average"; "" for not at all."""
        super().__init__()
        self.weight = drawn((filters, channels, kernel, kernel), rng)
        self.bias = drawn((filters,), rng, fan_in=channels * kernel**2)
        self.norm = BatchNorm(filters)
        self.rim, self.downsampling = kernel // 2, downsampling

    def forward(self, features: Tensor) -> Tensor:
        if self.rim:
            features = functional.pad(features, (self.rim,) * 4, mode="reflect")
        stride = 2 if self.downsampling == STRIDE else 1
        features = functional.conv2d(features, self.weight, self.bias, stride=stride)
        if self.downsampling == AVERAGE:
            features = functional.avg_pool2d(features, 2, ceil_mode=True)
        return functional.leaky_relu(self.norm(features), SLOPE, inplace=True)


class _Scale(nn.Module):
    """One scale with all that lie within it: two convolutions down, a path across, one or two convolutions up."""

    def __init__(self, shape: Shape, scale: int, channels: int, rng: np.random.Generator) -> None:
        """channels: of what this scale receives."""
        super().__init__()
        down, up, skip = shape.down[scale], shape.up[scale], shape.skip[scale]
        self.upsampling = shape.upsampling
        self.first = _Convolution(channels, down, shape.down_kernel, rng, shape.downsampling)
        self.then = _Convolution(down, down, shape.down_kernel, rng)
        self.path = _Convolution(channels, skip, 1, rng) if skip else None
        innermost = scale + 1 == shape.scales
        self.inner = nn.Identity() if innermost else _Scale(shape, scale + 1, down, rng)
        joined = skip + (down if innermost else shape.up[scale + 1])
        self.norm = BatchNorm(joined)
        self.up = _Convolution(joined, up, shape.up_kernel, rng)
        self.second = _Convolution(up, up, 1, rng) if shape.second else nn.Identity()

    def forward(self, received: Tensor) -> Tensor:
        inner = self._doubled(self.inner(self.then(self.first(received))))
        # Doubling what an odd side was halved to gives one row or column too many; published sizes are even.
        inner = inner[..., : received.shape[-2], : received.shape[-1]]
        joined = inner if self.path is None else torch.cat([self.path(received), inner], dim=1)
        features: Tensor = self.second(self.up(self.norm(joined)))
        return features

    def _doubled(self, features: Tensor) -> Tensor:
        if self.upsampling == NEAREST:
            return functional.interpolate(features, scale_factor=2, mode="nearest")
        return bilinear(features, 2 * features.shape[-2], 2 * features.shape[-1])


class ClassicalNetwork(nn.Module):
    """One published shape; see `build`."""

    def __init__(self, shape: Shape, input_channels: int, rng: np.random.Generator) -> None:
        super().__init__()
        self.outermost = _Scale(shape, 0, input_channels, rng)
        self.head_weight = drawn((3, shape.up[0], 1, 1), rng)
        self.head_bias = drawn((3,), rng, fan_in=shape.up[0])

    def forward(self, z: Tensor) -> Tensor:
        """z: (1, input_channels, H, W). Returns (1, 3, H, W) in [0, 1]."""
        return torch.sigmoid(functional.conv2d(self.outermost(z), self.head_weight, self.head_bias))
