"""What every network here is put together from: convolution, batch norm by the map at hand, drawn first weights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SLOPE", "BatchNorm", "convolved", "drawn"]

SLOPE = 0.2
"""Of LeakyReLU below 0 (paper, sec. 3.1; classical deep image prior has the same)."""

_EPSILON = 1e-5  # added to the variance in batch norm; torch's default


_WIDEST = 14  # pixels of a filter for whose weights' gradient oneDNN has a kernel of its own
_HALVES = ((0, 8), (8, 7))  # (first column, columns) of a filter of 15 px


def convolved(features: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Cross-correlation with zero padding, without bias.

    features: (1, channels, h, w); weight: (filters, channels, f, f), f odd, at most 15; padding: f // 2.
    On a processor the weights' gradient of a filter of 15 px is computed in two halves of its columns: for the whole
    one oneDNN falls back to a matrix product that takes four times as long (docs/results/wide-filters.md).
    """
    if weight.shape[-1] <= _WIDEST or features.device.type != "cpu" or features.dtype != torch.float32:
        return functional.conv2d(features, weight, stride=stride, padding=padding)
    result: Tensor = _WideFilters.apply(features, weight, stride, padding)
    return result


class _WideFilters(torch.autograd.Function):
    """Convolution with filters of 15 px."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.stride, ctx.padding = stride, padding
        return functional.conv2d(features, weight, stride=stride, padding=padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        features, weight = ctx.saved_tensors
        stride, padding = ctx.stride, ctx.padding
        to_features = None
        if ctx.needs_input_grad[0]:
            to_features = _gradient(gradient, features, weight, stride, padding, of_weight=False)
        halves = []
        for first, columns in _HALVES:
            # What these columns of the filter meet, and no more: padded on the left by less than the filter is.
            left = padding - first
            right = (gradient.shape[-1] - 1) * stride + columns - features.shape[-1] - left
            met = functional.pad(features, (left, right, padding, padding))
            part = weight[..., first : first + columns]
            halves.append(_gradient(gradient, met, part, stride, 0, of_weight=True))
        return to_features, torch.cat(halves, dim=-1), None, None


def _gradient(
    gradient: Tensor, features: Tensor, weight: Tensor, stride: int, padding: int, *, of_weight: bool
) -> Tensor:
    """Of the weights or of the features, from that of a convolution's output."""
    both: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        gradient, features, weight, None,
        stride=[stride] * 2, padding=[padding] * 2, dilation=[1, 1], transposed=False, output_padding=[0, 0], groups=1,
        output_mask=[not of_weight, of_weight, False],
    )  # fmt: skip
    return both[1] if of_weight else both[0]


class BatchNorm(nn.Module):
    """Batch norm by the statistics of the map at hand, always: there is one picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor) -> Tensor:
        """(1, channels, h, w), of more than one pixel, to the same shape."""
        return functional.batch_norm(
            features, None, None, self.weight, self.bias, training=True, eps=_EPSILON
        )


def drawn(shape: tuple[int, ...], rng: np.random.Generator, fan_in: int | None = None) -> nn.Parameter:
    """U(-b, b) with b = 1 / sqrt(fan in): Kaiming's uniform rule with a = sqrt(5), torch's own default.

    fan_in: of the shape itself, (filters, channels, height, width), if None; a bias has that of its weights.
    """
    bound = 1 / math.sqrt(fan_in or math.prod(shape[1:]))
    values = rng.random(shape, dtype=np.float32) * np.float32(2 * bound) - np.float32(bound)
    return nn.Parameter(torch.from_numpy(values))
