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
from nasdip_engine.evolution.search import EXCLUDED, Converged, first_generation, next_generation
from nasdip_engine.outcome import without_fitness
from webapp.restorations import events, notify
from webapp.restorations.assignments import Lease
from webapp.restorations.events import EventKind
from webapp.restorations.finals import advance_finals, enter_finishing, open_finals
from webapp.restorations.models import Generation, Job, WorkItem
from webapp.restorations.plan import Plan
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
        _open(job, Plan.of(job), population)
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
            _tell_evaluated(job, lease, outcome)
            _note_best(job, lease, outcome, preview)
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
    """Give up on an item that kills its evaluators: fitness 0 for good.  The caller holds the job."""
    outcome = without_fitness(reason)
    WorkItem.objects.filter(pk=item.pk).update(
        state=ItemState.POISONED, outcome=outcome, lease_token="", lease_until=None, updated_at=timezone.now()
    )
    if item.kind == ItemKind.EVALUATE:
        told = _evaluated(item.generation, item.genome, outcome)
        events.append(job.pk, EventKind.EVALUATED, told)
    advance(job)


def exclude(job: Job, item: WorkItem) -> None:
    """The owner takes a genome out of the search, or a step out of finishing: an input, kept with the job.

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
    outcome = without_fitness(EXCLUDED)
    WorkItem.objects.filter(pk=item.pk).update(
        state=ItemState.REFUSED, outcome=outcome, lease_token="", lease_until=None, updated_at=timezone.now()
    )
    if item.kind == ItemKind.EVALUATE:
        events.append(job.pk, EventKind.EVALUATED, _evaluated(item.generation, item.genome, outcome))
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
    """Close the open generation if it is complete, and write what follows.  The caller holds the job."""
    while True:
        row = Generation.objects.filter(job=job, state=GenerationState.OPEN).first()
        if row is None:
            break
        items = {item.key: item for item in WorkItem.objects.filter(job=job, key__in=set(row.keys))}
        if any(item.state not in SETTLED for item in items.values()):
            return
        plan = Plan.of(job)
        _close(job, row, items)
        closed = history_of(job)
        step = next_generation(plan.settings, plan.seeds, closed)
        if isinstance(step, Converged):
            open_finals(job, plan, closed)
            return
        _open(job, plan, step)
    if Job.objects.filter(pk=job.pk, generation__isnull=False).exclude(state__in=ENDED).exists():
        if not WorkItem.objects.filter(job=job, kind=ItemKind.FINISH).exists():
            # The search gave nothing while its job was being paused, when it could not fail yet.
            open_finals(job, Plan.of(job), history_of(job))
        advance_finals(job)


def history_of(job: Job) -> list[engine.Closed]:
    """Every closed generation with the fitness of each slot, to the last bit."""
    rows = Generation.objects.filter(job=job, state=GenerationState.CLOSED).order_by("number")
    return [
        engine.Closed(
            engine.Generation(row.number, tuple(row.genomes), row.elites),
            tuple(float.fromhex(text) for text in row.fitness or ()),
        )
        for row in rows
    ]


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


def _open(job: Job, plan: Plan, generation: engine.Generation) -> None:
    slots = [plan.slot(genome) for genome in generation.genomes]
    Generation.objects.create(
        job=job,
        number=generation.number,
        genomes=[slot.genome for slot in slots],
        keys=[slot.key for slot in slots],
        elites=generation.elites,
    )
    known = set(
        WorkItem.objects.filter(job=job, key__in={slot.key for slot in slots}).values_list("key", flat=True)
    )
    rows: dict[str, WorkItem] = {}
    for slot in slots:
        if slot.key not in known and slot.key not in rows:
            rows[slot.key] = WorkItem(
                job=job,
                generation=generation.number,
                kind=ItemKind.EVALUATE,
                key=slot.key,
                genome=slot.genome,
                device_class=job.device_class,
                state=ItemState.WAITING if slot.refused is None else ItemState.REFUSED,
                outcome=None if slot.refused is None else without_fitness(slot.refused),
            )
    WorkItem.objects.bulk_create(rows.values())
    Job.objects.filter(pk=job.pk).update(generation=generation.number)
    job.generation = generation.number
    opened = {"generation": generation.number, "population": len(slots), "networks": len(rows)}
    events.append(job.pk, EventKind.GENERATION_OPENED, opened)
    for row in rows.values():
        if row.outcome is not None:
            events.append(job.pk, EventKind.EVALUATED, _evaluated(row.generation, row.genome, row.outcome))
    notify.look(sum(row.state == ItemState.WAITING for row in rows.values()))


def _close(job: Job, row: Generation, items: Mapping[str, WorkItem]) -> None:
    outcomes = [items[key].outcome or {} for key in row.keys]
    closed = engine.Closed(
        engine.Generation(row.number, tuple(row.genomes), row.elites),
        tuple(float.fromhex(outcome["fitness_hex"]) for outcome in outcomes),
    )
    fresh = [item for item in items.values() if item.generation == row.number]
    Generation.objects.filter(pk=row.pk, state=GenerationState.OPEN).update(
        state=GenerationState.CLOSED,
        closed_at=timezone.now(),
        fitness=[value.hex() for value in closed.fitness],
        best=closed.best,
        mean=closed.mean,
        worst=closed.worst,
        **_counts(fresh, [items[key] for key in row.keys]),
    )
    stats = {"generation": row.number, "best": closed.best, "mean": closed.mean, "worst": closed.worst}
    events.append(job.pk, EventKind.GENERATION_CLOSED, stats)


def _counts(fresh: Sequence[WorkItem], slots: Sequence[WorkItem]) -> dict[str, int]:
    """What the generation cost: networks that are new in it, and its slots without a network."""
    trained = [item for item in fresh if item.state != ItemState.REFUSED]
    outcomes = [item.outcome or {} for item in trained]
    return {
        "evaluations": len(trained),
        "invalid": sum(item.state == ItemState.REFUSED for item in slots),
        "failed": sum(outcome["fitness"] == 0 for outcome in outcomes),
        "iterations": sum(outcome["iterations"] for outcome in outcomes),
    }


def _evaluated(generation: int | None, genome: str, outcome: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "generation": generation,
        "slot_genome": genome,
        "fitness": outcome["fitness"],
        "reason": outcome["reason"],
        "held_out_psnr": outcome["held_out_psnr"],
    }


def _tell_evaluated(job: Job, lease: Lease, outcome: Mapping[str, Any]) -> None:
    events.append(job.pk, EventKind.EVALUATED, _evaluated(lease.generation, lease.genome, outcome))


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
