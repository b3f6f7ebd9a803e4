"""One restoration: followed while it runs, shown when it is done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.text import capfirst
from django.views.decorators.http import require_safe

from nasdip_engine.baseline_names import SAME_DB, best_of_figures, no_order, slug_of
from nasdip_engine.finals import BY_TILE, layout_words
from nasdip_engine.task import IMPULSE, NONE, Task, TaskKind
from webapp.restorations.access import job_for
from webapp.restorations.models import Job
from webapp.restorations.plan import Plan
from webapp.restorations.states import JobState
from webapp.restorations.views.watch import watch_of
from webapp.restorations.words import (
    BY_TILE_WORDS,
    count_words,
    duration_words,
    noise_words,
    task_words,
)

__all__ = ["download_name", "job"]

NO_DIGEST = "0" * 64
OURS = "this restoration"

RESULT_FROM = {
    "mean": "the mean of the best networks",
    BY_TILE: BY_TILE_WORDS,
}


@dataclass(frozen=True)
class MethodRow:
    """One line of the table of figures; slug: the method's in addresses, "" for the restoration itself."""

    name: str
    psnr: float | None
    best: bool = False
    slug: str = ""


def download_name(row: Job) -> str:
    """NAME_restored.png, NAME being the upload's without its ending."""
    return f"{PurePath(row.name).stem or 'picture'}_restored.png"


@login_required
@require_safe
def job(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """The live page while the job is under way, the result when it is done."""
    row = job_for(request.user, job_id)
    if row.state == JobState.DONE:
        return render(request, "restorations/result.html", result_context(row))
    shown = {
        "job": row,
        "task_words": task_words(row),
        "preview_template": reverse("job_preview", args=[row.pk, NO_DIGEST]),
        "still_template": reverse("job_still", args=[row.pk, NO_DIGEST]),
    }
    return render(request, "restorations/live.html", shown)


def result_context(row: Job) -> dict[str, Any]:
    """What the result page shows of run.json."""
    run = row.run or {}
    references = references_of(run)
    made = [record for record in references if not record.get("left_out")]
    ours = run["final"]["held_out_psnr"]
    plan = Plan.of(row)
    return {
        "job": row,
        "task_words": task_words(row),
        "download_name": download_name(row),
        "input_label": "input",
        "rows": method_rows(plan.task, ours, made),
        "left_out": [record["left_out"] for record in references if record.get("left_out")],
        "verdict": verdict(plan.task, ours, made),
        "fill_words": fill_words(row.share_to_fill),
        "noise_words": noise_words(row),
        "known_are_exact": row.task == TaskKind.INPAINT and row.assumed_noise == NONE,
        "absolute": row.assumed_noise == IMPULSE,
        "refitted": plan.settings.refits(plan.task),
        "facts": facts(row, run),
        "layout": layout(run, row),
        "watch": watch_of(row),
        "generations": run["generations"],
        "best_is_starter": run["best_is_starter"],
    }


def references_of(run: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a run's references; older runs have the task's own alone."""
    own = run.get("baseline")
    records: list[dict[str, Any]] = run.get("baselines") or ([own] if own else [])
    return records


def method_rows(task: Task, ours: float | None, made: list[dict[str, Any]]) -> list[MethodRow]:
    """Ours and every reference in the same table, the best marked, whichever it is."""
    figures = {OURS: ours} | {record["method"]: record["held_out_psnr"] for record in made}
    best = best_of_figures(task, figures)
    slugs = {OURS: ""} | {record["method"]: slug_of(record["method"]) for record in made}
    return [MethodRow(name, figure, name in best, slugs[name]) for name, figure in figures.items()]


def verdict(task: Task, ours: float | None, made: list[dict[str, Any]]) -> str:
    """Who won, said plainly, or why nobody can be said to have; empty where nothing can be compared."""
    told = [record for record in made if record["held_out_psnr"] is not None]
    if ours is None or not told:
        return ""
    if unclear := no_order(task):
        return unclear
    rival = max(told, key=lambda record: record["held_out_psnr"])
    name, ahead = rival["method"], ours - rival["held_out_psnr"]
    if abs(ahead) <= SAME_DB:
        return f"This restoration and {name} predict the held-out pixels equally well."
    if ahead > 0:
        which = f", the best of {len(told)} methods without a network" if len(told) > 1 else ""
        return f"This restoration predicts the held-out pixels {ahead:.2f} dB better than {name}{which}."
    return f"{capfirst(name)} predicts the held-out pixels {-ahead:.2f} dB better than this restoration."


def fill_words(share: float | None) -> str:
    """How much was filled."""
    return "" if share is None else f"{100 * share:.2f} % of the picture was filled."


def layout(run: dict[str, Any], row: Job) -> list[str]:
    """How a large picture was fitted, as sentences; none for one that was fitted whole."""
    tiles = run["picture"].get("tiles") or []
    words = layout_words(
        [(tuple(tile["box"]), tile["scale"]) for tile in tiles],
        row.factor,
        holes=row.task == TaskKind.INPAINT,
    )
    only = run["picture"].get("final_frame")
    if only and only["scale"] != 1.0:
        words = layout_words([(tuple(only["box"]), only["scale"])], row.factor, holes=True)
    return [f"{capfirst(text)}." for text in words]


def facts(row: Job, run: dict[str, Any]) -> list[tuple[str, str]]:
    """What the run took, in words."""
    cost = run["cost"]
    networks = sum(networks_of(generation) for generation in run["generations"])
    choice = run["final"]["choice"]
    searched = run["picture"]["search_frame"]
    told = [
        ("Time", duration_words(cost["seconds"])),
        ("Networks tried", f"{networks} in {len(run['generations'])} generations"),
        ("Compared on", f"{searched['width'] * row.factor} x {searched['height'] * row.factor} pixels"),
        ("Best fitness", f"{run['best_fitness']:.4f}"),
        ("Iterations", count_words(cost["iterations"])),
        ("Multiply-adds", count_words(cost["multiply_adds"])),
        *([("Tiles", str(len(run["final"]["tiles"])))] if "tiles" in run["final"] else []),
        ("Result from", RESULT_FROM.get(choice, "one network")),
        ("Seed", str(row.seed)),
        ("Preset", row.preset),
        ("Noise assumed", noise_words(row)),
    ]
    return told + noise_facts(run["final"].get("noise"))


def networks_of(generation: dict[str, Any]) -> int:
    """How many networks a generation trained: with a race each begins on its first rung, and may have fits on others."""
    first: dict[str, Any] = next(iter(generation.get("rungs", ())), generation)
    return int(first["evaluations"])


def noise_facts(noise: dict[str, Any] | None) -> list[tuple[str, str]]:
    """The noise as it was estimated afterwards, and the held-out error without it; runs of older versions tell neither."""
    if noise is None or noise["sigma"] is None:
        return []
    told = [("Noise estimated", f"standard deviation {255 * noise['sigma']:.1f} of 255")]
    if noise["corrected_psnr"] is not None:
        told.append(("Error without the noise", f"about {noise['corrected_psnr']:.1f} dB"))
    return told
