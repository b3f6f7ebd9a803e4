"""A picture that is fitted in several parts: one result without seams, from bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from nasdip_engine import baselines
from nasdip_engine.errors import SettingsError
from nasdip_engine.evaluation import evaluate
from nasdip_engine.evolution.settings import SearchSettings, settings_for
from nasdip_engine.finals import BY_TILE, pooled_psnr
from nasdip_engine.framing import Frame, final_frames, paste_whole
from nasdip_engine.genome.starters import starters
from nasdip_engine.picture import encode_mask, encode_png, pixel_digest
from nasdip_engine.request import Kind, Part, Request
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task, TaskKind

DENOISE, INPAINT, ENLARGE = Task(TaskKind.DENOISE), Task(TaskKind.INPAINT), Task(TaskKind.UPSCALE, 2)
GRAIN = Task(TaskKind.DENOISE, noise="correlated")
NETWORK, OTHER = starters(5)[0].text, starters(5)[1].text
Floats = NDArray[np.float32]


def settings_of(task: Task, **changes: Any) -> SearchSettings:
    given = {"tile": 64, "iterations": 30, "final_iterations": 60, "refit": task.refits}
    return settings_for("preview", task, given | changes)


def nothing(_: Any) -> None:
    """Progress that nobody looks at."""


class Tiled:
    """A picture in frames, as files in a folder, and what the evaluator makes of them."""

    def __init__(
        self,
        folder: Path,
        task: Task,
        pixels: NDArray[Any],
        mask: NDArray[np.bool_] | None = None,
        tile: int = 64,
        **changes: Any,
    ) -> None:
        self.folder, self.task, self.pixels, self.mask = folder, task, pixels, mask
        self.settings = settings_of(task, tile=tile, **changes)
        self.frames = final_frames(pixels, mask, task, self.settings.tile)
        if mask is not None:
            (folder / "mask.png").write_bytes(encode_mask(mask))
        for number, frame in enumerate(self.frames):
            (folder / f"{number}.png").write_bytes(encode_png(frame.picture))
            if frame.mask is not None:
                (folder / f"{number}-mask.png").write_bytes(encode_mask(frame.mask))

    def files(self, number: int) -> dict[str, Any]:
        mask = None if self.mask is None else str(self.folder / f"{number}-mask.png")
        return {"picture": str(self.folder / f"{number}.png"), "mask": mask}

    def request(self, kind: Kind, **more: Any) -> dict[str, Any]:
        mask = None if self.mask is None else str(self.folder / "mask.png")
        asked = {"picture": str(self.folder / "0.png"), "mask": mask} | more
        request = Request(kind=kind, task=self.task, settings=self.settings, evaluation_seed=4, **asked)
        return evaluate(request.to_json(), nothing)

    def fit(self, genome: str = NETWORK) -> list[str]:
        """Final fits of every frame by one network: their .npy files."""
        made = [str(self.folder / f"{number}-{genome[-6:]}.npy") for number in range(len(self.frames))]
        for number, output in enumerate(made):
            outcome = self.request(Kind.FINISH, **self.files(number), genome=genome, output=output)
            assert outcome["reason"] is None
        return made

    def put(self, make: Callable[[Frame], Floats], name: str) -> list[str]:
        """Files of restorations that are made up."""
        made = [str(self.folder / f"{number}-{name}.npy") for number in range(len(self.frames))]
        for frame, output in zip(self.frames, made, strict=True):
            np.save(output, make(frame).astype(np.float32))
        return made

    def parts(self, **fits: list[str]) -> tuple[Part, ...]:
        """The frames with the files of each network."""
        return tuple(
            Part(
                **self.files(number),
                box=frame.box,
                scale=frame.scale,
                inputs=tuple(files[number] for files in fits.values()),
                genomes=tuple(fits),
            )
            for number, frame in enumerate(self.frames)
        )

    def whole(self, kind: Kind, parts: tuple[Part, ...]) -> tuple[dict[str, Any], NDArray[np.uint8]]:
        height, width = self.pixels.shape[:2]
        output = str(self.folder / f"{kind}.npy")
        outcome = self.request(kind, parts=parts, size=(height, width), output=output)
        return outcome, np.load(output)


def photograph(height: int, width: int) -> NDArray[np.uint8]:
    """Astronaut: texture on one side, a smooth ground on the other."""
    left = min(140, 512 - 2 * width)
    return np.ascontiguousarray(data.astronaut()[: 2 * height : 2, left : left + 2 * width : 2])


def noisy(clean: NDArray[np.uint8], sigma: float = 15.0) -> NDArray[np.uint8]:
    noise = generator(5, "noise of a test").normal(0, sigma, clean.shape)
    return np.clip(clean + noise, 0, 255).astype(np.uint8)


def observed(frame: Frame) -> Floats:
    return frame.picture.astype(np.float32) / np.float32(255)


def steps(picture: NDArray[Any], axis: int, lines: set[int]) -> float:
    """Mean absolute difference of neighbouring pixels across lines: between line - 1 and line."""
    differences = np.abs(np.diff(picture.astype(np.float64), axis=axis))
    return float(np.mean([np.take(differences, line - 1, axis=axis).mean() for line in lines]))


def seam_ratio(picture: NDArray[Any], frames: tuple[Frame, ...]) -> float:
    """The difference across the borders of tiles, over that a few pixels beside them: 1 is no seam at all."""
    ratios = []
    for axis, place in ((0, 1), (1, 0)):
        length = picture.shape[axis]
        borders = {frame.box[place] for frame in frames} | {
            frame.box[place] + frame.box[place + 2] for frame in frames
        }
        borders -= {0, length}
        beside = {
            line + shift for line in borders for shift in (-4, -3, -2, 2, 3, 4) if 0 < line + shift < length
        }
        ratios.append(steps(picture, axis, borders) / steps(picture, axis, beside - borders))
    return float(np.mean(ratios))


@pytest.mark.slow
def test_no_seam_shows_where_tiles_of_different_fits_meet(tmp_path: Path) -> None:
    tiled = Tiled(tmp_path, DENOISE, noisy(photograph(112, 168)))
    assert len(tiled.frames) == 6
    fits = tiled.fit()
    outcome, blended = tiled.whole(Kind.COMBINE, tiled.parts(**{NETWORK: fits}))
    assert outcome["choice"] == NETWORK
    assert len(outcome["tiles"]) == 6
    cut = np.zeros(blended.shape, np.uint8)
    for frame, file in zip(tiled.frames, fits, strict=True):
        x, y, width, height = frame.box
        cut[y : y + height, x : x + width] = np.rint(np.load(file) * 255)
    assert seam_ratio(cut, tiled.frames) > 1.2, "without blending the tiles show"
    assert 0.9 < seam_ratio(blended, tiled.frames) < 1.1


def test_every_pixel_of_the_result_is_the_tiles_own(tmp_path: Path) -> None:
    tiled = Tiled(tmp_path, DENOISE, photograph(100, 150))
    outcome, made = tiled.whole(Kind.COMBINE, tiled.parts(a=tiled.put(observed, "a")))
    assert made.dtype == np.uint8
    assert (made == tiled.pixels).all()
    assert outcome["digest"] == pixel_digest(made)
    assert outcome["held_out_psnr"] == 120
    assert outcome["noise"]["assumed"] == "independent"
    assert {path.suffix for path in tmp_path.iterdir()} == {".png", ".npy"}, "no scratch folder stays"


def test_sixteen_bits_survive_the_tiles(tmp_path: Path) -> None:
    levels = np.arange(100 * 150 * 3, dtype=np.uint32) * 65_521 % 65_536
    tiled = Tiled(tmp_path, DENOISE, levels.astype(np.uint16).reshape(100, 150, 3))
    whole = tiled.put(lambda frame: frame.picture.astype(np.float64) / 65_535, "a")
    outcome, made = tiled.whole(Kind.COMBINE, tiled.parts(a=whole))
    assert made.dtype == np.uint16
    assert (made == tiled.pixels).all()
    assert outcome["digest"] == pixel_digest(made)


def test_in_each_tile_the_held_out_observations_choose(tmp_path: Path) -> None:
    """The left network is good on the left, the right one on the right."""
    tiled = Tiled(tmp_path, DENOISE, photograph(60, 120))
    left = tiled.put(lambda frame: observed(frame) if frame.box[0] == 0 else observed(frame) + 0.3, "left")
    right = tiled.put(lambda frame: observed(frame) if frame.box[0] > 0 else observed(frame) + 0.3, "right")
    outcome, made = tiled.whole(Kind.COMBINE, tiled.parts(left=left, right=right))
    assert (made == tiled.pixels).all()
    assert outcome["choice"] == BY_TILE
    chosen = {
        tile["choice"]
        for frame, tile in zip(tiled.frames, outcome["tiles"], strict=True)
        if frame.box[0] == 0
    }
    assert chosen == {"left"}
    both = (
        tiled.put(lambda frame: observed(frame) + 0.1, "high"),
        tiled.put(lambda frame: observed(frame) - 0.1, "low"),
    )
    outcome, made = tiled.whole(Kind.COMBINE, tiled.parts(high=both[0], low=both[1]))
    assert outcome["choice"] == "mean"
    assert np.abs(made.astype(int) - tiled.pixels).max() <= 1


@pytest.mark.parametrize("task", [DENOISE, ENLARGE, GRAIN, replace(ENLARGE, noise="correlated")])
def test_of_a_tile_that_is_fitted_again_the_first_fit_is_judged_and_the_second_shown(
    tmp_path: Path, task: Task
) -> None:
    pixels = photograph(70, 150)
    tiled = Tiled(tmp_path, task, pixels, refit=True)
    assert len(tiled.frames) > 1

    def enlarged(frame: Frame) -> Floats:
        return observed(frame).repeat(task.factor, axis=0).repeat(task.factor, axis=1)

    good = tiled.put(lambda frame: np.stack([enlarged(frame), 1 - enlarged(frame)]), "good")
    poor = tiled.put(lambda frame: np.stack([1 - enlarged(frame), enlarged(frame)]), "poor")
    outcome, made = tiled.whole(Kind.COMBINE, tiled.parts(poor=poor, good=good))
    assert {tile["choice"] for tile in outcome["tiles"]} == {"good"}
    assert (made == 255 - pixels.repeat(task.factor, axis=0).repeat(task.factor, axis=1)).all()
    assert outcome["digest"] == pixel_digest(made)


def test_enlarged_tiles_lie_where_they_belong(tmp_path: Path) -> None:
    small = photograph(70, 150)
    tiled = Tiled(tmp_path, ENLARGE, small)
    assert len(tiled.frames) == 6
    twice = tiled.put(lambda frame: observed(frame).repeat(2, axis=0).repeat(2, axis=1), "twice")
    _, made = tiled.whole(Kind.COMBINE, tiled.parts(a=twice))
    assert (made == small.repeat(2, axis=0).repeat(2, axis=1)).all()


def test_only_holes_change_and_a_wide_one_comes_from_its_reduced_window(tmp_path: Path) -> None:
    pixels = photograph(200, 240)
    mask = np.ones((200, 240), np.bool_)
    mask[20:24, 30:34] = False
    mask[60:160, 80:200] = False
    tiled = Tiled(tmp_path, INPAINT, pixels, mask, tile=128)
    assert [frame.scale == 1.0 for frame in tiled.frames] == [True, False]
    fits = tiled.put(lambda frame: np.full((*frame.size, 3), 0.2 if frame.scale == 1.0 else 0.8), "flat")
    outcome, restored = tiled.whole(Kind.COMBINE, tiled.parts(a=fits))
    made = paste_whole(pixels, mask, restored)
    assert (made[mask] == pixels[mask]).all()
    assert (made[20:24, 30:34] == 51).all()
    assert (made[60:160, 80:200] == 204).all()
    assert len(outcome["tiles"]) == 2


@pytest.mark.parametrize("task", [DENOISE, ENLARGE])
def test_the_reference_is_made_tile_by_tile_and_scored_on_the_same_observations(
    tmp_path: Path, task: Task
) -> None:
    clean = photograph(100, 140)
    observation = noisy(clean) if task is DENOISE else clean[::2, ::2]
    tiled = Tiled(tmp_path, task, np.ascontiguousarray(observation))
    outcome, made = tiled.whole(Kind.BASELINE, tiled.parts())
    assert made.shape == (observation.shape[0] * task.factor, observation.shape[1] * task.factor, 3)
    assert 15 < outcome["held_out_psnr"] < 45
    error = float(np.mean((made.astype(float) - clean) ** 2))
    plain = observation if task is DENOISE else observation.repeat(2, axis=0).repeat(2, axis=1)
    assert error < float(np.mean((plain.astype(float) - clean) ** 2))
    if task is DENOISE:
        assert outcome["method"] == "non-local means"
        assert seam_ratio(made, tiled.frames) < 1.2


def test_a_reference_that_the_largest_part_is_too_large_for_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit counts the pixels of one part to fill; no part is computed in vain, and none written."""
    mask = np.ones((100, 240), np.bool_)
    mask[10:14, 10:20] = mask[70:90, 200:230] = False
    tiled = Tiled(tmp_path, INPAINT, photograph(100, 240), mask, tile=128)
    assert len(tiled.frames) == 2
    asked = {"parts": tiled.parts(), "size": (100, 240), "output": str(tmp_path / "whole.npy")}
    monkeypatch.setitem(baselines._LIMITS, "harmonic", 700)
    found = tiled.request(Kind.BASELINE, method="harmonic", **asked)
    assert "up to 700" in found["left_out"]
    assert not (tmp_path / "whole.npy").exists()
    made = tiled.request(Kind.BASELINE, method="Telea", **asked)
    assert made["method"] == "Telea" and "left_out" not in made
    whole = paste_whole(tiled.pixels, mask, np.load(tmp_path / "whole.npy"))
    assert (whole[mask] == tiled.pixels[mask]).all() and (whole[~mask] != tiled.pixels[~mask]).any()


def test_pooled_decibels_are_those_of_the_pooled_error() -> None:
    assert pooled_psnr([20.0, 20.0], [5, 100]) == pytest.approx(20.0)
    assert pooled_psnr([20.0, 30.0], [1, 1]) == pytest.approx(-10 * np.log10((0.01 + 0.001) / 2))


def test_a_combination_needs_the_files_of_every_tile(tmp_path: Path) -> None:
    tiled = Tiled(tmp_path, DENOISE, photograph(100, 150))
    with pytest.raises(SettingsError, match="0 restorations"):
        tiled.whole(Kind.COMBINE, tiled.parts())
