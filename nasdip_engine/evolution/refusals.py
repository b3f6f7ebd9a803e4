"""What a preset, settings and a task, each right by itself, can't be together; every refusal names the field."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nasdip_engine.errors import SettingsError
from nasdip_engine.evolution.presets import PRESETS
from nasdip_engine.genome.starters import cheapest_starter
from nasdip_engine.task import Task, TaskKind

if TYPE_CHECKING:
    from nasdip_engine.evolution.settings import SearchSettings

__all__ = ["SMALLEST_OBSERVED", "check_kernel", "check_together"]

SMALLEST_OBSERVED = 31
"""Pixels a side under which LPIPS compares nothing: `restoration.perceptual.SMALLEST_SIDE`, told without torch."""


def check_together(settings: SearchSettings, task: Task) -> None:
    """Raises SettingsError where settings and task don't go together, or settings among each other."""
    _check_cap(settings)
    _check_observed(settings, task)
    _check_refit(settings, task)


def check_kernel(preset: str, task: Task, given: Mapping[str, Any]) -> None:
    """Refuse settings whose kernel is not the task's, and a preset that prints one for a task with another.

    given: the settings set by hand.  Raises SettingsError.
    """
    if given.get("kernel", task.kernel) != task.kernel:
        raise SettingsError(
            f"kernel is {given['kernel']!r} but the task assumes {task.kernel!r}; set it in the task",
            field="kernel",
        )
    printed = PRESETS[preset].get("kernel", task.kernel)
    if task.kind is TaskKind.UPSCALE and task.kernel != printed and "kernel" not in given:
        raise SettingsError(
            f"the preset {preset!r} reduces with the kernel {printed!r}, the task with {task.kernel!r}; "
            f"make the task with task_for, or set kernel to {task.kernel!r} in the settings too",
            field="kernel",
        )


def _check_cap(settings: SearchSettings) -> None:
    """Refuse a cap under which no starter is admitted: a search would draw in vain for every place."""
    least = cheapest_starter(settings.units, settings.crop, settings.input_channels, settings.representation)
    if settings.redraw and 0 < settings.cost_cap < least:
        raise SettingsError(
            f"cost_cap is {settings.cost_cap}; with these units and this crop it must be 0 (none) or at least "
            f"{math.ceil(least)}, the price of the cheapest starter",
            field="cost_cap",
        )


def _check_observed(settings: SearchSettings, task: Task) -> None:
    """Refuse a crop whose observation LPIPS can't be taken of."""
    if settings.fitness == "lpips-observed" and settings.crop // task.factor < SMALLEST_OBSERVED:
        raise SettingsError(
            f"crop is {settings.crop}; with fitness 'lpips-observed' and factor {task.factor} it must be at least "
            f"{SMALLEST_OBSERVED * task.factor}, so that {SMALLEST_OBSERVED} observed pixels a side can be compared",
            field="crop",
        )


def _check_refit(settings: SearchSettings, task: Task) -> None:
    """Refuse to leave blocks in a result that no fit saw."""
    if task.refits and settings.hold_out_share and settings.refit is False:
        raise SettingsError(
            f"refit is False, but with {task.noise} noise the held-out blocks would show in the result; leave it out",
            field="refit",
        )
