"""Pictures that explain a run: the convergence curve and the diagram of the winner.

Drawn from `run.json` alone, so that a run can be drawn again without repeating it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasdip_engine.genome.diagram import architecture_svg
from nasdip_engine.genome.genome import Genome

__all__ = ["write_architecture", "write_convergence"]

_ACCENT = "#c2570c"  # the one accent of the pages: the best so far
_GREY = "#6b6b6b"
_FITNESS = {
    "held-out": "fitness (held-out PSNR, 10 to 50 dB as 0 to 1)",
    "lpips-observed": "fitness (1 - LPIPS to what was observed)",
}


def write_convergence(run: Mapping[str, Any], path: Path) -> None:
    """Draw best, mean and worst fitness by generation to a PNG (about 960 x 600 px)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # half a second: only when a curve is drawn
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    generations = run["generations"]
    numbers = [generation["number"] for generation in generations]
    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.fill_between(
        numbers,
        [generation["worst"] for generation in generations],
        [generation["best"] for generation in generations],
        color="#dddddd",
        label="worst to best",
    )
    axes.plot(
        numbers, [generation["mean"] for generation in generations], color=_GREY, marker="o", label="mean"
    )
    axes.plot(
        numbers, [generation["best"] for generation in generations], color=_ACCENT, marker="o", label="best"
    )
    axes.set_xlabel("generation")
    axes.set_ylabel(_FITNESS[run["settings"].get("fitness", "held-out")])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Software": None})


def write_architecture(run: Mapping[str, Any], path: Path) -> None:
    """Draw the best genome's network as a standalone SVG."""
    phenotype = Genome.parse(run["best_genome"]).phenotype()
    path.write_text(
        architecture_svg(phenotype, title=f"Best network: {run['best_genome']}"), encoding="utf-8"
    )
