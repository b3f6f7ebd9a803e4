"""What explains a run: the convergence curve, the diagram of the winner, the references beside the restoration.

Drawn from `run.json` alone, so that a run can be drawn again without repeating it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasdip_engine.baseline_names import best_of_figures, no_order
from nasdip_engine.genome.diagram import architecture_svg
from nasdip_engine.genome.genome import Genome
from nasdip_engine.task import Task

__all__ = ["OURS", "figures_table", "write_architecture", "write_convergence"]

OURS = "this restoration"

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


def figures_table(run: Mapping[str, Any]) -> str:
    """The restoration and every reference of a run with their figures, as lines; the best is marked, whichever it is.

    Where figures tell no order sentences say so instead.

    Held-out PSNR, and with a clean picture PSNR, SSIM and LPIPS against it.  Empty for a run without references.
    """
    records = run.get("baselines") or []
    made = [record for record in records if not record.get("left_out")]
    if not made:
        return ""
    rows = [(OURS, run["final"]["held_out_psnr"], run["reference"])]
    rows += [(record["method"], record["held_out_psnr"], record.get("reference")) for record in made]
    task = Task.from_json(run["task"])
    best = best_of_figures(task, {name: figure for name, figure, _ in rows})
    wide = max(len(name) for name, _, _ in rows)
    head = f"{'':{wide}}  {'held-out':>9}"
    if run["reference"]:
        head += f"  {'PSNR':>9}  {'SSIM':>6}  {'LPIPS':>6}"
    lines = [head]
    for name, figure, scores in rows:
        line = f"{name:{wide}}  {_decibels(figure)}"
        if scores:
            line += f"  {_decibels(scores['psnr'], 'equal')}  {scores['ssim']:6.4f}  {scores['lpips']:6.4f}"
        lines.append(line + ("  best" if name in best else ""))
    left_out = [record["left_out"] for record in records if record.get("left_out")]
    return "\n".join([*lines, *filter(None, [no_order(task)]), *left_out])


def _decibels(figure: float | None, none: str = "-") -> str:
    return f"{none:>9}" if figure is None else f"{figure:6.2f} dB"
