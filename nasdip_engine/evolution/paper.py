"""The paper's own protocol: every setting with the value that it prints, and where it prints it.

"Silent" marks what the paper leaves open; the value is then that of classical DIP's public code, which the
paper's implementation extends (sec. 4), or the plainest.  docs/paper.md has the same as a table, with what this
engine does otherwise all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

__all__ = ["PAPER", "Printed"]


@dataclass(frozen=True, slots=True)
class Printed:
    """One setting of the paper.  source: section, equation or figure, or why this value where it is silent."""

    value: Any
    source: str


PAPER: Mapping[str, Printed] = MappingProxyType(
    {
        "representation": Printed("asym", "sec. 3.1 (sec. 4.1 compares the three)"),
        "units": Printed(5, "sec. 4.1: N = 5 in all experiments (sec. 3.1 says 6 once)"),
        "population": Printed(500, "sec. 3.2.1: K = 500"),
        "generations": Printed(20, "sec. 4.2: convergence within 10-20 generations; fig. 5: generation 20"),
        "selection": Printed("fitness", "sec. 3.2.1: p(G_i) = f(G_i) / sum f"),
        "elite_share": Printed(0.05, "sec. 3.2.1: the top 5 % pass unperturbed"),
        "cull_share": Printed(0.05, "sec. 3.2.1: the bottom 5 % are culled, the middle 90 % bred"),
        "mutation_rate": Printed(0.05, "sec. 4.2: p_m = 0.05"),
        "starter_share": Printed(0.0, "sec. 3.2.1: uniform bits alone"),
        "redraw": Printed(
            value=False, source="sec. 3.2.2: what is invalid keeps its place and evaluates to 0"
        ),
        "cost_cap": Printed(0, "silent: none"),
        "memory_limit": Printed(1_000_000, "silent: more than any network of 512 px needs"),
        "crop": Printed(512, "sec. 3: the whole picture; the largest search frame that there is"),
        "iterations": Printed(2000, "sec. 4: 2000 epochs, every genome to the end"),
        "final_iterations": Printed(2000, "sec. 4: the same"),
        "finalists": Printed(1, "eq. 2: one network G*"),
        "learning_rate": Printed(1e-3, "sec. 4: Adam, learning rate 10^-3"),
        "loss": Printed("absolute", "eq. 3-5"),
        "kernel": Printed("bilinear", "eq. 5: D by bilinear interpolation"),
        "fitness": Printed("lpips-observed", "eq. 6: LPIPS, blind"),
        "hold_out_share": Printed(0.0, "eq. 3-5: the loss is over the whole observation"),
        "hold_out_block": Printed(8, "silent: decides nothing where nothing is held out"),
        "average_decay": Printed(0.0, "eq. 2: the network's output itself, not a mean of outputs"),
        "jitter": Printed(0.0, "fig. 2: constant noise field"),
        "final_jitter": Printed(0.0, "fig. 2: constant noise field"),
        "input_channels": Printed(32, "silent: classical DIP's"),
        "precision": Printed("fp32", "silent: torch's and TensorFlow's default"),
        "threads": Printed(1, "silent: decides no more than the last bits"),
        "device_class": Printed("cpu", "sec. 4 used 16 Titan X GPUs; `--device cuda` asks for one"),
        "tile": Printed(512, "silent: its pictures are no larger"),
        "tile_finalists": Printed(1, "eq. 2: one network G*"),
        "first_rung": Printed(1.0, "sec. 4: 2000 epochs, every genome to the end"),
        "promoted_share": Printed(0.33, "silent: decides nothing where every genome goes to the end"),
        "refit": Printed(value=False, source="eq. 3-5: nothing is held out, so nothing is fitted again"),
    }
)
