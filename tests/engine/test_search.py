"""The search as a pure function of settings, seeds and history."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import pytest

from nasdip_engine.evolution.history import Closed, Converged, Generation
from nasdip_engine.evolution.search import (
    best_of,
    evaluation_key,
    first_generation,
    is_starter,
    next_generation,
    refusal,
)
from nasdip_engine.evolution.settings import SearchSettings, settings_for
from nasdip_engine.genome.cost import multiply_adds_per_pixel
from nasdip_engine.genome.genome import Genome, encode
from nasdip_engine.genome.phenotype import Phenotype, Stage
from nasdip_engine.genome.starters import plain, starters
from nasdip_engine.seeding import Seeds
from nasdip_engine.task import Task, TaskKind
from tests.engine.searches import fitness_of

TASK = Task(TaskKind.DENOISE)
SEEDS = Seeds.from_seed(5)
PREVIEW = settings_for("preview", TASK)
AS_PRINTED = replace(PREVIEW, redraw=False, starter_share=0.0, cost_cap=0, population=40, generations=20)


def close(generation: Generation) -> Closed:
    return Closed(generation, tuple(fitness_of(text) for text in generation.genomes))


def run(settings: SearchSettings, seeds: Seeds = SEEDS) -> tuple[list[Closed], Converged]:
    history = [close(first_generation(settings, seeds))]
    while isinstance(following := next_generation(settings, seeds, history), Generation):
        history.append(close(following))
    return history, following


def digests(generation: Generation) -> list[str]:
    return [Genome.parse(text).phenotype().digest for text in generation.genomes]


def test_preview_trains_at_least_24_distinct_networks_in_three_generations() -> None:
    history, end = run(PREVIEW)
    assert end == Converged("generations")
    assert [closed.generation.number for closed in history] == [0, 1, 2]
    trained = [one for closed in history for one in digests(closed.generation)[closed.generation.elites :]]
    assert len(trained) == len(set(trained)) == 34
    assert all(refusal(text, PREVIEW) is None for closed in history for text in closed.generation.genomes)


def test_elites_come_first_and_keep_their_genome() -> None:
    history, _ = run(replace(PREVIEW, population=30, generations=4))
    for before, after in pairwise(history):
        ranked = sorted(before.generation.genomes, key=fitness_of, reverse=True)
        assert after.generation.elites == 2
        assert list(after.generation.genomes[:2]) == ranked[:2]
        assert after.best >= before.best


def test_starters_take_their_share_of_generation_0() -> None:
    for share, expected in ((0.0, 0), (0.33, 4), (1.0, 12)):
        generation = first_generation(replace(PREVIEW, starter_share=share), SEEDS)
        assert [is_starter(text) for text in generation.genomes] == [True] * expected + [False] * (
            12 - expected
        )
        assert generation.elites == 0


def test_starters_over_the_cap_give_way() -> None:
    cheap = replace(PREVIEW, cost_cap=PREVIEW.cost_cap // 3 - 1, starter_share=1.0)
    first = starters(5)[0].text
    assert refusal(first, cheap) is not None
    assert first not in first_generation(cheap, SEEDS).genomes


def test_the_paper_draws_uniform_bits_and_keeps_what_is_invalid() -> None:
    generation = first_generation(replace(AS_PRINTED, population=400), SEEDS)
    invalid = sum(fitness_of(text) == 0 for text in generation.genomes)
    assert 150 < invalid < 266  # 0.52 of 400, five standard deviations either way


@pytest.mark.parametrize("settings", [PREVIEW, AS_PRINTED])
def test_the_same_history_is_followed_by_the_same_generation(settings: SearchSettings) -> None:
    history = [close(first_generation(settings, SEEDS))]
    history.append(close(next_generation(settings, SEEDS, history)))  # type: ignore[arg-type]
    kept = json.dumps([closed.to_json() for closed in history])
    first, second = (next_generation(settings, SEEDS, history) for _ in range(2))
    assert first == second
    assert json.dumps([closed.to_json() for closed in history]) == kept
    assert first != next_generation(settings, Seeds.from_seed(6), history)


def test_another_process_breeds_the_same_generation() -> None:
    history = [close(first_generation(PREVIEW, SEEDS))]
    program = (
        "import json, sys\n"
        "from nasdip_engine.evolution.history import Closed\n"
        "from nasdip_engine.evolution.search import next_generation\n"
        "from nasdip_engine.evolution.settings import SearchSettings\n"
        "from nasdip_engine.seeding import Seeds\n"
        "settings, seeds, history = json.load(sys.stdin)\n"
        "bred = next_generation(SearchSettings.from_json(settings), Seeds.from_json(seeds),"
        " [Closed.from_json(one) for one in history])\n"
        "print(json.dumps(bred.to_json()))"
    )
    sent = json.dumps([PREVIEW.to_json(), SEEDS.to_json(), [closed.to_json() for closed in history]])
    answers = [
        subprocess.run(
            [sys.executable, "-c", program],
            input=sent,
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    ]
    assert [Generation.from_json(json.loads(text)) for text in answers] == [
        next_generation(PREVIEW, SEEDS, history)
    ] * 2


def test_generation_and_history_round_trip_as_json() -> None:
    closed = close(first_generation(PREVIEW, SEEDS))
    assert Closed.from_json(json.loads(json.dumps(closed.to_json()))) == closed


def test_a_population_without_fitness_is_followed_by_a_fresh_one() -> None:
    for settings in (PREVIEW, AS_PRINTED):
        dead = Closed(first_generation(settings, SEEDS), (0.0,) * settings.population)
        fresh = next_generation(settings, SEEDS, [dead])
        assert isinstance(fresh, Generation)
        assert (fresh.number, fresh.elites, len(fresh.genomes)) == (1, 0, settings.population)
        assert not set(fresh.genomes) & set(dead.generation.genomes)
        assert not any(is_starter(text) for text in fresh.genomes if fitness_of(text))


def scored(rows: list[tuple[float, float]]) -> list[Closed]:
    """Generations of two, with the best and the mean fitness given."""
    return [
        Closed(Generation(number, ("asym:1:04989", "asym:1:04989"), 0), (best, 2 * mean - best))
        for number, (best, mean) in enumerate(rows)
    ]


@pytest.mark.parametrize(
    ("rows", "ends"),
    [
        ([(0.5, 0.4)] * 3, False),  # the window is three generations: it needs four
        ([(0.5, 0.4)] * 4, True),
        ([(0.5, 0.4), (0.5, 0.4), (0.5, 0.4), (0.502, 0.4019)], True),  # both by less than 0.5 %
        ([(0.5, 0.4), (0.5, 0.4), (0.5, 0.4), (0.503, 0.4)], False),  # the best by more
        ([(0.5, 0.4), (0.5, 0.4), (0.5, 0.4), (0.5, 0.403)], False),  # the mean by more
        ([(0.5, 0.4), (0.51, 0.41), (0.51, 0.41), (0.51, 0.41)], False),  # the gain lies in the window
        ([(0.5, 0.4), (0.51, 0.41), (0.51, 0.41), (0.51, 0.41), (0.51, 0.41)], True),
        ([(0.0, 0.0)] * 6, False),  # nothing lives yet
    ],
)
def test_convergence_when_best_and_mean_stand_still_over_three_generations(
    rows: list[tuple[float, float]], ends: bool
) -> None:
    settings = replace(AS_PRINTED, units=1, population=2)
    following = next_generation(settings, SEEDS, scored(rows))
    assert (following == Converged("flat")) is ends
    assert isinstance(following, Converged) is ends


def test_the_limit_counts_generation_0() -> None:
    one = replace(AS_PRINTED, units=1, population=2, generations=1)
    assert next_generation(one, SEEDS, scored([(0.5, 0.4)])) == Converged("generations")


def test_a_history_with_a_hole_is_refused() -> None:
    whole = scored([(0.5, 0.4), (0.6, 0.5), (0.7, 0.6)])
    for broken in ([], whole[1:], [whole[0], whole[2]], whole[::-1]):
        with pytest.raises(ValueError, match="every generation"):
            next_generation(AS_PRINTED, SEEDS, broken)


@pytest.mark.parametrize("fitness", [(0.5,), (0.5, 1.5), (0.5, -0.1), (0.5, float("nan"))])
def test_a_fitness_outside_its_range_is_refused(fitness: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="fitness"):
        Closed(Generation(0, ("asym:1:04989", "asym:1:04989"), 0), fitness)


def test_statistics_of_a_generation_count_everybody() -> None:
    closed = Closed(Generation(0, ("a", "b", "c", "d"), 0), (0.5, 0.0, 0.25, 0.25))
    assert (closed.best, closed.mean, closed.worst) == (0.5, 0.25, 0.0)


# ------------------------------------------------------------------------------------------------ refusal


def test_refusals_are_known_before_training_and_say_why() -> None:
    capped = replace(PREVIEW, cost_cap=1000)
    stage = Stage(3, 8)
    expensive = encode(plain(5, encoder=Stage(15, 64), decoder=Stage(15, 64)))
    assert refusal(starters(5)[0].text, PREVIEW) is None
    assert "over the cost cap" in (refusal(expensive.text, PREVIEW) or "")
    assert refusal(expensive.text, replace(PREVIEW, cost_cap=0)) is None
    assert "allowed are 1000" in (refusal(starters(5)[0].text, capped) or "")
    assert "no active encoder" in (refusal("asym:5:" + "3" + "f" * 42, PREVIEW) or "")
    assert "of 5 units" in (refusal(encode(Phenotype(1, (stage,), (stage,), ())).text, PREVIEW) or "")
    assert "can't be read" in (refusal("nonsense", PREVIEW) or "")


def test_the_cap_refuses_exactly_what_is_over_it() -> None:
    phenotype = starters(5)[0].phenotype()
    price = multiply_adds_per_pixel(phenotype, PREVIEW.crop)
    text = encode(phenotype).text
    assert refusal(text, replace(PREVIEW, cost_cap=int(price) + 1)) is None
    assert refusal(text, replace(PREVIEW, cost_cap=int(price) - 1)) is not None


# ------------------------------------------------------------------------------------------------ ranking


def test_ranking_is_by_fitness_then_price_then_digest_and_each_network_once() -> None:
    cheap, dear, best, other = (encode(plain(5, skip=skip)) for skip in (1, 8, 2, 3))
    shallow = encode(plain(5, bypassed=1))
    with_dead_bits = Genome("asym", 5, (*shallow.bits[:-1], 1))  # the last unit is bypassed
    assert with_dead_bits.phenotype() == shallow.phenotype()
    family = [genome.text for genome in (cheap, dear, best, shallow, other)]
    twin = family[0]
    history = [
        Closed(Generation(0, tuple(family[:4]), 0), (0.5, 0.5, 0.9, 0.0)),
        Closed(Generation(1, (family[2], twin, with_dead_bits.text, family[4]), 1), (0.9, 0.5, 0.7, 0.0)),
    ]
    ranked = best_of(history, PREVIEW)
    assert [one.genome for one in ranked] == [family[2], with_dead_bits.text, family[0], family[1]]
    assert [one.generation for one in ranked] == [0, 1, 0, 0]
    assert ranked[2].multiply_adds_per_pixel < ranked[3].multiply_adds_per_pixel
    assert [one.starter for one in ranked] == [False, True, False, False]  # the shallow one is of the family


def test_equal_fitness_and_price_are_ordered_by_digest() -> None:
    stage = Stage(3, 8)
    decoders = (stage, None, None)
    twins = [  # one stage that halves, one that restores: the price is the same in whichever unit it halves
        encode(Phenotype(3, encoders, decoders, ())).text
        for encoders in ((None, stage, None), (None, None, stage))
    ]
    for order in (twins, twins[::-1]):
        history = [Closed(Generation(0, tuple(order), 0), (0.5, 0.5))]
        first, second = best_of(history, replace(PREVIEW, units=3))
        assert first.multiply_adds_per_pixel == second.multiply_adds_per_pixel
        assert first.digest < second.digest


# ---------------------------------------------------------------------------------------------------- key


def test_the_key_holds_all_that_a_fitness_depends_on_and_nothing_else() -> None:
    base = evaluation_key("frame", TASK, PREVIEW, SEEDS, "phenotype")
    same = [
        evaluation_key("frame", TASK, replace(PREVIEW, population=50, generations=9), SEEDS, "phenotype"),
        evaluation_key("frame", TASK, PREVIEW, replace(SEEDS, seed=1, evolution_seed=2), "phenotype"),
        evaluation_key("frame", TASK, replace(PREVIEW, first_rung=0.2), SEEDS, "phenotype"),
    ]
    others = [
        evaluation_key("other", TASK, PREVIEW, SEEDS, "phenotype"),
        evaluation_key("frame", Task(TaskKind.UPSCALE, 2), PREVIEW, SEEDS, "phenotype"),
        evaluation_key("frame", TASK, replace(PREVIEW, iterations=151), SEEDS, "phenotype"),
        evaluation_key("frame", TASK, replace(PREVIEW, loss="absolute"), SEEDS, "phenotype"),
        evaluation_key("frame", TASK, PREVIEW, replace(SEEDS, evaluation_seed=1), "phenotype"),
        evaluation_key("frame", TASK, PREVIEW, SEEDS, "other"),
        evaluation_key("frame", TASK, PREVIEW, SEEDS, "phenotype", stop=25),
    ]
    assert same == [base] * 3
    assert len({base, *others}) == 1 + len(others)


def test_the_numpy_half_loads_no_torch_and_no_web() -> None:
    program = (
        "import sys, nasdip_engine\n"
        "assert 'numpy' not in sys.modules\n"
        "import nasdip_engine.evolution.search, nasdip_engine.framing, nasdip_engine.genome\n"
        "nasdip_engine.Genome, nasdip_engine.SearchSettings, nasdip_engine.VERSION\n"
        "print([name for name in ('torch', 'django', 'celery') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
