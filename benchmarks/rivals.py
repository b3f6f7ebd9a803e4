"""Strong simple rivals: what a user gets in a second without any network.

Each function takes 8-bit RGB and gives 8-bit RGB. Where a rival has a strength to choose, it is given the best one by the
clean picture (an oracle that our method does not have), and the name says so.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt
from skimage.filters import gaussian
from skimage.restoration import denoise_nl_means, inpaint_biharmonic

from benchmarks.pictures import Case
from nasdip_engine.restoration.metrics import psnr

__all__ = ["rivals"]

Pixels = NDArray[np.uint8]


def _bytes(values: NDArray[np.floating]) -> Pixels:
    return np.clip(np.rint(values * 255.0), 0, 255).astype(np.uint8)


def _best(clean: Pixels, candidates: Callable[[float], Pixels], strengths: NDArray[np.floating]) -> Pixels:
    return max(
        (candidates(float(strength)) for strength in strengths), key=lambda result: psnr(result, clean)
    )


def _denoise(case: Case, sigma: float) -> dict[str, Pixels]:
    from bm3d import bm3d_rgb

    noisy = case.observation / 255.0
    blurred = _best(
        case.clean, lambda s: _bytes(gaussian(noisy, s, channel_axis=-1)), np.arange(0.5, 3.01, 0.1)
    )
    means = _best(
        case.clean,
        lambda h: _bytes(
            denoise_nl_means(
                noisy, h=h * sigma / 255, sigma=sigma / 255, patch_size=5, patch_distance=6, channel_axis=-1
            )
        ),
        np.arange(0.4, 1.21, 0.1),
    )
    block_matching = _bytes(np.asarray(bm3d_rgb(noisy, sigma / 255)))
    return {
        "best Gaussian blur": blurred,
        "non-local means (best strength)": means,
        "BM3D (sigma known)": block_matching,
    }


def _inpaint(case: Case) -> dict[str, Pixels]:
    assert case.mask is not None
    nearest = distance_transform_edt(~case.mask, return_distances=False, return_indices=True)
    biharmonic = _bytes(inpaint_biharmonic(case.observation / 255.0, ~case.mask, channel_axis=-1))
    return {"nearest pixel": case.observation[tuple(nearest)], "biharmonic": biharmonic}


def _upscale(case: Case) -> dict[str, Pixels]:
    height, width = case.clean.shape[:2]
    small = Image.fromarray(case.observation)
    kinds = {
        "nearest neighbour": Image.Resampling.NEAREST,
        "bicubic": Image.Resampling.BICUBIC,
        "Lanczos": Image.Resampling.LANCZOS,
    }
    return {name: np.asarray(small.resize((width, height), kind)) for name, kind in kinds.items()}


def rivals(case: Case, sigma: float = 25.0) -> dict[str, Pixels]:
    """The rivals of the case's task by name, each (H, W, 3) uint8 of the clean picture's size."""
    if case.task == "denoise":
        return _denoise(case, sigma)
    return _inpaint(case) if case.task == "inpaint" else _upscale(case)
