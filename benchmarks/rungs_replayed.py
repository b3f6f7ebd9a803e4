"""What racing by rungs would have chosen, replayed on the fitness study's curves: no training of its own.

    python -m benchmarks.rungs_replayed [--rows docs/results/fitness-study.jsonl] [--out docs/results/rungs-replayed.md]

A rung is the first part of a longer fit with equal bits, so the curves that the fitness study kept (held-out PSNR every 25
iterations, up to 300) say exactly what each rung would have seen. For each picture and degradation all its random networks make
one field, raced by `evolution.racing.Race`: which network wins, by how much less true and held-out PSNR than the winner of the
whole fits, and for what share of their iterations. Beside it Spearman's rank correlation of each rung with the whole fit, over
the whole field (run.json has it over those promoted only). Networks that diverged are left out.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.fitness_study import DAMAGES, KEY, ROWS
from benchmarks.study_fits import RowFile, interval, span, write_page
from nasdip_engine.evolution.racing import LOOK_EVERY, Field, Race, rank_correlation

__all__ = ["raced", "table"]

_FEWEST = 4  # networks under which neither a race nor a correlation says anything
_RACES: Mapping[str, tuple[int, float, float]] = {
    "150 iterations, rungs from 1/6, a third": (150, 0.167, 0.33),
    "150 iterations, rungs from 1/6, a half": (150, 0.167, 0.5),
    "150 iterations, rungs from 1/3, a third": (150, 0.333, 0.33),
    "150 iterations, rungs from 1/3, a half": (150, 0.333, 0.5),
    "300 iterations, rungs from 0.075, a third": (300, 0.075, 0.33),
    "300 iterations, rungs from 0.075, a half": (300, 0.075, 0.5),
    "300 iterations, rungs from 0.225, a third": (300, 0.225, 0.33),
}
_RUNGS = (25, 50, 75, 100, 150, 200)
_WHOLE = (150, 300)

Row = Mapping[str, Any]


def _curve(row: Row) -> list[float]:
    """Held-out PSNR at iterations 25, 50, ... of the set that stops the fit."""
    curve: list[float] = next(iter(row["curves"].values()))
    return curve


def _held_out(row: Row, iterations: int) -> float:
    return max(_curve(row)[: iterations // LOOK_EVERY])


def _true(row: Row, iterations: int) -> float:
    """True PSNR of the averaged output at the least held-out error within so many iterations."""
    seen = _curve(row)[: iterations // LOOK_EVERY]
    found: float = row["true"][seen.index(max(seen))]
    return found


def raced(field: Sequence[Row], whole: int, first: float, share: float) -> tuple[Row, int]:
    """The winner of a race of these networks, and the iterations that it took, all rungs together."""
    race = Race.of(first, share, 1, whole)
    rung, spent = race.next_rung(len(field)), 0
    while True:
        length = race.length(whole, rung)
        spent += len(field) * length
        fitness = [_held_out(row, length) for row in field]
        if rung == race.last:
            return field[fitness.index(max(fitness))], spent
        field = [field[place] for place in race.promoted(fitness)]
        rung = race.next_rung(len(field), rung)


def _fields(rows: Sequence[Row]) -> dict[str, list[list[Row]]]:
    """damage -> a field for each picture."""
    cells: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row["reason"] is None and row["arm"] == "pixels":
            cells[row["damage"], row["picture"]].append(row)
    found: dict[str, list[list[Row]]] = defaultdict(list)
    for (damage, _), field in sorted(cells.items()):
        if len(field) >= _FEWEST:
            found[damage].append(field)
    return {damage: found[damage] for damage in DAMAGES if damage in found}


def _correlation(field: Sequence[Row], rung: int, whole: int) -> float | None:
    names = tuple(str(row["genome"]) for row in field)
    before, after = (
        Field(0, names, tuple(_held_out(row, length) for row in field)) for length in (rung, whole)
    )
    return rank_correlation(before, after)


def table(rows: Sequence[Row]) -> str:
    """Markdown: correlations by rung, then races."""
    fields = _fields(rows)
    counts = [len(field) for group in fields.values() for field in group]
    if not counts:
        return "No picture has networks enough yet."
    head = "| " + " | ".join(fields) + " |"
    bar = "|---" * (len(fields) + 1) + "|"
    lines = [
        f"{span(counts)} networks a field, {len(counts)} fields.",
        "",
        "Spearman's rank correlation of a rung with the whole fit, by held-out PSNR: mean over the pictures.",
        "",
        f"| rung of whole {head}",
        bar,
    ]
    for whole in _WHOLE:
        for rung in (rung for rung in _RUNGS if rung < whole):
            cells = []
            for group in fields.values():
                sound = [one for field in group if (one := _correlation(field, rung, whole)) is not None]
                cells.append(f"{statistics.fmean(sound):.2f}" if sound else "-")
            lines.append(f"| {rung} of {whole} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "What the race's winner gains in true PSNR over the winner of the whole fits (less than 0: lost): mean ± half of its",
        "95 % interval over the pictures, in how many it is above 0; in brackets the share of the iterations.",
        "",
        f"| race {head}",
        bar,
    ]
    for name, (whole, first, share) in _RACES.items():
        cells = []
        for group in fields.values():
            gains, costs = [], []
            for field in group:
                winner, spent = raced(field, whole, first, share)
                best = max(field, key=lambda row: _held_out(row, whole))
                gains.append(_true(winner, whole) - _true(best, whole))
                costs.append(spent / (whole * len(field)))
            cells.append(f"{interval(gains)} [{statistics.fmean(costs):.2f}]")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, default=ROWS)
    parser.add_argument("--out", type=Path, default=Path("docs/results/rungs-replayed.md"))
    arguments = parser.parse_args()
    text = table(RowFile(arguments.rows, KEY).rows())
    write_page(arguments.out, "Racing, replayed", "python -m benchmarks.rungs_replayed", text)


if __name__ == "__main__":
    main()
