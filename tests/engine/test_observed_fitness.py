"""The paper's own fitness: LPIPS against what was observed (eq. 6), with and without held-out observations."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from nasdip_engine.errors import PictureError, SettingsError
from nasdip_engine.evaluation import evaluate
from nasdip_engine.evolution.settings import SMALLEST_OBSERVED, SearchSettings, settings_for
from nasdip_engine.genome.starters import starters
from nasdip_engine.question import from_pixels
from nasdip_engine.report import write_convergence
from nasdip_engine.request import Kind, Request
from nasdip_engine.restoration.degradation import Degradation, degradation_for
from nasdip_engine.restoration.fitness import SMALLEST, perceptual_fitness, score
from nasdip_engine.restoration.perceptual import SMALLEST_SIDE, lpips
from nasdip_engine.seeding import Seeds
from nasdip_engine.task import Task, TaskKind

SIDE = 32
GENOMES = [starter.text for starter in starters(2)[:2]]
TASKS = ["denoise", "inpaint", "upscale"]
PIXELS: NDArray[np.uint8] = np.ascontiguousarray(data.astronaut()[96 : 96 + SIDE, 208 : 208 + SIDE])
KNOWN = np.ones((SIDE, SIDE), dtype=np.bool_)
KNOWN[10:16, 9:17] = False


def task_of(name: str) -> Task:
    return Task(TaskKind(name), 2 if name == "upscale" else 1)


def settings(task: str, share: float, **more: Any) -> SearchSettings:
    given = {"units": 2, "iterations": 30, "final_iterations": 40, "input_channels": 8}
    paper = {"fitness": "lpips-observed", "hold_out_share": share}
    return settings_for("preview", task_of(task), given | paper | more)


def request(folder: Path, task: str, share: float, kind: Kind = Kind.EVALUATE, **more: Any) -> Request:
    picture, mask = folder / "picture.png", None
    Image.fromarray(PIXELS).save(picture)
    if task == "inpaint":
        mask = str(folder / "mask.png")
        Image.fromarray(np.where(KNOWN, np.uint8(255), np.uint8(0))).save(mask)
    values = {"genome": GENOMES[0], "settings": settings(task, share), **more}
    return Request(
        kind=kind, task=task_of(task), evaluation_seed=11, picture=str(picture), mask=mask, **values
    )


def degradation(task: str) -> Degradation:
    return degradation_for(task_of(task), PIXELS, KNOWN if task == "inpaint" else None)


def compared(task: str, output: NDArray[np.float32]) -> float:
    """Eq. 6 by hand: the observation and what would have been observed of the output."""
    observed = PIXELS.astype(np.float32) / np.float32(255)
    if task == "inpaint":
        return lpips(observed * KNOWN[..., None], output * KNOWN[..., None])
    if task == "upscale":
        import torch

        tensor = torch.from_numpy(np.ascontiguousarray(output.transpose(2, 0, 1))[None])
        output = degradation(task).observe(tensor)[0].permute(1, 2, 0).clamp(0, 1).numpy()
    return lpips(observed, output)


@pytest.mark.parametrize("task", TASKS)
def test_with_nothing_held_out_the_fitness_is_one_less_the_distance_of_the_last_output(
    tmp_path: Path, task: str
) -> None:
    path, signs = tmp_path / "output.npy", []
    found = evaluate(request(tmp_path, task, 0, output=str(path)), signs.append)
    assert found["fitness"] == 1 - compared(task, np.load(path))
    assert 0.01 < found["fitness"] < 1 and float.fromhex(found["fitness_hex"]) == found["fitness"]
    assert (found["held_out_psnr"], found["curve"], found["still_falling"]) == (None, [], False)
    assert (found["iterations"], found["best_iteration"]) == (30, 30)
    assert [sign["held_out_psnr"] for sign in signs] == [None] * 30


def test_every_observation_is_fitted_when_none_is_held_out(tmp_path: Path) -> None:
    """A changed pixel anywhere changes the fit: with a share held out some pixels have no part in it."""
    path = tmp_path / "output.npy"
    asked = request(tmp_path, "denoise", 0, output=str(path))
    before = evaluate(asked, lambda _: None)["fitness_hex"]
    for row in range(0, SIDE, 8):
        changed = PIXELS.copy()
        changed[row, row] = 255 - changed[row, row]
        Image.fromarray(changed).save(asked.picture)
        first = np.load(path)
        assert evaluate(asked, lambda _: None)["fitness_hex"] != before
        assert not np.array_equal(np.load(path), first)


def test_with_observations_held_out_they_stop_the_fit_and_lpips_scores_it(tmp_path: Path) -> None:
    path = tmp_path / "output.npy"
    found = evaluate(request(tmp_path, "denoise", 0.05, output=str(path)), lambda _: None)
    assert found["fitness"] == 1 - compared("denoise", np.load(path))
    plain = replace(settings("denoise", 0.05), fitness="held-out")
    other = evaluate(request(tmp_path, "denoise", 0.05, settings=plain), lambda _: None)
    same = ("held_out_psnr", "curve", "iterations", "best_iteration")
    assert [found[name] for name in same] == [other[name] for name in same]
    assert found["held_out_psnr"] is not None and found["fitness"] != other["fitness"]


def test_without_average_the_last_output_itself_is_scored(tmp_path: Path) -> None:
    """The longest average and none at all tell two outputs apart; each is scored by what it is."""
    fitness = []
    for decay in (0.0, 0.99):
        path = tmp_path / f"{decay}.npy"
        asked = request(
            tmp_path, "denoise", 0, output=str(path), settings=settings("denoise", 0, average_decay=decay)
        )
        fitness.append(evaluate(asked, lambda _: None)["fitness"])
        assert fitness[-1] == 1 - compared("denoise", np.load(path))
    assert fitness[0] != fitness[1]


def test_the_same_fitness_in_another_process(tmp_path: Path) -> None:
    asked = request(tmp_path, "inpaint", 0)
    script = (
        "import json, sys; from nasdip_engine.evaluation import evaluate; "
        "print(evaluate(json.load(sys.stdin), lambda _: None)['fitness_hex'])"
    )
    there = subprocess.run(
        [sys.executable, "-c", script], input=json.dumps(asked.to_json()), capture_output=True, text=True,
        check=True, cwd=Path(__file__).parents[2], timeout=120,
    )  # fmt: skip
    assert there.stdout.strip() == evaluate(asked, lambda _: None)["fitness_hex"]


def test_final_fits_are_combined_by_the_distance_where_nothing_is_held_out(tmp_path: Path) -> None:
    observed = PIXELS.astype(np.float32) / np.float32(255)
    arrays = {"far": 1 - observed, "near": np.clip(observed + np.float32(0.02), 0, 1)}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array.astype(np.float32))
    result = tmp_path / "restored.png"
    asked = request(
        tmp_path, "denoise", 0, Kind.COMBINE, inputs=tuple(str(tmp_path / f"{name}.npy") for name in arrays),
        genomes=tuple(GENOMES), output=str(result),
    )  # fmt: skip
    found = evaluate(asked, lambda _: None)
    assert (found["choice"], found["held_out_psnr"], found["singles"]) == (GENOMES[1], None, [None, None])
    with Image.open(result) as file:
        assert np.array_equal(np.array(file), np.rint(arrays["near"] * np.float32(255)).astype(np.uint8))


@pytest.mark.parametrize("task", TASKS)
def test_the_reference_is_shown_without_a_figure_where_nothing_is_held_out(tmp_path: Path, task: str) -> None:
    path = tmp_path / "baseline.png"
    found = evaluate(request(tmp_path, task, 0, Kind.BASELINE, output=str(path), genome=None), lambda _: None)
    assert found["held_out_psnr"] is None and found["method"] and path.is_file()


def test_a_valid_fit_never_scores_zero() -> None:
    assert perceptual_fitness(1.7) == SMALLEST == perceptual_fitness(1.0)
    assert perceptual_fitness(0.0) == 1.0
    with pytest.raises(SettingsError, match="'held-out' but nothing is held out"):
        score("held-out", degradation("denoise"), np.zeros((SIDE, SIDE, 3), dtype=np.float32), None)


def test_nothing_held_out_is_for_the_papers_fitness_alone() -> None:
    assert settings("denoise", 0).hold_out_share == 0
    with pytest.raises(SettingsError, match=r"hold_out_share is 0; allowed is 0\.01 to 0\.15"):
        settings("denoise", 0, fitness="held-out")
    with pytest.raises(SettingsError, match=r"hold_out_share is 0\.001"):
        settings("denoise", 0.001)
    with pytest.raises(SettingsError, match="fitness is 'lpips'; allowed: held-out, lpips-observed"):
        settings("denoise", 0.05, fitness="lpips")


def test_a_crop_that_lpips_cannot_compare_is_refused() -> None:
    assert SMALLEST_OBSERVED == SMALLEST_SIDE
    task = Task(TaskKind.UPSCALE, 8)
    given = {"fitness": "lpips-observed", "crop": 247}
    with pytest.raises(SettingsError, match=r"crop is 247.*factor 8 it must be at least 248") as refused:
        settings_for("preview", task, given)
    assert refused.value.field == "crop"
    assert settings_for("preview", task, given | {"crop": 248}).crop == 248


@pytest.mark.parametrize(
    ("height", "width", "factor", "tile", "told"),
    [
        (36, 40, 8, 64, "a tile has 13 pixels .* choose a larger tile or a smaller factor"),
        (16, 20, 2, 64, "the picture has 16 pixels .* choose a larger picture"),
    ],
)
def test_frames_that_lpips_cannot_compare_are_refused_before_the_search(
    height: int, width: int, factor: int, tile: int, told: str
) -> None:
    task = Task(TaskKind.UPSCALE, factor)
    asked = settings_for("preview", task, {"fitness": "lpips-observed", "crop": 256, "tile": tile})
    pixels = np.ascontiguousarray(data.astronaut()[:height, :width])
    with pytest.raises(PictureError, match=told):
        from_pixels(pixels, task, asked, Seeds.from_seed(0))
    plain = replace(asked, fitness="held-out")
    assert from_pixels(pixels, task, plain, Seeds.from_seed(0)).final


def test_fitness_is_part_of_the_key_and_the_default_leaves_old_keys_alone() -> None:
    plain = replace(settings("denoise", 0.05), fitness="held-out")
    assert "fitness" not in plain.evaluation()
    assert settings("denoise", 0.05).evaluation() == plain.evaluation() | {"fitness": "lpips-observed"}
    assert SearchSettings.from_json({k: v for k, v in plain.to_json().items() if k != "fitness"}) == plain


def test_the_curve_of_a_run_names_its_fitness(tmp_path: Path) -> None:
    generations = [{"number": 0, "worst": 0.1, "mean": 0.4, "best": 0.6}]
    drawn = {}
    for name, told in (
        ("old", {}),
        ("held", {"fitness": "held-out"}),
        ("paper", {"fitness": "lpips-observed"}),
    ):
        write_convergence({"generations": generations, "settings": told}, tmp_path / f"{name}.png")
        drawn[name] = (tmp_path / f"{name}.png").read_bytes()
    assert drawn["old"] == drawn["held"] != drawn["paper"]
