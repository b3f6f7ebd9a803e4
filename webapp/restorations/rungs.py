"""The rungs of a generation: which rows are evaluated, and what their outcomes say together.

A generation without a race has one rung, the whole fits of its networks.  With one, the rows of the next rung are
written in the transaction that recorded the last outcome of the one before; who goes on is a pure function of the
outcomes (`nasdip_engine.evolution.racing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasdip_engine.evolution import history as engine
from nasdip_engine.evolution.racing import Field
from nasdip_engine.evolution.search import raced
from nasdip_engine.outcome import without_fitness
from webapp.restorations import events, notify
from webapp.restorations.assignments import Lease
from webapp.restorations.events import EventKind
from webapp.restorations.models import Generation, Job, WorkItem
from webapp.restorations.plan import Plan, Slot
from webapp.restorations.states import ItemKind, ItemState

__all__ = [
    "closed_of",
    "fields_of",
    "items_of_open_rung",
    "open_next",
    "rung_of",
    "tell_evaluated",
    "tell_opened",
    "told",
    "write",
]


def rung_of(rung: int, slots: Sequence[Slot]) -> dict[str, Any]:
    """A rung as its generation keeps it; slots: of its networks, at that rung."""
    return {
        "rung": rung,
        "genomes": [slot.genome for slot in slots],
        "keys": [slot.key for slot in slots],
    }


def write(job: Job, number: int, rung: int, slots: Sequence[Slot]) -> list[WorkItem]:
    """Write the rows of a rung of generation `number` that the job does not have yet; returns those.

    Refused ones are settled at once.  The caller holds the job.
    """
    keys = {slot.key for slot in slots}
    known = set(WorkItem.objects.filter(job=job, key__in=keys).values_list("key", flat=True))
    rows: dict[str, WorkItem] = {}
    for slot in slots:
        if slot.key not in known and slot.key not in rows:
            rows[slot.key] = WorkItem(
                job=job,
                generation=number,
                rung=rung,
                kind=ItemKind.EVALUATE,
                key=slot.key,
                genome=slot.genome,
                device_class=job.device_class,
                state=ItemState.WAITING if slot.refused is None else ItemState.REFUSED,
                outcome=None if slot.refused is None else without_fitness(slot.refused),
            )
    WorkItem.objects.bulk_create(rows.values())
    return list(rows.values())


def tell_opened(job: Job, plan: Plan, row: Generation, rows: Sequence[WorkItem]) -> None:
    """The events of a rung whose rows are written, where there is a race, and of those that were refused."""
    race = plan.settings.race
    if race.last and row.rungs:
        rung = row.rungs[-1]["rung"]
        opened = {
            "generation": row.number,
            "rung": rung,
            "rungs": race.last + 1,
            "share": float(race.shares[rung]),
            "networks": len(rows),
        }
        events.append(job.pk, EventKind.RUNG_OPENED, opened)
    for item in rows:
        if item.outcome is not None:
            tell_evaluated(job, item, item.outcome)
    notify.look(sum(item.state == ItemState.WAITING for item in rows))


def tell_evaluated(job: Job, item: WorkItem | Lease, outcome: Mapping[str, Any]) -> None:
    """The event of an outcome."""
    events.append(
        job.pk,
        EventKind.EVALUATED,
        {
            "generation": item.generation,
            "rung": item.rung,
            "slot_genome": item.genome,
            "fitness": outcome["fitness"],
            "reason": outcome["reason"],
            "held_out_psnr": outcome["held_out_psnr"],
        },
    )


def items_of_open_rung(row: Generation) -> dict[str, WorkItem]:
    """The rows, by key, that must be settled before an open generation can go on."""
    keys = row.rungs[-1]["keys"] if row.rungs else row.keys
    return {item.key: item for item in WorkItem.objects.filter(job=row.job_id, key__in=set(keys))}


def open_next(job: Job, plan: Plan, row: Generation, items: Mapping[str, WorkItem]) -> bool:
    """Write the rung that follows the settled one; False: the generation is complete.  The caller holds the job.

    items: those of the settled rung, by key.
    """
    race = plan.settings.race
    if not row.rungs or row.rungs[-1]["rung"] == race.last:
        return False
    settled = _field(row.rungs[-1], {key: item.outcome or {} for key, item in items.items()})
    networks = [settled.networks[place] for place in race.promoted(settled.fitness)]
    if not networks:
        return False
    rung = race.next_rung(len(networks), settled.rung)
    slots = [plan.slot(genome, rung) for genome in networks]
    row.rungs = [*row.rungs, rung_of(rung, slots)]
    Generation.objects.filter(pk=row.pk).update(rungs=row.rungs)
    tell_opened(job, plan, row, write(job, row.number, rung, slots))
    return True


def fields_of(row: Generation, plan: Plan, outcomes: Mapping[str, Mapping[str, Any]]) -> list[Field]:
    """What the networks of a generation's rungs were found to be worth; without a race there is one rung, of all slots.

    outcomes: of the job's items, by key.
    """
    if not row.rungs and not plan.settings.race.last:
        return [_field({"rung": 0, "genomes": row.genomes, "keys": row.keys}, outcomes)]
    return [_field(rung, outcomes) for rung in row.rungs]


def _field(rung: Mapping[str, Any], outcomes: Mapping[str, Mapping[str, Any]]) -> Field:
    fitness = tuple(float.fromhex(outcomes[key]["fitness_hex"]) for key in rung["keys"])
    return Field(rung["rung"], tuple(rung["genomes"]), fitness)


def closed_of(row: Generation) -> engine.Closed:
    """A closed generation with the fitness of each slot, to the last bit."""
    return engine.Closed(
        engine.Generation(row.number, tuple(row.genomes), row.elites),
        tuple(float.fromhex(text) for text in row.fitness or ()),
        None if row.reached is None else tuple(row.reached),
    )


def told(row: Generation, plan: Plan, items: Mapping[str, WorkItem]) -> dict[str, Any]:
    """What `run.json` says of the race of a closed generation; nothing where there was none.

    items: all evaluations of the job, by key.
    """
    if row.reached is None:
        return {}
    spent = []
    for rung in row.rungs:
        new = [item for key in rung["keys"] if (item := items[key]).generation == row.number]
        trained = [item.outcome or {} for item in new if item.state != ItemState.REFUSED]
        spent.append((len(trained), sum(outcome["iterations"] for outcome in trained)))
    outcomes = {key: item.outcome or {} for key, item in items.items()}
    return {"reached": row.reached, "rungs": raced(fields_of(row, plan, outcomes), plan.settings, spent)}
