"""Presets: sets of numbers with a cost known beforehand, of which `settings.settings_for` makes settings; what they gave."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from nasdip_engine.evolution.paper import PAPER

__all__ = [
    "FINAL_JITTER",
    "GPU_PRESETS",
    "HELD_OUT_BLOCK",
    "JITTER_FROM",
    "MEASURED",
    "PRESETS",
    "RACED",
    "REFITTED",
    "worth",
]

# Iterations, widths and shares were tuned by benchmarks (docs/benchmarks.md).  Fields that are not named have the
# defaults of SearchSettings; cost caps and learning rates follow the task and the crop (settings_for).
PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "preview": MappingProxyType(
            {
                "population": 12,
                "generations": 3,
                "iterations": 150,
                "final_iterations": 700,
                "finalists": 2,
                "crop": 128,
                "starter_share": 0.33,
            }
        ),
        "balanced": MappingProxyType(
            {
                "population": 24,
                "generations": 5,
                "iterations": 300,
                "final_iterations": 1700,
                "finalists": 2,
                "crop": 128,
                "starter_share": 0.33,
            }
        ),
        "thorough": MappingProxyType(
            {
                "population": 48,
                "generations": 10,
                "iterations": 600,
                "final_iterations": 3000,
                "finalists": 2,
                "crop": 128,
                "starter_share": 0.25,
            }
        ),
        "paper": MappingProxyType({name: printed.value for name, printed in PAPER.items()}),
    }
)
REFITTED: Mapping[str, int] = MappingProxyType({"preview": 500})
"""`final_iterations` where the final fit is done again, so that a preview takes minutes still (decision 21)."""
RACED: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {"preview": MappingProxyType({"inpaint": 0.167, "upscale": 0.167})}
)
"""`first_rung` of exact pictures by preset and task, where a race finds as good a network (docs/results/raced-searches.md)."""
HELD_OUT_BLOCK = 4
"""Side in pixels of the blocks that are held out where noise is correlated (decision 15)."""
FINAL_JITTER = 0.01
JITTER_FROM: Mapping[str, int] = MappingProxyType({"denoise": 500, "inpaint": 700, "upscale": 1700})
"""From so many `final_iterations` on noise of FINAL_JITTER on the input pays (decision 20, docs/results/final-fits.md)."""
GPU_PRESETS = frozenset({"paper"})
"""Presets that nobody should start without a GPU: weeks of a processor's cores."""
_MEASURED_ON: Mapping[str, str] = MappingProxyType(
    {
        "denoise": "sigma 25: {} dB; best Gaussian blur 25.6, non-local means 27.8, BM3D 29.7",
        "inpaint": "thin strokes: {} dB; nearest pixel 36.7, biharmonic filling 39.3",
        "upscale": "4x: {} dB; bicubic 25.3, Lanczos 25.5",
    }
)
MEASURED: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "preview": MappingProxyType({"denoise": 27.8, "inpaint": 39.0, "upscale": 26.3}),
        "balanced": MappingProxyType({"denoise": 28.2, "inpaint": 39.3, "upscale": 26.6}),
    }
)
"""PSNR in dB of a test photograph of 256 px by preset and task, as docs/results/<preset>.md has it."""


def worth(preset: str, task: str) -> str:
    """What a preset gave for a task, beside methods that take seconds; empty where it was not measured."""
    gave = MEASURED.get(preset, {}).get(task)
    return "" if gave is None else f"On a test photograph, {_MEASURED_ON[task].format(gave)}."
