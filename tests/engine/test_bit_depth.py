"""8 and 16 bits a channel on their way through frames, degradations, references and results."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nasdip_engine.baselines import baseline
from nasdip_engine.bit_depth import at_depth, grey_of, in_unit_range, quantised
from nasdip_engine.errors import SettingsError
from nasdip_engine.evaluation import evaluate
from nasdip_engine.evolution.settings import settings_for
from nasdip_engine.framing import Frame, paste, search_frame
from nasdip_engine.genome.starters import starters
from nasdip_engine.picture import encode_mask, encode_png, pixel_digest, read_png
from nasdip_engine.request import Kind, Request
from nasdip_engine.restoration.degradation import degradation_for
from nasdip_engine.restoration.metrics import psnr, ssim
from nasdip_engine.task import BLOCK, Task, TaskKind
from tests.engine.pictures import Samples, final_frame, photo

INPAINT = Task(TaskKind.INPAINT)
SMALL = {"population": 2, "generations": 1, "iterations": 2, "final_iterations": 2, "crop": 32}


def ramp() -> Samples:
    """All 65,536 levels, in each channel in another order."""
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    return np.dstack([levels, levels.T, levels[::-1, ::-1]])


def holed(side: int, hole: slice = slice(10, 20)) -> np.ndarray[Any, Any]:
    known = np.ones((side, side), bool)
    known[hole, hole] = False
    return known


# -- the two depths ----------------------------------------------------------------------------------


def test_every_level_of_8_bits_comes_back_from_16() -> None:
    levels = np.arange(256, dtype=np.uint8)
    wide = at_depth(levels, 16)
    assert wide.dtype == np.uint16
    assert (wide[0], wide[-1]) == (0, 65535)
    assert np.array_equal(at_depth(wide, 8), levels)


def test_16_bits_are_rounded_to_the_nearest_of_8() -> None:
    levels = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(at_depth(levels, 8), np.rint(levels / 257))


def test_a_level_and_its_widening_are_one_observation() -> None:
    levels = np.arange(256, dtype=np.uint8)
    assert np.array_equal(in_unit_range(levels), in_unit_range(at_depth(levels, 16)))


def test_all_levels_survive_the_way_through_floats() -> None:
    levels = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(quantised(in_unit_range(levels), 16), levels)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_grey_is_the_nearest_to_the_mean_of_the_channels(kind: type) -> None:
    pixels = photo().astype(kind) * np.iinfo(kind).max // 255
    grey = grey_of(pixels)
    assert grey.dtype == kind
    assert np.array_equal(grey[..., 0], np.rint(pixels.astype(np.float64).mean(axis=2)))
    assert np.array_equal(grey_of(grey), grey)


def test_other_types_are_no_samples() -> None:
    with pytest.raises(ValueError, match="uint8 or uint16"):
        at_depth(np.zeros(3, np.int16), 8)  # type: ignore[arg-type]


# -- frames ------------------------------------------------------------------------------------------


def test_the_digest_of_8_bits_is_what_it_always_was() -> None:
    """Keys of fitness and of stored outcomes hang on it."""
    pixels, known = photo(64, 64), holed(64)
    seen = np.where(known[..., None], pixels, 0).astype(np.uint8)
    made = hashlib.sha256(b"(64, 64, True)" + seen.tobytes() + np.packbits(known).tobytes())
    assert Frame(pixels, known, (0, 0, 64, 64)).digest == made.hexdigest()
    assert pixel_digest(pixels) == hashlib.sha256(b"64x64x3:" + pixels.tobytes()).hexdigest()


def test_16_bits_have_digests_of_their_own() -> None:
    pixels = photo(64, 64)
    wide = at_depth(pixels, 16)
    other = wide.copy()
    other[5, 5, 1] ^= 1
    found = [Frame(one, None, (0, 0, 64, 64)).digest for one in (pixels, wide, other)]
    assert len(set(found)) == 3
    assert len({pixel_digest(one) for one in (pixels, wide, other)}) == 3


def test_frames_of_16_bits_are_cut_at_the_same_place() -> None:
    pixels, known = photo(96, 96), holed(96, slice(40, 60))
    settings = settings_for("preview", INPAINT, SMALL)
    narrow = search_frame(final_frame(pixels, known, INPAINT), INPAINT, settings)
    wide = search_frame(final_frame(at_depth(pixels, 16), known, INPAINT), INPAINT, settings)
    assert wide.box == narrow.box
    assert np.array_equal(wide.picture, at_depth(narrow.picture, 16))


def test_a_reduced_frame_of_16_bits_is_the_one_of_8_but_finer() -> None:
    """Known reduced pixels are made of the same pixels at both depths, so no hole pixel leaks out of the hole."""
    pixels = photo(600, 600)
    known = np.ones((600, 600), bool)
    known[40:560, 40:560] = False
    narrow = final_frame(pixels, known, INPAINT)
    wide = final_frame(at_depth(pixels, 16), known, INPAINT)
    assert narrow.scale == wide.scale < 1
    assert np.array_equal(narrow.mask, wide.mask)
    assert np.abs(wide.picture / 257 - narrow.picture.astype(np.float64)).max() <= 1.01
    spoiled = np.where(known[..., None], at_depth(pixels, 16), np.uint16(65535))
    assert np.array_equal(final_frame(spoiled, known, INPAINT).picture[wide.mask], wide.picture[wide.mask])
    pasted = paste(at_depth(pixels, 16), known, wide, wide.picture)
    assert np.array_equal(pasted[known], at_depth(pixels, 16)[known])


# -- observations and results ------------------------------------------------------------------------


def test_known_pixels_are_equal_to_the_bit_at_their_own_depth() -> None:
    pixels, known = ramp(), holed(256)
    made = degradation_for(INPAINT, pixels, known).compose(np.full((256, 256, 3), 0.5, np.float32))
    assert made.dtype == np.uint16
    assert np.array_equal(made[known], pixels[known])
    assert set(np.unique(made[~known])) == {32768}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", list(TaskKind))
def test_a_picture_is_composed_at_the_depth_that_is_asked(kind: TaskKind, bits: int) -> None:
    pixels = at_depth(photo(32, 32), 16)
    mask = holed(32) if kind is TaskKind.INPAINT else None
    task = Task(kind, 2 if kind is TaskKind.UPSCALE else 1)
    degradation = degradation_for(task, pixels, mask)
    made = degradation.compose(np.full((*degradation.output_size, 3), 0.25, np.float32), bits)
    assert made.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert made.shape == (*degradation.output_size, 3)


def test_both_depths_of_one_picture_are_fitted_alike() -> None:
    pixels, known = photo(32, 32), holed(32)
    narrow, wide = (degradation_for(INPAINT, at_depth(pixels, bits), known) for bits in (8, 16))
    assert torch.equal(narrow.observation, wide.observation)


def test_the_reference_has_the_depth_of_the_picture_or_the_one_asked() -> None:
    pixels = at_depth(photo(32, 32), 16)
    common: dict[str, Any] = {"hold_out_share": 0.1, "hold_out_block": BLOCK, "evaluation_seed": 1}
    common["alive"] = lambda: None
    assert baseline(INPAINT, pixels, holed(32), **common).picture.dtype == np.uint16
    assert baseline(INPAINT, pixels, holed(32), bit_depth=8, **common).picture.dtype == np.uint8


def test_metrics_are_the_same_at_both_depths() -> None:
    clean, other = photo(), photo()[::-1].copy()
    wide = at_depth(other, 16)
    assert psnr(wide, clean) == pytest.approx(psnr(other, clean), abs=1e-9)
    assert ssim(wide, clean) == pytest.approx(ssim(other, clean), abs=1e-6)
    assert psnr(wide, at_depth(other, 16)) == np.inf


# -- the evaluator -----------------------------------------------------------------------------------


def asked(folder: Path, pixels: Samples, **more: Any) -> Request:
    folder.mkdir()
    (folder / "frame.png").write_bytes(encode_png(pixels))
    (folder / "mask.png").write_bytes(encode_mask(holed(pixels.shape[0])))
    return Request(
        task=INPAINT, settings=settings_for("preview", INPAINT, SMALL), evaluation_seed=1,
        picture=str(folder / "frame.png"), mask=str(folder / "mask.png"), **more,
    )  # fmt: skip


def test_a_fit_of_16_bits_is_the_fit_of_the_8_that_they_widen(tmp_path: Path) -> None:
    genome = starters(2)[0].text
    outcomes = [
        evaluate(
            asked(tmp_path / str(bits), at_depth(photo(32, 32), bits), kind=Kind.EVALUATE, genome=genome),
            print,
        )
        for bits in (8, 16)
    ]
    assert outcomes[0]["fitness_hex"] == outcomes[1]["fitness_hex"]


@pytest.mark.parametrize("bits", [None, 8, 16])
def test_the_picture_of_final_fits_has_the_asked_depth(tmp_path: Path, bits: int | None) -> None:
    pixels = at_depth(photo(32, 32), 16)
    pixels[0, 0] = (1, 258, 65534)
    array, output = tmp_path / "fit.npy", tmp_path / "out.png"
    np.save(array, np.full((32, 32, 3), 0.5, np.float32))
    request = asked(
        tmp_path / "frame", pixels, kind=Kind.COMBINE, inputs=(str(array),), genomes=("one",),
        output=str(output), bit_depth=bits,
    )  # fmt: skip
    assert Request.from_json(request.to_json()) == request
    outcome = evaluate(request, print)
    made = read_png(output)
    assert made.bit_depth == (bits or 16)
    assert outcome["digest"] == pixel_digest(made.pixels)
    assert np.array_equal(made.pixels[holed(32)], at_depth(pixels, bits or 16)[holed(32)])


def test_requests_stored_before_depths_were_asked_are_read(tmp_path: Path) -> None:
    """A frame that Pillow wrote, a request without bit_depth."""
    stored = asked(
        tmp_path / "old", photo(32, 32), kind=Kind.BASELINE, output=str(tmp_path / "out.png")
    ).to_json()
    del stored["bit_depth"]
    Image.fromarray(photo(32, 32)).save(stored["picture"])
    Image.fromarray(holed(32)).convert("L").save(stored["mask"])
    evaluate(stored, print)
    assert np.array_equal(read_png(tmp_path / "out.png").pixels[holed(32)], photo(32, 32)[holed(32)])


def test_other_depths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="bit_depth is 12"):
        asked(tmp_path / "a", photo(32, 32), kind=Kind.BASELINE, output="out.png", bit_depth=12)
