"""What is asked of a picture, as a value that travels as JSON (paper, eq. 3-5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nasdip_engine.errors import SettingsError

__all__ = ["FACTORS", "KERNELS", "Task", "TaskKind"]

FACTORS = range(2, 9)
"""Enlargement factors."""
KERNELS = ("bilinear", "bicubic", "lanczos", "box")
"""Antialiased reduction kernels of the operator D in eq. 5."""


class TaskKind(StrEnum):
    """The three restoration tasks of the paper (sec. 3.2)."""

    DENOISE = "denoise"
    INPAINT = "inpaint"
    UPSCALE = "upscale"


@dataclass(frozen=True, slots=True)
class Task:
    """One restoration task.

    factor: how many times larger the result is, a side; 2 to 8 for UPSCALE, 1 otherwise.
    kernel: the reduction D that UPSCALE assumes between result and picture; other tasks ignore it.
    Raises SettingsError naming the field.
    """

    kind: TaskKind
    factor: int = 1
    kernel: str = "bicubic"

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "kind", TaskKind(self.kind))
        except ValueError:
            known = ", ".join(TaskKind)
            raise SettingsError(f"task is {self.kind!r}; allowed are {known}", field="task") from None
        if type(self.factor) is not int:
            raise SettingsError(f"factor is {self.factor!r}; it must be a whole number", field="factor")
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

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind.value, "factor": self.factor, "kernel": self.kernel}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Task:
        return cls(value["kind"], value["factor"], value["kernel"])
