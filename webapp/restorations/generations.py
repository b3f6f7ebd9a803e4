"""Generations: opened before any of their work starts, advanced by whoever records the last outcome.

`record` is the only place where an outcome is written.  It holds the job's row: recording, breeding and the
rows of what comes next are one transaction; breeding is a pure function of (seeds, number, outcomes), so
it does not matter who does it, when, or after how many kills.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from nasdip_engine.evolution import history as engine
from nasdip_engine.evolution.search import (
    EXCLUDED,
    Converged,
    close,
    entrants,
    first_generation,
    next_generation,
)
from nasdip_engine.outcome import without_fitness
from webapp.restorations import events
from webapp.restorations.assignments import Lease
from webapp.restorations.events import EventKind
from webapp.restorations.finals import advance_finals, enter_finishing, open_finals
from webapp.restorations.learning import tell_end
from webapp.restorations.models import Generation, Job, WorkItem
from webapp.restorations.plan import Plan
from webapp.restorations.references import left_out
from webapp.restorations.rungs import (
    closed_of,
    fields_of,
    items_of_open_rung,
    open_next,
    rung_of,
    tell_evaluated,
    tell_opened,
    write,
)
from webapp.restorations.states import ENDED, SETTLED, GenerationState, ItemKind, ItemState, JobState
from webapp.restorations.transitions import fail, hold, move, settle

__all__ = [
    "abandon",
    "advance",
    "begin",
    "exclude",
    "history_of",
    "open_job",
    "poison",
    "record",
]


def open_job(lease: Lease, frames: Mapping[str, Any]) -> bool:
    """Record the frames that the worker made and open generation 0; False when the lease was lost.

    frames: {"final": {...}, "search": {...}, "key": digest of the search frame}; `picture` and `mask` of each
    name stored files.
    """
    job = Job.objects.filter(pk=lease.job_id).first()
    if job is None:
        return False
    plan = Plan.of(job)
    population = first_generation(plan.settings, plan.seeds)  # seconds for a thousand: before the transaction
    with transaction.atomic():
        job = hold(lease.job_id)
        if job is None or not _write_outcome(lease, {"frame": frames["key"]}):
            return False
        Job.objects.filter(pk=job.pk).update(frames=dict(frames))
        job.frames = dict(frames)
        _open(job, Plan.of(job), population, ())
        advance(job)
        settle(job.pk)
    return True


def abandon(lease: Lease, reason: str) -> bool:
    """End the job because its input can't be restored, whoever tries; False when the lease was lost.

    A job that is just being paused or cancelled can't fail: it gets its item back and goes where its owner
    wants it; resumed, it fails.
    """
    with transaction.atomic():
        job = hold(lease.job_id)
        held = WorkItem.objects.filter(pk=lease.item_id, lease_token=lease.token, state=ItemState.LEASED)
        if job is None or not held.exists():
            return False
        if not fail(job.pk, reason):
            held.update(state=ItemState.WAITING, lease_token="", lease_until=None, updated_at=timezone.now())
            settle(job.pk)
        return True


def record(lease: Lease, outcome: Mapping[str, Any], preview: str = "") -> bool:
    """Write the outcome of a leased item, once, and take every step that it makes possible.

    outcome: the evaluator's; `preview`: digest of the last preview.  False: the lease was lost, somebody else
    has or will have the outcome, and this one is to be thrown away.
    """
    with transaction.atomic():
        job = hold(lease.job_id)
        if job is None or not _write_outcome(lease, dict(outcome)):
            return False
        if lease.kind is ItemKind.EVALUATE:
            tell_evaluated(job, lease, outcome)
            _note_best(job, lease, outcome, preview)
        elif lease.kind is ItemKind.FINISH:
            tell_end(job, lease, outcome)
        elif lease.kind is ItemKind.BASELINE and not outcome.get("left_out"):
            shown = {"method": outcome["method"], "held_out_psnr": outcome["held_out_psnr"]}
            events.append(job.pk, EventKind.BASELINE, shown)
        advance(job)
        settle(job.pk)
    return True


def is_best(job_id: UUID, fitness: float) -> bool:
    """Whether the fitness is better than any that the job has so far."""
    return fitness > 0 and Job.objects.filter(_better_than(fitness), pk=job_id).exists()


def poison(job: Job, item: WorkItem, reason: str) -> None:
    """Give up on an item for good: fitness 0, or a reference that is left out.  The caller holds the job.

    reason: what it did, as a sentence goes on after its name.
    """
    outcome = left_out(job, item, reason) if item.kind == ItemKind.BASELINE else without_fitness(reason)
    WorkItem.objects.filter(pk=item.pk).update(
        state=ItemState.POISONED, outcome=outcome, lease_token="", lease_until=None, updated_at=timezone.now()
    )
    if item.kind == ItemKind.EVALUATE:
        tell_evaluated(job, item, outcome)
    advance(job)


def exclude(job: Job, item: WorkItem) -> None:
    """The owner takes a genome out of the search, or a fit or reference out of finishing: an input, kept with the job.

    The key of an `evaluate` is an evaluation key, which a repetition compares; other keys equal none.
    """
    entry = {
        "kind": str(item.kind),
        "genome": item.genome,
        "key": item.key,
        "generation": item.generation,
        "reason": EXCLUDED,
    }
    job.excluded = [*job.excluded, entry]
    Job.objects.filter(pk=job.pk).update(excluded=job.excluded)
    wish = "was left out by the owner of this restoration"
    outcome = left_out(job, item, wish) if item.kind == ItemKind.BASELINE else without_fitness(EXCLUDED)
    WorkItem.objects.filter(pk=item.pk).update(
        state=ItemState.REFUSED, outcome=outcome, lease_token="", lease_until=None, updated_at=timezone.now()
    )
    if item.kind == ItemKind.EVALUATE:
        tell_evaluated(job, item, outcome)
    advance(job)


def begin(job: Job) -> None:
    """A queued job that is served runs; if its generations are all closed it goes on finishing."""
    if not move(
        job.pk, JobState.RUNNING, {JobState.QUEUED}, started_at=Coalesce("started_at", timezone.now())
    ):
        return
    events.append(job.pk, EventKind.STARTED)
    searching = Generation.objects.filter(job=job, state=GenerationState.OPEN).exists()
    if job.generation is not None and not searching:
        enter_finishing(job)


def advance(job: Job) -> None:
    """Write the next rung of the open generation when one is settled, or close it and write what follows.

    The caller holds the job.
    """
    while True:
        row = Generation.objects.filter(job=job, state=GenerationState.OPEN).first()
        if row is None:
            break
        items = items_of_open_rung(row)
        if any(item.state not in SETTLED for item in items.values()):
            return
        plan = Plan.of(job)
        if open_next(job, plan, row, items):
            continue
        closed = [*(history := history_of(job)), _close(job, plan, row, history)]
        step = next_generation(plan.settings, plan.seeds, closed)
        if isinstance(step, Converged):
            open_finals(job, plan, closed)
            return
        _open(job, plan, step, closed)
    if Job.objects.filter(pk=job.pk, generation__isnull=False).exclude(state__in=ENDED).exists():
        if not WorkItem.objects.filter(job=job, kind=ItemKind.FINISH).exists():
            # The search gave nothing while its job was being paused, when it could not fail yet.
            open_finals(job, Plan.of(job), history_of(job))
        advance_finals(job)


def history_of(job: Job) -> list[engine.Closed]:
    """Every closed generation with the fitness of each slot, to the last bit."""
    rows = Generation.objects.filter(job=job, state=GenerationState.CLOSED).order_by("number")
    return [closed_of(row) for row in rows]


def _write_outcome(lease: Lease, outcome: dict[str, Any]) -> bool:
    """The compare-and-set that makes an outcome count once: the token must still be the item's."""
    written = WorkItem.objects.filter(
        pk=lease.item_id, lease_token=lease.token, state=ItemState.LEASED
    ).update(
        state=ItemState.DONE, outcome=outcome, lease_token="", lease_until=None, updated_at=timezone.now()
    )
    if not written:
        return False
    if Job.objects.filter(pk=lease.job_id, state=JobState.PAUSED).exists():
        return True  # the counts that paused it tell what its owner may go on without
    # What finished here shows that the device works: faults of the job's other items on it count anew.
    device = WorkItem.objects.values_list("device_class", flat=True).get(pk=lease.item_id)
    WorkItem.objects.filter(
        Q(attempts__gt=0) | Q(losses__gt=0),
        job_id=lease.job_id,
        device_class=device,
        state__in=(ItemState.WAITING, ItemState.LEASED),
    ).update(attempts=0, losses=0)
    return True


def _open(job: Job, plan: Plan, generation: engine.Generation, history: Sequence[engine.Closed]) -> None:
    """Write a generation, and the rows of its networks: with a race those of its first rung."""
    slots = asked = [plan.slot(genome) for genome in generation.genomes]
    race, rung, rungs = plan.settings.race, 0, []
    if race.last:
        networks = entrants(generation, history, plan.settings)
        rung = race.next_rung(len(networks))
        starting = [plan.slot(genome, rung) for genome in networks]
        rungs = [rung_of(rung, starting)] if starting else []
        asked = [*(slot for slot in slots if slot.refused is not None), *starting]
    row = Generation.objects.create(
        job=job,
        number=generation.number,
        genomes=[slot.genome for slot in slots],
        keys=[slot.key for slot in slots],
        elites=generation.elites,
        rungs=rungs,
    )
    rows = write(job, generation.number, rung, asked)
    Job.objects.filter(pk=job.pk).update(generation=generation.number)
    job.generation = generation.number
    opened = {"generation": generation.number, "population": len(slots), "networks": len(rows)}
    events.append(job.pk, EventKind.GENERATION_OPENED, opened)
    tell_opened(job, plan, row, rows)


def _close(job: Job, plan: Plan, row: Generation, history: Sequence[engine.Closed]) -> engine.Closed:
    keys = {*row.keys, *(key for rung in row.rungs for key in rung["keys"])}
    own = Q(generation=row.number) | Q(key__in=keys)
    items = {item.key: item for item in WorkItem.objects.filter(own, job=job, kind=ItemKind.EVALUATE)}
    fields = fields_of(row, plan, {key: item.outcome or {} for key, item in items.items()})
    population = engine.Generation(row.number, tuple(row.genomes), row.elites)
    closed = close(population, history, plan.settings, fields)
    reached = closed.rungs or (None,) * len(closed.fitness)
    slots = [items[plan.slot(*place).key] for place in zip(row.genomes, reached, strict=True)]
    fresh = [item for item in items.values() if item.generation == row.number]
    Generation.objects.filter(pk=row.pk, state=GenerationState.OPEN).update(
        state=GenerationState.CLOSED,
        closed_at=timezone.now(),
        fitness=[value.hex() for value in closed.fitness],
        reached=None if closed.rungs is None else list(closed.rungs),
        best=closed.best,
        mean=closed.mean,
        worst=closed.worst,
        **_counts(fresh, slots),
    )
    stats = {"generation": row.number, "best": closed.best, "mean": closed.mean, "worst": closed.worst}
    events.append(job.pk, EventKind.GENERATION_CLOSED, stats)
    return closed


def _counts(fresh: Sequence[WorkItem], slots: Sequence[WorkItem]) -> dict[str, int]:
    """What the generation cost: fits that are new in it, and its slots without a network."""
    trained = [item for item in fresh if item.state != ItemState.REFUSED]
    outcomes = [item.outcome or {} for item in trained]
    return {
        "evaluations": len(trained),
        "invalid": sum(item.state == ItemState.REFUSED for item in slots),
        "failed": sum(outcome["fitness"] == 0 for outcome in outcomes),
        "iterations": sum(outcome["iterations"] for outcome in outcomes),
    }


def _better_than(fitness: float) -> Q:
    return Q(best_fitness__isnull=True) | Q(best_fitness__lt=fitness)


def _note_best(job: Job, lease: Lease, outcome: Mapping[str, Any], preview: str) -> None:
    fitness = outcome["fitness"]
    if fitness <= 0:
        return
    if Job.objects.filter(_better_than(fitness), pk=job.pk).update(
        best_fitness=fitness, best_genome=lease.genome
    ):
        told = {
            "fitness": fitness,
            "genome": lease.genome,
            "preview": preview,
            "held_out_psnr": outcome["held_out_psnr"],
        }
        events.append(job.pk, EventKind.BEST, told)
