"""Blocks that are held out where near pixels share their noise: their shape, their number, and who is told their side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from skimage.data import astronaut

from nasdip_engine.baselines import baseline
from nasdip_engine.evaluation import evaluate
from nasdip_engine.evolution.presets import HELD_OUT_BLOCK
from nasdip_engine.evolution.settings import SearchSettings, settings_for
from nasdip_engine.genome.starters import starters
from nasdip_engine.request import Kind, Request
from nasdip_engine.restoration.degradation import degradation_for, held_out_error, held_out_set
from nasdip_engine.restoration.final import combine_finals
from nasdip_engine.restoration.fitness import held_out_psnr
from nasdip_engine.restoration.hold_out import CAP, blocks, moved_copies, scattered, within_cap
from nasdip_engine.seeding import generator
from nasdip_engine.task import BLOCK, Task, TaskKind

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
SIDES = st.sampled_from([HELD_OUT_BLOCK, BLOCK])


@pytest.fixture(scope="module")
def clean() -> Pixels:
    return np.asarray(Image.fromarray(astronaut()).resize((128, 128), Image.Resampling.LANCZOS))


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """Known pixels of frames of any size and share, in two cells at least."""
    height, width = draw(st.integers(16, 50)), draw(st.integers(9, 50))
    known = generator(draw(st.integers(0, 10**6))).random((height, width)) < draw(st.floats(0.2, 1.0))
    known[0, 0] = known[-1, -1] = True
    return known


def cells_of(part: Mask, side: int) -> set[tuple[int, int]]:
    return {(int(row) // side, int(column) // side) for row, column in np.argwhere(part)}


@given(masks(), st.floats(0.01, 0.15), st.integers(0, 1000), SIDES)
def test_blocks_are_held_out_whole(known: Mask, share: float, seed: int, side: int) -> None:
    held = blocks(known, share, generator(seed), side)
    assert np.array_equal(held, blocks(known, share, generator(seed), side))
    assert not (held & ~known).any()
    assert held.any() and (known & ~held).any()
    assert not cells_of(held, side) & cells_of(known & ~held, side)


@pytest.mark.parametrize(("side", "share"), [(64, 0.1), (256, 0.05)])
@pytest.mark.parametrize("block", [BLOCK, HELD_OUT_BLOCK])
def test_as_many_blocks_as_single_pixels_are_held_out(side: int, share: float, block: int) -> None:
    """The share is doubled where observations are few, as for single pixels, and rounded up to a block."""
    held = np.count_nonzero(blocks(np.ones((side, side), dtype=np.bool_), 0.05, generator(1), block))
    assert share * side**2 <= held < share * side**2 + block**2


def test_one_block_can_not_be_held_out() -> None:
    with pytest.raises(ValueError, match="only 1 block"):
        blocks(np.ones((8, 8), dtype=np.bool_), 0.05, generator(1))


@given(masks(), st.sampled_from([1, HELD_OUT_BLOCK, BLOCK]), st.floats(0.01, 0.15), st.integers(0, 1000))
def test_a_noisy_hole_holds_out_no_more_than_the_cap(known: Mask, side: int, share: float, seed: int) -> None:
    known[4:9, 3:7] = False
    copies = moved_copies(known, share, generator(seed))
    rng = generator(seed)
    more = scattered(known, share, rng) if side == 1 else blocks(known, share, rng, side)
    held = within_cap(copies, more, known, generator(seed), side)
    assert not (copies & ~held).any() and not (held & ~known).any()
    assert np.count_nonzero(held) <= max(CAP * np.count_nonzero(known), np.count_nonzero(copies))
    whole = cells_of(held & ~copies, side)
    assert not whole & cells_of(known & ~held, side)


def test_a_noisy_hole_holds_out_copies_of_itself_and_what_lies_between(clean: Pixels) -> None:
    known = np.ones((128, 128), dtype=np.bool_)
    known[40:60, 50:70] = False
    for noise in ("independent", "correlated", "impulse"):
        asked = Task(TaskKind.INPAINT, noise=noise)
        held = held_out_set(degradation_for(asked, clean, known), asked, 0.05, 3).numpy()
        seen = {row: int(np.count_nonzero(held[row])) for row in range(128)}
        assert max(seen.values()) >= 20  # a copy is as wide as the hole
        assert sum(count > 0 for count in seen.values()) > 80  # and the rest lies all over the picture
        assert 0.08 * np.count_nonzero(known) < np.count_nonzero(held) <= CAP * np.count_nonzero(known)


def test_blocks_are_of_the_side_that_the_settings_say(clean: Pixels, tmp_path: Path) -> None:
    """In a fit, in the combination and in a reference alike; runs older than the setting had JPEG's."""
    asked, pixels = Task(TaskKind.DENOISE, noise="correlated"), clean[:64, :64]
    degradation = degradation_for(asked, pixels, None)
    now = settings_for("preview", asked, {"units": 2, "final_iterations": 25, "input_channels": 8})
    stored = now.to_json()
    del stored["hold_out_block"]
    older = SearchSettings.from_json(stored)
    assert (now.hold_out_block, older.hold_out_block) == (HELD_OUT_BLOCK, BLOCK)
    assert now.evaluation() == older.evaluation() | {"hold_out_block": HELD_OUT_BLOCK}
    assert "hold_out_block" not in older.evaluation(), "keys of older evaluations stand"
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    for settings in (now, older):
        fitted = evaluate(
            Request(
                kind=Kind.FINISH, task=asked, settings=settings, evaluation_seed=1, genome=starters(2)[0].text,
                picture=str(tmp_path / "picture.png"), output=str(tmp_path / "fit.npy"),
            ),
            lambda _: None,
        )  # fmt: skip
        array = np.load(tmp_path / "fit.npy")
        held = held_out_set(degradation, asked, settings.hold_out_share, 1, settings.hold_out_block)
        error = held_out_error(degradation, array[0], held)
        assert fitted["held_out_psnr"] == held_out_psnr(error)
        given = {"pixels": pixels, "mask": None, "settings": settings, "evaluation_seed": 1}
        assert combine_finals([array], ["a"], task=asked, **given).error == error
        reference = baseline(
            asked, pixels, None, hold_out_share=settings.hold_out_share, hold_out_block=settings.hold_out_block,
            evaluation_seed=1, alive=lambda: None,
        )  # fmt: skip
        assert reference.held_out == np.count_nonzero(held)
