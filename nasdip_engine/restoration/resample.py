"""Changing the size of float pictures: the downsampling operator of eq. 5, and the network's own resampling.

Both are separable, so each is two matrix products. That form has a deterministic gradient on every device;
torch's own bilinear gradient on CUDA has not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

__all__ = ["bilinear", "bilinear_matrix", "downsampling_matrix", "separable"]


Doubles = NDArray[np.float64]


def _box(x: Doubles) -> Doubles:
    return ((x > -0.5) & (x <= 0.5)).astype(np.float64)


def _triangle(x: Doubles) -> Doubles:
    return np.maximum(0.0, 1.0 - np.abs(x))


def _cubic(x: Doubles) -> Doubles:
    """Keys' cubic with a = -0.5, the one of Pillow and of torch's antialiased mode."""
    a, x = -0.5, np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _lanczos(x: Doubles) -> Doubles:
    """Lanczos window of three lobes."""
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


_KERNELS: Final[Mapping[str, tuple[Callable[[Doubles], Doubles], float]]] = {
    "bicubic": (_cubic, 2.0),
    "bilinear": (_triangle, 1.0),
    "lanczos": (_lanczos, 3.0),
    "box": (_box, 0.5),
}
"""Name -> (kernel, half width in pixels of the smaller picture)."""


@lru_cache(maxsize=64)
def downsampling_matrix(size: int, smaller: int, kernel: str) -> Tensor:
    """Antialiased reduction of one axis, float32 (smaller, size); every row sums to 1.

    The kernel is stretched to the smaller picture's pixels and cut, not mirrored, at the edge: the rule of
    Pillow's `resize` and of torch's `interpolate(antialias=True)`.
    """
    weight, half = _KERNELS[kernel]
    scale = size / smaller
    matrix = np.zeros((smaller, size))
    for row in range(smaller):
        centre = (row + 0.5) * scale
        first = max(int(centre - half * scale + 0.5), 0)
        last = min(int(centre + half * scale + 0.5), size)
        taps = weight(np.asarray((np.arange(first, last) - centre + 0.5) / scale, dtype=np.float64))
        matrix[row, first:last] = taps / taps.sum()
    return torch.from_numpy(matrix.astype(np.float32))


@lru_cache(maxsize=256)
def bilinear_matrix(size: int, target: int) -> Tensor:
    """Bilinear interpolation of one axis without antialiasing, float32 (target, size); rows sum to 1.

    Pixel centres correspond (`align_corners=False`) and the edge pixel is repeated outwards.
    """
    position = np.maximum((np.arange(target) + 0.5) * (size / target) - 0.5, 0.0)
    low = np.minimum(np.floor(position).astype(np.intp), size - 1)
    high = np.minimum(low + 1, size - 1)
    share = position - low
    matrix = np.zeros((target, size))
    rows = np.arange(target)
    np.add.at(matrix, (rows, low), 1 - share)
    np.add.at(matrix, (rows, high), share)
    return torch.from_numpy(matrix.astype(np.float32))


def separable(picture: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """rows (h, H) and columns (w, W) applied to a picture (..., H, W): (..., h, w)."""
    return rows @ (picture @ columns.T)


def bilinear(features: Tensor, height: int, width: int) -> Tensor:
    """Resample (1, C, h, w) to (1, C, height, width); the identity where the size is already right."""
    h, w = features.shape[-2:]
    if (h, w) == (height, width):
        return features
    if features.device.type == "cpu":
        # The same numbers, several times faster at these sizes, and on the CPU its gradient is deterministic.
        return functional.interpolate(features, size=(height, width), mode="bilinear", align_corners=False)
    return separable(features, _on(features.device, h, height), _on(features.device, w, width))


@lru_cache(maxsize=256)
def _on(device: torch.device, size: int, target: int) -> Tensor:
    """`bilinear_matrix` on a device: copied there once, not at each pass."""
    return bilinear_matrix(size, target).to(device)
