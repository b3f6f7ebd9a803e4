"""A race advances rung by rung, each fixed before its work starts, and whatever happens in one changes no result."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connections, transaction

from nasdip_engine.evolution.search import EXCLUDED, close, entrants
from tests.worker.cast import Trouble, drive, let_leases_run_out, outcome_of, queue, record, take, take_one
from webapp.restorations import control, events, files, finals, generations, leases
from webapp.restorations.estimates import seconds_left
from webapp.restorations.leases import Lease
from webapp.restorations.models import Event, Generation, Job, WorkItem
from webapp.restorations.plan import Plan
from webapp.restorations.rungs import fields_of
from webapp.restorations.snapshot import snapshot
from webapp.restorations.states import ItemKind, ItemState, JobState
from webapp.restorations.workers import beat

RACED = {
    "population": 8,
    "generations": 3,
    "iterations": 100,
    "final_iterations": 30,
    "crop": 32,
    "first_rung": 0.25,
}
"""Rungs of 25, 75 and 100 iterations; 8, 3 and 1 networks in generation 0."""
DECIDED = ("generations", "best_genome", "best_fitness_hex", "final", "cost")


@pytest.fixture
def raced(alice: User) -> Job:
    """A queued job of alice's that races."""
    return queue(alice, overrides=RACED)


def story(job: Job) -> dict[str, Any]:
    """Everything that a run decided, without its seconds."""
    done = Job.objects.get(pk=job.pk)
    assert done.state == JobState.DONE, done.reason
    told = {name: done.run[name] for name in DECIDED}
    return told | {"cost": told["cost"] | {"seconds": 0}}


@pytest.fixture
def undisturbed(bob: User) -> dict[str, Any]:
    """What the same job of bob's comes to when nothing happens to it; asked for first, since it serves all jobs."""
    return story(drive(queue(bob, overrides=RACED)))


def until_rung(job: Job, rung: int) -> list[Lease]:
    """Drive generation 0 to a rung and lease all of it."""
    drive(job, until=lambda _: len(opened(job)) > rung)
    leased = take()
    assert {lease.rung for lease in leased} == {rung}
    return leased


def opened(job: Job) -> list[dict[str, Any]]:
    """The rungs of generation 0."""
    row = Generation.objects.filter(job=job, number=0).first()
    return row.rungs if row else []


def test_rungs_are_rows_before_their_work_starts(raced: Job) -> None:
    drive(raced, until=lambda row: row.generation == 0)
    items = WorkItem.objects.filter(job=raced, kind=ItemKind.EVALUATE)
    assert list(items.values_list("rung", "generation").distinct().order_by()) == [(0, 0)]
    assert opened(raced)[0]["keys"] == list(items.order_by("id").values_list("key", flat=True))
    *early, last = take()
    assert len(early) == 7
    for lease in early:
        assert lease.request["stop"] == 25
        assert record(lease)
    assert (len(opened(raced)), take()) == (1, []), "nobody goes on before all have their fitness"
    fitness = {lease.genome: outcome_of(lease)["fitness"] for lease in (*early, last)}
    assert record(last)
    best = sorted(fitness, key=lambda genome: -fitness[genome])[:3]
    assert set(opened(raced)[1]["genomes"]) == set(best)
    second = take()
    assert [lease.request["stop"] for lease in second] == [75] * 3
    for lease in second:
        assert record(lease)
    (third,) = take()
    assert (third.genome, third.rung, third.request["stop"]) == (best[0], 2, None)
    assert record(third)
    row = Generation.objects.get(job=raced, number=0)
    assert (row.state, row.evaluations, row.iterations) == ("closed", 12, 8 * 25 + 3 * 75 + 20)
    assert row.best == fitness[best[0]] + 0.02
    assert Generation.objects.get(job=raced, number=1).state == "open"


def test_the_rows_are_what_the_engine_alone_would_decide(raced: Job) -> None:
    done = drive(raced)
    plan, history = Plan.of(done), generations.history_of(done)
    outcomes = {item.key: item.outcome for item in WorkItem.objects.filter(job=raced)}
    for row in Generation.objects.filter(job=raced).order_by("number"):
        before = history[: row.number]
        fields = fields_of(row, plan, outcomes)
        assert fields[0].networks == entrants(history[row.number].generation, before, plan.settings)
        assert close(history[row.number].generation, before, plan.settings, fields) == history[row.number]
        for field, longer in pairwise(fields):
            promoted = plan.settings.race.promoted(field.fitness)
            assert longer.networks == tuple(field.networks[place] for place in promoted)


def test_a_race_ends_with_a_run_that_tells_it(raced: Job) -> None:
    done = drive(raced)
    assert done.state == JobState.DONE
    for number, one in enumerate(done.run["generations"]):
        assert [rung["networks"] for rung in one["rungs"]] == [8 if number == 0 else 7, 3, 1]
        assert [rung["length"] for rung in one["rungs"]] == [25, 75, 100]
        assert sum(rung["evaluations"] for rung in one["rungs"]) == one["evaluations"]
        assert sum(rung["iterations"] for rung in one["rungs"]) == one["iterations"]
        assert one["rungs"][1]["spearman"] == 1.0, "here the fitness rises alike for all"
        assert len(one["reached"]) == 8
    whole = {
        genome
        for one in done.run["generations"]
        for genome, rung in zip(one["genomes"], one["reached"], strict=True)
        if rung == 2
    }
    assert {network["genome"] for network in done.run["final"]["networks"]} <= whole
    assert done.best_genome in whole
    trained = WorkItem.objects.filter(job=raced, kind=ItemKind.EVALUATE).count()
    assert trained == sum(one["evaluations"] for one in done.run["generations"])


def test_a_search_without_a_race_tells_of_none(job: Job) -> None:
    done = drive(job)
    assert all("rungs" not in one and "reached" not in one for one in done.run["generations"])
    assert list(Generation.objects.filter(job=job).values_list("rungs", "reached").distinct().order_by()) == [
        ([], None)
    ]
    assert not Event.objects.filter(job=job, kind="rung_opened").exists()


def test_the_order_in_which_outcomes_come_in_decides_nothing(undisturbed: dict[str, Any], raced: Job) -> None:
    def backwards(taken: Sequence[Lease]) -> Sequence[Lease]:
        return taken[::-1]

    assert story(drive(raced, order=backwards)) == undisturbed


def test_a_worker_that_dies_within_a_rung(undisturbed: dict[str, Any], raced: Job) -> None:
    """Its leases run out after one of three outcomes; whoever comes does the others again, and no more."""
    done, *held = until_rung(raced, 1)
    assert record(done)
    let_leases_run_out()
    assert leases.sweep() == 2
    assert not any(record(lease) for lease in held), "the dead worker's own come too late"
    assert {lease.item_id for lease in take()} == {lease.item_id for lease in held}
    assert leases.give_back_worker("recorder") == 2
    assert story(drive(raced)) == undisturbed


def test_two_workers_that_record_a_rungs_last_outcomes_together_open_one_rung(
    undisturbed: dict[str, Any], raced: Job
) -> None:
    *early, last, lastest = until_rung(raced, 0)
    for lease in early:
        assert record(lease)
    written, commit, recorded = threading.Event(), threading.Event(), []

    def first() -> None:
        with transaction.atomic():
            recorded.append(record(last))
            written.set()
            assert commit.wait(10)
        connections.close_all()

    def second() -> None:
        recorded.append(record(lastest))
        connections.close_all()

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    assert written.wait(10)
    threads[1].start()
    threads[1].join(0.5)
    assert threads[1].is_alive(), "the second waits for the first one's commit"
    commit.set()
    for thread in threads:
        thread.join()
    assert recorded == [True, True]
    assert [rung["rung"] for rung in opened(raced)] == [0, 1]
    assert Event.objects.filter(job=raced, kind="rung_opened").count() == 2
    assert story(drive(raced)) == undisturbed


def test_an_error_while_the_next_rung_is_opened_takes_the_last_outcome_back(
    undisturbed: dict[str, Any], raced: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    *early, last = until_rung(raced, 0)
    for lease in early:
        record(lease)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(events, "append", killed)
        record(last)
    assert WorkItem.objects.get(pk=last.item_id).state == ItemState.LEASED
    assert len(opened(raced)) == 1
    assert not WorkItem.objects.filter(job=raced, rung=1).exists()
    assert record(last)
    assert story(drive(raced)) == undisturbed


def test_a_job_paused_with_a_rungs_last_outcome_under_way_goes_on_with_the_next(
    undisturbed: dict[str, Any], raced: Job, alice: User
) -> None:
    *early, last = until_rung(raced, 0)
    for lease in early:
        record(lease)
    control.pause(raced.pk, alice)
    assert record(last)
    assert Job.objects.get(pk=raced.pk).state == JobState.PAUSED
    assert (len(opened(raced)), take()) == (2, [])
    control.resume(raced.pk, alice)
    assert story(drive(raced)) == undisturbed


def test_a_network_that_kills_its_evaluators_on_a_rung_stops_there(raced: Job) -> None:
    bad, *others = until_rung(raced, 1)
    for _ in range(2):
        assert leases.give_back(bad, Trouble("crash"))
        if WorkItem.objects.get(pk=bad.item_id).state == ItemState.POISONED:
            break
        bad = take_one()
    for lease in others:
        assert record(lease)
    row = Generation.objects.get(job=raced, number=0)
    assert bad.genome not in opened(raced)[2]["genomes"]
    assert WorkItem.objects.get(job=raced, rung=0, genome=bad.genome).outcome["fitness"] > 0
    drive(raced)
    row.refresh_from_db()
    place = row.genomes.index(bad.genome)
    assert (row.fitness[place], row.reached[place], row.failed) == ((0.0).hex(), 1, 1)


def test_a_network_that_its_owner_excludes_on_a_rung_stops_there_and_the_run_says_so(
    raced: Job, alice: User
) -> None:
    bad, *others = until_rung(raced, 1)
    for lease in others:
        assert record(lease)
    while Job.objects.get(pk=raced.pk).state != JobState.PAUSED:
        assert leases.give_back(bad, Trouble("hang"))
        bad = next(iter(take()), bad)
    control.go_on_without(raced.pk, alice)
    assert len(opened(raced)) == 3, "that was the last of its rung"
    done = drive(raced)
    assert done.state == JobState.DONE, done.reason
    key = opened(raced)[1]["keys"][opened(raced)[1]["genomes"].index(bad.genome)]
    assert [(entry["key"], entry["reason"]) for entry in done.run["excluded"]] == [(key, EXCLUDED)]
    first = done.run["generations"][0]
    place = first["genomes"].index(bad.genome)
    assert (first["fitness_hex"][place], first["reached"][place], first["invalid"]) == ((0.0).hex(), 1, 1)
    assert [rung["evaluations"] for rung in first["rungs"]] == [8, 2, 1]


def test_all_that_went_on_diverge_and_the_search_goes_on_with_the_others(raced: Job) -> None:
    nothing = {"fitness": 0.0, "fitness_hex": (0.0).hex(), "reason": "diverged: NaN"}
    while taken := take():
        for lease in taken:
            dead = lease.kind is ItemKind.EVALUATE and lease.rung == 2
            assert generations.record(lease, outcome_of(lease) | nothing) if dead else record(lease)
    done = Job.objects.get(pk=raced.pk)
    assert done.state == JobState.DONE, done.reason
    assert done.run["best_fitness_hex"] != (0.0).hex()


def test_the_best_so_far_that_dies_on_a_later_rung_is_not_the_best(raced: Job) -> None:
    """When the search is over events and rows name the best of those that were left; its picture is never lost."""
    nothing = {"fitness": 0.0, "fitness_hex": (0.0).hex(), "reason": "diverged: NaN"}
    great = {"fitness": 0.95, "fitness_hex": (0.95).hex(), "held_out_psnr": 48.0}
    seen, star = files.keep(raced.pk, b"what the star showed"), None
    drive(raced, until=lambda row: row.generation == 0)
    while Job.objects.get(pk=raced.pk).state != JobState.FINISHING:
        lease = take_one()
        star = star or lease.genome
        changes = {} if lease.genome != star else great if lease.rung == 0 else nothing
        shown = seen if lease.genome == star else ""
        assert generations.record(lease, outcome_of(lease) | changes, shown)
    row = Job.objects.get(pk=raced.pk)
    assert row.best_genome != star and 0 < row.best_fitness < 0.95
    *_, last = Event.objects.filter(job=raced, kind="best").order_by("number").values_list("data", flat=True)
    assert last == {
        "fitness": row.best_fitness,
        "genome": row.best_genome,
        "preview": "",
        "held_out_psnr": pytest.approx(10 + 40 * row.best_fitness),
    }
    told = snapshot(row)
    assert (told["best_fitness"], told["best_genome"]) == (row.best_fitness, row.best_genome)
    assert told["best_held_out_psnr"] == last["held_out_psnr"]
    assert seen in told["best_url"]
    assert seen not in finals.leftovers(drive(raced).pk)


def test_a_best_network_that_stays_is_told_once(raced: Job) -> None:
    drive(raced)
    told = Event.objects.filter(job=raced, kind="best").order_by("number").values_list("data", flat=True)
    fitness = [one["fitness"] for one in told]
    assert fitness == sorted(set(fitness))


@pytest.mark.parametrize(
    ("slots", "rounds", "final_rounds"), [(1, 2.25 + 1 + 2 * 5, 2), (16, 0.75 + 1 + 2 * 2, 1)]
)
def test_time_left_counts_the_slots_that_later_rungs_leave_idle(
    raced: Job, slots: int, rounds: float, final_rounds: int
) -> None:
    """After rung 0: 3 and 1 networks of this generation; 7, 3 and 1 of each of two more; then two final fits."""
    beat("recorder", pid=1, slots=slots, fingerprint={"torch": "recorded"}, device="cpu", first=True)
    until_rung(raced, 1)
    plan = Plan.of(raced)
    whole = 0.5 / 0.25  # seconds: each fit of rung 0 took half a second for a quarter of the iterations
    final = 0.5 / 25 * plan.settings.longest_final_fit(plan.task)
    left = seconds_left(Job.objects.get(pk=raced.pk))
    assert left == pytest.approx(rounds * whole + final_rounds * final)


def test_a_race_in_which_every_genome_is_refused_goes_through_its_generations(alice: User) -> None:
    job = queue(alice, overrides=RACED | {"redraw": False, "starter_share": 0.0, "cost_cap": 1})
    record(take_one())
    failed = Job.objects.get(pk=job.pk)
    assert (failed.state, "every fitness is 0" in failed.reason) == (JobState.FAILED, True)
    rows = Generation.objects.filter(job=job).order_by("number")
    assert [(row.state, row.rungs, row.invalid) for row in rows] == [("closed", [], 8)] * 3


def test_events_and_snapshot_follow_the_rungs(raced: Job) -> None:
    beat("recorder", pid=1, slots=1, fingerprint={"torch": "recorded"}, device="cpu", first=True)
    done, *held = until_rung(raced, 1)
    assert record(done)
    shown = snapshot(Job.objects.get(pk=raced.pk))
    assert (shown["rung"], shown["rungs"], shown["rung_share"]) == (1, 3, 0.75)
    assert (shown["networks"], shown["evaluated"]) == (3, 1)
    assert len(shown["individuals"]) == 8, "one for each network of the generation"
    newest = shown["individuals"][-1]
    assert (newest["slot_genome"], newest["rung"]) == (done.genome, 1)
    assert newest["fitness"] == outcome_of(done)["fitness"]
    job = Job.objects.get(pk=raced.pk)
    left = seconds_left(job)
    assert left is not None
    for lease in held:
        record(lease)
    assert 0 < (seconds_left(job) or 0) < left
    drive(raced)
    told = (
        Event.objects.filter(job=raced, kind="rung_opened").order_by("number").values_list("data", flat=True)
    )
    assert [(one["generation"], one["rung"], one["networks"]) for one in told] == [
        (number, rung, networks)
        for number, first in ((0, 8), (1, 7), (2, 7))
        for rung, networks in enumerate((first, 3, 1))
    ]
    evaluated = Event.objects.filter(job=raced, kind="evaluated").values_list("data", flat=True)
    places = [(one["slot_genome"], one["rung"]) for one in evaluated]
    assert (
        len(places) == len(set(places)) == WorkItem.objects.filter(job=raced, kind=ItemKind.EVALUATE).count()
    )
