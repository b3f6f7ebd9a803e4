"""What may be assumed of the noise, and that the held-out error then says what it should."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut
from skimage.restoration import estimate_sigma

from benchmarks import degrade
from nasdip_engine.errors import PictureError, SettingsError
from nasdip_engine.evaluation import evaluate
from nasdip_engine.evolution.presets import HELD_OUT_BLOCK
from nasdip_engine.evolution.settings import settings_for
from nasdip_engine.fillings import fill_from_neighbours
from nasdip_engine.framing import paste, search_frame
from nasdip_engine.genome.starters import starters
from nasdip_engine.request import Kind, Request
from nasdip_engine.restoration.degradation import degradation_for, held_out_error, held_out_set
from nasdip_engine.restoration.final import Combination, combine_finals
from nasdip_engine.restoration.hold_out import moved_copies, scattered
from nasdip_engine.restoration.noise_level import corrected_psnr, noise_record, noise_sigma
from nasdip_engine.seeding import generator
from nasdip_engine.task import BLOCK, NOISES, Task, TaskKind
from tests.engine.pictures import final_frame

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
ALL = [(kind, noise) for kind, noises in NOISES.items() for noise in noises]


def task_of(kind: str, noise: str = "") -> Task:
    return Task(TaskKind(kind), 2 if kind == "upscale" else 1, noise=noise)


@pytest.fixture(scope="module")
def clean() -> Pixels:
    return np.asarray(Image.fromarray(astronaut()).resize((128, 128), Image.Resampling.LANCZOS))


def floats(pixels: Pixels) -> NDArray[np.float32]:
    return pixels.astype(np.float32) / np.float32(255)


# --------------------------------------------------------------------------------------------------- the task


@pytest.mark.parametrize(("kind", "noise"), ALL)
def test_the_noise_travels_with_the_task(kind: str, noise: str) -> None:
    asked = task_of(kind, noise)
    assert asked.noise == noise
    assert Task.from_json(json.loads(json.dumps(asked.to_json()))) == asked
    assert asked.keeps_known == ((kind, noise) == ("inpaint", "none"))


@pytest.mark.parametrize(
    ("kind", "noise"), [("denoise", "independent"), ("inpaint", "none"), ("upscale", "none")]
)
def test_a_task_that_assumes_its_default_is_the_task_of_older_runs(kind: str, noise: str) -> None:
    """Its JSON enters the keys of evaluations, and its purpose the held-out set: neither may change."""
    asked = task_of(kind)
    assert asked == task_of(kind, noise)
    assert asked.to_json() == {"kind": kind, "factor": asked.factor, "kernel": "bicubic"}
    pixels = np.zeros((40, 48, 3), dtype=np.uint8)
    known = np.ones((40, 48), dtype=np.bool_)
    known[10:20, 12:20] = kind != "inpaint"
    degradation = degradation_for(asked, pixels, known if kind == "inpaint" else None)
    mask = hashlib.sha256(known.tobytes()).hexdigest()
    draw = moved_copies if kind == "inpaint" else scattered
    before = draw(known, 0.05, generator(9, "held-out", kind, asked.factor, 40, 48, mask))
    assert np.array_equal(held_out_set(degradation, asked, 0.05, 9).numpy(), before)


@pytest.mark.parametrize(
    ("kind", "noise", "told"),
    [
        ("denoise", "none", "nothing to remove"),
        ("denoise", "grain", "'grain'; allowed for denoise are independent, correlated, impulse"),
        ("inpaint", "jpeg", "none, independent, correlated, impulse"),
        ("upscale", "independent", "remove the noise of the small picture first"),
        ("upscale", "impulse", "remove the noise of the small picture first"),
    ],
)
def test_an_assumption_that_a_task_can_not_make_is_refused(kind: str, noise: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as refused:
        task_of(kind, noise)
    assert refused.value.field == "noise"


def test_impulses_are_fitted_by_absolute_error_unless_a_user_says_otherwise() -> None:
    asked = task_of("denoise", "impulse")
    assert settings_for("preview", asked).loss == "absolute"
    assert settings_for("preview", asked, {"loss": "squared"}).loss == "squared"
    assert settings_for("preview", task_of("denoise")).loss == "squared"


# ----------------------------------------------------------------------- what the held-out error is worth


@pytest.mark.parametrize("kind", ["JPEG", "camera"])
def test_blocks_show_a_copied_correlated_noise_where_single_pixels_praise_it(
    kind: str, clean: Pixels
) -> None:
    """A fit that copied all it was shown, noise included, and guessed the rest from it: over-fitted to the end."""
    observed = (
        degrade.jpeg(clean, 10)
        if kind == "JPEG"
        else degrade.camera(clean, 60, 4, 85, generator(1, "camera"))
    )

    def copied_and_clean(noise: str, block: int = BLOCK) -> tuple[float, float]:
        asked = task_of("denoise", noise)
        degradation = degradation_for(asked, observed, None)
        held_out = held_out_set(degradation, asked, 0.05, 3, block)
        copied = fill_from_neighbours(floats(observed), held_out.numpy())
        return held_out_error(degradation, copied, held_out), held_out_error(
            degradation, floats(clean), held_out
        )

    copied, truth = copied_and_clean("independent")
    assert copied < 0.7 * truth  # over-fitting beats the clean picture itself: misled
    for block in (HELD_OUT_BLOCK, BLOCK):
        copied, truth = copied_and_clean("correlated", block)
        assert truth < 0.7 * copied


def test_impulses_leave_the_order_of_absolute_errors_as_it_is(clean: Pixels) -> None:
    """E|f - y| = (1 - p) E|f - x| + p / 2, while the squared error prefers a grey veil over the clean picture."""
    share = 0.3
    observed = degrade.salt_and_pepper(clean, share, generator(2, "impulses"))
    veiled = (1 - share) * floats(clean) + np.float32(share / 2)

    def error(noise: str, picture: NDArray[np.float32]) -> float:
        asked = task_of("denoise", noise)
        degradation = degradation_for(asked, observed, None)
        return held_out_error(degradation, picture, held_out_set(degradation, asked, 0.1, 3))

    assert error("independent", veiled) < error("independent", floats(clean))
    assert error("impulse", floats(clean)) < error("impulse", veiled)
    assert error("impulse", floats(clean)) ** 0.5 == pytest.approx(share / 2, abs=0.02)
    true = float(np.abs(veiled - floats(clean)).mean())
    assert error("impulse", veiled) ** 0.5 == pytest.approx((1 - share) * true + share / 2, abs=0.02)


# ------------------------------------------------------------------------------------- how strong the noise is


def test_the_noise_is_estimated_as_scikit_image_does_and_holes_do_not_count(clean: Pixels) -> None:
    noisy = floats(degrade.gaussian(clean, 25, generator(1, "noise")))
    found = noise_sigma(noisy)
    assert found == float(np.mean(estimate_sigma(noisy, channel_axis=-1)))
    assert found is not None and 255 * found == pytest.approx(25, rel=0.1)
    known = degrade.scratches(128, 128, 12, generator(1, "scratches"))
    holed = noise_sigma(np.where(known[..., None], noisy, np.float32(0)), known)
    assert holed == pytest.approx(found, rel=0.05)
    assert noise_sigma(noisy, degrade.scattered_hole(128, 128, 0.9, generator(1, "holes"))) is None


def test_noise_that_near_pixels_share_is_told_by_a_coarser_scale(clean: Pixels) -> None:
    """The finest wavelets hardly see it; of independent noise both scales say the same."""
    observed = floats(degrade.camera(clean, 60, 4, 85, generator(1, "camera")))
    true = float(np.sqrt(np.mean(np.square(observed - floats(clean)))))
    found, finest = noise_sigma(observed, correlated=True), noise_sigma(observed)
    assert found is not None and finest is not None
    assert finest < 0.4 * true and 0.6 * true < found < 1.5 * true
    flat = floats(degrade.gaussian(np.full((128, 128, 3), 128, np.uint8), 25, generator(1, "noise")))
    assert noise_sigma(flat, correlated=True) == pytest.approx(noise_sigma(flat), rel=0.1)


def test_the_held_out_psnr_is_told_without_the_noise(clean: Pixels) -> None:
    noisy = degrade.gaussian(clean, 25, generator(1, "noise"))
    asked = task_of("denoise")
    degradation = degradation_for(asked, noisy, None)
    held_out = held_out_set(degradation, asked, 0.15, 3)
    restored = np.clip(floats(clean) + 0.06, 0, 1).astype(np.float32)
    true = -10 * np.log10(np.mean((restored - floats(clean)) ** 2))
    told = noise_record(asked, noisy, None, -10 * np.log10(held_out_error(degradation, restored, held_out)))
    assert told["assumed"] == "independent"
    assert told["corrected_psnr"] == pytest.approx(true, abs=2)
    assert corrected_psnr(-10 * np.log10(0.0081), 0.1) is None  # within the noise: nothing to tell


@pytest.mark.parametrize(
    ("kind", "noise"), [("denoise", "correlated"), ("denoise", "impulse"), ("upscale", "none")]
)
def test_no_strength_is_told_where_the_estimate_would_mean_nothing(
    kind: str, noise: str, clean: Pixels
) -> None:
    assert noise_record(task_of(kind, noise), clean, None, 20.0) == {
        "assumed": noise,
        "sigma": None,
        "corrected_psnr": None,
    }


# ----------------------------------------------------------------------------------------------- the final fit


@pytest.mark.parametrize("noise", ["correlated", "independent"])
def test_what_is_chosen_by_the_held_out_is_shown_with_all_fitted(clean: Pixels, noise: str) -> None:
    """Of two networks the one that guessed them better wins; the picture is of its fit to all observations."""
    asked = task_of("denoise", noise)
    pixels, settings = clean[:64, :64], settings_for("preview", asked)
    chosen_by, shown = floats(255 - pixels), floats(pixels)
    poor, good = np.stack([chosen_by, shown]), np.stack([shown, chosen_by])

    def combined(*arrays: NDArray[np.float32]) -> Combination:
        names = [str(number) for number in range(len(arrays))]
        return combine_finals(
            arrays, names, pixels=pixels, mask=None, task=asked, settings=settings, evaluation_seed=1
        )

    both = combined(poor, good)
    assert both.choice == "1" and both.held_out_psnr == max(both.singles)
    assert np.array_equal(both.picture, 255 - pixels)
    with pytest.raises(SettingsError, match="fits"):
        combined(shown, shown)


# -------------------------------------------------------------------------------------------------- the frames


def test_the_search_frame_of_correlated_noise_begins_on_the_grid_of_jpeg() -> None:
    upload = generator(5, "upload").integers(0, 256, (301, 333, 3), dtype=np.uint8)
    upload[:240], upload[:, :270] = (
        90,
        90,
    )  # the varied part lies at the end, and 301 x 333 is no whole number of blocks
    plain = task_of("denoise")

    def box(asked: Task, side: int) -> tuple[int, int, int, int]:
        frame = search_frame(
            final_frame(upload, None, asked), asked, settings_for("preview", asked, {"crop": side})
        )
        x, y, width, height = frame.box
        assert (width, height) == (side, side)
        assert np.array_equal(frame.picture, upload[y : y + side, x : x + side])
        return frame.box

    for side in (64, 100, 128):
        x, y, *_ = box(plain, side)
        assert x % BLOCK and y % BLOCK
        assert box(task_of("denoise", "correlated"), side) == (x - x % BLOCK, y - y % BLOCK, side, side)


def test_a_frame_of_correlated_noise_has_two_blocks_at_least() -> None:
    asked = Task(TaskKind.UPSCALE, 8, noise="correlated")
    upload = generator(5, "upload").integers(0, 256, (40, 40, 3), dtype=np.uint8)
    frame = search_frame(
        final_frame(upload, None, asked), asked, settings_for("preview", asked, {"crop": 32})
    )
    assert frame.size == (2 * BLOCK, 2 * BLOCK)
    with pytest.raises(PictureError, match="at least 16") as refused:
        final_frame(upload[:15], None, asked)
    assert refused.value.field == "noise"


def test_a_noisy_hole_is_refused_where_only_its_surroundings_would_be_restored() -> None:
    upload = np.zeros((600, 80, 3), dtype=np.uint8)
    known = np.ones((600, 80), dtype=np.bool_)
    known[20:30, 20:30] = False
    assert final_frame(upload, known, task_of("inpaint")).size == (512, 80)
    with pytest.raises(PictureError, match="choose noise none") as refused:
        final_frame(upload, known, task_of("inpaint", "independent"))
    assert refused.value.field == "noise"


# ------------------------------------------------------------------------------------------------ end to end


@pytest.mark.parametrize(
    ("kind", "noise"), [one for one in ALL if not task_of(*one).noise_is_default or one[0] != "inpaint"]
)
def test_every_assumption_runs_from_a_request_to_a_picture(
    kind: str, noise: str, tmp_path: Path, clean: Pixels
) -> None:
    asked = task_of(kind, noise)
    pixels = clean[:32, :32]
    mask: str | None = None
    known = np.ones((32, 32), dtype=np.bool_)
    if kind == "inpaint":
        known[10:16, 9:17] = False
        mask = str(tmp_path / "mask.png")
        Image.fromarray(known).convert("L").save(mask)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    settings = settings_for(
        "preview", asked, {"units": 2, "iterations": 30, "final_iterations": 60, "input_channels": 8}
    )

    def answer(step: Kind, **more: Any) -> dict[str, Any]:
        genome = starters(2)[0].text
        request = Request(
            kind=step, task=asked, settings=settings, evaluation_seed=11, picture=str(tmp_path / "picture.png"),
            mask=mask, genome=genome, **more,
        )  # fmt: skip
        return evaluate(Request.from_json(json.loads(json.dumps(request.to_json()))), lambda _: None)

    array, restored = str(tmp_path / "final.npy"), tmp_path / "restored.png"
    assert answer(Kind.EVALUATE)["fitness"] > 0
    final = answer(Kind.FINISH, output=array)
    assert final["reason"] is None
    # Fitted again, with all observations, for as long as the held-out ones said.
    assert final["iterations"] > 60 + final["best_iteration"]
    told = answer(Kind.COMBINE, inputs=(array,), genomes=(starters(2)[0].text,), output=str(restored))
    assert told["noise"]["assumed"] == noise
    beside = answer(Kind.BASELINE, output=str(tmp_path / "baseline.png"))
    assert beside["method"] and np.isfinite(beside["held_out_psnr"])
    with Image.open(restored) as file:
        made = np.asarray(file)
    assert made.shape == (32 * asked.factor, 32 * asked.factor, 3)
    if kind == "inpaint":
        # Nothing is exact: known pixels were restored too, and pasting keeps them restored.
        frame = final_frame(pixels, known, asked)
        whole = paste(pixels, known if asked.keeps_known else None, frame, made)
        assert (whole[known] != pixels[known]).mean() > 0.5
