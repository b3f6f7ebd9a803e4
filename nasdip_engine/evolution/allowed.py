"""What values each setting allows: a range of numbers, or a choice of words."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from nasdip_engine.errors import SettingsError
from nasdip_engine.genome.genome import MAX_UNITS, REPRESENTATIONS
from nasdip_engine.task import BLOCK, KERNELS

__all__ = ["CHOICES", "RANGES", "check_choice", "checked_number"]

RANGES: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "units": (1, MAX_UNITS),
        "population": (2, 1000),
        "generations": (1, 100),
        "iterations": (1, 20_000),
        "final_iterations": (1, 20_000),
        "finalists": (1, 4),
        "mutation_rate": (0.0, 1.0),
        "elite_share": (0.0, 0.5),
        "cull_share": (0.0, 0.5),
        "starter_share": (0.0, 1.0),
        "cost_cap": (0, 10**9),
        "memory_limit": (64, 10**6),
        "crop": (32, 512),
        "learning_rate": (1e-5, 1.0),
        "average_decay": (0.0, 0.9999),
        "jitter": (0.0, 1.0),
        "final_jitter": (0.0, 1.0),
        "input_channels": (1, 128),
        "hold_out_share": (0.01, 0.15),
        "hold_out_block": (1, BLOCK),
        "threads": (1, 64),
        "tile": (64, 1024),
        "tile_finalists": (1, 4),
        "first_rung": (0.02, 1.0),
        "promoted_share": (0.05, 0.95),
    }
)
CHOICES: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "preset": ("preview", "balanced", "thorough", "paper"),
        "representation": tuple(REPRESENTATIONS),
        "selection": ("rank", "fitness", "tournament"),
        "loss": ("squared", "absolute"),
        "fitness": ("held-out", "lpips-observed"),
        "kernel": KERNELS,
        "precision": ("fp32", "bf16"),
        "device_class": ("cpu", "cuda"),
        "redraw": (True, False),
        "refit": (True, False, None),
    }
)


def check_choice(name: str, value: Any) -> None:
    """Raises SettingsError that names the field and its choices."""
    allowed = CHOICES[name]
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in allowed):
        listed = ", ".join(str(choice) for choice in allowed)
        raise SettingsError(f"{name} is {value!r}; allowed: {listed}", field=name)


def checked_number(name: str, value: Any, whole: bool) -> int | float:
    """The number as a setting keeps it: an int where `whole`, else a float.  Raises SettingsError with the range."""
    low, high = RANGES[name]
    kind = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise SettingsError(f"{name} is {value!r}; it must be {kind} from {low} to {high}", field=name)
    if not low <= value <= high:
        raise SettingsError(f"{name} is {value}; allowed is {low} to {high}", field=name)
    return value if whole else float(value)
