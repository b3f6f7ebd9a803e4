"""The mean of the final fits or one of them alone: the held-out error chooses."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from nasdip_engine.errors import SettingsError
from nasdip_engine.evolution.settings import settings_for
from nasdip_engine.restoration.final import MEAN, Combination, combine_finals
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task, TaskKind
from tests.engine.pictures import photo

PIXELS = photo(40, 32)
TRUTH = PIXELS.astype(np.float32) / np.float32(255)
TASK = Task(TaskKind.DENOISE)


def off_by(amount: float) -> NDArray[np.float32]:
    return (TRUTH + np.float32(amount)).astype(np.float32)


def combine(arrays: list[NDArray[np.float32]], names: list[str]) -> Combination:
    return combine_finals(
        arrays,
        names,
        pixels=PIXELS,
        mask=None,
        task=TASK,
        settings=settings_for("preview", TASK, {"refit": False}),
        evaluation_seed=5,
    )


def test_errors_that_cancel_make_the_mean_win() -> None:
    found = combine([off_by(0.1), off_by(-0.08)], ["a", "b"])
    assert found.choice == MEAN
    assert found.singles == pytest.approx((20.0, 21.938), abs=0.01)
    assert found.held_out_psnr == pytest.approx(40.0, abs=0.05)
    assert np.allclose(found.array, off_by(0.01), atol=1e-6)


def test_a_poor_network_does_not_drag_a_good_one_down() -> None:
    found = combine([off_by(0.5), off_by(0.02)], ["poor", "good"])
    assert found.choice == "good"
    assert np.array_equal(found.array, off_by(0.02))


def test_one_network_is_itself_and_equals_are_the_first() -> None:
    assert combine([off_by(0.1)], ["only"]).choice == "only"
    assert combine([off_by(0.1), off_by(0.1)], ["first", "second"]).choice == "first"


def test_known_pixels_of_a_hole_are_the_uploads() -> None:
    mask = np.ones(PIXELS.shape[:2], dtype=np.bool_)
    mask[8:14, 10:20] = False
    task = Task(TaskKind.INPAINT)
    noise = generator(1, "noise").random(PIXELS.shape, dtype=np.float32)
    found = combine_finals(
        [noise],
        ["a"],
        pixels=PIXELS,
        mask=mask,
        task=task,
        settings=settings_for("preview", task),
        evaluation_seed=5,
    )
    assert np.array_equal(found.picture[mask], PIXELS[mask])
    assert np.array_equal(found.picture[~mask], np.rint(noise * np.float32(255)).astype(np.uint8)[~mask])


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(SettingsError, match="0 restorations"):
        combine([], [])
    with pytest.raises(SettingsError, match="1 restorations and 2 genomes"):
        combine([TRUTH], ["a", "b"])
    with pytest.raises(SettingsError, match=r"by a is float32 \(4, 4, 3\)"):
        combine([np.zeros((4, 4, 3), dtype=np.float32)], ["a"])
