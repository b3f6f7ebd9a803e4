"""The whole way down: requests and outcomes as JSON, equal bits alone, in any order and in another process."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from nasdip_engine import baselines
from nasdip_engine.errors import GenomeError, MaskError, PictureError, SettingsError
from nasdip_engine.evaluation import evaluate
from nasdip_engine.evolution.settings import SearchSettings, settings_for
from nasdip_engine.genome.cost import cost
from nasdip_engine.genome.genome import Genome, encode
from nasdip_engine.genome.phenotype import Phenotype, Stage
from nasdip_engine.genome.starters import starters
from nasdip_engine.numerics import fingerprint
from nasdip_engine.picture import pixel_digest
from nasdip_engine.request import Kind, Progress, Request
from nasdip_engine.restoration.fitness import SMALLEST
from nasdip_engine.task import Task, TaskKind

SIDE = 32
GENOMES = [starter.text for starter in starters(2)[:3]]


def smooth_picture(side: int = SIDE) -> NDArray[np.uint8]:
    ramp = np.linspace(20, 230, side)
    planes = [np.add.outer(ramp, ramp) / 2, np.add.outer(ramp, ramp[::-1]) / 2, np.tile(ramp, (side, 1))]
    return np.stack(planes, axis=-1).astype(np.uint8)


def settings(task: Task, **overrides: Any) -> SearchSettings:
    given = {"units": 2, "iterations": 30, "final_iterations": 60, "input_channels": 8, **overrides}
    return settings_for("preview", task, given)


def request(folder: Path, kind: Kind = Kind.EVALUATE, task: str = "denoise", **changes: Any) -> Request:
    asked = Task(TaskKind(task), 2 if task == "upscale" else 1)
    picture, mask = folder / "picture.png", None
    Image.fromarray(smooth_picture()).save(picture)
    if task == "inpaint":
        known = np.full((SIDE, SIDE), 255, dtype=np.uint8)
        known[10:16, 9:17] = 0
        mask = str(folder / "mask.png")
        Image.fromarray(known).save(mask)
    values = {
        "task": asked,
        "settings": changes.pop("settings", settings(asked)),
        "evaluation_seed": 11,
        "picture": str(picture),
        "mask": mask,
        "genome": GENOMES[0],
        **changes,
    }
    return Request(kind=kind, **values)


def outcome(asked: Request | dict[str, Any]) -> dict[str, Any]:
    found = evaluate(asked, lambda _: None)
    assert found.pop("seconds") >= 0
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


@pytest.mark.parametrize("task", ["denoise", "inpaint", "upscale"])
def test_outcome_of_a_fit(tmp_path: Path, task: str) -> None:
    signs: list[Progress] = []
    found = evaluate(request(tmp_path, task=task), lambda sign: signs.append(Progress(**sign)))
    side = 2 * SIDE if task == "upscale" else SIDE
    assert SMALLEST < found["fitness"] < 1 and float.fromhex(found["fitness_hex"]) == found["fitness"]
    assert found["fitness"] == pytest.approx((found["held_out_psnr"] - 10) / 40)
    assert (found["reason"], found["iterations"], found["pixels"]) == (None, 30, side * side)
    assert [iteration for iteration, _ in found["curve"]] == [25, 30]
    assert found["multiply_adds"] % 30 == 0 and found["multiply_adds"] > 0
    assert [sign["iteration"] for sign in signs] == list(range(1, 31))
    assert {sign["of"] for sign in signs} == {30}
    assert signs[0]["held_out_psnr"] is None and signs[-1]["held_out_psnr"] == found["curve"][-1][1]


def test_requests_survive_json(tmp_path: Path) -> None:
    asked = request(
        tmp_path, Kind.COMBINE, output="o.png", inputs=("a.npy",), genomes=(GENOMES[0],), hook="nan:"
    )
    assert Request.from_json(json.loads(json.dumps(asked.to_json()))) == asked


def test_same_fitness_alone_in_a_batch_and_in_any_order(tmp_path: Path) -> None:
    forwards = {genome: outcome(request(tmp_path, genome=genome)) for genome in GENOMES}
    backwards = {genome: outcome(request(tmp_path, genome=genome)) for genome in reversed(GENOMES)}
    assert forwards == backwards
    assert len({found["fitness_hex"] for found in forwards.values()}) == len(GENOMES)


def test_same_fitness_in_another_process(tmp_path: Path) -> None:
    asked = request(tmp_path, task="inpaint")
    script = (
        "import json, sys; from nasdip_engine.evaluation import evaluate; "
        "print(json.dumps(evaluate(json.load(sys.stdin), lambda _: None)))"
    )
    root = Path(__file__).parents[2]
    there = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps(asked.to_json()),
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        timeout=120,
    )
    found = json.loads(there.stdout)
    del found["seconds"]
    assert found == outcome(asked)


def test_genomes_of_one_phenotype_have_one_fitness(tmp_path: Path) -> None:
    """Bits of a bypassed stage mean nothing, so they must not reach the first weights either."""
    stage = Stage(3, 8)
    plain = encode(Phenotype(2, (stage, None), (stage, stage), ((0, 0, 2),)))
    second_unit = len(plain.bits) // 2
    assert plain.bits[second_unit] == 1  # its encoder stage is bypassed; the bit after it is one of its size
    twin = Genome("asym", 2, (*plain.bits[: second_unit + 1], 1, *plain.bits[second_unit + 2 :]))
    assert twin.text != plain.text
    one, other = (outcome(request(tmp_path, genome=genome.text)) for genome in (plain, twin))
    assert one == other


@pytest.mark.parametrize("task", ["denoise", "upscale"])
def test_a_refit_is_a_fit_of_all_observations_beside_the_one_that_chooses(tmp_path: Path, task: str) -> None:
    asked = Task(TaskKind(task), 2 if task == "upscale" else 1)

    signs: list[Progress] = []

    def finished(**changes: Any) -> tuple[dict[str, Any], NDArray[np.float32]]:
        output = str(tmp_path / "final.npy")
        signs.clear()
        found = evaluate(
            request(tmp_path, Kind.FINISH, task, output=output, settings=settings(asked, **changes)),
            lambda sign: signs.append(Progress(**sign)),
        )
        return found, np.load(output, allow_pickle=False)

    once, alone = finished(refit=False)
    assert signs[-1]["held_out_psnr"] is not None
    twice, both = finished(refit=True)
    assert {sign["held_out_psnr"] for sign in signs[once["iterations"] :]} == {None}, (
        "nothing is held out now"
    )
    assert both.shape == (2, *alone.shape)
    assert np.array_equal(both[0], alone), "the fit that chooses is the same to the bit"
    same = ("fitness_hex", "held_out_psnr", "best_iteration", "curve", "still_falling")
    assert {name: twice[name] for name in same} == {name: once[name] for name in same}
    more = twice["iterations"] - once["iterations"]
    assert more == round(once["best_iteration"] / 0.9)  # of so few observations a tenth is held out
    assert twice["multiply_adds"] * once["iterations"] == once["multiply_adds"] * twice["iterations"]
    _, all_seen = finished(final_iterations=more, hold_out_share=0, fitness="lpips-observed", crop=64)
    assert np.array_equal(both[1], all_seen)


def test_a_final_fit_asked_for_before_there_was_a_choice_is_made_as_it_was(tmp_path: Path) -> None:
    """Once; and where noise is correlated again, for just as long as the held-out error said."""
    for noise in ("", "correlated"):
        asked = Task(TaskKind.DENOISE, noise=noise)
        output = str(tmp_path / "final.npy")
        stored = request(tmp_path, Kind.FINISH, output=output).to_json() | {"task": asked.to_json()}
        del stored["settings"]["refit"]
        found = outcome(stored)
        again = found["best_iteration"] if noise else 0
        assert found["iterations"] == 60 + again
        assert np.load(output, allow_pickle=False).ndim == (4 if noise else 3)


def test_the_jitter_of_final_fits_touches_them_alone(tmp_path: Path) -> None:
    def curve(kind: Kind, **changes: float | None) -> list[list[float]]:
        asked = settings(Task(TaskKind.DENOISE), refit=False, iterations=60, final_iterations=60, **changes)
        found = outcome(request(tmp_path, kind, output=str(tmp_path / "final.npy"), settings=asked))
        return found["curve"]

    still, shaken = curve(Kind.EVALUATE), curve(Kind.EVALUATE, jitter=0.05)
    assert still != shaken
    assert curve(Kind.EVALUATE, final_jitter=0.05) == curve(Kind.FINISH, final_jitter=0.0) == still
    assert curve(Kind.FINISH, final_jitter=0.05) == shaken
    assert curve(Kind.FINISH, jitter=0.05, final_jitter=None) == shaken


@pytest.mark.parametrize("kind", [Kind.EVALUATE, Kind.FINISH])
def test_a_genome_that_says_its_length_is_trained_exactly_as_long(tmp_path: Path, kind: Kind) -> None:
    network = Phenotype(1, (Stage(1, 1),), (Stage(1, 1),), (), epochs=500)
    signs: list[Progress] = []
    asked = request(
        tmp_path,
        kind,
        genome=encode(network, "asymt").text,
        output=str(tmp_path / "output.npy"),
        settings=settings(Task(TaskKind.DENOISE), units=1, representation="asymt", refit=False),
    )
    found = evaluate(asked, lambda sign: signs.append(Progress(**sign)))
    assert found["iterations"] == len(signs) == 500
    assert {sign["of"] for sign in signs} == {500}
    price = cost(network, SIDE, SIDE, 8).multiply_adds
    assert found["multiply_adds"] == 500 * price


def test_a_symmetric_genome_is_fitted_like_any_other(tmp_path: Path) -> None:
    symmetric = settings(Task(TaskKind.DENOISE), representation="sym")
    genome = starters(2, "sym")[0]
    found = outcome(request(tmp_path, genome=genome.text, settings=symmetric))
    twin = encode(genome.phenotype())  # the same network, written asymmetrically
    assert found == outcome(request(tmp_path, genome=twin.text))


def test_seed_and_picture_matter(tmp_path: Path) -> None:
    first = outcome(request(tmp_path))["fitness_hex"]
    assert outcome(request(tmp_path, evaluation_seed=12))["fitness_hex"] != first


def test_a_diverging_fit_is_an_outcome(tmp_path: Path) -> None:
    digest = Genome.parse(GENOMES[0]).phenotype().digest
    found = outcome(request(tmp_path, hook=f"nan:{digest[:6]}"))
    assert (found["fitness"], found["fitness_hex"]) == (0.0, "0x0.0p+0")
    assert found["reason"] == "diverged: the loss was nan at iteration 1"
    assert found["hook"] == f"nan:{digest[:6]}"
    unhit = outcome(request(tmp_path, genome=GENOMES[1], hook=f"nan:{digest}"))
    assert unhit["reason"] is None


def test_a_genome_without_network_is_an_outcome(tmp_path: Path) -> None:
    found = outcome(request(tmp_path, genome="asym:2:00000000000"))
    assert found["fitness"] == 0 and found["iterations"] == 0
    assert found["reason"] == "invalid: stage E1 is active but has no filters"


def test_finish_writes_its_average(tmp_path: Path) -> None:
    path = tmp_path / "final.npy"
    alone = settings(Task(TaskKind.DENOISE), refit=False)
    found = outcome(request(tmp_path, Kind.FINISH, output=str(path), settings=alone))
    array = np.load(path)
    assert array.shape == (SIDE, SIDE, 3) and array.dtype == np.float32
    assert array.min() >= 0 and array.max() <= 1
    assert found["iterations"] == 60
    assert list(tmp_path.glob("*.partial")) == []
    # The same fit, so far as both went: the first look is the same.
    assert found["curve"][0] == outcome(request(tmp_path))["curve"][0]


def test_finish_then_combine_keeps_known_pixels(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{index}.npy") for index in range(2)]
    for path, genome in zip(paths, GENOMES, strict=False):
        outcome(request(tmp_path, Kind.FINISH, task="inpaint", genome=genome, output=path))
    result = tmp_path / "restored.png"
    asked = request(
        tmp_path,
        Kind.COMBINE,
        task="inpaint",
        inputs=tuple(paths),
        genomes=tuple(GENOMES[:2]),
        output=str(result),
    )
    found = outcome(asked)
    assert found["choice"] in {"mean", *GENOMES[:2]}
    assert found["held_out_psnr"] >= max(found["singles"])
    with Image.open(result) as file:
        restored = np.array(file)
    assert found["digest"] == pixel_digest(restored)
    hole = np.zeros((SIDE, SIDE), dtype=np.bool_)
    hole[10:16, 9:17] = True
    assert np.array_equal(restored[~hole], smooth_picture()[~hole])
    assert outcome(asked) == found


@pytest.mark.parametrize(
    ("task", "method"), [("denoise", "non-local means"), ("inpaint", "biharmonic"), ("upscale", "bicubic")]
)
def test_baseline_writes_a_picture(tmp_path: Path, task: str, method: str) -> None:
    path = tmp_path / "baseline.png"
    signs: list[Progress] = []
    asked = request(tmp_path, Kind.BASELINE, task=task, output=str(path), genome=None)
    found = evaluate(asked, signs.append)
    assert found["method"] == method and found["held_out_psnr"] > 20 and signs
    with Image.open(path) as file:
        assert pixel_digest(np.array(file)) == found["digest"]


def test_a_baseline_of_choice_is_made_and_one_that_is_too_large_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "baseline.png"
    asked = request(tmp_path, Kind.BASELINE, task="inpaint", output=str(path), genome=None, method="harmonic")
    found = outcome(asked)
    assert found["method"] == "harmonic" and found["held_out_psnr"] > 20 and path.exists()
    path.unlink()
    monkeypatch.setitem(baselines._LIMITS, "harmonic", 10)
    left_out = outcome(asked)
    assert (left_out["method"], left_out["held_out_psnr"], left_out["digest"]) == ("harmonic", None, None)
    assert left_out["left_out"].endswith("it is computed for up to 10.") and not path.exists()


def test_previews_are_small_pngs_and_decide_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = outcome(request(tmp_path))
    monkeypatch.setattr("nasdip_engine.evaluation._PREVIEW_SECONDS", 0.0)
    signs: list[Progress] = []
    found = evaluate(request(tmp_path), signs.append)
    del found["seconds"]
    assert found == quiet
    assert all(sign["preview"] for sign in signs)
    with Image.open(io.BytesIO(base64.b64decode(signs[-1]["preview"] or ""))) as file:
        assert file.format == "PNG" and max(file.size) <= 256


@pytest.mark.parametrize(
    ("kind", "missing"),
    [("evaluate", "genome"), ("finish", "output"), ("baseline", "output"), ("combine", "inputs")],
)
def test_incomplete_requests_name_what_is_missing(tmp_path: Path, kind: str, missing: str) -> None:
    value = request(tmp_path).to_json() | {"kind": kind, missing: None}
    with pytest.raises(SettingsError, match=f"{kind} needs {missing}"):
        evaluate(value, lambda _: None)


def test_unusable_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="evaluate, finish, baseline, combine"):
        evaluate(request(tmp_path).to_json() | {"kind": "train"}, lambda _: None)
    with pytest.raises(GenomeError):
        evaluate(request(tmp_path, genome="asym:2:xyz"), lambda _: None)
    with pytest.raises(MaskError):
        evaluate(request(tmp_path, mask=request(tmp_path, task="inpaint").mask), lambda _: None)
    grey = tmp_path / "grey.png"
    Image.new("L", (SIDE, SIDE)).save(grey)
    with pytest.raises(PictureError, match=r"grey\.png is grey"):
        evaluate(request(tmp_path, picture=str(grey)), lambda _: None)
    with pytest.raises(FileNotFoundError):
        evaluate(request(tmp_path, picture=str(tmp_path / "absent.png")), lambda _: None)


def test_digest_is_of_pixels_and_shape() -> None:
    pixels = smooth_picture()
    assert pixel_digest(pixels) == pixel_digest(pixels.copy())
    assert pixel_digest(pixels) != pixel_digest(pixels.reshape(SIDE // 2, 2 * SIDE, 3))


def test_fingerprint_is_json_with_one_thread() -> None:
    found = fingerprint()
    assert json.loads(json.dumps(found)) == found
    assert found["threads"] == 1 and found["device"] == "cpu"
    assert found == fingerprint()
    assert {"torch", "numpy", "cpu_capability", "cpu_model", "mkldnn"} <= set(found)


def test_writing_requests_loads_no_torch() -> None:
    script = "import sys, nasdip_engine.evaluation; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("name", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
def test_kernels_that_are_chosen_by_hand_are_of_another_machine(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    own = fingerprint()
    monkeypatch.setenv(name, "SSE41")
    assert fingerprint() == own | {"onednn_isa": "SSE41"}


@pytest.mark.parametrize("name", ["task", "settings", "evaluation_seed", "picture"])
def test_an_incomplete_request_names_what_it_lacks(tmp_path: Path, name: str) -> None:
    asked = request(tmp_path).to_json()
    del asked[name]
    with pytest.raises(SettingsError, match=f"the request has no {name}"):
        evaluate(asked, lambda _: None)


@pytest.mark.parametrize("seed", ["3", -1, True, 2**31])
def test_a_seed_that_is_none_is_refused(tmp_path: Path, seed: Any) -> None:
    asked = request(tmp_path).to_json() | {"evaluation_seed": seed}
    with pytest.raises(SettingsError, match="evaluation_seed is"):
        evaluate(asked, lambda _: None)
