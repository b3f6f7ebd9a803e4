"""What every network here is put together from: batch norm by the map at hand, and drawn first weights."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SLOPE", "BatchNorm", "drawn"]

SLOPE = 0.2
"""Of LeakyReLU below 0 (paper, sec. 3.1; classical deep image prior has the same)."""

_EPSILON = 1e-5  # added to the variance in batch norm; torch's default


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
