"""The pictures and degradations of the studies: a clean picture, what is observed of it, and what is asked.

Six photographs that ship with scikit-image, so that anybody can repeat a study; two of them (chelsea's fur, gravel) are
texture, where networks differ most. Each is the middle square, resampled to the study's side, or, where a damage is named
"..., full resolution", a cut of that side out of its middle: near pixels of a camera are alike, which reduced ones deny.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data
from skimage.color import gray2rgb

from benchmarks import degrade
from benchmarks.pictures import square, strokes_mask
from nasdip_engine.seeding import generator
from nasdip_engine.task import IMPULSE, Task, TaskKind

__all__ = ["DAMAGES", "PICTURES", "TEXTURED", "Problem", "clean_picture", "problem"]

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def _motorcycle() -> Pixels:
    left: Pixels = data.stereo_motorcycle()[0]
    return left


def _gravel() -> Pixels:
    """A quarter of the picture: whole, its stones are smaller than the pixels of a study."""
    return np.asarray(gray2rgb(data.gravel()[:256, :256]))


PICTURES: Mapping[str, Callable[[], Pixels]] = MappingProxyType(
    {
        "astronaut": data.astronaut,
        "chelsea": data.chelsea,
        "coffee": data.coffee,
        "rocket": data.rocket,
        "motorcycle": _motorcycle,
        "gravel": _gravel,
    }
)
TEXTURED = frozenset({"chelsea", "gravel"})
_FULL = ", full resolution"


@dataclass(frozen=True, eq=False)
class Problem:
    """clean: uint8 (H, W, 3); observed: the same, or smaller by the task's factor; mask: bool, True = known."""

    clean: Pixels
    observed: Pixels
    mask: Mask | None
    task: Task

    @property
    def among(self) -> Mask | None:
        """The pixels that a restoration is judged on: the hole's, or all of them (None)."""
        return None if self.mask is None else ~self.mask


def clean_picture(picture: str, side: int) -> Pixels:
    """uint8 (side, side, 3)."""
    return square(PICTURES[picture](), side)


def _cut(picture: str, side: int) -> Pixels:
    whole = PICTURES[picture]()
    top, left = ((extent - side) // 2 for extent in whole.shape[:2])
    return np.ascontiguousarray(whole[top : top + side, left : left + side])


def problem(picture: str, damage: str, side: int, seed: int = 0) -> Problem:
    """One picture damaged in one of DAMAGES, or in "JPEG 10, full resolution" and the like.

    seed: of the noise and the hole, which differ from picture to picture.
    """
    made = _cut if damage.endswith(_FULL) else clean_picture
    done = DAMAGES[damage.removesuffix(_FULL)]
    return done(made(picture, side), generator(seed, "study", damage, picture, side))


_Damage = Callable[[Pixels, np.random.Generator], Problem]


def _noisy(sigma: float) -> _Damage:
    return lambda clean, rng: Problem(
        clean, degrade.gaussian(clean, sigma, rng), None, Task(TaskKind.DENOISE)
    )


def _jpeg(quality: int) -> _Damage:
    return lambda clean, _: Problem(clean, degrade.jpeg(clean, quality), None, Task(TaskKind.DENOISE))


def _specked(clean: Pixels, rng: np.random.Generator) -> Problem:
    return Problem(
        clean, degrade.salt_and_pepper(clean, 0.1, rng), None, Task(TaskKind.DENOISE, noise=IMPULSE)
    )


def _camera(clean: Pixels, rng: np.random.Generator) -> Problem:
    return Problem(clean, degrade.camera(clean, 60, 4, 85, rng), None, Task(TaskKind.DENOISE))


def _holed(hole: Callable[[int, int, np.random.Generator], Mask]) -> _Damage:
    def damage(clean: Pixels, rng: np.random.Generator) -> Problem:
        height, width = clean.shape[:2]
        mask = hole(height, width, rng)
        observed = np.where(mask[..., None], clean, np.uint8(128))
        return Problem(clean, observed, mask, Task(TaskKind.INPAINT))

    return damage


def _reduced(factor: int) -> _Damage:
    def damage(clean: Pixels, _: np.random.Generator) -> Problem:
        height, width = (side // factor for side in clean.shape[:2])
        small = np.asarray(Image.fromarray(clean).resize((width, height), Image.Resampling.BICUBIC))
        return Problem(clean, small, None, Task(TaskKind.UPSCALE, factor))

    return damage


DAMAGES: Mapping[str, _Damage] = MappingProxyType(
    {
        "sigma 15": _noisy(15),
        "sigma 25": _noisy(25),
        "sigma 50": _noisy(50),
        "JPEG 10": _jpeg(10),
        "JPEG 30": _jpeg(30),
        "salt and pepper 10 %": _specked,
        "camera": _camera,
        # So many strokes are a fifth of a picture of 96 px and a thirteenth of one of 256: "thin strokes" are alike at any side.
        "strokes": _holed(lambda height, _, rng: strokes_mask(height, 24, rng)),
        "thin strokes": _holed(
            lambda height, _, rng: strokes_mask(height, max(1, round(24 * height / 256)), rng)
        ),
        "scattered 50 %": _holed(lambda height, width, rng: degrade.scattered_hole(height, width, 0.5, rng)),
        "large hole": _holed(lambda height, width, rng: degrade.large_hole(height, width, 0.025, rng)),
        "2x": _reduced(2),
        "4x": _reduced(4),
    }
)
