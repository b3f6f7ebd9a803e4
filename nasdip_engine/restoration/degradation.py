"""What happened to the picture, and so what a network's output can be compared with (paper, eq. 3-5).

A degradation holds the observation and knows how an output would have been observed. Everything that
differs between removing noise, filling a hole and enlarging is here; `fit.py` knows none of it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasdip_engine.bit_depth import Samples, at_depth, bits_of, in_unit_range, quantised
from nasdip_engine.errors import MaskError, SettingsError
from nasdip_engine.restoration.hold_out import blocks, moved_copies, scattered, within_cap
from nasdip_engine.restoration.resample import downsampling_matrix, separable
from nasdip_engine.seeding import generator
from nasdip_engine.task import BLOCK, CORRELATED, IMPULSE, LEAST_KNOWN, Task, TaskKind

__all__ = [
    "LOSSES",
    "Degradation",
    "Downsampling",
    "Hole",
    "Noise",
    "NoisyHole",
    "degradation_for",
    "held_out_error",
    "held_out_set",
]

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]
Pixels = Samples

LOSSES = ("squared", "absolute")


class Degradation(Protocol):
    """The observation of one picture, and the way from an output to it.

    observation: float32 (1, 3, h, w) in [0, 1].  known: bool (h, w), True where something was observed.
    output_size: height and width of the restoration.  exact: bool output_size, True where the observation
    fixes the restored pixel to the last bit.
    """

    @property
    def observation(self) -> Tensor: ...

    @property
    def known(self) -> Tensor: ...

    @property
    def output_size(self) -> tuple[int, int]: ...

    @property
    def exact(self) -> BoolArray: ...

    def observe(self, output: Tensor) -> Tensor:
        """How `output`, float (1, 3, H, W), would have been observed: (1, 3, h, w)."""
        ...

    def loss(self, output: Tensor, among: Tensor, kind: str) -> Tensor:
        """Mean squared or absolute difference to the observations `among` (bool (h, w)): a scalar."""
        ...

    def error(self, output: Tensor, among: Tensor) -> float:
        """Mean squared difference to the observations `among`, summed in float64: what fitness is made of.

        Where impulses are assumed: the square of the mean absolute difference (`_Observed.error` says why).
        """
        ...

    def hold_out(self, share: float, rng: np.random.Generator, block: int, /) -> Tensor:
        """Observations to keep out of the loss: bool (h, w), a proper part of `known`.

        block: side in pixels of what is held out at once where near pixels share their noise.
        """
        ...

    def compose(self, restored: FloatArray, bits: int | None = None) -> Pixels:
        """The finished picture of a restoration (H, W, 3) in [0, 1], `exact` pixels as observed.

        bits: 8 or 16, the observation's own depth if None; at that one `exact` pixels are equal to the bit.
        """
        ...


@dataclass(frozen=True, eq=False)
class _Observed:
    """What all share: the observation itself, and a masked difference to it."""

    pixels: Pixels
    observation: Tensor
    known: Tensor
    output_size: tuple[int, int]
    exact: BoolArray
    noise: str

    def observe(self, output: Tensor) -> Tensor:
        return output

    def loss(self, output: Tensor, among: Tensor, kind: str) -> Tensor:
        # Multiplying by the mask leaves the gradient zero, to the bit, where nothing is compared.
        difference = (self.observe(output) - self.observation) * among
        if kind == "squared":
            total = difference.square().sum()
        elif kind == "absolute":
            total = difference.abs().sum()
        else:
            raise SettingsError(f"loss {kind!r} is not known; it is one of {', '.join(LOSSES)}")
        return total / (3 * int(among.sum()))

    def error(self, output: Tensor, among: Tensor) -> float:
        """Squared error is what J-invariance covers: E(f - y)^2 = E(f - x)^2 + sigma^2 for noise of mean 0.

        An impulse has no mean of x: the squared error is least at a grey between picture and impulses, and a few
        hundred impulses drown what tells two networks apart. Of the absolute error, with a share p of values lost to
        black and white alike, |f - 0| + |f - 1| = 1, so E|f - y| = (1 - p) E|f - x| + p / 2: it ranks as the true
        error does, whatever p < 1; and for other impulses its minimum is x while p < 1/2. Squared, so that decibels
        mean the same.
        """
        difference = (self.observe(output) - self.observation)[..., among].double()
        if self.noise == IMPULSE:
            return float(difference.abs().mean()) ** 2
        return float(difference.square().mean())

    def _spread(self, share: float, rng: np.random.Generator, block: int) -> BoolArray:
        """Single pixels, or blocks where near pixels share their noise."""
        known = self.known.numpy()
        return blocks(known, share, rng, block) if self.noise == CORRELATED else scattered(known, share, rng)

    def compose(self, restored: FloatArray, bits: int | None = None) -> Pixels:
        depth = bits or bits_of(self.pixels)
        seen = at_depth(self._at_output_size(), depth)
        composed: Pixels = np.where(self.exact[..., None], seen, quantised(restored, depth))
        return composed

    def _at_output_size(self) -> Pixels:
        return self.pixels


class Noise(_Observed):
    """|G(z) - x| (eq. 3): every pixel was seen, none of them exactly."""

    def hold_out(self, share: float, rng: np.random.Generator, block: int, /) -> Tensor:
        return torch.from_numpy(self._spread(share, rng, block))


class Hole(_Observed):
    """|M(G(z)) - M(x)| (eq. 4), M zero inside the hole: known pixels are exact, the others unseen."""

    def hold_out(self, share: float, rng: np.random.Generator, _block: int, /) -> Tensor:
        return torch.from_numpy(moved_copies(self.known.numpy(), share, rng))


class NoisyHole(_Observed):
    """A hole in a noisy picture: eq. 3 where something was seen, nothing elsewhere; no pixel is exact.

    Copies of the hole say how well it is filled, pixels or blocks between them when fitting turns to the noise.
    """

    def hold_out(self, share: float, rng: np.random.Generator, block: int, /) -> Tensor:
        known = self.known.numpy()
        copies = moved_copies(known, share, rng)
        side = block if self.noise == CORRELATED else 1
        return torch.from_numpy(within_cap(copies, self._spread(share, rng, block), known, rng, side))


@dataclass(frozen=True, eq=False)
class Downsampling(_Observed):
    """|D(G(z)) - x| (eq. 5): an antialiased reduction by a whole factor was seen."""

    rows: Tensor
    columns: Tensor

    _nothing: ClassVar[Pixels] = np.zeros((1, 1, 3), dtype=np.uint8)

    def observe(self, output: Tensor) -> Tensor:
        return separable(output, self.rows, self.columns)

    def hold_out(self, share: float, rng: np.random.Generator, block: int, /) -> Tensor:
        return torch.from_numpy(self._spread(share, rng, block))

    def _at_output_size(self) -> Pixels:
        return self._nothing  # no output pixel is exact


def degradation_for(task: Task, pixels: Pixels, mask: BoolArray | None) -> Degradation:
    """The degradation of one frame.

    pixels: uint8 or uint16 (h, w, 3), the picture as observed.  mask: bool (h, w), True = known, for INPAINT only.
    Raises MaskError where the mask does not fit the picture, is missing or leaves nothing to fit or to fill.
    """
    height, width = pixels.shape[:2]
    observation = _as_tensor(in_unit_range(pixels))
    everywhere = torch.ones(height, width, dtype=torch.bool)
    nowhere = np.zeros((height, width), dtype=np.bool_)
    if task.kind is TaskKind.INPAINT:
        known = _checked_mask(mask, height, width)
        seen = torch.from_numpy(known)
        if task.keeps_known:
            return Hole(pixels, observation, seen, (height, width), known, task.noise)
        return NoisyHole(pixels, observation, seen, (height, width), nowhere, task.noise)
    if mask is not None:
        raise MaskError(f"a mask belongs to filling a hole; the task is {task.kind}")
    if task.kind is TaskKind.DENOISE:
        return Noise(pixels, observation, everywhere, (height, width), nowhere, task.noise)
    size = (height * task.factor, width * task.factor)
    rows = downsampling_matrix(size[0], height, task.kernel)
    columns = downsampling_matrix(size[1], width, task.kernel)
    exact = np.zeros(size, dtype=np.bool_)
    return Downsampling(pixels, observation, everywhere, size, exact, task.noise, rows, columns)


def held_out_set(
    degradation: Degradation, task: Task, share: float, evaluation_seed: int, block: int = BLOCK
) -> Tensor:
    """The held-out observations of a search, bool (h, w): the same for every genome.

    block: side in pixels of what is held out at once where noise is correlated.  Depends on the evaluation seed, the
    task, the mask and the size, on nothing else.  A share of 0 holds nothing out.
    """
    if share == 0:
        return torch.zeros_like(degradation.known)
    height, width = degradation.known.shape
    mask = hashlib.sha256(degradation.known.numpy().tobytes()).hexdigest()
    assumed = () if task.noise_is_default else (task.noise,)
    purpose = ("held-out", str(task.kind), task.factor, height, width, mask, *assumed)
    return degradation.hold_out(share, generator(evaluation_seed, *purpose), block)


def held_out_error(degradation: Degradation, restored: FloatArray, held_out: Tensor) -> float:
    """The degradation's error of a restoration, float32 (H, W, 3), on the held-out observations."""
    return degradation.error(_as_tensor(restored), held_out)


def _as_tensor(picture: FloatArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))[None])


def _checked_mask(mask: BoolArray | None, height: int, width: int) -> BoolArray:
    if mask is None:
        raise MaskError("filling a hole needs a mask that says which pixels are known")
    if mask.shape != (height, width):
        raise MaskError(f"the mask is {mask.shape[1]}x{mask.shape[0]}, the picture {width}x{height}")
    known = int(np.count_nonzero(mask))
    if known == mask.size:
        raise MaskError("the mask marks every pixel as known: there is no hole to fill")
    if known < LEAST_KNOWN:
        raise MaskError(
            f"the mask leaves {known} known pixels; at least {LEAST_KNOWN} are needed to fit anything"
        )
    return np.ascontiguousarray(mask, dtype=np.bool_)
