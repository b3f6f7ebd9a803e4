"""One randomly initialised network fitted to one observation (paper, eq. 3-5).

The result is not the network's last output but a moving average of its outputs, taken where its error on the
held-out observations was least: an average is steadier than any one output, and the held-out minimum is
where fitting turns from the picture to its noise. Where nothing is held out, as in the paper, every
fit goes to the end and its last average is the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nasdip_engine.errors import DivergedError
from nasdip_engine.restoration.degradation import Degradation
from nasdip_engine.restoration.fitness import held_out_psnr

__all__ = ["CHECK_EVERY", "Fit", "FitSettings", "Step", "fit", "noise_input"]

CHECK_EVERY = 25  # iterations between two looks at the held-out error
_REACH = 8  # the average reaches back over one part in so many of the iterations so far
_PATIENCE = 300  # iterations without a smaller held-out error, or half of those so far if that is more


@dataclass(frozen=True)
class FitSettings:
    """How to fit; the same for every genome of a search.

    iterations: at most so many.  learning_rate: Adam's.  loss: "squared" or "absolute".  average_decay: the most
    of the moving average that is kept at an iteration.  jitter: standard deviation of the noise added to each
    input.  check_every: iterations between two looks at the held-out error.
    to_the_end: exactly `iterations`, whatever the held-out error does: the genome has chosen the length.
    """

    iterations: int
    learning_rate: float
    loss: str
    average_decay: float
    jitter: float = 0.0
    check_every: int = CHECK_EVERY
    to_the_end: bool = False


@dataclass(frozen=True)
class Step:
    """What is known after one iteration, counted from 1.

    loss: over the observations that are not held out.  held_out_psnr: in dB; None between two looks, and where
    nothing is held out.  average: makes the averaged output so far, float32 (H, W, 3) in [0, 1].
    """

    iteration: int
    loss: float
    held_out_psnr: float | None
    average: Callable[[], NDArray[np.float32]]


@dataclass(frozen=True)
class Fit:
    """What a fit gave.

    average: float32 (H, W, 3) in [0, 1], the averaged output where the held-out error was least.
    held_out_mse: that least error.  best_iteration: where it was.  iterations: how many were done.
    curve: (iteration, held-out PSNR in dB) at every look.
    With nothing held out: the last average, None, the last iteration, and no curve.
    """

    average: NDArray[np.float32]
    held_out_mse: float | None
    best_iteration: int
    iterations: int
    curve: tuple[tuple[int, float], ...]

    @property
    def still_falling(self) -> bool:
        """Whether the last look was the best one: more iterations would have been worth something."""
        return self.held_out_mse is not None and self.best_iteration == self.iterations


def noise_input(channels: int, height: int, width: int, rng: np.random.Generator) -> Tensor:
    """The fixed input z ~ U(0, 0.1) of sec. 3.1: float32 (1, channels, height, width)."""
    z = rng.random((1, channels, height, width), dtype=np.float32)
    return torch.from_numpy(z * np.float32(0.1))


def fit(
    network: nn.Module,
    z: Tensor,
    degradation: Degradation,
    held_out: Tensor,
    settings: FitSettings,
    *,
    jitter_rng: np.random.Generator,
    report: Callable[[Step], None],
) -> Fit:
    """Minimise the loss over the observations that are not held out; `report` is called each iteration.

    network: (1, C, H, W) -> (1, 3, H, W) in [0, 1].  held_out: bool (h, w), may be nowhere True.  Stops at
    `settings.iterations`, or earlier, unless it is to go to the end, when the held-out error has not fallen for
    max(300, half of the iterations so far).
    Raises DivergedError when the loss is not finite. Wall time decides nothing.
    """
    fitted = degradation.known & ~held_out
    # Fused: one pass over each of many small tensors; 3 % of the time of a small network at 128 px.
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=True)
    average = _Average(degradation.output_size, settings.average_decay)
    best, curve = _Best(), []
    watched = bool(held_out.any())
    iteration = 0
    for iteration in range(1, settings.iterations + 1):
        optimiser.zero_grad(set_to_none=True)
        output: Tensor = network(_jittered(z, settings.jitter, jitter_rng))
        loss = degradation.loss(output, fitted, settings.loss)
        loss.backward()  # type: ignore[no-untyped-call]
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DivergedError(f"the loss was {value} at iteration {iteration}")
        optimiser.step()
        average.add(output.detach())
        seen = None
        if watched and (iteration % settings.check_every == 0 or iteration == settings.iterations):
            error = degradation.error(average.now(), held_out)
            if not math.isfinite(error):
                raise DivergedError(f"the held-out error was {error} at iteration {iteration}")
            seen = held_out_psnr(error)
            curve.append((iteration, seen))
            best.offer(iteration, error, average)
        report(Step(iteration, value, seen, average.picture))
        patient = settings.to_the_end or iteration - best.iteration < max(_PATIENCE, iteration // 2)
        if seen is not None and not patient:
            break
    if not watched:
        return Fit(average.picture(), None, iteration, iteration, ())
    return Fit(best.picture(), best.error, best.iteration, iteration, tuple(curve))


def _jittered(z: Tensor, deviation: float, rng: np.random.Generator) -> Tensor:
    if deviation == 0:
        return z
    noise = rng.standard_normal(tuple(z.shape), dtype=np.float32)
    return z + torch.from_numpy(noise).to(z.device) * deviation


class _Average:
    """Exponential moving average of the outputs: a convex combination at every time, so never pulled to 0.

    It reaches back over an eighth of the iterations so far, at most over 1 / (1 - decay): the plain average
    of decay 0.99 lags a fit of 150 iterations by 1 dB, and would rank networks by how early they learnt.
    """

    def __init__(self, size: tuple[int, int], decay: float) -> None:
        self._mean = torch.zeros(1, 3, *size)
        self._decay = decay
        self._count = 0

    def add(self, output: Tensor) -> None:
        if self._count == 0:
            self._mean = self._mean.to(output.device)
        self._count += 1
        self._mean.lerp_(output, 1 - min(self._decay, max(0.0, 1 - _REACH / self._count)))

    def now(self) -> Tensor:
        """(1, 3, H, W) in [0, 1]; changes with the next output."""
        return self._mean

    def picture(self) -> NDArray[np.float32]:
        picture: NDArray[np.float32] = self._mean[0].permute(1, 2, 0).contiguous().cpu().numpy()
        return picture


class _Best:
    """The averaged output at the least held-out error; the earlier of equal ones."""

    def __init__(self) -> None:
        self.error = math.inf
        self.iteration = 0
        self._picture: NDArray[np.float32] | None = None

    def offer(self, iteration: int, error: float, average: _Average) -> None:
        if error < self.error:
            self.error, self.iteration, self._picture = error, iteration, average.picture()

    def picture(self) -> NDArray[np.float32]:
        if self._picture is None:
            raise ValueError("no iteration was done: at least 1 is needed")
        return self._picture
