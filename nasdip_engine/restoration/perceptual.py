"""LPIPS, the learned perceptual distance of Zhang et al. 2018, which the paper's fitness is made of (sec. 3.2.1).

AlexNet's trained features and the linear heads of lpips 0.1.4, from a file that ships with the engine
(`data/README.md`); nothing is downloaded and nothing is random. The network is written out here, since importing
the package `lpips` loads torchvision, SymPy and more, 1.2 s and 158 MB in every evaluator where this takes
0.02 s and 12 MB. A test holds the two against each other.

Always on the CPU, in float32, with one thread: the same pictures give the same bits, whatever a network was fitted on.
A large picture is walked in strips that overlap by more than the features see, so memory is bounded and the distance
is that of the whole picture.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from nasdip_engine.errors import NasDipError, PictureError
from nasdip_engine.restoration.degradation import Degradation

__all__ = ["SMALLEST_SIDE", "WEIGHTS", "WEIGHTS_SHA256", "lpips", "observed_distance", "read_weights"]

WEIGHTS = Path(__file__).resolve().parents[1] / "data" / "lpips-alex.safetensors"
WEIGHTS_SHA256 = "44fd46393a2fb9eb617a61a45de837d88ed78ed25240aab4491ba90012cbc533"

SMALLEST_SIDE = 31
"""Pixels a side under which AlexNet's second pooling has nothing left to pool."""

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of lpips 0.1: ImageNet's, for [-1, 1]
_EPSILON = 1e-10  # added to the length of a feature vector
_LAYERS = (0, 3, 6, 8, 10)  # AlexNet's convolutions, by their place in torchvision's `features`
_ROWS_A_UNIT = (4, 2, 1, 1, 1)  # rows of each convolution's output for a unit of 16 picture rows
_UNIT, _ABOVE, _BELOW = 16, 5, 7  # units that a strip reads above and below its own: padding spoils fewer
_STRIP_PIXELS = 2**20


def lpips(first: NDArray[Any], second: NDArray[Any]) -> float:
    """The distance of two pictures, 0 for equal ones and seldom over 1; symmetric, and repeatable to the bit.

    first, second: (h, w, 3) of one size, 31 px a side at least; whole numbers over their type's range (uint8, uint16)
    or floats in [0, 1].  Raises PictureError for sizes that differ or are too small, NasDipError where the weights
    are missing or damaged.
    """
    height, width = first.shape[:2]
    if first.shape != second.shape:
        raise PictureError(f"the reference is {_size(second)}, the picture {_size(first)}: not one size")
    if min(height, width) < SMALLEST_SIDE:
        raise PictureError(f"LPIPS needs {SMALLEST_SIDE} pixels a side; the picture is {_size(first)}")
    with torch.inference_mode(), _one_thread():
        return _distance(first, second, max(1, _STRIP_PIXELS // (width * _UNIT)))


def observed_distance(degradation: Degradation, restored: NDArray[np.float32]) -> float:
    """LPIPS of what was observed and what would have been observed of a restoration (eq. 6, the paper's reading).

    The operators are those of the losses (eq. 3-5): noise compares the pictures themselves; a hole is black in both,
    so that only known pixels tell them apart; enlarging compares the reduced restoration with the small picture.
    restored: float32 (H, W, 3) in [0, 1].
    """
    output = torch.from_numpy(np.ascontiguousarray(restored.transpose(2, 0, 1))[None])
    known = degradation.known
    output = output.to(known.device)
    pictures = [
        (picture * known).clamp(0, 1)[0].permute(1, 2, 0).cpu().numpy()
        for picture in (degradation.observation, degradation.observe(output))
    ]
    return lpips(*pictures)


def read_weights(path: Path = WEIGHTS) -> dict[str, Tensor]:
    """Features and heads by name, float32.  Raises NasDipError for a file that is missing or not the right one."""
    from safetensors.torch import load

    try:
        data = path.read_bytes()
    except OSError as problem:
        raise NasDipError(
            f"the LPIPS weights {path} cannot be read: {problem.strerror}; install again"
        ) from None
    found = hashlib.sha256(data).hexdigest()
    if found != WEIGHTS_SHA256:
        raise NasDipError(
            f"the LPIPS weights {path} are damaged: sha256 {found[:16]} where {WEIGHTS_SHA256[:16]} belongs; install again"
        )
    return load(data)


_weights = functools.cache(read_weights)  # once a process


def _as_input(picture: NDArray[Any]) -> Tensor:
    """(h, w, 3) to float32 (1, 3, h, w), scaled as the trained features want it."""
    top = np.iinfo(picture.dtype).max if picture.dtype.kind in "ui" else 1
    values = np.ascontiguousarray((picture.astype(np.float32) / np.float32(top)).transpose(2, 0, 1))[None]
    shift, scale = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in (_SHIFT, _SCALE))
    return (2 * torch.from_numpy(values) - 1 - shift) / scale


def _size(picture: NDArray[Any]) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"


@contextmanager
def _one_thread() -> Iterator[None]:
    """More threads add up in another order, and give other bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _distance(first: NDArray[Any], second: NDArray[Any], units: int) -> float:
    """The sum over the layers of the mean distance of their features; a strip is `units` of 16 rows."""
    sums, counts = [0.0] * len(_LAYERS), [0] * len(_LAYERS)
    every = _units(first.shape[0])
    for begin in range(0, every, units):
        start, end = max(0, begin - _ABOVE), begin + units
        last = end >= every
        rows = slice(start * _UNIT, None if last else (end + _BELOW) * _UNIT)
        one, other = _features(_as_input(first[rows])), _features(_as_input(second[rows]))
        for layer, (ours, theirs) in enumerate(zip(one, other, strict=True)):
            each = _ROWS_A_UNIT[layer]
            own = slice((begin - start) * each, None if last else (end - start) * each)
            difference = (ours[:, :, own] - theirs[:, :, own]).square_()
            weighted = functional.conv2d(difference, _weights()[f"lin{layer}"])
            sums[layer] += float(weighted.double().sum())
            counts[layer] += weighted.numel()
    return sum(total / count for total, count in zip(sums, counts, strict=True))


def _units(height: int) -> int:
    """Rows of the last three convolutions' output: strides of 4, 2 and 2, nothing padded when pooling."""
    rows = (height + 2 * 2 - 11) // 4 + 1
    for _ in range(2):
        rows = (rows - 3) // 2 + 1
    return rows


def _features(picture: Tensor) -> Iterator[Tensor]:
    """The five activations after AlexNet's convolutions, each vector of length 1, one at a time."""
    weights = _weights()
    x = picture
    for number, layer in enumerate(_LAYERS):
        if number in (1, 2):
            x = functional.max_pool2d(x, 3, 2)
        kernel, bias = weights[f"features.{layer}.weight"], weights[f"features.{layer}.bias"]
        stride, padding = (4, 2) if number == 0 else (1, kernel.shape[2] // 2)
        x = functional.conv2d(x, kernel, bias, stride, padding).relu_()
        yield x / (x.square().sum(dim=1, keepdim=True).sqrt() + _EPSILON)
