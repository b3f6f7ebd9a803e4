"""How strong the noise of an observation is, for reports alone: no fit, choice or fitness needs to know it.

A held-out error ends at the noise itself (20.2 dB at sigma 25), so it is told corrected for the noise too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasdip_engine.restoration.fitness import held_out_psnr
from nasdip_engine.task import INDEPENDENT, Task

__all__ = ["corrected_psnr", "noise_record", "noise_sigma"]

_NORMAL_QUARTILE = 0.6744897501960817  # the 75th percentile of a standard normal distribution


def noise_sigma(
    picture: NDArray[Any], known: NDArray[np.bool_] | None = None, *, correlated: bool = False
) -> float | None:
    """Standard deviation of the noise, mean over the channels that have any (Donoho and Johnstone 1994, sec. 4.2).

    picture: floats (h, w, 3); the answer is in their unit.  known: bool (h, w); wavelet coefficients that a hole
    enters don't count.  Without a hole this is scikit-image's `estimate_sigma`.  None where no coefficient is left to tell.
    correlated: near pixels share the noise, which the finest wavelets hardly see: those of the next scale tell (decision 19).
    """
    import pywt  # slow to import

    found = []
    for channel in range(picture.shape[2]):
        plane = picture[..., channel]
        if known is not None:
            plane = np.where(known, plane, np.nan)
        parts = pywt.dwtn(plane, wavelet="db2")
        if correlated:
            parts = pywt.dwtn(parts["aa"], wavelet="db2")
        diagonal = parts["dd"]
        diagonal = diagonal[np.isfinite(diagonal) & (diagonal != 0)]
        if diagonal.size:
            found.append(float(np.median(np.abs(diagonal))) / _NORMAL_QUARTILE)
    return float(np.mean(found)) if found else None


def corrected_psnr(held_out: float, sigma: float) -> float | None:
    """Held-out PSNR in dB less the noise's part: that of E(f - x)^2 = E(f - y)^2 - sigma^2.

    None where the held-out error is within the noise: nothing is left to tell.
    """
    remaining = 10.0 ** (-held_out / 10.0) - sigma**2
    return held_out_psnr(remaining) if remaining > 0 else None


def noise_record(
    task: Task, pixels: NDArray[Any], mask: NDArray[np.bool_] | None, held_out: float | None
) -> dict[str, Any]:
    """What `run.json` says of the noise of pixels, unsigned integers (h, w, 3).

    `assumed`, `sigma` on a range of 1, `corrected_psnr` in dB.
    The last two only for independent noise: the estimate looks at the finest wavelets, where correlated noise hides,
    and impulses have no standard deviation that means anything.
    """
    sigma = noise_sigma(pixels / np.iinfo(pixels.dtype).max, mask) if task.noise == INDEPENDENT else None
    corrected = None if sigma is None or held_out is None else corrected_psnr(held_out, sigma)
    return {"assumed": task.noise, "sigma": sigma, "corrected_psnr": corrected}
