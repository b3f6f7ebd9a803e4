"""Racing by rungs: who goes on, what a rung is, and that whoever stopped stands below whoever went on."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from nasdip_engine.evolution.history import Closed, Generation
from nasdip_engine.evolution.racing import LOOK_EVERY, Field, Race, rank_correlation
from nasdip_engine.evolution.search import (
    best_of,
    close,
    entrants,
    evaluated_with,
    first_generation,
    next_generation,
    raced,
    refusal,
    stop_at,
)
from nasdip_engine.evolution.settings import SearchSettings, settings_for
from nasdip_engine.genome.genome import Genome
from nasdip_engine.genome.starters import starters
from nasdip_engine.restoration.fit import CHECK_EVERY
from nasdip_engine.seeding import Seeds
from nasdip_engine.task import Task, TaskKind

TASK = Task(TaskKind.DENOISE)
SEEDS = Seeds.from_seed(5)
RACED = settings_for("preview", TASK, {"population": 20, "iterations": 400, "first_rung": 0.075})
LAST = 3


def lengths(first: float, whole: int) -> list[int]:
    race = Race.of(first, 0.33, 1, whole)
    return [race.length(whole, rung) for rung in range(race.last + 1)]


# ------------------------------------------------------------------------------------------------- rungs


def test_a_rung_ends_with_a_look() -> None:
    """Told twice, since settings load no torch; were they unequal, a longer fit would not have a shorter one's looks."""
    assert LOOK_EVERY == CHECK_EVERY


def test_rungs_are_three_times_as_long_each_but_for_the_last() -> None:
    assert lengths(0.075, 1000) == [75, 225, 675, 1000]
    assert lengths(0.075, 400) == [25, 100, 275, 400]
    assert lengths(0.25, 100) == [25, 75, 100]
    assert lengths(1.0, 1000) == [1000]


def test_a_rung_that_adds_nothing_is_left_out() -> None:
    assert lengths(0.075, 150) == [25, 100, 150]  # 11 and 34 iterations are 25 both
    assert lengths(0.33, 100) == [25, 100]  # 99 are 100
    assert lengths(0.075, 25) == [25]
    assert lengths(0.5, 20) == [20]


@given(st.floats(0.02, 1.0), st.integers(1, 20_000))
def test_rungs_rise_and_all_but_the_last_end_with_a_look(first: float, whole: int) -> None:
    found = lengths(first, whole)
    assert found[-1] == whole
    assert all(a < b for a, b in pairwise(found))
    assert all(length % CHECK_EVERY == 0 for length in found[:-1])


@given(st.floats(0.02, 1.0))
def test_genomes_that_say_their_length_have_as_many_rungs_each(first: float) -> None:
    settings = settings_for("preview", TASK, {"representation": "asymt", "first_rung": first})
    for whole in (500, 1500, 3500):
        found = [settings.race.length(whole, rung) for rung in range(settings.race.last + 1)]
        assert found[-1] == whole
        assert all(a < b for a, b in pairwise(found))


# ------------------------------------------------------------------------------------------- who goes on


@given(
    st.lists(st.sampled_from([0.0, 1e-6, 0.1, 0.2, 0.3, 0.5, 0.9]), min_size=1, max_size=40),
    st.floats(0.05, 0.95),
    st.integers(1, 3),
)
def test_the_best_go_on_with_all_that_equal_the_last_of_them(
    fitness: list[float], share: float, least: int
) -> None:
    race = Race((Fraction(1, 3), Fraction(1)), Fraction(str(share)), least)
    promoted = race.promoted(fitness)
    able = sum(value > 0 for value in fitness)
    on = [fitness[place] for place in promoted]
    off = [value for place, value in enumerate(fitness) if place not in promoted]
    assert list(promoted) == sorted(set(promoted))
    assert 0 not in on, "what has no fitness never goes on"
    assert len(on) >= min(able, race.places(len(fitness)))
    assert not on or all(value < min(on) for value in off)
    worst = min(on, default=0)
    assert sum(value > worst for value in on) < race.places(len(fitness)), "no more than ties bring"


def test_at_least_as_many_as_there_are_elites_go_on() -> None:
    race = replace(RACED, elite_share=0.5).race
    assert race.places(20) == race.least == 10
    assert len(race.promoted([0.01 * place + 0.1 for place in range(20)])) == 10


def test_a_rung_that_all_would_leave_is_passed_over() -> None:
    assert RACED.race.planned(20) == [(0, 20), (1, 7), (2, 3), (3, 1)]
    assert RACED.race.planned(5) == [(0, 5), (1, 2), (3, 1)]
    assert RACED.race.planned(1) == [(3, 1)]
    assert RACED.race.planned(0) == []
    assert RACED.race.planned(7, after=1) == [(2, 7), (3, 3)]
    assert RACED.race.iterations(5, 400) == 5 * 25 + 2 * 100 + 400


def test_what_is_left_of_a_generation_begins_with_the_rung_where_it_stands() -> None:
    assert RACED.race.left(4, 20, 0) == [(0, 4), (1, 7), (2, 3), (3, 1)]
    assert RACED.race.left(0, 5, 0) == [(0, 0), (1, 2), (3, 1)]
    assert RACED.race.left(1, 1, 3) == [(3, 1)]


def test_a_rung_lasts_until_its_last_fit_however_many_slots_there_are() -> None:
    race, fields = RACED.race, RACED.race.planned(20)
    assert race.in_turn(fields, 400, 1) == race.iterations(20, 400) / 400
    assert race.in_turn(fields, 400, 4) == (5 * 25 + 2 * 100 + 275 + 400) / 400
    assert race.in_turn(fields, 400, 16) == (2 * 25 + 100 + 275 + 400) / 400
    assert race.in_turn([(0, 0)], 400, 16) == 0
    assert settings_for("preview", TASK).race.in_turn([(0, 12)], 150, 5) == 3


def test_without_racing_the_only_rung_is_the_whole_fit() -> None:
    race = settings_for("preview", TASK).race
    assert (race.last, race.planned(12), race.iterations(12, 150)) == (0, [(0, 12)], 12 * 150)


# ---------------------------------------------------------------------------------------- the proof


@st.composite
def careers(draw: st.DrawFn) -> list[tuple[float, ...]]:
    """Fitness by rung of some networks: it rises, or ends at 0 where the fit diverges; ties are many."""
    levels = st.sampled_from([1e-6, 0.1, 0.2, 0.3, 0.4, 0.5])
    found = []
    for _ in range(draw(st.integers(1, 20))):
        rising = sorted(draw(st.lists(levels, min_size=LAST + 1, max_size=LAST + 1)))
        diverges = draw(st.integers(0, 12))
        found.append(tuple(0.0 if rung >= diverges else value for rung, value in enumerate(rising)))
    return found


@given(careers())
def test_whoever_stopped_stands_below_whoever_went_on(networks: list[tuple[float, ...]]) -> None:
    race = RACED.race
    field, rung, reached = list(range(len(networks))), -1, {}
    while field and rung < race.last:
        rung = race.next_rung(len(field), rung)
        fitness = [networks[one][rung] for one in field]
        reached |= {one: (rung, value) for one, value in zip(field, fitness, strict=True)}
        field = [field[place] for place in race.promoted(fitness)]
    for low, worse in reached.values():
        for high, better in reached.values():
            assert low >= high or better == 0 or worse < better


# ------------------------------------------------------------------------------------------- the search


def run(settings: SearchSettings, fitness_at: dict[str, tuple[float, ...]] | None = None) -> list[Closed]:
    """A search whose fitness rises with the rung, by the network's digest; or as told for some digests."""
    history: list[Closed] = []
    step = first_generation(settings, SEEDS)
    while isinstance(step, Generation):
        history.append(close(step, history, settings, fields(step, history, settings, fitness_at or {})))
        step = next_generation(settings, SEEDS, history)  # type: ignore[assignment]
    return history


def fields(
    generation: Generation,
    history: list[Closed],
    settings: SearchSettings,
    fitness_at: dict[str, tuple[float, ...]],
) -> list[Field]:
    race, found, rung = settings.race, [], -1
    networks = entrants(generation, history, settings)
    while networks and rung < race.last:
        rung = race.next_rung(len(networks), rung)
        fitness = tuple(fitness_at.get(digest(one), rising(one))[rung] for one in networks)
        found.append(Field(rung, networks, fitness))
        networks = tuple(networks[place] for place in race.promoted(fitness))
    return found


def digest(text: str) -> str:
    return Genome.parse(text).phenotype().digest


def rising(text: str) -> tuple[float, ...]:
    base = (1 + int(digest(text)[:6], 16)) / 2**25
    gain = int(digest(text)[6:12], 16) / 2**27
    return tuple(base + gain * rung for rung in range(LAST + 1))


def test_elites_have_run_to_the_end_and_run_no_more() -> None:
    history = run(replace(RACED, generations=5))
    for before, after in pairwise(history):
        elites = after.generation.genomes[: after.generation.elites]
        assert [after.rungs[place] for place in range(len(elites))] == [LAST] * len(elites)  # type: ignore[index]
        for slot, text in enumerate(elites):
            place = before.generation.genomes.index(text)
            assert (after.fitness[slot], before.rungs[place]) == (before.fitness[place], LAST)  # type: ignore[index]
        assert after.best >= before.best
        running = entrants(after.generation, history[: after.generation.number], RACED)
        assert set(running) == set(after.generation.genomes[after.generation.elites :])


def test_each_slot_has_the_fitness_of_the_highest_rung_it_reached() -> None:
    for closed in run(RACED):
        assert closed.rungs is not None
        assert {0, 1, 2, 3} == set(closed.rungs)
        for text, fitness, rung in zip(closed.generation.genomes, closed.fitness, closed.rungs, strict=True):
            assert fitness == rising(text)[rung]


def test_only_networks_of_the_last_rung_are_ranked() -> None:
    history = run(RACED)
    whole = {
        digest(text)
        for closed in history
        for text, rung in zip(closed.generation.genomes, closed.rungs or (), strict=True)
        if rung == LAST
    }
    ranked = best_of(history, RACED)
    assert {one.digest for one in ranked} == whole
    assert ranked[0].fitness == history[-1].best == max(closed.best for closed in history)


def test_where_all_that_went_on_diverge_those_of_the_rung_below_are_ranked() -> None:
    settings = replace(RACED, generations=1)
    (closed,) = run(settings)
    gone = {digest(text): (*rising(text)[:LAST], 0.0) for text in closed.generation.genomes}
    (without,) = run(settings, gone)
    assert best_of([without], settings)
    for one in best_of([without], settings):
        place = without.generation.genomes.index(one.genome)
        assert without.rungs is not None
        assert without.rungs[place] == LAST - 1


def test_a_network_that_was_stopped_may_run_again_and_one_that_was_not_has_its_fitness() -> None:
    one, two, three, four = (genome.text for genome in starters(5)[:4])
    history = [Closed(Generation(0, (one, two, three), 0), (0.4, 0.2, 0.0), (LAST, 0, LAST))]
    invalid = Genome.parse("asym:5:" + "0" * 43).text
    assert refusal(invalid, RACED) is not None
    again = Generation(1, (one, two, invalid, three, four, four), 1)
    assert entrants(again, history, RACED) == (two, four)
    closed = close(again, history, RACED, [Field(0, (two, four), (0.2, 0.3)), Field(3, (four,), (0.35,))])
    assert closed.fitness == (0.4, 0.2, 0.0, 0.0, 0.35, 0.35)
    assert closed.rungs == (LAST, 0, 0, LAST, LAST, LAST)
    assert Closed.from_json(closed.to_json()) == closed


def test_history_of_before_there_were_races_is_of_whole_fits() -> None:
    kept = {"generation": {"number": 0, "genomes": ["asym:5:0"], "elites": 0}, "fitness": [0.0]}
    closed = Closed.from_json(kept)
    assert closed.rungs is None
    assert closed.to_json() == kept
    with pytest.raises(ValueError, match="2 rungs for 1 genomes"):
        replace(closed, rungs=(0, 1))


def test_a_fit_of_a_rung_is_the_whole_fit_of_a_shorter_search() -> None:
    genome = starters(5)[0].text
    assert [stop_at(genome, RACED, rung) for rung in range(LAST + 1)] == [25, 100, 275, None]
    assert evaluated_with(RACED, 25) == evaluated_with(replace(RACED, iterations=25, first_rung=1.0))
    own = replace(RACED, representation="asymt")
    long = starters(5, "asymt")[0].text
    assert [stop_at(long, own, rung) for rung in range(LAST + 1)] == [50, 100, 350, None]
    assert evaluated_with(own, 50) == evaluated_with(own) | {"rung": 50}


# ---------------------------------------------------------------------------------------- what is told


@given(st.lists(st.tuples(*[st.sampled_from([0.1, 0.2, 0.3, 0.7])] * 2), min_size=3, max_size=12))
def test_the_rank_correlation_is_spearmans(pairs: list[tuple[float, float]]) -> None:
    names = tuple(f"network {place}" for place in range(len(pairs)))
    before, after = (Field(0, names, tuple(pair[side] for pair in pairs)) for side in (0, 1))
    found = rank_correlation(before, after)
    if min(len(set(before.fitness)), len(set(after.fitness))) == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(before.fitness, after.fitness).statistic)


def test_the_rank_correlation_is_over_networks_that_have_a_fitness_at_both_rungs() -> None:
    before = Field(0, ("a", "b", "c", "d", "e"), (0.1, 0.2, 0.3, 0.4, 0.0))
    assert rank_correlation(before, Field(1, ("b", "c", "d"), (0.3, 0.4, 0.5))) == 1.0
    assert rank_correlation(before, Field(1, ("d", "c", "b"), (0.3, 0.4, 0.5))) == -1.0
    assert rank_correlation(before, Field(1, ("c", "d"), (0.3, 0.4))) is None
    assert rank_correlation(before, Field(1, ("b", "c", "d"), (0.3, 0.0, 0.5))) is None


def test_a_run_tells_what_each_rung_trained_cost_and_foretold() -> None:
    first = Field(0, ("a", "b", "c", "d"), (0.1, 0.2, 0.3, 0.4))
    then = Field(1, ("b", "c", "d"), (0.2, 0.4, 0.5))
    told = raced([first, then], RACED, [(4, 100), (2, 200)])
    assert told == [
        {
            "rung": 0, "share": 0.075, "length": 25, "networks": 4, "evaluations": 4, "iterations": 100,
            "spearman": None,
        },
        {
            "rung": 1, "share": 0.225, "length": 100, "networks": 3, "evaluations": 2, "iterations": 200,
            "spearman": 1.0,
        },
    ]  # fmt: skip
    assert raced([first], replace(RACED, representation="asymt"), [(4, 100)])[0]["length"] is None
