"""Everything that a live page shows, from the rows, at one event number; the tail of events goes on there."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from nasdip_engine.evolution.settings import SearchSettings
from webapp.restorations.estimates import seconds_left
from webapp.restorations.events import EventKind
from webapp.restorations.finals import final_fits, last_preview
from webapp.restorations.learning import learning_of
from webapp.restorations.models import Event, Generation, Job, WorkItem
from webapp.restorations.plan import frames_of_final
from webapp.restorations.references import made_references
from webapp.restorations.states import ENDED, MOVABLE, SETTLED, GenerationState, JobState
from webapp.restorations.transitions import hold
from webapp.restorations.turns import place_in_queue
from webapp.restorations.workers import stranded, waits_for

__all__ = ["snapshot"]

_TRIES = 4
_STANDS_STILL = ENDED | {JobState.QUEUED, JobState.PAUSED}


def snapshot(job: Job) -> dict[str, Any]:
    """The job as a page shows it when exactly the events up to `last_event` have happened."""
    for _ in range(_TRIES):
        job.refresh_from_db()
        shown = _shown(job)
        if Job.objects.values_list("event_number", flat=True).get(pk=job.pk) == job.event_number:
            return shown  # nothing happened while the rows were read, so they belong together
    with transaction.atomic():
        held = hold(job.pk)
        if held is None:
            raise Job.DoesNotExist(f"There is no job {job.pk}.")
        return _shown(held)


def _shown(job: Job) -> dict[str, Any]:
    generations = list(Generation.objects.filter(job=job).order_by("number"))
    current = generations[-1] if generations else None
    networks, evaluated = _counted(job, current)
    best = _latest(job, EventKind.BEST)
    references = [
        {name: outcome[name] for name in ("method", "held_out_psnr")} for outcome in made_references(job)
    ]
    # A tile's preview is not one of the whole picture.
    whole = job.frames is not None and len(frames_of_final(job)) == 1
    whole_preview = last_preview(job, EventKind.FINAL_PROGRESS) if whole else ""
    best_preview = whole_preview or last_preview(job, EventKind.BEST)
    return {
        "id": str(job.pk),
        "name": job.name,
        "task": job.task,
        "factor": job.factor,
        "preset": job.preset,
        "state": job.state,
        "reason": job.reason,
        "fault_class": job.fault_class,
        "place_in_queue": place_in_queue(job),
        "waits_for": waits_for(job),
        "may_go_on_here": job.state in MOVABLE and stranded(job),
        "generation": job.generation,
        "generations": job.settings["generations"],
        "population": len(current.genomes) if current else job.settings["population"],
        "networks": networks,
        "evaluated": evaluated,
        **_rung(job, current),
        "individuals": _individuals(job, current),
        "best_fitness": job.best_fitness,
        "best_genome": job.best_genome,
        "best_held_out_psnr": best["held_out_psnr"] if best else None,
        "baseline": references[0] if references else None,
        "baselines": references,
        "curve": [
            {"generation": row.number, "best": row.best, "mean": row.mean, "worst": row.worst}
            for row in generations
            if row.state == GenerationState.CLOSED
        ],
        "current": _current(job),
        "seconds_left": seconds_left(job),
        "preview_url": _preview_url(job, job.preview_digest),
        "best_url": _preview_url(job, best_preview),
        "best_of_whole": bool(whole_preview),
        "finals": _finals(job),
        "learning": learning_of(job.pk),
        "times": _times(job),
        "seconds_paused": job.seconds_paused,
        "last_event": job.event_number,
    }


def _times(job: Job) -> dict[str, str | None]:
    """When what happened, and by which clock: a visitor's may show another time."""
    told = {name: getattr(job, name) for name in ("queued_at", "started_at", "finished_at", "paused_at")}
    told["now"] = timezone.now()
    return {name: None if value is None else value.isoformat() for name, value in told.items()}


def _counted(job: Job, current: Generation | None) -> tuple[int, int]:
    """How many networks of the open rung are new to the job, and how many of those have their fitness."""
    if current is None:
        return int(job.settings["population"]), 0
    rung = current.rungs[-1]["rung"] if current.rungs else 0
    rows = WorkItem.objects.filter(job=job, generation=current.number, rung=rung)
    return rows.count(), rows.filter(state__in=SETTLED).count()


def _rung(job: Job, current: Generation | None) -> dict[str, Any]:
    """Where the race of the newest generation stands: `rung`, from 0, of so many `rungs`, a `share` of the iterations."""
    if current is None or not current.rungs:
        return {"rung": 0, "rungs": 1, "rung_share": 1.0}
    rung, race = current.rungs[-1]["rung"], SearchSettings.from_json(job.settings).race
    return {"rung": rung, "rungs": race.last + 1, "rung_share": float(race.shares[rung])}


def _finals(job: Job) -> dict[str, int] | None:
    """How many final fits there are, and of how many tiles; None before the search is over."""
    counted = final_fits(job.pk)
    if not counted["fits"]:
        return None
    return {"tiles": len(frames_of_final(job)), **counted}


def _individuals(job: Job, current: Generation | None) -> list[dict[str, Any]]:
    """The networks that got their fitness in the newest generation, in the order in which they came in.

    One that was trained to several rungs is listed once, as it came in last.
    """
    if current is None:
        return []
    rows = WorkItem.objects.filter(job=job, generation=current.number, state__in=SETTLED)
    latest: dict[str, dict[str, Any]] = {}
    for row in rows.order_by("updated_at", "id"):
        latest.pop(row.genome, None)
        latest[row.genome] = {
            "slot_genome": row.genome,
            "rung": row.rung,
            "fitness": (row.outcome or {})["fitness"],
            "reason": (row.outcome or {}).get("reason"),
            "held_out_psnr": (row.outcome or {}).get("held_out_psnr"),
        }
    return list(latest.values())


def _current(job: Job) -> dict[str, Any] | None:
    """The fit that reported last, while the job runs."""
    if job.state in _STANDS_STILL:
        return None
    kinds = (EventKind.PROGRESS, EventKind.FINAL_PROGRESS)
    event = Event.objects.filter(job=job, kind__in=kinds).order_by("-number").first()
    return None if event is None else {**event.data, "final": event.kind == EventKind.FINAL_PROGRESS}


def _latest(job: Job, kind: EventKind) -> dict[str, Any] | None:
    event = Event.objects.filter(job=job, kind=kind).order_by("-number").first()
    return None if event is None else event.data


def _preview_url(job: Job, digest: str) -> str | None:
    return reverse("job_preview", kwargs={"job_id": job.pk, "digest": digest}) if digest else None
