"""What is asked of a picture, as a value that travels as JSON (paper, eq. 3-5)."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from nasdip_engine.errors import SettingsError

__all__ = [
    "BLOCK",
    "CORRELATED",
    "FACTORS",
    "IMPULSE",
    "INDEPENDENT",
    "KERNELS",
    "LEAST_KNOWN",
    "NOISES",
    "NONE",
    "Task",
    "TaskKind",
]

FACTORS = range(2, 9)
"""Enlargement factors."""
KERNELS = ("bilinear", "bicubic", "lanczos", "box")
"""Antialiased reduction kernels of the operator D in eq. 5."""
LEAST_KNOWN = 2
"""Known pixels around a hole, at least: one to fit, another to hold out."""


class TaskKind(StrEnum):
    """The three restoration tasks of the paper (sec. 3.2): remove noise (eq. 3), fill a hole (eq. 4), enlarge (eq. 5)."""

    DENOISE = "denoise"
    INPAINT = "inpaint"
    UPSCALE = "upscale"


BLOCK = 8
"""Side in pixels of JPEG's blocks, each quantised by itself: frames of correlated noise begin on their grid, and runs older
than the setting `hold_out_block` held them out whole."""
NONE, INDEPENDENT, CORRELATED, IMPULSE = "none", "independent", "correlated", "impulse"
NOISES: Mapping[TaskKind, tuple[str, ...]] = MappingProxyType(
    {
        TaskKind.DENOISE: (INDEPENDENT, CORRELATED, IMPULSE),
        TaskKind.INPAINT: (NONE, INDEPENDENT, CORRELATED, IMPULSE),
        TaskKind.UPSCALE: (NONE, CORRELATED),
    }
)
"""What may be assumed of an observation's noise, by task; the first is the task's default."""


@dataclass(frozen=True, slots=True)
class Task:
    """One restoration task.

    factor: how many times larger the result is, a side; 2 to 8 for UPSCALE, 1 otherwise.
    kernel: the reduction D that UPSCALE assumes between result and picture; other tasks ignore it.
    noise: what is assumed of the observation; the kind's default where "" is given.  "none": what is known is
    exact.  "independent": each pixel has noise of its own, of any strength.  "correlated": pixels near each
    other share theirs, as in JPEG and camera pictures.  "impulse": some pixels are lost to black, white or any
    value (salt and pepper), the others are sound.
    Raises SettingsError naming the field.
    """

    kind: TaskKind
    factor: int = 1
    kernel: str = "bicubic"
    noise: str = ""

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "kind", TaskKind(self.kind))
        except ValueError:
            known = ", ".join(TaskKind)
            raise SettingsError(f"task is {self.kind!r}; allowed are {known}", field="task") from None
        try:
            if isinstance(self.factor, bool):
                raise TypeError
            object.__setattr__(self, "factor", operator.index(self.factor))  # NumPy's, too
        except TypeError:
            raise SettingsError(
                f"factor is {self.factor!r}; it must be a whole number", field="factor"
            ) from None
        if self.kind is TaskKind.UPSCALE and self.factor not in FACTORS:
            raise SettingsError(
                f"factor is {self.factor}; allowed is {FACTORS[0]} to {FACTORS[-1]}", field="factor"
            )
        if self.kind is not TaskKind.UPSCALE and self.factor != 1:
            raise SettingsError(f"factor is {self.factor}; only {TaskKind.UPSCALE} has one", field="factor")
        if self.kernel not in KERNELS:
            raise SettingsError(
                f"kernel is {self.kernel!r}; allowed are {', '.join(KERNELS)}", field="kernel"
            )
        object.__setattr__(self, "noise", self.noise or NOISES[self.kind][0])
        if self.noise not in NOISES[self.kind]:
            raise SettingsError(_noise_refusal(self.kind, self.noise), field="noise")

    @property
    def noise_is_default(self) -> bool:
        """Whether the noise is what the kind of task assumes where nothing else is said."""
        return self.noise == NOISES[self.kind][0]

    @property
    def keeps_known(self) -> bool:
        """Whether known pixels are exact and stay as they are, so that only the hole is filled."""
        return self.kind is TaskKind.INPAINT and self.noise == NONE

    @property
    def refits(self) -> bool:
        """Whether a final fit must be done again with all observations, since held-out ones would show in the result.

        A lone pixel is guessed well between its neighbours; the inside of a block is not (decision 15).  Whether it is
        done is a setting (`SearchSettings.refits`).
        """
        return self.noise == CORRELATED

    def to_json(self) -> dict[str, Any]:
        """The kind's default noise is left out: keys of evaluations stay what they were before it had a name."""
        told = {"kind": self.kind.value, "factor": self.factor, "kernel": self.kernel}
        return told if self.noise_is_default else told | {"noise": self.noise}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Task:
        """noise may be missing.  Raises KeyError where another part is, SettingsError as the class."""
        return cls(value["kind"], value["factor"], value["kernel"], value.get("noise") or "")


def _noise_refusal(kind: TaskKind, noise: str) -> str:
    if kind is TaskKind.DENOISE and noise == NONE:
        known = f"choose one of {', '.join(NOISES[kind])}"
        return f"noise is 'none', but without noise there is nothing to remove from the picture; {known}"
    known = f"noise is {noise!r}; allowed for {kind} are {', '.join(NOISES[kind])}"
    if kind is TaskKind.UPSCALE and noise in (INDEPENDENT, IMPULSE):
        return known + "; remove the noise of the small picture first, then enlarge the result"
    return known
