"""The account of a final fit, whole or in parts, and the sentences about it."""

from __future__ import annotations

from typing import Any

import pytest

from nasdip_engine.finals import (
    final_key,
    final_record,
    frames_record,
    layout_words,
    search_words,
    tile_of_key,
)
from nasdip_engine.request import Part


def fit(iterations: int, decibels: float | None, reason: str | None = None) -> dict[str, Any]:
    return {
        "iterations": iterations,
        "best_iteration": iterations,
        "held_out_psnr": decibels,
        "reason": reason,
        "multiply_adds": 10 * iterations,
        "pixels": 100,
    }


COMBINED = {"choice": "a", "held_out_psnr": 20.0, "tiles": [{"choice": "a", "held_out_psnr": 20.0}] * 2}


def test_a_whole_picture_is_recorded_as_ever() -> None:
    record = final_record({"a": [fit(5, 20.0)]}, [(0, 0, 9, 9)], COMBINED, "d")
    learning = {"tile": None, "curve": [], "best_iteration": 5, "iterations": 5, "refit_iterations": 0}
    assert record == {
        "networks": [{"genome": "a", **fit(5, 20.0), "learning": learning}],
        "choice": "a",
        "held_out_psnr": 20.0,
        "noise": None,
        "digest": "d",
    }


def test_fits_of_tiles_are_summed_by_network_and_told_by_tile() -> None:
    fits = {"a": [fit(5, 20.0), fit(7, 20.0)], "b": [fit(2, None, "diverged: NaN"), None]}
    record = final_record(fits, [(0, 0, 9, 9), (6, 0, 9, 9)], COMBINED, "d")
    first, second = record["networks"]
    assert (first["iterations"], first["multiply_adds"], first["pixels"]) == (12, 120, 200)
    assert first["held_out_psnr"] == pytest.approx(20.0)
    assert (second["iterations"], second["held_out_psnr"], second["reason"]) == (2, None, "diverged: NaN")
    assert [tile["iterations"] for tile in record["tiles"]] == [7, 7]
    assert record["tiles"][1]["box"] == [6, 0, 9, 9]


def test_a_final_fit_is_called_by_its_network_and_its_tile() -> None:
    assert final_key("abc", 0, 1) == "finish:abc"
    assert [tile_of_key(final_key("abc", tile, 120)) for tile in (0, 7, 119)] == [0, 7, 119]
    assert tile_of_key("finish:abc") == 0


def test_frames_are_told_without_their_files() -> None:
    frame = {
        "width": 3,
        "height": 2,
        "box": [0, 0, 3, 2],
        "scale": 1.0,
        "digest": "d",
        "picture": "p",
        "mask": None,
    }
    told = frames_record([frame])
    assert told == {
        "final_frame": {name: frame[name] for name in ("width", "height", "box", "scale", "digest")}
    }
    assert frames_record([frame, frame])["final_frame"] is None
    assert len(frames_record([frame, frame])["tiles"]) == 2


def test_nothing_is_reduced_without_a_word() -> None:
    whole, window, reduced = ((0, 0, 400, 300), 1.0), ((0, 0, 512, 512), 1.0), ((0, 0, 1024, 900), 0.5)
    assert layout_words([whole], 1, holes=False) == []
    assert layout_words([window], 1, holes=True) == []
    (tiles,) = layout_words([((0, 0, 128, 120), 1.0)] * 25, 8, holes=False)
    assert "25 overlapping tiles of 1024 x 960 pixels, at full size" in tiles
    filled, said = layout_words([window, window, reduced], 1, holes=True)
    assert "2 windows" in filled
    assert "1024 x 900 pixels are fitted at 50 % of their size" in said
    assert search_words((128, 128), (300, 400)) == [
        "networks are compared on a part of 128 x 128 pixels; the result is made at full size"
    ]
    assert "of 128 x 300 pixels" in search_words((512, 128), (300, 400))[0]
    assert search_words((512, 512), (300, 400)) == search_words((128, 128), (96, 128)) == []


def test_a_part_travels_as_json() -> None:
    part = Part(picture="a.png", mask=None, box=(1, 2, 3, 4), scale=0.5, inputs=("x.npy",), genomes=("g",))
    assert Part.from_json(part.to_json()) == part
