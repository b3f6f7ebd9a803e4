"""How long things take: from what workers measured, in multiply-adds a second of one core.

Estimates are shown and never decide anything about a fitness.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from nasdip_engine.evolution.settings import GPU_PRESETS, PRESETS, SearchSettings
from nasdip_engine.genome.starters import starter_multiply_adds_per_pixel
from nasdip_engine.task import Task
from webapp.restorations.models import Generation, Job, WorkItem
from webapp.restorations.plan import Plan, frames_of_final
from webapp.restorations.states import GenerationState, ItemKind, ItemState, JobState
from webapp.restorations.workers import alive, slots

__all__ = ["device_of", "guess", "offered_presets", "rate", "seconds_for", "seconds_left"]

USUAL_RATE = 6e9
"""Forward multiply-adds x iterations a second of one core: a first guess, before anything was measured."""
TYPICAL_PRICE = 2.5
"""What the networks of a search cost on average, in prices of the plain starter (docs/results/preview.md)."""
MEASURED_ITEMS = 100

_TRAINED = {ItemKind.EVALUATE, ItemKind.FINISH}


def offered_presets() -> list[str]:
    """What pages offer: presets for GPUs only while a worker with one is up; a request may name any of them."""
    with_gpu = alive().filter(device="cuda").exists()
    return [preset for preset in PRESETS if with_gpu or preset not in GPU_PRESETS]


def device_of(preset: str) -> str:
    """What pages ask for with a preset: those that are offered because a GPU is up are computed on it."""
    return "cuda" if preset in GPU_PRESETS else "cpu"


def rate(device_class: str = "cpu") -> float | None:
    """Forward multiply-adds x iterations a second, measured on the last outcomes; None before the first."""
    rows = (
        WorkItem.objects.filter(state=ItemState.DONE, kind__in=_TRAINED, device_class=device_class)
        .order_by("-id")
        .values_list("outcome", flat=True)[:MEASURED_ITEMS]
    )
    work = seconds = 0.0
    for outcome in rows:
        if outcome and outcome.get("multiply_adds") and outcome.get("seconds"):
            work += outcome["multiply_adds"]
            seconds += outcome["seconds"]
    return work / seconds if seconds else None


def seconds_for(settings: SearchSettings, task: Task, final_pixels: int, tiles: int = 1) -> float | None:
    """Wall seconds of a whole job on the workers of its device that are up, if nothing else runs; None where none is.

    final_pixels: output pixels of the final fit, of all its tiles together.
    """
    device = settings.device_class
    if not alive().filter(device=device).exists():
        return None
    return guess(settings, task, final_pixels, slots(device), rate(device) or USUAL_RATE, tiles)


def guess(
    settings: SearchSettings,
    task: Task,
    final_pixels: int,
    at_once: int,
    speed: float = USUAL_RATE,
    tiles: int = 1,
) -> float:
    """Wall seconds of a job with so many evaluations at once, each at `speed`; reads no rows.

    A rung, and a generation, ends with its last fit: until then slots without one stand idle.
    """
    race, whole = settings.race, settings.longest_search_fit
    generations = [settings.population, *[settings.population - settings.elites] * (settings.generations - 1)]
    fits = race.in_turn([part for count in generations for part in race.planned(count)], whole, at_once)
    finals = -(-settings.finals(tiles) * tiles // at_once) * settings.longest_final_fit(task)
    steps = fits * whole * min(settings.crop**2, final_pixels) + finals * final_pixels / tiles
    price = starter_multiply_adds_per_pixel(settings.units, settings.crop, settings.input_channels)
    return steps * price * TYPICAL_PRICE / speed


def seconds_left(job: Job) -> float | None:
    """Wall seconds until the job is done, from what its own networks took; None while nothing is known."""
    if job.state not in (JobState.RUNNING, JobState.FINISHING) or not job.frames:
        return None
    plan = Plan.of(job)
    items = WorkItem.objects.filter(job=job)
    done = items.filter(kind=ItemKind.EVALUATE, state=ItemState.DONE)
    outcomes: list[tuple[int, dict[str, Any]]] = [
        (rung, row or {}) for rung, row in done.values_list("rung", "outcome")
    ]
    trained = [(rung, row) for rung, row in outcomes if row.get("seconds") and row["iterations"]]
    spent = [row for _, row in trained]
    if not spent:
        return None
    each = sum(row["seconds"] for row in spent) / sum(_part(plan.settings, rung) for rung, _ in trained)
    per_step = sum(row["seconds"] / row["iterations"] / row["pixels"] for row in spent) / len(spent)
    frames = frames_of_final(job)
    pixels = sum(frame["height"] * frame["width"] for frame in frames) * job.factor**2
    one_final = per_step * plan.settings.longest_final_fit(plan.task) * pixels / len(frames)
    at_once = slots(job.device_class)
    if job.state == JobState.FINISHING:
        fits = items.filter(kind=ItemKind.FINISH)
        open_fits = fits.filter(state__in=(ItemState.WAITING, ItemState.LEASED)).count()
        # Fits stop by themselves, so what those of the job took says more than the limit of iterations.
        took = _seconds_of(fits)
        return -(-open_fits // at_once) * (sum(took) / len(took) if took else one_final)
    finals = plan.settings.finals(len(frames)) * len(frames)
    return _fits_in_turn(job, plan.settings, at_once) * each + -(-finals // at_once) * one_final


def _seconds_of(fits: QuerySet[WorkItem]) -> list[float]:
    rows = fits.filter(state=ItemState.DONE).values_list("outcome", flat=True)
    return [row["seconds"] for row in rows if row and row.get("seconds")]


def _part(settings: SearchSettings, rung: int) -> float:
    """What a fit of a rung is of a whole search fit."""
    return settings.race.length(settings.longest_search_fit, rung) / settings.longest_search_fit


def _fits_in_turn(job: Job, settings: SearchSettings, at_once: int) -> float:
    """How many whole search fits last as long as those to come, so many at once; without ties."""
    race, whole, bred = settings.race, settings.longest_search_fit, settings.population - settings.elites
    closed = Generation.objects.filter(job=job, state=GenerationState.CLOSED).count()
    open_fits = WorkItem.objects.filter(
        job=job, kind=ItemKind.EVALUATE, state__in=(ItemState.WAITING, ItemState.LEASED)
    )
    current = Generation.objects.filter(job=job, state=GenerationState.OPEN).first()
    rungs = current.rungs if current is not None else []
    rung, field = (rungs[-1]["rung"], len(rungs[-1]["keys"])) if rungs else (race.last, 0)
    to_come = race.left(open_fits.count(), field, rung)
    unopened = max(0, settings.generations - closed - 1)
    return race.in_turn([*to_come, *unopened * race.planned(bred)], whole, at_once)
