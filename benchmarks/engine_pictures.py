"""The pictures of docs/engine.md, by its sections: every one made by the engine, none drawn by hand.

    python -m benchmarks.engine_pictures [--out docs/engine]

A 128 px picture, a small search (8 networks, 4 generations, 120 iterations) and one long fit: about four minutes on two
cores. The pictures explain; figures that are claimed stand in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from benchmarks.pictures import Case, astronaut_noise, chelsea_strokes, coffee_small
from nasdip_engine import Genome, Restoration, Task, TaskKind, restore, settings_for
from nasdip_engine.evolution.breeding import crossover, mutate
from nasdip_engine.genome.diagram import architecture_svg
from nasdip_engine.genome.genome import REPRESENTATIONS
from nasdip_engine.genome.starters import starters
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.restoration.degradation import degradation_for, held_out_set
from nasdip_engine.restoration.fit import FitSettings, Step, fit, noise_input
from nasdip_engine.restoration.metrics import psnr
from nasdip_engine.restoration.network import build
from nasdip_engine.seeding import generator

ACCENT, GREY = "#c2570c", "#6b6b6b"
SIDE = 128
SEED = 5
SHOWN = (1, 10, 40, 150, 400, 1000)
"""Iterations at which the fit is looked at, as far as it comes before the held-out error stops it."""
_MOST = 3000


def _figure(width: float, height: float, columns: int, rows: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(np.atleast_1d(figure.subplots(rows, columns)).ravel())


def _show(axes: Axes, picture: NDArray[Any], title: str) -> None:
    axes.imshow(picture, interpolation="nearest", cmap="gray")
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Software": None})
    print(path)


def genome(out: Path) -> None:
    """Section 1: the bits of a genome by unit, and below them the network they decode to."""
    chosen = starters(5)[0]
    unit = REPRESENTATIONS[chosen.representation].unit_length(chosen.units)
    figure, (axes,) = _figure(8, 1.9, 1)
    bits = np.asarray(chosen.bits).reshape(chosen.units, unit)
    axes.imshow(bits, cmap="Greys", vmin=-0.2, vmax=1.4, aspect="auto")
    gates = unit - 14
    for start, name in ((0, "E s f h"), (7, "skip paths R"), (7 + gates, "D s f h")):
        axes.axvline(start - 0.5, color=ACCENT)
        axes.text(start, -0.8, name, color=ACCENT, fontsize=9)
    axes.set_yticks(range(chosen.units), [f"unit {number + 1}" for number in range(chosen.units)])
    axes.set_xticks([])
    _save(figure, out / "1-genome.png")
    (out / "1-network.svg").write_text(
        architecture_svg(chosen.phenotype(), title=chosen.text), encoding="utf-8"
    )
    print(out / "1-network.svg")


def _cases() -> list[Case]:
    return [astronaut_noise(SIDE), chelsea_strokes(SIDE, strokes=12), coffee_small(SIDE)]


def _task(case: Case) -> Task:
    return Task(TaskKind(case.task), case.factor)


def observations(out: Path) -> None:
    """Section 2: what is observed of each picture, and which observations are held out of the loss."""
    figure, axes = _figure(8, 5.6, 3, 2)
    for column, case in enumerate(_cases()):
        seen = (
            case.observation if case.mask is None else np.where(case.mask[..., None], case.observation, 255)
        )
        _show(axes[column], seen, f"{_task(case).kind}: observed")
        degradation = degradation_for(_task(case), case.observation, case.mask)
        held = held_out_set(degradation, _task(case), 0.05, SEED).numpy()
        marked = seen.copy()
        marked[held] = (194, 87, 12)
        _show(axes[3 + column], marked, f"held out: {100 * held.mean():.1f} %")
    _save(figure, out / "2-observed-and-held-out.png")


def long_fit(out: Path) -> None:
    """Section 3: one network fitted to one noisy picture, until the held-out error has long turned."""
    use_one_thread()
    case = astronaut_noise(SIDE)
    task = _task(case)
    settings = settings_for("preview", task)
    phenotype = starters(5)[0].phenotype()
    degradation = degradation_for(task, case.observation, case.mask)
    frames: dict[int, NDArray[np.uint8]] = {}
    true: list[tuple[int, float]] = []

    def report(step: Step) -> None:
        if step.iteration in SHOWN or step.held_out_psnr is not None:
            picture = degradation.compose(step.average())
            true.append((step.iteration, psnr(picture, case.clean)))
            if step.iteration in SHOWN:
                frames[step.iteration] = picture

    channels = settings.input_channels
    fitted = fit(
        build(phenotype, SIDE, SIDE, channels, generator(SEED, "weights", phenotype.digest)),
        noise_input(channels, SIDE, SIDE, generator(SEED, "input", channels, SIDE, SIDE)),
        degradation,
        held_out_set(degradation, task, settings.hold_out_share, SEED),
        FitSettings(_MOST, settings.learning_rate, settings.loss, settings.average_decay),
        jitter_rng=generator(SEED, "jitter"),
        report=report,
    )
    figure, axes = _figure(9, 1.9, len(frames))
    for place, iteration in zip(axes, frames, strict=True):
        _show(place, frames[iteration], f"iteration {iteration}")
    _save(figure, out / "4-fit.png")

    figure, (curve,) = _figure(7, 3.4, 1)
    curve.plot(*zip(*true, strict=True), color=GREY, label="true PSNR, which nobody knows")
    curve.plot(*zip(*fitted.curve, strict=True), color=ACCENT, label="PSNR on held-out observations")
    curve.axvline(
        fitted.best_iteration,
        color=ACCENT,
        linestyle=":",
        label=f"its best: iteration {fitted.best_iteration}",
    )
    curve.set_xscale("log")
    curve.set_xlabel("iteration")
    curve.set_ylabel("dB")
    curve.legend(frameon=False, fontsize=8)
    curve.spines[["top", "right"]].set_visible(False)
    _save(figure, out / "5-held-out.png")


def breeding(out: Path) -> None:
    """Section 5: two parents, their child at one splice point between units, and the mutated child."""
    rng = generator(SEED, "picture of crossover")
    first, second = (Genome.random(5, rng) for _ in range(2))
    child = crossover(first, second, 3)
    mutated = mutate(child, 0.05, rng)
    unit = REPRESENTATIONS["asym"].unit_length(5)
    figure, (axes,) = _figure(8, 1.8, 1)
    rows = [first.bits, second.bits, child.bits, mutated.bits]
    axes.imshow(np.asarray(rows), cmap="Greys", vmin=-0.2, vmax=1.4, aspect="auto", interpolation="nearest")
    for border in range(1, 5):
        axes.axvline(border * unit - 0.5, color=ACCENT, linewidth=2.5 if border == 2 else 0.6)
    axes.set_yticks(range(4), ["parent 1", "parent 2", "child", "mutated"])
    axes.set_xticks([])
    _save(figure, out / "6-crossover.png")


def searched(out: Path) -> None:
    """Sections 5 and 6: fitness by generation of a real search, and the result beside observation and reference method."""
    case = astronaut_noise(SIDE)
    result: Restoration = restore(
        case.observation,
        _task(case),
        reference=case.clean,
        seed=SEED,
        settings={"population": 8, "generations": 4, "iterations": 120, "final_iterations": 600},
        say=print,
    )
    figure, (axes,) = _figure(7, 3.2, 1)
    for generation in result.run["generations"]:
        fitness = [float.fromhex(text) for text in generation["fitness_hex"]]
        axes.scatter([generation["number"]] * len(fitness), fitness, color=GREY, s=14)
    numbers = [generation["number"] for generation in result.run["generations"]]
    axes.plot(
        numbers, [generation["best"] for generation in result.run["generations"]], color=ACCENT, label="best"
    )
    axes.plot(
        numbers, [generation["mean"] for generation in result.run["generations"]], color=GREY, label="mean"
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("generation")
    axes.set_ylabel("fitness")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, out / "7-generations.png")
    (out / "7-winner.svg").write_text(
        architecture_svg(Genome.parse(result.genome).phenotype(), title=result.genome), encoding="utf-8"
    )
    figure, places = _figure(9, 2.6, 4)
    shown = (
        ("observed", case.observation),
        ("restored", result.picture),
        (result.run["baseline"]["method"], result.baseline),
    )
    for place, (name, picture) in zip(places, shown, strict=False):
        _show(place, picture, f"{name}, {psnr(picture, case.clean):.2f} dB")
    _show(places[-1], case.clean, "clean, never seen")
    _save(figure, out / "8-result.png")


STEPS: tuple[Callable[[Path], None], ...] = (genome, observations, long_fit, breeding, searched)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("docs/engine"))
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for step in STEPS:
        step(out)


if __name__ == "__main__":
    main()
