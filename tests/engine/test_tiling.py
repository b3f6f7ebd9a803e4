"""Tiles cover a picture, are of one size, and blend back to it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasdip_engine.errors import SettingsError
from nasdip_engine.evolution.settings import settings_for
from nasdip_engine.task import Task, TaskKind
from nasdip_engine.tiling import Patch, bands, blend_rows, overlap_of, spans, tile_boxes
from tests.engine.pictures import photo


@given(st.integers(1, 20_000), st.integers(2, 600), st.data())
def test_an_axis_is_covered_by_the_fewest_equal_parts_that_overlap_enough(
    length: int, most: int, data: st.DataObject
) -> None:
    overlap = data.draw(st.integers(0, most - 1).filter(lambda value: length / (most - value) < 2000))
    parts = spans(length, most, overlap)
    sizes = {size for _, size in parts}
    assert len(sizes) == 1
    assert parts[0][0] == 0
    assert sum(parts[-1]) == length
    assert sizes.pop() <= most
    assert all(first + size - second >= overlap for (first, size), (second, _) in pairwise(parts))
    fewer = len(parts) - 1
    assert fewer == 0 or fewer * most - (fewer - 1) * overlap < length


def test_tiles_of_24_megapixels_are_what_the_decision_says() -> None:
    boxes = tile_boxes(4000, 6000, 1, 512)
    assert len(boxes) == 9 * 14
    assert {(width, height) for _, _, width, height in boxes} == {(488, 502)}


@settings(max_examples=30)
@given(st.integers(40, 200), st.integers(40, 200), st.sampled_from([1, 2, 3]), st.sampled_from([64, 80]))
def test_tiles_of_a_result_blend_back_to_it(height: int, width: int, factor: int, tile: int) -> None:
    """Whatever the sizes: if every tile holds what belongs there, no seam and no gap is made."""
    size = (height * factor, width * factor)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    result = np.stack([rows / size[0], columns / size[1], (rows + columns) % 7 / 7], axis=-1).astype(
        np.float32
    )
    patches = []
    for x, y, w, h in tile_boxes(height, width, factor, tile):
        box = (x * factor, y * factor, w * factor, h * factor)
        patches.append(Patch(box, result[box[1] : box[1] + box[3], box[0] : box[0] + box[2]]))
    overlap = -(-overlap_of(tile) // factor) * factor
    made = [blend_rows(patches, size, overlap, first, end) for first, end in bands(*size)]
    assert np.abs(np.concatenate(made) - result).max() < 1e-6


def test_two_tiles_of_different_tone_pass_gradually_into_each_other() -> None:
    dark, light = np.zeros((40, 100, 3)), np.ones((40, 100, 3))
    row = blend_rows([Patch((0, 0, 100, 40), dark), Patch((36, 0, 100, 40), light)], (40, 136), 64, 0, 40)[
        20, :, 0
    ]
    assert (row[:36] == 0).all()
    assert (row[100:] == 1).all()
    assert (np.diff(row) >= 0).all()
    assert np.diff(row).max() < 1.6 / 64, "a step of the whole difference would be 1"


def test_a_band_reads_tiles_from_files_and_is_the_same_band(tmp_path: Path) -> None:
    picture = photo(70, 90).astype(np.float32)
    boxes = tile_boxes(90, 70, 1, 64)
    patches, files = [], []
    for number, (x, y, w, h) in enumerate(boxes):
        patches.append(Patch((x, y, w, h), picture[y : y + h, x : x + w] + number))
        np.save(tmp_path / f"{number}.npy", patches[-1].array)
        files.append(Patch((x, y, w, h), str(tmp_path / f"{number}.npy")))
    whole = blend_rows(patches, (90, 70), 8, 0, 90)
    assert (
        np.concatenate([blend_rows(files, (90, 70), 8, at, at + 30) for at in (0, 30, 60)]) == whole
    ).all()


def test_a_setting_says_how_large_a_tile_is_and_by_how_many_networks_it_is_fitted() -> None:
    asked = settings_for("preview", Task(TaskKind.DENOISE), {"tile": 64, "tile_finalists": 2})
    assert (asked.finals(1), asked.finals(9)) == (asked.finalists, 2)
    assert settings_for("preview", Task(TaskKind.DENOISE)).finals(9) == 1
    with pytest.raises(SettingsError, match="tile is 63; allowed is 64 to 1024"):
        settings_for("preview", Task(TaskKind.DENOISE), {"tile": 63})
