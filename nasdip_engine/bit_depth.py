"""Samples of 8 and 16 bits a channel: their levels, and the ways between the two.

A picture of 8 bits is uint8, one of 16 bits uint16, and every level of 8 bits is one of 16 (257 times it), so
that 8 bits widened to 16 come back exactly.  NumPy alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DEPTHS",
    "Samples",
    "at_depth",
    "bits_of",
    "from_raw",
    "grey_of",
    "in_unit_range",
    "quantised",
    "raw_bytes",
]

Samples = NDArray[np.unsignedinteger[Any]]
"""uint8 or uint16, of any shape."""

DEPTHS = (8, 16)
_STEP = 257  # levels of 16 bits between two neighbouring levels of 8
_TYPES: dict[int, type[np.unsignedinteger[Any]]] = {8: np.uint8, 16: np.uint16}


def bits_of(samples: NDArray[Any]) -> int:
    """8 for uint8, 16 for uint16.  Raises ValueError for anything else."""
    for bits, kind in _TYPES.items():
        if samples.dtype == kind:
            return bits
    raise ValueError(f"samples are {samples.dtype}; uint8 or uint16 is needed")


def at_depth(samples: Samples, bits: int) -> Samples:
    """The same samples with `bits` a channel: widened exactly, or rounded to the nearest level of 8 bits."""
    if bits_of(samples) == bits:
        return samples
    if bits == 16:
        return samples.astype(np.uint16) * np.uint16(_STEP)
    return ((samples.astype(np.uint32) + _STEP // 2) // _STEP).astype(np.uint8)


def in_unit_range(samples: Samples) -> NDArray[np.float32]:
    """0..255 or 0..65535 to [0, 1]; a level of 8 bits and its widening give the same float."""
    return samples.astype(np.float32) / np.float32(_highest(bits_of(samples)))


def quantised(values: NDArray[np.floating[Any]], bits: int) -> Samples:
    """[0, 1] to the nearest of the levels, half to even; values outside are clipped."""
    scaled = np.clip(values, 0.0, 1.0) * np.float32(_highest(bits))
    return np.asarray(np.rint(scaled), dtype=_TYPES[bits])


def grey_of(pixels: Samples) -> Samples:
    """(h, w, 3) to three equal channels, the nearest whole number to the mean of the three."""
    total = pixels.sum(axis=2, dtype=np.uint32)
    mean = ((total + 1) // 3).astype(pixels.dtype)
    return np.repeat(mean[..., None], 3, axis=2)


def from_raw(data: bytes, bits: int) -> Samples:
    """Samples in this machine's order, one dimension of them, read only."""
    return np.frombuffer(data, dtype=_TYPES[bits])


def raw_bytes(samples: Samples) -> bytes:
    """The samples row by row, little-endian whatever the machine: what digests are made of."""
    if bits_of(samples) == 16:
        return samples.astype("<u2").tobytes()
    return samples.tobytes()


def _highest(bits: int) -> int:
    return (1 << bits) - 1
