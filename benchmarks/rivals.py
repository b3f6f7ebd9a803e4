"""Strong simple rivals: what a user gets in seconds without any network, from the engine's own references.

Each function takes 8-bit RGB and gives 8-bit RGB. Where a rival has a strength to choose, it is given the best one by the
clean picture, or the strength of the noise (advantages that our method does not have), and the name says so.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.pictures import Case
from nasdip_engine import baseline_names as names
from nasdip_engine import fillings, filters
from nasdip_engine.bit_depth import in_unit_range, quantised
from nasdip_engine.restoration.metrics import psnr

__all__ = ["rivals"]

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


def _bytes(values: Floats) -> Pixels:
    return quantised(values, 8).astype(np.uint8)


def _best(clean: Pixels, candidate: Callable[[float], Floats], strengths: NDArray[np.floating]) -> Pixels:
    return max((_bytes(candidate(float(one))) for one in strengths), key=lambda result: psnr(result, clean))


def _denoise(case: Case, sigma: float) -> dict[str, Pixels]:
    noisy, level = in_unit_range(case.observation), sigma / 255
    return {
        f"best {names.GAUSSIAN_BLUR}": _best(
            case.clean, lambda width: filters.gaussian_blur(noisy, width), np.arange(0.5, 3.01, 0.1)
        ),
        f"{names.NON_LOCAL_MEANS} (best strength)": _best(
            case.clean,
            lambda strength: filters.non_local_means(noisy, level, strength),
            np.arange(0.4, 1.21, 0.1),
        ),
        f"{names.BM3D} (sigma known)": _bytes(filters.bm3d(noisy, level)),
    }


def _inpaint(case: Case) -> dict[str, Pixels]:
    assert case.mask is not None
    observed, hidden = in_unit_range(case.observation), ~case.mask
    fills = {
        names.NEAREST: fillings.nearest,
        names.HARMONIC: fillings.harmonic,
        names.BIHARMONIC: fillings.biharmonic,
        names.TELEA: fillings.telea,
    }
    return {name: _bytes(fill(observed, hidden)) for name, fill in fills.items()}


def _upscale(case: Case) -> dict[str, Pixels]:
    height, width = case.clean.shape[:2]
    small = Image.fromarray(case.observation)
    kinds = {
        names.NEAREST: Image.Resampling.NEAREST,
        names.BICUBIC: Image.Resampling.BICUBIC,
        names.LANCZOS: Image.Resampling.LANCZOS,
    }
    return {name: np.asarray(small.resize((width, height), kind)) for name, kind in kinds.items()}


def rivals(case: Case, sigma: float = 25.0) -> dict[str, Pixels]:
    """The rivals of the case's task by name, each (H, W, 3) uint8 of the clean picture's size."""
    if case.task == "denoise":
        return _denoise(case, sigma)
    return _inpaint(case) if case.task == "inpaint" else _upscale(case)
