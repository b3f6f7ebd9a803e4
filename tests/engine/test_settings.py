"""Settings, task and seeds: JSON both ways, refusals that name the field and what is allowed."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasdip_engine.errors import InvalidInput, NasDipError, SettingsError
from nasdip_engine.evolution.settings import PRESETS, SearchSettings, describe, settings_for, task_for
from nasdip_engine.genome.genome import REPRESENTATIONS
from nasdip_engine.genome.starters import cheapest_starter, starter_multiply_adds_per_pixel
from nasdip_engine.seeding import SEED_LIMIT, Seeds, generator
from nasdip_engine.task import Task, TaskKind

DENOISE = Task(TaskKind.DENOISE)


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize("preset", PRESETS)
def test_settings_round_trip_as_json(preset: str, representation: str) -> None:
    settings = settings_for(preset, DENOISE, {"representation": representation})
    assert SearchSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("units", 0, "1 to 8"),
        ("units", 9, "1 to 8"),
        ("population", 1, "2 to 1000"),
        ("population", 1001, "2 to 1000"),
        ("population", 8.0, "a whole number"),
        ("population", True, "a whole number"),
        ("population", "8", "a whole number"),
        ("generations", 0, "1 to 100"),
        ("generations", 101, "1 to 100"),
        ("iterations", 0, "1 to 20000"),
        ("iterations", 20001, "1 to 20000"),
        ("final_iterations", 20001, "1 to 20000"),
        ("finalists", 5, "1 to 4"),
        ("mutation_rate", 1.1, "0.0 to 1.0"),
        ("mutation_rate", math.nan, "0.0 to 1.0"),
        ("elite_share", 0.6, "0.0 to 0.5"),
        ("crop", 31, "32 to 512"),
        ("cost_cap", -1, "0 to"),
        ("learning_rate", 0.0, "1e-05 to 1.0"),
        ("hold_out_share", 0.16, "0.01 to 0.15"),
        ("threads", 65, "1 to 64"),
        ("first_rung", 0.01, "0.02 to 1.0"),
        ("first_rung", math.nan, "0.02 to 1.0"),
        ("promoted_share", 1.0, "0.05 to 0.95"),
        ("selection", "best", "rank, fitness, tournament"),
        ("loss", "huber", "squared, absolute"),
        ("fitness", "lpips", "held-out, lpips-observed"),
        ("hold_out_share", 0, "0.01 to 0.15"),
        ("precision", "fp16", "fp32, bf16"),
        ("device_class", "tpu", "cpu, cuda"),
        ("representation", "asymmetric", "asym, asymt, sym"),
        ("redraw", 1, "True, False"),
        ("preset", "preview", "is unknown"),
        ("populaton", 8, "is unknown"),
    ],
)
def test_a_refusal_names_field_value_and_what_is_allowed(field: str, value: object, allowed: str) -> None:
    with pytest.raises(SettingsError, match=allowed) as refused:
        settings_for("preview", DENOISE, {field: value})
    assert refused.value.field == field
    assert field in str(refused.value)


def test_whole_numbers_do_where_any_number_does() -> None:
    assert settings_for("preview", DENOISE, {"mutation_rate": 1}) == settings_for(
        "preview", DENOISE, {"mutation_rate": 1.0}
    )


def test_stored_settings_must_be_complete() -> None:
    stored = settings_for("preview", DENOISE).to_json()
    with pytest.raises(SettingsError, match="'population' is missing"):
        SearchSettings.from_json({name: value for name, value in stored.items() if name != "population"})
    with pytest.raises(SettingsError, match="'colour' is unknown"):
        SearchSettings.from_json({**stored, "colour": 3})


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(SettingsError, match="preview, balanced, thorough, paper"):
        settings_for("fast", DENOISE)


def test_shorter_search_fits_shorten_the_final_fit_alike() -> None:
    base = settings_for("preview", DENOISE)
    ratio = base.final_iterations / base.iterations
    short = settings_for("preview", DENOISE, {"iterations": 60})
    assert (short.iterations, short.final_iterations) == (60, round(60 * ratio))
    given_both = settings_for("preview", DENOISE, {"iterations": 60, "final_iterations": 70})
    assert given_both.final_iterations == 70
    assert settings_for("preview", DENOISE, {"iterations": 20_000}).final_iterations == 20_000


@pytest.mark.parametrize("overrides", [{}, {"units": 3}, {"crop": 64}, {"input_channels": 8}])
def test_the_preview_cap_is_a_multiple_of_the_plain_starter(overrides: dict[str, int]) -> None:
    settings = settings_for("preview", DENOISE, overrides)
    price = starter_multiply_adds_per_pixel(settings.units, settings.crop, settings.input_channels)
    assert settings.cost_cap == round(4.5 * price)
    assert settings_for("preview", DENOISE, {**overrides, "cost_cap": 10**6}).cost_cap == 10**6


def test_a_cap_that_admits_no_starter_is_refused_unless_nothing_is_drawn_again() -> None:
    with pytest.raises(SettingsError, match="cheapest starter") as refused:
        settings_for("preview", DENOISE, {"cost_cap": 1})
    assert refused.value.field == "cost_cap"
    least = math.ceil(cheapest_starter(5, 128))
    assert settings_for("preview", DENOISE, {"cost_cap": least}).cost_cap == least
    assert settings_for("preview", DENOISE, {"cost_cap": 0}).cost_cap == 0
    assert settings_for("preview", DENOISE, {"cost_cap": 1, "redraw": False}).cost_cap == 1


def test_nothing_may_be_held_out_only_where_the_fitness_does_not_need_it() -> None:
    observed = settings_for("preview", DENOISE, {"fitness": "lpips-observed", "hold_out_share": 0})
    assert observed.hold_out_share == 0.0
    assert SearchSettings.from_json(json.loads(json.dumps(observed.to_json()))) == observed
    for share in (False, 0.005, "0"):
        with pytest.raises(SettingsError, match="hold_out_share"):
            settings_for("preview", DENOISE, {"fitness": "lpips-observed", "hold_out_share": share})


def test_the_fitness_is_part_of_what_a_fitness_depends_on_and_leaves_kept_keys_alone() -> None:
    base = settings_for("preview", DENOISE)
    assert "fitness" not in base.evaluation()  # keys made before there was a choice stand
    observed = settings_for("preview", DENOISE, {"fitness": "lpips-observed"})
    assert observed.evaluation() == {**base.evaluation(), "fitness": "lpips-observed"}


def test_settings_of_an_older_version_have_the_defaults_for_what_it_did_not_know() -> None:
    kept = settings_for("preview", DENOISE).to_json()
    del kept["memory_limit"], kept["fitness"]
    assert SearchSettings.from_json(kept) == settings_for("preview", DENOISE)


def test_the_kernel_is_the_tasks() -> None:
    task = Task(TaskKind.UPSCALE, 4, "lanczos")
    assert settings_for("preview", task).kernel == "lanczos"
    assert settings_for("preview", task, {"kernel": "lanczos"}).kernel == "lanczos"
    with pytest.raises(SettingsError, match="'lanczos'") as refused:
        settings_for("preview", task, {"kernel": "box"})
    assert refused.value.field == "kernel"


def test_cost_is_known_beforehand() -> None:
    settings = settings_for(
        "preview",
        DENOISE,
        {
            "population": 40,
            "generations": 3,
            "iterations": 10,
            "final_iterations": 50,
            "finalists": 2,
            "crop": 64,
            "refit": False,
        },
    )
    cost = describe(settings, DENOISE, final_pixels=100 * 100)
    assert cost["evaluations"] == 40 + 2 * 38  # two elites pass and are not trained again
    assert cost["iterations"] == 1160 + 100
    assert cost["iterations_x_pixels"] == 1160 * 64**2 + 100 * 100 * 100
    small = describe(settings, DENOISE, final_pixels=32 * 32)  # a picture under the crop is searched whole
    assert small["iterations_x_pixels"] == (1160 + 100) * 32**2


def test_cost_of_a_race_is_that_of_its_rungs() -> None:
    raced = settings_for(
        "preview", DENOISE, {"population": 12, "generations": 3, "iterations": 400, "first_rung": 0.075}
    )
    cost, whole = describe(raced, DENOISE), describe(replace(raced, first_rung=1.0), DENOISE)
    first = 12 * 25 + 4 * 100 + 2 * 275 + 400
    later = 11 * 25 + 4 * 100 + 2 * 275 + 400  # one elite passes and runs in no race
    assert cost["search_iterations"] == first + 2 * later
    assert whole["search_iterations"] == (12 + 2 * 11) * 400
    assert cost["evaluations"] == whole["evaluations"] == 34
    assert cost["final_iterations"] == whole["final_iterations"]


def test_only_a_preview_of_an_exact_picture_is_raced_unless_asked_for() -> None:
    exact = (Task(TaskKind.INPAINT), Task(TaskKind.UPSCALE, factor=4))
    noisy = (DENOISE, *(replace(task, noise="correlated") for task in exact))
    for task in exact:
        raced = settings_for("preview", task)
        assert (raced.first_rung, describe(raced, task)["evaluations"]) == (0.167, 34)
        # 25, 75 and 150 iterations: of 12 networks 4 and 2 go on, of 11 as many.
        assert describe(raced, task)["search_iterations"] == 12 * 25 + 2 * 11 * 25 + 3 * (4 * 75 + 2 * 150)
        assert settings_for("preview", task, {"first_rung": 1}).first_rung == 1
        assert settings_for("preview", task, {"fitness": "lpips-observed"}).first_rung == 1
    for preset in PRESETS:
        for task in (*exact, *noisy):
            if preset != "preview" or task in noisy:
                assert settings_for(preset, task_for(preset, task)).first_rung == 1


def test_nothing_is_raced_by_a_score_that_may_fall() -> None:
    raced = {"first_rung": 0.1, "fitness": "lpips-observed"}
    with pytest.raises(
        SettingsError, match=r"first_rung is 0\.1; with fitness 'lpips-observed' it must be 1"
    ) as no:
        settings_for("preview", DENOISE, raced)
    assert no.value.field == "first_rung"
    with pytest.raises(SettingsError, match="it must be 1"):
        settings_for("paper", task_for("paper", DENOISE), {"first_rung": 0.5})


def test_cost_counts_the_longest_training_that_genomes_can_ask_for() -> None:
    settings = settings_for("preview", DENOISE, {"representation": "asymt", "refit": False})
    cost = describe(settings, DENOISE)
    assert cost["search_iterations"] == cost["evaluations"] * 3500
    assert cost["final_iterations"] == settings.finalists * 3500


def test_cost_counts_a_final_fit_that_is_done_again_with_what_was_held_out() -> None:
    changes = {"final_iterations": 90, "hold_out_share": 0.05}
    once, twice = (
        describe(settings_for("preview", DENOISE, changes | {"refit": refit}), DENOISE)
        for refit in (False, True)
    )
    assert once["final_iterations"] == 2 * 90
    assert twice["final_iterations"] == 2 * (90 + 100)  # of few observations a tenth is held out
    assert twice["search_iterations"] == once["search_iterations"]
    correlated = Task(TaskKind.DENOISE, noise="correlated")
    all_seen = settings_for("paper", task_for("paper", correlated), {"hold_out_share": 0})
    assert describe(all_seen, correlated) == describe(all_seen, DENOISE)


@pytest.mark.parametrize(
    ("task", "refit"),
    [
        (DENOISE, True),
        (Task(TaskKind.DENOISE, noise="impulse"), True),
        (Task(TaskKind.UPSCALE, 4), True),
        (Task(TaskKind.INPAINT), False),
        (Task(TaskKind.INPAINT, noise="independent"), True),
        (Task(TaskKind.INPAINT, noise="correlated"), True),
    ],
)
def test_all_but_a_hole_in_an_exact_picture_is_fitted_again(task: Task, refit: bool) -> None:
    for preset in ("preview", "balanced", "thorough"):
        settings = settings_for(preset, task)
        assert (settings.refit, settings.refits(task)) == (refit, refit)
        assert (settings.longest_final_fit(task) > settings.final_iterations) is refit
    preview = settings_for("preview", task)
    assert preview.longest_final_fit(task) < 1.6 * PRESETS["preview"]["final_iterations"], (
        "a preview stays one"
    )
    assert settings_for("preview", task, {"refit": None}).refit is refit
    paper = settings_for("paper", task_for("paper", task))
    assert not paper.refit and paper.longest_final_fit(task) == 2000  # all observations are seen at once
    if not task.refits:
        assert settings_for("preview", task, {"refit": not refit}).refits(task) is not refit


def test_blocks_that_no_fit_saw_can_not_be_left_in_a_result() -> None:
    with pytest.raises(SettingsError, match="held-out blocks would show") as refused:
        settings_for("preview", Task(TaskKind.DENOISE, noise="correlated"), {"refit": False})
    assert refused.value.field == "refit"


def test_a_refit_sees_each_observation_as_often_and_is_no_longer_than_told() -> None:
    settings = settings_for("preview", DENOISE, {"final_iterations": 400})
    assert settings.refit_iterations(90, known=1000, held_out=100) == 100
    assert settings.refit_iterations(25, known=30_000, held_out=1500) == 26
    for held_out in range(1, 500):
        longest = settings.longest_final_fit(DENOISE)
        assert 400 + settings.refit_iterations(400, known=1000, held_out=held_out) <= longest


def test_runs_older_than_the_setting_are_repeated_as_they_were() -> None:
    """They were fitted again where noise is correlated, for just as long as the held-out error said."""
    stored = settings_for("preview", DENOISE, {"final_iterations": 700}).to_json()
    del stored["refit"]
    old = SearchSettings.from_json(stored)
    correlated = Task(TaskKind.DENOISE, noise="correlated")
    assert (old.refits(DENOISE), old.refits(correlated)) == (False, True)
    assert old.refit_iterations(350, known=1000, held_out=100) == 350
    assert (old.longest_final_fit(DENOISE), old.longest_final_fit(correlated)) == (700, 1400)
    assert SearchSettings.from_json(old.to_json()) == old


def test_settings_that_decide_no_fitness_are_in_no_key() -> None:
    base = settings_for("preview", DENOISE)
    searched_otherwise = settings_for("balanced", DENOISE, {"iterations": base.iterations})
    assert base.evaluation() == searched_otherwise.evaluation()
    assert base.evaluation() != settings_for("preview", DENOISE, {"iterations": 7}).evaluation()


# --------------------------------------------------------------------------------------------------- task


@given(
    st.sampled_from(
        [Task(TaskKind.INPAINT), DENOISE, *(Task(TaskKind.UPSCALE, factor) for factor in range(2, 9))]
    )
)
def test_task_round_trips_as_json(task: Task) -> None:
    assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task


@pytest.mark.parametrize(
    ("arguments", "field", "complaint"),
    [
        (("sharpen",), "task", "denoise, inpaint, upscale"),
        (("upscale", 99), "factor", "2 to 8"),
        (("upscale", 1), "factor", "2 to 8"),
        (("upscale", 2.5), "factor", "whole number"),
        (("denoise", 2), "factor", "only upscale"),
        (("upscale", 2, "nearest"), "kernel", "bilinear, bicubic"),
    ],
)
def test_a_task_that_does_not_exist_is_refused(
    arguments: tuple[object, ...], field: str, complaint: str
) -> None:
    with pytest.raises(SettingsError, match=complaint) as refused:
        Task(*arguments)  # type: ignore[arg-type]
    assert refused.value.field == field


# -------------------------------------------------------------------------------------------------- seeds


@given(st.integers(0, SEED_LIMIT))
def test_one_seed_gives_two_others_for_good(seed: int) -> None:
    seeds = Seeds.from_seed(seed)
    assert Seeds.from_json(json.loads(json.dumps(seeds.to_json()))) == seeds == Seeds.from_seed(seed)
    assert seeds.evaluation_seed != seeds.evolution_seed


@pytest.mark.parametrize("seed", [-1, 2**31, 1.0, "3", True])
def test_a_seed_out_of_range_is_refused(seed: object) -> None:
    with pytest.raises(SettingsError, match="0 to 2147483647"):
        Seeds.from_seed(seed)  # type: ignore[arg-type]


def test_purposes_have_streams_of_their_own() -> None:
    purposes = [(3, "z"), (3, "held out"), (4, "z"), (3, "z", 1), (3, "z", "1"), (3,)]
    drawn = {tuple(generator(*purpose).integers(0, 2**32, 4)) for purpose in purposes}  # type: ignore[arg-type]
    assert len(drawn) == len(purposes)
    assert (generator(3, "z").random(5) == generator(3, "z").random(5)).all()


# ------------------------------------------------------------------------------------------------- errors


def _family(root: type[NasDipError]) -> list[type[NasDipError]]:
    return [root, *(one for child in root.__subclasses__() for one in _family(child))]


@pytest.mark.parametrize("error", _family(NasDipError))
def test_every_error_has_a_default_message_for_people(error: type[NasDipError]) -> None:
    assert str(error()).rstrip(".") == (error.__doc__ or "").rstrip(".")
    assert str(error("this one")) == "this one"
    assert not isinstance(error(), InvalidInput) or error().field is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("task", "least", "in_previews", "in_balanced"),
    [
        (DENOISE, 500, 0.01, 0.01),
        (Task(TaskKind.INPAINT), 700, 0.01, 0.01),
        (Task(TaskKind.UPSCALE, 4), 1700, 0.0, 0.01),
    ],
)
def test_long_final_fits_have_jitter_and_short_ones_have_that_of_the_search(
    task: Task, least: int, in_previews: float, in_balanced: float
) -> None:
    def jitters(preset: str, **given: float) -> tuple[float, float]:
        settings = settings_for(preset, task_for(preset, task), given)
        return settings.jitter, settings.jitter_of_finals

    assert jitters("preview") == (0.0, in_previews)
    assert jitters("balanced") == (0.0, in_balanced)
    assert jitters("thorough") == (0.0, 0.01)
    assert jitters("paper") == (0.0, 0.0)
    assert jitters("preview", final_iterations=least) == (0.0, 0.01)
    assert jitters("balanced", final_iterations=least - 1) == (0.0, 0.0)
    assert jitters("balanced", final_jitter=0.0) == (0.0, 0.0)
    assert jitters("balanced", jitter=0.02) == (0.02, 0.02)


def test_noise_for_which_jitter_was_not_measured_has_none() -> None:
    assert settings_for("thorough", Task(TaskKind.DENOISE, noise="correlated")).jitter_of_finals == 0.0
    assert settings_for("thorough", Task(TaskKind.INPAINT, noise="independent")).jitter_of_finals == 0.0


def test_settings_older_than_the_jitter_of_finals_keep_that_of_the_search() -> None:
    stored = settings_for("balanced", DENOISE, {"jitter": 0.03}).to_json()
    del stored["final_jitter"]
    assert SearchSettings.from_json(stored).jitter_of_finals == 0.03
