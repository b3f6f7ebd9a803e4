"""Presets: sets of numbers with a cost known beforehand.  Data alone; `settings.settings_for` makes settings of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from nasdip_engine.evolution.paper import PAPER

__all__ = ["FINAL_JITTER", "GPU_PRESETS", "JITTER_FROM", "PRESETS", "REFITTED"]

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
                "final_iterations": 1500,
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
REFITTED: Mapping[str, int] = MappingProxyType({"preview": 400, "balanced": 850, "thorough": 1700})
"""`final_iterations` where the final fit is done again: both together cost about what one costs without (decision 21)."""
FINAL_JITTER = 0.01
JITTER_FROM: Mapping[str, int] = MappingProxyType({"denoise": 600, "inpaint": 700, "upscale": 300})
"""From so many `final_iterations` on noise of FINAL_JITTER on the input pays (decision 20, docs/results/final-fits.md)."""
GPU_PRESETS = frozenset({"paper"})
"""Presets that nobody should start without a GPU: weeks of a processor's cores."""
