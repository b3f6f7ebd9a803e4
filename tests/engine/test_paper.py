"""`preset="paper"`: the protocol as the paper prints it, value by value, and how its search goes on and ends."""

from __future__ import annotations

import re
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest

from nasdip_engine.errors import SettingsError
from nasdip_engine.evolution.breeding import selection_weights
from nasdip_engine.evolution.history import Closed, Converged, Generation
from nasdip_engine.evolution.paper import PAPER
from nasdip_engine.evolution.search import best_of, first_generation, is_starter, next_generation, refusal
from nasdip_engine.evolution.settings import PRESETS, SearchSettings, describe, settings_for, task_for
from nasdip_engine.genome.cost import cost
from nasdip_engine.genome.genome import REPRESENTATIONS, Genome, encode
from nasdip_engine.genome.phenotype import Phenotype, Stage
from nasdip_engine.seeding import Seeds
from nasdip_engine.task import Task, TaskKind
from tests.engine.searches import fitness_of

DENOISE = Task(TaskKind.DENOISE)
SEEDS = Seeds.from_seed(5)
PAGE = Path(__file__).parents[2] / "docs" / "paper.md"


def paper(task: Task = DENOISE, **overrides: object) -> SearchSettings:
    return settings_for("paper", task_for("paper", task), overrides)


def close(generation: Generation, dead: bool = False) -> Closed:
    fitness = tuple(0.0 if dead else fitness_of(text) for text in generation.genomes)
    return Closed(generation, fitness)


def test_as_printed() -> None:
    settings = paper()
    assert (settings.population, settings.generations) == (500, 20)
    assert (settings.iterations, settings.final_iterations, settings.finalists) == (2000, 2000, 1)
    assert (settings.elites, settings.culled, settings.mutation_rate) == (25, 25, 0.05)
    assert (settings.selection, settings.starter_share, settings.redraw) == ("fitness", 0.0, False)
    assert (settings.learning_rate, settings.loss) == (1e-3, "absolute")
    assert (settings.fitness, settings.hold_out_share) == ("lpips-observed", 0.0)
    assert (settings.representation, settings.units) == ("asym", 5)
    assert (settings.average_decay, settings.jitter, settings.cost_cap) == (0.0, 0.0, 0)


@pytest.mark.parametrize(
    "task", [DENOISE, Task(TaskKind.INPAINT), *(Task(TaskKind.UPSCALE, factor) for factor in (2, 8))]
)
def test_every_task_has_the_printed_values(task: Task) -> None:
    settings = paper(task).to_json()
    assert settings.pop("preset") == "paper"
    assert settings == {name: printed.value for name, printed in PAPER.items()}


def test_every_setting_says_where_the_paper_prints_it_or_that_it_is_silent() -> None:
    assert set(PAPER) == {field.name for field in fields(SearchSettings)} - {"preset"}
    for printed in PAPER.values():
        assert re.match(r"sec\. \d|eq\. \d|fig\. \d|silent: ", printed.source)


def test_the_page_has_the_same_table() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|$", PAGE.read_text(), re.MULTILINE))
    assert rows == {name: f"{printed.value} | {printed.source}" for name, printed in PAPER.items()}


def test_other_presets_are_not_the_papers() -> None:
    for preset in set(PRESETS) - {"paper"}:
        settings = settings_for(preset, DENOISE)
        assert (settings.fitness, settings.hold_out_share) == ("held-out", 0.05)
        assert (settings.selection, settings.redraw, settings.learning_rate) == ("rank", True, 0.01)
        assert settings_for(preset, Task(TaskKind.INPAINT)).learning_rate == 0.02


def test_nothing_is_refused_for_its_price_or_memory() -> None:
    """The most expensive genome that there is, eight units at the largest frame, is let in."""
    stage = Stage(15, 64)
    skips = tuple((start, end, 15) for start in range(8) for end in range(8))
    dearest = Phenotype(8, (stage,) * 8, (stage,) * 8, skips)
    settings = paper(units=8)
    assert cost(dearest, settings.crop, settings.crop).peak_bytes / 1e6 > 1000
    assert refusal(encode(dearest).text, settings) is None


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_the_first_population_is_uniform_bits(representation: str) -> None:
    generation = first_generation(paper(representation=representation), SEEDS)
    texts = generation.genomes
    assert len(texts) == 500
    assert not any(is_starter(text) for text in texts if fitness_of(text))
    ones = sum(sum(Genome.parse(text).bits) for text in texts)
    bits = 500 * len(Genome.parse(texts[0]).bits)
    assert abs(ones - bits / 2) <= 5 * (bits / 4) ** 0.5
    invalid = sum(fitness_of(text) == 0 for text in texts)
    assert 0.35 < invalid / 500 < 0.75  # exact shares: 0.52, 0.64 and 0.49


def test_the_best_five_per_cent_pass_and_the_rest_is_bred() -> None:
    history = [close(first_generation(paper(), SEEDS))]
    for _ in range(2):
        history.append(close(next_generation(paper(), SEEDS, history)))  # type: ignore[arg-type]
    for before, after in pairwise(history):
        ranked = sorted(before.generation.genomes, key=fitness_of, reverse=True)
        assert list(after.generation.genomes[:25]) == ranked[:25]
        assert after.best >= before.best


def test_selection_is_by_fitness_itself() -> None:
    assert selection_weights([0.5, 0.25, 0.0], paper().selection) == [0.5, 0.25, 0.0]


# -------------------------------------------------------------- populations without fitness, and the end


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_a_search_goes_on_through_generations_in_which_nothing_lives(representation: str) -> None:
    settings = paper(population=20, representation=representation)
    history = [close(first_generation(settings, SEEDS), dead=True)]
    for number in range(1, 6):  # longer than the window of convergence
        fresh = next_generation(settings, SEEDS, history)
        assert isinstance(fresh, Generation)
        assert (fresh.number, fresh.elites, len(fresh.genomes)) == (number, 0, 20)
        history.append(close(fresh, dead=True))
    drawn = [text for closed in history for text in closed.generation.genomes]
    assert len(set(drawn)) == len(drawn) == 120  # each a draw of its own
    assert best_of(history, settings) == []

    alive = next_generation(settings, SEEDS, history)
    assert isinstance(alive, Generation)
    history.append(close(alive))
    assert history[-1].best > 0
    bred = next_generation(settings, SEEDS, history)
    assert isinstance(bred, Generation)
    assert bred.elites == settings.elites
    assert bred.genomes[0] == max(alive.genomes, key=fitness_of)


def test_a_population_of_invalid_genomes_alone_is_followed_by_a_fresh_draw() -> None:
    settings = paper(population=6)
    nothing = "asym:5:" + "0" * 43  # every stage active, none with filters
    assert refusal(nothing, settings) is not None
    history = [Closed(Generation(0, (nothing,) * 6, 0), (0.0,) * 6)]
    fresh = next_generation(settings, SEEDS, history)
    assert isinstance(fresh, Generation)
    assert nothing not in fresh.genomes


def test_a_search_in_which_nothing_ever_lives_ends_at_its_limit() -> None:
    settings = paper(population=4, generations=7)
    history = [close(first_generation(settings, SEEDS), dead=True)]
    while isinstance(following := next_generation(settings, SEEDS, history), Generation):
        history.append(close(following, dead=True))
    assert following == Converged("generations")
    assert len(history) == 7


def test_it_ends_when_mean_and_best_stand_still_or_after_20_generations() -> None:
    settings = paper(population=4)
    history = [close(first_generation(settings, SEEDS))]
    flat = [Closed(Generation(n, history[0].generation.genomes, 0), (0.5, 0.4, 0.3, 0.2)) for n in range(4)]
    assert isinstance(next_generation(settings, SEEDS, flat[:3]), Generation)
    assert next_generation(settings, SEEDS, flat) == Converged("flat")
    rising = [Closed(Generation(n, history[0].generation.genomes, 0), (0.5 + n / 50,) * 4) for n in range(20)]
    assert isinstance(next_generation(settings, SEEDS, rising[:19]), Generation)
    assert next_generation(settings, SEEDS, rising) == Converged("generations")


# ------------------------------------------------------------------------------------------ kernel, cost


def test_a_kernel_that_nobody_named_is_the_presets() -> None:
    asked = Task(TaskKind.UPSCALE, 4)
    assert (
        task_for("paper", asked).kernel
        == settings_for("paper", task_for("paper", asked)).kernel
        == "bilinear"
    )
    assert task_for("preview", asked) == asked
    assert task_for("preview", asked).kernel == "bicubic"
    for preset in PRESETS:
        assert task_for(preset, asked, "lanczos").kernel == "lanczos"


def test_a_kernel_that_is_not_the_papers_must_be_meant() -> None:
    bicubic = Task(TaskKind.UPSCALE, 4)
    with pytest.raises(SettingsError, match=r"'bilinear'.*'bicubic'") as refused:
        settings_for("paper", bicubic)
    assert refused.value.field == "kernel"
    assert settings_for("paper", bicubic, {"kernel": "bicubic"}).kernel == "bicubic"


def test_what_it_costs_is_known_beforehand() -> None:
    told = describe(paper(), DENOISE, final_pixels=256 * 256)
    assert told["evaluations"] == 500 + 19 * 475
    assert told["iterations"] == (told["evaluations"] + 1) * 2000
    assert told["iterations_x_pixels"] == told["iterations"] * 256 * 256
