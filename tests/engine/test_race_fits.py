"""Racing with real fits: a rung is the first part of a longer fit to the bit, and its fitness can only rise."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from nasdip_engine import local
from nasdip_engine.evaluator import HOOK_VARIABLE
from nasdip_engine.evolution.search import EXCLUDED, best_of
from nasdip_engine.genome.starters import starters
from nasdip_engine.local import LocalSearch
from nasdip_engine.local_evaluations import OnProgress
from nasdip_engine.request import Request
from nasdip_engine.store import Store
from tests.engine.searches import question

pytestmark = pytest.mark.slow

RACED = {"iterations": 100, "first_rung": 0.25, "population": 8}
"""Rungs of 25, 75 and 100 iterations for 8, 3 and 1 networks."""


@pytest.fixture(scope="module")
def found() -> LocalSearch:
    """A search by rungs, done."""
    with LocalSearch(question(**RACED), workers=2) as search:
        search.history, search.records = search.search()  # type: ignore[attr-defined]
        return search


def race_of(search: LocalSearch) -> tuple[Any, Any]:
    return search.history, search.records  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("representation", "settings", "lengths"),
    [
        ("asym", RACED, [25, 75, 100]),
        # A genome that says T = 500 itself, of which a rung is a part.
        ("asymt", {"representation": "asymt", "first_rung": 0.07}, [25, 100, 325, 500]),
    ],
)
def test_a_rung_is_the_first_part_of_the_whole_fit(
    representation: str, settings: dict[str, Any], lengths: list[int]
) -> None:
    genomes = [genome.text for genome in starters(2, representation)[:2]]
    with LocalSearch(question(**settings), workers=2) as search:
        for genome in genomes:
            rungs = range(search.asked.settings.race.last + 1)
            fits = [search.evaluate(genome, rung) for rung in rungs]
            whole = fits[-1]
            assert [fit["iterations"] for fit in fits] == lengths
            assert whole == search.evaluate(genome)
            for fit in fits:
                assert fit["curve"] == whole["curve"][: len(fit["curve"])]
                assert fit["curve"][-1][0] == fit["iterations"]
            fitness = [fit["fitness"] for fit in fits]
            assert fitness == sorted(fitness)
            assert fitness[0] < fitness[-1], "these fits do gain by going on"


def test_a_rung_has_the_key_and_the_bits_of_a_shorter_search() -> None:
    genome = starters(2)[0].text
    with LocalSearch(question(**RACED)) as raced, LocalSearch(question(iterations=25)) as short:
        assert raced.key(genome, 0) == short.key(genome)
        assert raced.key(genome, 0) != raced.key(genome, 1) != raced.key(genome)
        first, second = raced.evaluate(genome, 0), short.evaluate(genome)
    assert first | {"seconds": 0} == second | {"seconds": 0}


def test_whoever_stopped_stands_below_whoever_went_on(found: LocalSearch) -> None:
    history, _ = race_of(found)
    for closed in history:
        raced = list(zip(closed.rungs, closed.fitness, strict=True))[closed.generation.elites :]
        assert {rung for rung, _ in raced} == {0, 1, 2}
        for low, worse in raced:
            for high, better in raced:
                assert low >= high or worse < better


def test_what_a_race_trains_and_costs_is_what_its_rungs_say(found: LocalSearch) -> None:
    history, records = race_of(found)
    for record, networks in zip(records, (8, 7), strict=True):
        rungs = record["rungs"]
        planned = found.asked.settings.race.planned(networks)
        assert [(one["rung"], one["networks"]) for one in rungs] == planned
        assert [one["length"] for one in rungs] == [25, 75, 100]
        assert [one["iterations"] for one in rungs] == [one["evaluations"] * one["length"] for one in rungs]
        assert record["evaluations"] == sum(one["evaluations"] for one in rungs)
        assert record["iterations"] == sum(one["iterations"] for one in rungs)
        assert (rungs[0]["spearman"], rungs[2]["spearman"]) == (None, None), "of nothing, of one network"
        assert -1 <= rungs[1]["spearman"] <= 1
    whole = sum(rung == 2 for closed in history for rung in closed.rungs[closed.generation.elites :])
    assert len(best_of(history, found.asked.settings)) == whole == 2


def test_a_race_is_repeated_to_the_bit_with_any_number_of_workers(found: LocalSearch) -> None:
    history, records = race_of(found)
    with LocalSearch(question(**RACED), workers=1) as again:
        assert again.search() == (history, records)


class Timed(LocalSearch):
    """Its fits take a second an iteration, as far as they say."""

    def run(self, request: Request, on_progress: OnProgress | None = None) -> dict[str, Any]:
        outcome = super().run(request, on_progress)
        return outcome | {"seconds": float(outcome["iterations"])}


@pytest.mark.parametrize("workers", [2, 8])
def test_time_left_counts_the_slots_that_later_rungs_leave_idle(
    workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if workers == 2:
        monkeypatch.setenv(HOOK_VARIABLE, "sleep:0.015")  # an iteration: lines are said between the fits
    monkeypatch.setattr(local, "_SAY_EVERY", 0.0)
    said: list[str] = []
    with Timed(question(**RACED), workers=workers, say=said.append) as search:
        search.search()
        frames, longest = search.asked.final, search.asked.settings.longest_final_fit(search.asked.task)
        part = (
            frames[0].size[0]
            * frames[0].size[1]
            / (search.asked.search.size[0] * search.asked.search.size[1])
        )
    finals = -(-2 // workers) * part * longest
    rounds = [[-(-networks // workers) for networks in fields] for fields in ((8, 3, 1), (7, 3, 1))]
    later = sum(count * length for count, length in zip(rounds[1], (25, 75, 100), strict=True))

    (closed,) = [line for line in said if line.startswith("generation 1 of 2 closed")]
    assert left_in(closed) == pytest.approx(later + finals, abs=1)
    between = [line for line in said if line.startswith("generation 1 of 2: rung 1") and "left" in line]
    for line in between:
        done = int(re.findall(r"(\d+) of 8 networks", line)[0])
        here = -(-(8 - done) // workers) * 25 + rounds[0][1] * 75 + 100
        assert left_in(line) == pytest.approx(here + later + finals, abs=1)
    assert between or workers == 8


def left_in(line: str) -> int:
    """The seconds that a line of progress says are left."""
    minutes, seconds = re.findall(r"about (\d+):(\d\d) left", line)[0]
    return 60 * int(minutes) + int(seconds)


def test_the_store_keeps_rungs_and_does_not_let_a_whole_fit_pass_for_one(
    found: LocalSearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Networks whose whole fit is in the store run the race all the same: a store changes no result."""
    history, records = race_of(found)
    store = Store(tmp_path)
    everybody = set(history[0].generation.genomes)
    with LocalSearch(question(**RACED), workers=2, store=store) as before:
        for genome in sorted(everybody):
            before.evaluate(genome)
    with LocalSearch(question(**RACED), workers=2, store=store) as first:
        assert first.search() == (history, records)
        assert len(first.from_store) == 1, "the one whole fit of generation 0"
    lengths = {entry.about["evaluation"]["iterations"] for entry in store.entries(lambda _: None)}
    assert lengths == {25, 75, 100}
    monkeypatch.setenv(HOOK_VARIABLE, "abort:")  # from here on whatever is trained crashes
    with LocalSearch(question(**RACED), workers=2, store=store) as second:
        assert second.search() == (history, records)


def test_a_network_that_its_owner_excluded_on_a_rung_stops_there(found: LocalSearch) -> None:
    history, _ = race_of(found)
    winner = best_of(history[:1], found.asked.settings)[0].genome
    asked = question(**RACED)
    object.__setattr__(asked, "excluded", frozenset({found.key(winner, 1)}))
    with LocalSearch(asked, workers=2) as search:
        (first, *_), (record, *_) = search.search()
        assert search.evaluate(winner, 1)["reason"] == EXCLUDED
        assert search.evaluate(winner, 0)["fitness"] > 0
    place = first.generation.genomes.index(winner)
    assert (first.fitness[place], first.rungs[place], record["invalid"]) == (0.0, 1, 1)
    assert [one["networks"] for one in record["rungs"]] == [8, 3, 1], "another one goes on to the end"
    assert [one["evaluations"] for one in record["rungs"]] == [8, 2, 1]
