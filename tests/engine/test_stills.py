"""What a final fit leaves to be watched: stills and a thin curve, chosen by iteration alone, and no bit of it changes."""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasdip_engine import evaluation
from nasdip_engine.evaluation import evaluate
from nasdip_engine.finals import final_record
from nasdip_engine.learning import MOST_LOOKS, MOST_STILLS, learning_record, still_iterations, thinned
from nasdip_engine.outcome import without_fitness
from nasdip_engine.outcome_files import preview_of
from nasdip_engine.picture import Form, read_png
from nasdip_engine.request import Kind, Progress, Request
from nasdip_engine.stills import Recorder, read_learning, still_file
from nasdip_engine.task import CORRELATED, Task, TaskKind
from tests.engine.picture_kinds import KINDS
from tests.engine.test_evaluation import SIDE, request, settings, smooth_picture

EVERY = 25
NOISY = Task(TaskKind.DENOISE, noise=CORRELATED)


@given(st.integers(1, 20_000))
def test_stills_are_made_at_the_first_the_last_and_looks_between(limit: int) -> None:
    chosen = still_iterations(limit, EVERY)
    assert {1, limit} <= chosen
    assert all(1 <= iteration <= limit for iteration in chosen)
    assert all(iteration % EVERY == 0 for iteration in chosen - {1, limit})
    # With the best look and an end before the limit there are never more than MOST_STILLS.
    assert len(chosen) + 1 <= MOST_STILLS
    assert len(chosen - {limit}) + 2 <= MOST_STILLS


def test_stills_lie_in_about_equal_ratios() -> None:
    assert sorted(still_iterations(700, EVERY)) == [1, 25, 50, 75, 125, 200, 300, 450, 700]
    assert sorted(still_iterations(10, EVERY)) == [1, 10]
    several = sorted(still_iterations(20_000, EVERY))[2:]
    ratios = [later / earlier for earlier, later in pairwise(several)]
    assert max(ratios) / min(ratios) < 1.25


looks = st.lists(st.floats(5, 50), max_size=400).map(
    lambda values: [(EVERY * number, value) for number, value in enumerate(values, start=1)]
)


@given(looks, st.sets(st.integers(1, 400).map(lambda number: EVERY * number), max_size=12))
def test_a_thin_curve_keeps_the_best_the_last_and_what_is_asked(
    curve: list[tuple[int, float]], keep: set[int]
) -> None:
    thin = thinned(curve, keep)
    assert len(thin) <= MOST_LOOKS + len(keep) + 2
    assert thin == sorted(thin)
    known = {iteration: round(value, 3) for iteration, value in curve}
    assert all(known[iteration] == value for iteration, value in thin)
    if curve:
        kept = {iteration for iteration, _ in thin}
        best = max(value for _, value in curve)
        assert curve[-1][0] in kept and any(value == best and at in kept for at, value in curve)
        assert keep & known.keys() <= kept


def encoded(output: np.ndarray) -> bytes:
    return preview_of(np.round(output * 255).astype(np.uint8), Form())


def finished(
    folder: Path, stills: Path | None, progress: Callable[[Progress], None] = lambda _: None, **more: Any
) -> tuple[dict[str, Any], bytes]:
    """The outcome of a final fit and the bytes of its restoration."""
    output = folder / "output.npy"
    asked: Request = request(
        folder, Kind.FINISH, output=str(output), stills=str(stills) if stills else None, **more
    )
    found = evaluate(asked, progress)
    del found["seconds"]
    return found, output.read_bytes()


@pytest.mark.parametrize(
    "more",
    [
        {"task": "denoise"},
        {"task": "inpaint"},
        {"task": "upscale"},
        {"settings": settings(NOISY, jitter=0.03)},
    ],
    ids=["denoise", "inpaint", "upscale", "jitter"],
)
def test_recording_changes_no_bit(tmp_path: Path, more: dict[str, Any]) -> None:
    plain, array = finished(tmp_path, None, **more)
    watched, same = finished(tmp_path, tmp_path / "stills", **more)
    assert "stills" not in plain
    assert {name: value for name, value in watched.items() if name != "stills"} == plain
    assert same == array


def test_the_still_of_the_stop_is_the_output_that_was_taken(tmp_path: Path) -> None:
    folder = tmp_path / "stills"
    found, _ = finished(tmp_path, folder, task="inpaint")
    assert found["stills"] == sorted({1, 25, 50, 60, found["best_iteration"]})
    assert sorted(int(file.stem) for file in folder.glob("*.png")) == found["stills"]
    taken = read_png(still_file(folder, found["best_iteration"])).pixels
    output = np.load(tmp_path / "output.npy")
    hole = np.zeros((SIDE, SIDE), np.bool_)
    hole[10:16, 9:17] = True
    assert np.array_equal(taken[~hole], smooth_picture()[~hole])
    assert np.array_equal(taken[hole], np.round(output[hole] * 255).astype(np.uint8))
    told = read_learning(folder)
    assert told is not None
    assert (told["best_iteration"], told["iterations"], told["of"]) == (found["best_iteration"], 60, 60)
    assert told["curve"] == [(iteration, round(value, 3)) for iteration, value in found["curve"]]


def test_a_search_fit_leaves_no_stills(tmp_path: Path) -> None:
    found = evaluate(request(tmp_path, stills=str(tmp_path / "stills")), lambda _: None)
    assert "stills" not in found and not (tmp_path / "stills").exists()


def test_the_curve_is_the_first_fits_where_a_second_follows(tmp_path: Path) -> None:
    folder, output = tmp_path / "stills", tmp_path / "output.npy"
    asked = Request(
        kind=Kind.FINISH, task=NOISY, settings=settings(NOISY), evaluation_seed=11, output=str(output),
        picture=request(tmp_path).picture, genome=request(tmp_path).genome, stills=str(folder),
    )  # fmt: skip
    found = evaluate(asked, lambda _: None)
    again = found["best_iteration"]
    assert found["iterations"] > 60, "a second fit followed"
    record = learning_record(found)
    assert record is not None
    assert (record["iterations"], record["refit_iterations"]) == (60, found["iterations"] - 60)
    assert max(found["stills"]) == 60
    first, _ = np.load(output)
    taken = read_png(still_file(folder, again)).pixels
    assert np.array_equal(taken, np.round(first * 255).astype(np.uint8)), "not the second fit's"


def test_where_nothing_is_held_out_there_are_stills_and_no_curve(tmp_path: Path) -> None:
    nothing = settings(Task(TaskKind.DENOISE), hold_out_share=0.0, fitness="lpips-observed")
    found, _ = finished(tmp_path, tmp_path / "stills", settings=nothing)
    assert found["stills"] == [1, 25, 50, 60] and found["best_iteration"] == 60
    record = learning_record(found)
    assert record is not None
    assert (record["curve"], record["iterations"], record["refit_iterations"]) == ([], 60, 0)


def test_stills_have_at_most_256_pixels_a_side(tmp_path: Path) -> None:
    rng = np.random.Generator(np.random.PCG64(3))
    noise = rng.random((512, 400, 3), dtype=np.float32)
    recorder = Recorder(tmp_path, 2000, EVERY, encoded)
    assert read_learning(tmp_path) is None
    recorder.step(1, None, lambda: noise)
    recorder.stop(1, noise)
    still = read_png(still_file(tmp_path, 1)).pixels
    assert still.shape == (256, 200, 3)
    assert recorder.stills == [1]
    small = smooth_picture(40)
    kept = read_png(preview_of(small, Form())).pixels
    assert np.array_equal(kept, small), "what is small already stays as it is"


@pytest.mark.parametrize("name", ["grey with its profile", "Display-P3 profile"])
def test_stills_and_previews_are_grey_and_in_the_colours_of_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    kind = KINDS[name]()
    monkeypatch.setattr(evaluation, "_PREVIEW_SECONDS", 0.0)
    profile = tmp_path / "profile.icc"
    assert kind.icc is not None
    profile.write_bytes(kind.icc)
    seen: list[Progress] = []
    folder = tmp_path / "stills"
    finished(tmp_path, folder, progress=seen.append, grey=kind.grey, profile=str(profile))
    previews = [base64.b64decode(one["preview"]) for one in seen if one["preview"]]
    assert previews
    for made in (still_file(folder, 25), previews[0]):
        shown = read_png(made)
        assert (shown.grey, shown.icc, shown.alpha) == (kind.grey, kind.icc, None)


def test_run_json_tells_how_each_final_fit_went() -> None:
    curve = [[EVERY * number, 20.0 + number / 1000] for number in range(1, 401)]
    outcome = without_fitness(None, 64) | {
        "iterations": 10_500, "best_iteration": 10_000, "held_out_psnr": 20.4, "curve": curve, "multiply_adds": 1,
    }  # fmt: skip
    combined = {"choice": "a", "held_out_psnr": 20.4, "tiles": [{}, {}]}
    failed = without_fitness("diverged: NaN", 64) | {"iterations": 3}
    whole = final_record({"a": [outcome], "b": [failed]}, [(0, 0, 8, 8)], combined, "d")
    learning, none = (network["learning"] for network in whole["networks"])
    assert len(learning["curve"]) <= MOST_LOOKS + 2 and learning["curve"][-1] == [10_000, 20.4]
    assert (learning["tile"], learning["iterations"], learning["refit_iterations"]) == (None, 10_000, 500)
    assert none is None, "a fit that came to no end"
    tiles = final_record({"a": [outcome, outcome]}, [(0, 0, 8, 8), (8, 0, 8, 8)], combined, "d")
    assert tiles["networks"][0]["learning"] == {**learning, "tile": 0}
    without = final_record({"a": [None, outcome]}, [(0, 0, 8, 8), (8, 0, 8, 8)], combined, "d")
    assert without["networks"][0]["learning"] is None
