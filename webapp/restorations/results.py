"""`run.json` of a finished job: the same shape, from the same function, as the command line's."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from nasdip_engine.baseline_names import left_out_record
from nasdip_engine.evolution.search import best_of
from nasdip_engine.finals import final_record, frames_record, tile_of_key
from nasdip_engine.runfile import build_run
from webapp.restorations.events import EventKind
from webapp.restorations.models import Event, Generation, Job, WorkItem
from webapp.restorations.plan import Plan, frames_of_final
from webapp.restorations.rungs import closed_of, told
from webapp.restorations.states import ItemKind, ItemState

__all__ = ["run_of"]

_KEPT_OF_A_PICTURE = ("bit_depth", "grey", "alpha_sha256")  # not of jobs opened by older versions
_FILES_OF_A_FRAME = ("picture", "mask")


def run_of(job: Job, finished_at: datetime) -> dict[str, Any]:
    """The account of a job whose final steps all have outcomes.

    `fingerprints` stands in it only where the owner let the job go on with other machines: all of them, in order.
    """
    plan = Plan.of(job)
    items = list(WorkItem.objects.filter(job=job).order_by("id"))
    outcomes = {item.key: item.outcome or {} for item in items}
    generations = list(Generation.objects.filter(job=job).order_by("number"))
    evaluated = {item.key: item for item in items if item.kind == ItemKind.EVALUATE}
    best = best_of([closed_of(row) for row in generations], plan.settings)[0]
    run = build_run(
        task=plan.task,
        settings=plan.settings,
        seeds=plan.seeds,
        fingerprint=job.fingerprint or {},
        generations=[_generation(row) | told(row, plan, evaluated) for row in generations],
        final=_final(job, items, outcomes["combine"]),
        best={
            "genome": best.genome,
            "fitness": best.fitness,
            "fitness_hex": best.fitness.hex(),
            "is_starter": best.starter,
        },
        cost=_cost(job, items, finished_at),
        picture=_picture(job),
        excluded=job.excluded,
        baselines=[
            _baseline(item.outcome or {})
            for item in items
            if item.kind == ItemKind.BASELINE and "method" in (item.outcome or {})
        ],
    )
    before = _left_behind(job)
    return run | {"fingerprints": [*before, job.fingerprint]} if before else run


def _left_behind(job: Job) -> list[dict[str, Any]]:
    """The numerics that the job had before its owner let it go on elsewhere."""
    moves = Event.objects.filter(job=job, kind=EventKind.MOVED).order_by("number")
    return [move.data["fingerprint"] for move in moves]


def _generation(row: Generation) -> dict[str, Any]:
    return {
        "number": row.number,
        "best": row.best,
        "mean": row.mean,
        "worst": row.worst,
        "evaluations": row.evaluations,
        "invalid": row.invalid,
        "failed": row.failed,
        "iterations": row.iterations,
        "genomes": row.genomes,
        "fitness_hex": row.fitness,
    }


def _final(job: Job, items: list[WorkItem], combined: dict[str, Any]) -> dict[str, Any]:
    """What the owner took out stands in `excluded`; a repetition fits the others."""
    frames = frames_of_final(job)
    fits: dict[str, list[dict[str, Any] | None]] = {}
    for item in items:
        if item.kind == ItemKind.FINISH and item.state != ItemState.REFUSED:
            of_network = fits.setdefault(item.genome, [None] * len(frames))
            of_network[tile_of_key(item.key)] = item.outcome or {}
    return final_record(fits, [frame["box"] for frame in frames], combined, combined["digest"])


def _baseline(outcome: dict[str, Any]) -> dict[str, Any]:
    """A reference that could not be computed has no outcome with a method; the restoration stands without it."""
    if outcome.get("left_out"):
        return left_out_record(outcome["method"], outcome["left_out"])
    return {name: outcome[name] for name in ("method", "held_out_psnr", "digest")}


def _cost(job: Job, items: list[WorkItem], finished_at: datetime) -> dict[str, Any]:
    trained = [
        item.outcome or {}
        for item in items
        if item.kind in (ItemKind.EVALUATE, ItemKind.FINISH) and item.state != ItemState.REFUSED
    ]
    wall = (finished_at - (job.started_at or finished_at)).total_seconds() - job.seconds_paused
    return {
        "iterations": sum(outcome["iterations"] for outcome in trained),
        "iterations_x_pixels": sum(outcome["iterations"] * outcome["pixels"] for outcome in trained),
        "multiply_adds": sum(outcome["multiply_adds"] for outcome in trained),
        "seconds": round(max(0.0, wall), 3),
    }


def _picture(job: Job) -> dict[str, Any]:
    frames = job.frames or {}
    return {
        "width": job.picture.width,
        "height": job.picture.height,
        **{name: frames[name] for name in _KEPT_OF_A_PICTURE if name in frames},
        "result_bit_depth": job.bit_depth or frames.get("bit_depth"),
        "input_sha256": frames["input_sha256"],
        "mask_sha256": frames["mask_sha256"],
        "share_to_fill": job.share_to_fill,
        **frames_record(frames_of_final(job)),
        "search_frame": {
            name: value for name, value in frames["search"].items() if name not in _FILES_OF_A_FRAME
        },
    }
