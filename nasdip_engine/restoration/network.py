"""The network G_theta that a phenotype describes (paper, sec. 3.1 and fig. 2), as a torch module.

E_1..E_N, then D_N..D_1, then a 1 x 1 head to three channels and a sigmoid. Sizes come from
`genome.sizes.stage_sizes`, so that what was priced is what is built.

Memory layout is plain NCHW: with channels_last torch 2.14 crashes on the CPU in the backward pass of some
of these networks. Padding is zeros: reflection has no deterministic gradient on CUDA.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nasdip_engine.genome.phenotype import Phenotype, Stage
from nasdip_engine.genome.sizes import Size, stage_sizes
from nasdip_engine.restoration.layers import SLOPE, BatchNorm, convolved, drawn
from nasdip_engine.restoration.resample import bilinear

__all__ = ["Network", "build"]


def build(
    phenotype: Phenotype, height: int, width: int, input_channels: int, rng: np.random.Generator
) -> Network:
    """The network for an output of height x width pixels (each 32 or more), first weights drawn from `rng`.

    Maps float32 (1, input_channels, height, width) to (1, 3, height, width) in [0, 1].
    """
    return Network(phenotype, height, width, input_channels, rng)


class _Convolution(nn.Module):
    """Convolution, zero padding f//2 -> batch norm -> LeakyReLU(0.2); no bias, batch norm cancels it."""

    def __init__(self, channels: int, stage: Stage, stride: int, rng: np.random.Generator) -> None:
        super().__init__()
        self.weight = drawn((stage.filters, channels, stage.kernel, stage.kernel), rng)
        self.norm = BatchNorm(stage.filters)
        self.stride, self.padding = stride, stage.kernel // 2

    def forward(self, features: Tensor) -> Tensor:
        features = convolved(features, self.weight, self.stride, self.padding)
        return functional.leaky_relu(self.norm(features), SLOPE, inplace=True)


class _Decoder(nn.Module):
    """Decoder stage D_i: resample, join the skip paths that end here, batch norm, convolution.

    Each skip path (n -> i) is a 1 x 1 convolution of E_n's output, normed and activated, then resampled to
    this stage's size: whatever its size, it fits, so no genome is invalid for its sizes alone (the paper
    scores those 0).
    """

    def __init__(
        self,
        channels: int,
        stage: Stage,
        size: Size,
        paths: list[tuple[int, int, int]],
        rng: np.random.Generator,
    ) -> None:
        """paths: (encoder unit, its channels, the path's channels), in the order of concatenation."""
        super().__init__()
        self.size = size
        self.sources = [unit for unit, _, _ in paths]
        self.paths = nn.ModuleList(_Convolution(given, Stage(1, width), 1, rng) for _, given, width in paths)
        joined = channels + sum(width for _, _, width in paths)
        self.norm = BatchNorm(joined)
        self.convolution = _Convolution(joined, stage, 1, rng)

    def forward(self, features: Tensor, encoded: list[Tensor]) -> Tensor:
        parts = [bilinear(features, *self.size)]
        for unit, path in zip(self.sources, self.paths, strict=True):
            parts.append(bilinear(path(encoded[unit]), *self.size))
        joined = torch.cat(parts, dim=1) if len(parts) > 1 else parts[0]
        convolved: Tensor = self.convolution(self.norm(joined))
        return convolved


class Network(nn.Module):
    """One phenotype at one size; see `build`."""

    def __init__(
        self, phenotype: Phenotype, height: int, width: int, input_channels: int, rng: np.random.Generator
    ) -> None:
        super().__init__()
        sizes = stage_sizes(phenotype, height, width)
        channels, given = input_channels, []
        encoders: list[nn.Module] = []
        for stage, stride in zip(phenotype.encoders, sizes.strides, strict=True):
            encoders.append(_Convolution(channels, stage, stride, rng) if stage else nn.Identity())
            channels = stage.filters if stage else channels
            given.append(channels)
        decoders: list[nn.Module] = []
        for unit in reversed(range(phenotype.units)):
            stage = phenotype.decoders[unit]
            if stage is None:
                continue
            paths = [(encoder, given[encoder], width_) for encoder, _, width_ in phenotype.skips_into(unit)]
            decoders.append(_Decoder(channels, stage, sizes.received[unit], paths, rng))
            channels = stage.filters
        self.encoders, self.decoders = nn.ModuleList(encoders), nn.ModuleList(decoders)
        self.head_weight = drawn((3, channels, 1, 1), rng)
        self.head_bias = drawn((3,), rng, fan_in=channels)
        self.output_size = (height, width)

    @torch.no_grad()
    def poison(self) -> None:
        """Make every output not a number: how tests inject a fit that diverges."""
        self.head_bias.fill_(float("nan"))

    def forward(self, z: Tensor) -> Tensor:
        """z: (1, input_channels, H, W). Returns (1, 3, H, W) in [0, 1]."""
        features, encoded = z, []
        for encoder in self.encoders:
            features = encoder(features)
            encoded.append(features)
        for decoder in self.decoders:
            features = decoder(features, encoded)
        # Another size only where the first units' decoder stages are bypassed and their encoders are not.
        features = bilinear(features, *self.output_size)
        # In bfloat16 a sigmoid has some two hundred levels; in float32 this changes nothing.
        return torch.sigmoid(functional.conv2d(features, self.head_weight, self.head_bias).float())
