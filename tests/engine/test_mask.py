"""A mask file becomes known and hole, or one sentence that names the file and both sizes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from nasdip_engine.errors import MaskError
from nasdip_engine.guard import Host
from nasdip_engine.picture import encode_mask, encode_png, read_mask, share_to_fill
from tests.engine.pictures import photo


@pytest.fixture(scope="module")
def decoder() -> Iterator[Host]:
    with Host("decoder") as host:
        yield host


def test_a_mask_is_known_from_grey_128(decoder: Host) -> None:
    grey = np.tile(np.arange(64, dtype=np.uint8) + 96, (48, 1))
    known = read_mask(encode_png(grey), "mask.png", (64, 48), False, decoder)
    assert np.array_equal(known, grey >= 128)
    assert np.array_equal(read_mask(encode_png(grey), "mask.png", (64, 48), True, decoder), grey < 128)
    assert share_to_fill(known) == pytest.approx(0.5)


def test_masks_come_back_as_written(decoder: Host) -> None:
    known = photo(channels=1)[..., 0] > 40
    assert np.array_equal(read_mask(encode_mask(known), "mask.png", (64, 48), False, decoder), known)


def test_a_mask_of_another_size_names_file_and_both_sizes(decoder: Host) -> None:
    with pytest.raises(MaskError, match=r"hole\.png is 10 x 12 px and the picture 64 x 48 px") as caught:
        read_mask(encode_png(np.zeros((12, 10), np.uint8)), "hole.png", (64, 48), False, decoder)
    assert caught.value.field == "mask"


@pytest.mark.parametrize("invert", [False, True])
def test_a_mask_needs_known_and_hole(invert: bool, decoder: Host) -> None:
    white, black = np.full((48, 64), 255, np.uint8), np.zeros((48, 64), np.uint8)
    with pytest.raises(MaskError, match=r"all\.png marks every pixel as known"):
        read_mask(encode_png(black if invert else white), "all.png", (64, 48), invert, decoder)
    with pytest.raises(MaskError, match=r"all\.png marks every pixel as hole"):
        read_mask(encode_png(white if invert else black), "all.png", (64, 48), invert, decoder)


def test_an_unreadable_mask_is_a_mask_error(decoder: Host) -> None:
    with pytest.raises(MaskError, match=r"mask hole\.png is empty"):
        read_mask(b"", "hole.png", (64, 48), False, decoder)
