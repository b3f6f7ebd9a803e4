"""`nasdip restore`: what it writes, and that the figures in `run.json` belong to the pictures beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nasdip_engine.baseline_names import BM3D, baselines_of, best_of_figures, no_order, slug_of
from nasdip_engine.genome.genome import Genome
from nasdip_engine.picture import pixel_digest
from nasdip_engine.restoration.metrics import psnr, ssim
from nasdip_engine.restoration.perceptual import lpips
from nasdip_engine.task import Task
from tests.commandline.conftest import SMALL, Run, nasdip

pytestmark = pytest.mark.slow

TASKS = ["denoise", "inpaint", "upscale"]


@pytest.mark.parametrize("task", TASKS)
def test_the_folder_is_whole(run_of: Callable[[str], Run], task: str) -> None:
    run = run_of(task)
    names = {"input.png", "restored.png", "baseline.png", "baselines", "stills", "run.json"} | {
        "convergence.png",
        "architecture.svg",
    }
    assert {path.name for path in run.folder.iterdir()} == names | (
        {"mask.png"} if task == "inpaint" else set()
    )
    assert run.pixels("restored.png").shape == (64, 64, 3)
    assert run.pixels("convergence.png").std() > 0
    assert (run.folder / "architecture.svg").read_text().startswith("<svg")
    assert (run.pixels("input.png") == np.asarray(Image.open(run.picture))).all()


@pytest.mark.parametrize("task", TASKS)
def test_run_json_says_what_was_asked_done_and_spent(run_of: Callable[[str], Run], task: str) -> None:
    run = run_of(task).json
    assert run["settings"]["population"] == 4
    assert run["settings"]["iterations"] == 20
    assert run["seeds"]["seed"] == 3
    assert set(run["fingerprint"]) >= {"torch", "threads"}
    assert {"nasdip", "torch", "numpy"} <= set(run["versions"])
    assert [generation["number"] for generation in run["generations"]] == [0, 1]
    for generation in run["generations"]:
        assert 0 <= generation["worst"] <= generation["mean"] <= generation["best"] <= 1
        values = [float.fromhex(text) for text in generation["fitness_hex"]]
        assert max(values) == generation["best"]
        assert len(generation["genomes"]) == 4
    trained = sum(generation["evaluations"] for generation in run["generations"])
    final = sum(network["iterations"] for network in run["final"]["networks"])
    assert run["cost"]["iterations"] == sum(g["iterations"] for g in run["generations"]) + final
    assert trained <= 4 + 3
    assert run["cost"]["multiply_adds"] > 0
    assert run["cost"]["seconds"] > 0
    assert (
        float.fromhex(run["best_fitness_hex"])
        == run["best_fitness"]
        == max(g["best"] for g in run["generations"])
    )
    Genome.parse(run["best_genome"]).phenotype()
    assert run["baseline"]["held_out_psnr"] > 0
    assert run["baseline"].items() <= run["baselines"][0].items()


@pytest.mark.parametrize("task", TASKS)
def test_every_reference_lies_beside_the_result_and_stands_in_run_json(
    run_of: Callable[[str], Run], task: str
) -> None:
    run = run_of(task)
    records = {record["method"]: record for record in run.json["baselines"]}
    assert list(records) == list(baselines_of(Task.from_json(run.json["task"])))
    made = {method: record for method, record in records.items() if "left_out" not in record}
    assert set(records) - set(made) <= {BM3D}
    clean = np.asarray(Image.open(run.clean))
    own, *others = made
    pictures = {own: run.pixels("baseline.png")}
    pictures |= {method: run.pixels(f"baselines/{slug_of(method)}.png") for method in others}
    assert len(list((run.folder / "baselines").iterdir())) == len(others)
    for method, record in made.items():
        assert record["digest"] == pixel_digest(pictures[method])
        assert record["reference"]["psnr"] == psnr(pictures[method], clean)
        assert record["reference"]["lpips"] == lpips(pictures[method], clean)
        assert record["held_out_psnr"] > 0
        assert f"\n{method} " in run.out and f"{record['held_out_psnr']:6.2f} dB" in run.out
    figures = {method: record["held_out_psnr"] for method, record in made.items()}
    figures["this restoration"] = run.json["final"]["held_out_psnr"]
    marked = {line[: line.index("  ")] for line in run.out.splitlines() if line.endswith("  best")}
    asked = Task.from_json(run.json["task"])
    assert marked == best_of_figures(asked, figures)
    assert bool(marked) is not bool(no_order(asked))
    assert no_order(asked) in run.out


@pytest.mark.parametrize("task", TASKS)
def test_the_final_fit_can_be_watched_afterwards(run_of: Callable[[str], Run], task: str) -> None:
    run = run_of(task)
    first, *_ = run.json["final"]["networks"]
    learning = first["learning"]
    assert learning["curve"][-1][0] == learning["iterations"]
    assert learning["best_iteration"] in {iteration for iteration, _ in learning["curve"]}
    stills = {int(path.stem): path for path in (run.folder / "stills").iterdir()}
    assert {1, learning["best_iteration"], learning["iterations"]} <= set(stills)
    assert all(run.pixels(f"stills/{path.name}").shape == (64, 64, 3) for path in stills.values())
    early, taken = (run.pixels(f"stills/{number}.png") for number in (1, learning["best_iteration"]))
    assert (early != taken).any()


@pytest.mark.parametrize("task", TASKS)
def test_psnr_ssim_and_lpips_are_those_of_the_restored_picture(
    run_of: Callable[[str], Run], task: str
) -> None:
    run = run_of(task)
    clean = np.asarray(Image.open(run.clean))
    assert run.json["reference"]["psnr"] == psnr(run.pixels("restored.png"), clean)
    assert run.json["reference"]["ssim"] == ssim(run.pixels("restored.png"), clean)
    assert run.json["reference"]["lpips"] == lpips(run.pixels("restored.png"), clean)


def test_known_pixels_are_the_uploads_to_the_last_bit_and_the_hole_is_filled(
    run_of: Callable[[str], Run],
) -> None:
    run = run_of("inpaint")
    known = run.pixels("mask.png")[..., 0] == 255
    assert 0 < known.sum() < known.size
    assert (run.pixels("restored.png")[known] == run.pixels("input.png")[known]).all()
    assert (run.pixels("restored.png")[~known] != run.pixels("input.png")[~known]).any()
    assert "3.91 % of the picture will be filled" in run.err


def test_a_hole_and_the_noise_around_it_are_restored_together_and_repeat(
    photographs: Path, tmp_path: Path
) -> None:
    noisy, mask, out = photographs / "noisy.png", photographs / "mask.png", tmp_path / "out"
    more = ["--mask", mask, "--noise", "independent", *SMALL, "--reference", photographs / "clean.png"]
    ended = nasdip("restore", noisy, "--task", "inpaint", *more, "--out", out)
    assert ended.code == 0, ended.err
    assert "known pixels are restored too: their noise is taken to be independent" in ended.err
    run = json.loads((out / "run.json").read_text())
    assert run["task"]["noise"] == run["final"]["noise"]["assumed"] == "independent"
    assert 255 * run["final"]["noise"]["sigma"] == pytest.approx(25, rel=0.25)
    assert run["baseline"]["method"] == "biharmonic, then non-local means"
    known = np.asarray(Image.open(out / "mask.png").convert("L")) == 255
    before, after = (np.asarray(Image.open(out / name)) for name in ("input.png", "restored.png"))
    assert (after[known] != before[known]).any(axis=-1).mean() > 0.9
    again = nasdip("verify", out, "--search")
    assert again.code == 0 and again.out.startswith("equal"), again.out + again.err


def test_an_inverted_mask_file_gives_the_same_run(
    run_of: Callable[[str], Run], photographs: Path, tmp_path: Path
) -> None:
    run = run_of("inpaint")
    inverted, out = tmp_path / "inverted.png", tmp_path / "out"
    Image.fromarray(255 - np.asarray(Image.open(photographs / "mask.png"))).save(inverted)
    more = ["--task", "inpaint", "--mask", inverted, "--invert-mask", *SMALL]
    ended = nasdip("restore", photographs / "holed.png", *more, "--out", out)
    assert ended.code == 0, ended.err
    assert "3.91 % of the picture will be filled" in ended.err
    assert json.loads((out / "run.json").read_text())["final"] == run.json["final"]
    assert (out / "mask.png").read_bytes() == (run.folder / "mask.png").read_bytes()


def test_progress_tells_generation_best_fitness_and_time_left(run_of: Callable[[str], Run]) -> None:
    lines = run_of("denoise").err.splitlines()
    closed = [line for line in lines if "closed" in line]
    assert len(closed) == 2
    assert all("best fitness" in line and "left" in line for line in closed)


def test_a_folder_with_a_run_in_it_is_refused(run_of: Callable[[str], Run]) -> None:
    run = run_of("denoise")
    before = (run.folder / "run.json").read_bytes()
    ended = nasdip("restore", run.picture, "--task", "denoise", *SMALL, "--out", run.folder)
    assert ended.code == 2
    assert "holds a run already" in ended.line
    assert (run.folder / "run.json").read_bytes() == before


@pytest.mark.parametrize("task", TASKS)
def test_evaluate_gives_the_best_genomes_fitness_to_the_bit(run_of: Callable[[str], Run], task: str) -> None:
    run = run_of(task)
    ended = nasdip(
        "evaluate", "--like", run.folder, "--genome", run.json["best_genome"], "--reference", run.clean
    )
    assert ended.code == 0, ended.err
    answer = json.loads(ended.out)
    assert answer["fitness_hex"] == run.json["best_fitness_hex"]
    assert answer["reason"] is None
    assert answer["psnr"] > 5
    assert 0 < answer["ssim"] < 1
    assert 0 < answer["lpips"] < 1.5


def test_evaluate_says_where_a_run_compared_networks_on_another_part(
    run_of: Callable[[str], Run], tmp_path: Path
) -> None:
    run = run_of("denoise")
    genome = run.json["best_genome"]
    plain = nasdip("evaluate", "--like", run.folder, "--genome", genome)
    assert "another part of the picture" not in plain.err
    older = shutil.copytree(run.folder, tmp_path / "older")
    frame = run.json["picture"]["search_frame"] | {"digest": "0" * 64}
    changed = run.json | {"picture": run.json["picture"] | {"search_frame": frame}}
    (older / "run.json").write_text(json.dumps(changed))
    told = nasdip("evaluate", "--like", older, "--genome", genome)
    assert (told.code, json.loads(told.out)) == (0, json.loads(plain.out)), told.err
    assert "compared networks on another part of the picture: fitness may differ" in told.err


def test_evaluate_tells_why_a_genome_is_invalid(run_of: Callable[[str], Run]) -> None:
    ended = nasdip("evaluate", "--like", run_of("denoise").folder, "--genome", "asym:5:" + "0" * 43)
    assert ended.code == 0
    answer = json.loads(ended.out)
    assert (answer["fitness"], answer["fitness_hex"]) == (0.0, "0x0.0p+0")
    assert "no filters" in answer["reason"]


@pytest.mark.parametrize(("task", "more"), [("inpaint", []), ("denoise", ["--search"])])
def test_verify_repeats_a_run_from_its_folder_alone(
    run_of: Callable[[str], Run], tmp_path: Path, task: str, more: list[str]
) -> None:
    run = run_of(task)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("run.json", "input.png", "restored.png", *(["mask.png"] if run.mask else [])):
        (moved / name).write_bytes((run.folder / name).read_bytes())
    ended = nasdip("verify", moved, *more)
    assert ended.code == 0, ended.err
    assert ended.out.startswith("equal: ")
    assert run.json["final"]["digest"][:16] in ended.out


def test_verify_sees_one_changed_pixel(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run = run_of("denoise")
    forged = tmp_path / "forged"
    forged.mkdir()
    for name in ("run.json", "input.png"):
        (forged / name).write_bytes((run.folder / name).read_bytes())
    pixels = run.pixels("restored.png").copy()
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(forged / "restored.png")
    ended = nasdip("verify", forged)
    assert ended.code == 1
    assert "not equal" in ended.out


@pytest.mark.parametrize("forgery", ["finalist", "fitness", "summary"])
def test_verify_sees_what_a_search_did_not_find(
    run_of: Callable[[str], Run], tmp_path: Path, forgery: str
) -> None:
    run = run_of("denoise")
    told = json.loads((run.folder / "run.json").read_text())
    if forgery == "summary":
        told["generations"][0]["best"] = 0.99
    elif forgery == "fitness":
        told["best_fitness"], told["best_fitness_hex"] = 0.99, (0.99).hex()
    else:
        found = {genome for generation in told["generations"] for genome in generation["genomes"]}
        finalists = {network["genome"] for network in told["final"]["networks"]}
        told["best_genome"] = min(found - finalists)
    forged = tmp_path / "forged"
    forged.mkdir()
    for name in ("input.png", "restored.png"):
        (forged / name).write_bytes((run.folder / name).read_bytes())
    (forged / "run.json").write_text(json.dumps(told))
    ended = nasdip("verify", forged, "--search")
    assert ended.code == 1, ended.out + ended.err
    assert ended.out.startswith("not equal: ")


def test_verify_sees_another_input(run_of: Callable[[str], Run], tmp_path: Path, photographs: Path) -> None:
    run = run_of("denoise")
    forged = tmp_path / "forged"
    forged.mkdir()
    for name in ("run.json", "restored.png"):
        (forged / name).write_bytes((run.folder / name).read_bytes())
    (forged / "input.png").write_bytes((photographs / "clean.png").read_bytes())
    ended = nasdip("verify", forged)
    assert ended.code == 2
    assert "not the file that this run was made from" in ended.line


def test_the_number_of_workers_changes_no_bit(
    run_of: Callable[[str], Run], photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "alone"
    ended = nasdip(
        "restore", photographs / "noisy.png", "--task", "denoise", *SMALL, "--workers", "1", "--out", out
    )
    assert ended.code == 0, ended.err
    alone, together = json.loads((out / "run.json").read_text()), run_of("denoise").json
    assert alone["generations"] == together["generations"]
    assert alone["final"] == together["final"]


def test_a_picture_in_tiles_says_so_and_is_repeated_by_verify(photographs: Path, tmp_path: Path) -> None:
    with Image.open(photographs / "noisy.png") as small:
        small.resize((120, 90)).save(tmp_path / "large.png")
    out = tmp_path / "out"
    more = [
        "--population",
        "2",
        "--generations",
        "1",
        "--iterations",
        "4",
        "--final-iterations",
        "3",
        "--tile",
        "64",
        "--finalists",
        "3",
        "--no-refit",
    ]
    ended = nasdip("restore", tmp_path / "large.png", "--task", "denoise", *more, "--out", out)
    assert ended.code == 0, ended.err
    assert "restored in 4 overlapping tiles of 64 x 49 pixels, at full size" in ended.err
    assert (
        "--finalists not used: the picture is fitted in parts, and --tile-finalists is for those" in ended.err
    )
    run = json.loads((out / "run.json").read_text())
    assert (run["settings"]["tile"], len(run["final"]["tiles"]), len(run["final"]["networks"])) == (64, 4, 1)
    assert run["cost"]["iterations"] == run["generations"][0]["iterations"] + 4 * 3
    assert {
        Run("", out, out, None, out, "").pixels(name).shape for name in ("restored.png", "baseline.png")
    } == {(90, 120, 3)}
    repeated = nasdip("verify", out)
    assert (repeated.code, repeated.out[:7]) == (0, "equal: "), repeated.err
