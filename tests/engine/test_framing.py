"""Which pixels a network sees, and that only the hole changes on the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nasdip_engine.errors import MaskError, PictureError
from nasdip_engine.framing import LARGEST_SIDE, Frame, final_frame, paste, search_frame
from nasdip_engine.search.settings import settings_for
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task, TaskKind

DENOISE, INPAINT, ENLARGE = Task(TaskKind.DENOISE), Task(TaskKind.INPAINT), Task(TaskKind.UPSCALE, 4)
PREVIEW = settings_for("preview", DENOISE)


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return generator(seed, "test picture", height, width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def holed(height: int, width: int, *holes: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """A mask with holes (x, y, width, height)."""
    mask = np.ones((height, width), np.bool_)
    for x, y, hole_width, hole_height in holes:
        mask[y : y + hole_height, x : x + hole_width] = False
    return mask


# ---------------------------------------------------------------------------------------------- final frame


@pytest.mark.parametrize(("height", "width"), [(32, 32), (47, 512), (512, 512)])
def test_up_to_512_pixels_a_side_the_frame_is_the_whole_picture(height: int, width: int) -> None:
    whole = picture(height, width)
    mask = holed(height, width, (5, 6, 7, 8))
    for frame in (final_frame(whole, None, DENOISE), final_frame(whole, mask, INPAINT)):
        assert (frame.picture == whole).all()
        assert (frame.box, frame.scale) == ((0, 0, width, height), 1.0)


def test_a_picture_of_600_pixels_has_its_hole_filled_but_its_noise_not_removed() -> None:
    large = picture(600, 600)
    with pytest.raises(PictureError, match=r"600 x 600.*over 512.*next release"):
        final_frame(large, None, DENOISE)
    with pytest.raises(PictureError, match=r"next release"):
        final_frame(large, None, Task(TaskKind.UPSCALE, 2))
    frame = final_frame(large, holed(600, 600, (500, 20, 30, 40)), INPAINT)
    assert frame.size == (512, 512)
    assert frame.box == (88, 0, 512, 512)  # centred on the hole as far as the picture's edge allows
    assert (frame.picture == large[0:512, 88:600]).all()
    assert frame.mask is not None
    assert np.argwhere(~frame.mask).min(axis=0).tolist() == [20, 412]


def test_a_hole_larger_than_the_frame_is_seen_reduced_and_with_context() -> None:
    large = picture(1200, 1600)
    mask = holed(1200, 1600, (300, 400, 800, 200))
    frame = final_frame(large, mask, INPAINT)
    x, y, width, height = frame.box
    assert max(frame.size) == LARGEST_SIDE
    assert frame.scale == pytest.approx(512 / 1200)
    assert (width, height) == (1200, 1200)
    assert x <= 300 - 200
    assert x + width >= 1100 + 200
    assert y == 0
    assert frame.mask is not None
    assert 0 < (~frame.mask).mean() < 0.2


def test_what_lies_in_the_hole_never_shows_in_the_known_pixels_of_a_reduced_frame() -> None:
    mask = holed(900, 1100, (100, 400, 801, 203), (33, 77, 5, 5))
    black, white = picture(900, 1100), picture(900, 1100)
    black[~mask], white[~mask] = 0, 255
    first, second = final_frame(black, mask, INPAINT), final_frame(white, mask, INPAINT)
    assert first.scale < 1
    assert first.mask is not None
    assert (first.picture != second.picture).any()  # the hole itself differs
    assert (first.picture == second.picture)[first.mask].all()
    assert first.digest == second.digest


@pytest.mark.parametrize(
    ("size", "task", "complaint"),
    [
        ((31, 64), DENOISE, "at least 32"),
        ((7, 64), ENLARGE, "result of 256 x 28"),
        ((300, 513), ENLARGE, "513 x 300"),
        ((257, 200), Task(TaskKind.UPSCALE, 8), "1600 x 2056"),
    ],
)
def test_sizes_that_are_not_restored_are_refused(size: tuple[int, int], task: Task, complaint: str) -> None:
    with pytest.raises(PictureError, match=complaint):
        final_frame(picture(*size), None, task)


def test_small_pictures_may_be_enlarged_if_the_result_is_large_enough() -> None:
    assert final_frame(picture(8, 64), None, ENLARGE).size == (8, 64)
    assert final_frame(picture(512, 512), None, ENLARGE).size == (512, 512)


def test_a_strip_that_would_get_too_thin_is_refused() -> None:
    with pytest.raises(PictureError, match="at least 32"):
        final_frame(picture(60, 3000), holed(60, 3000, (200, 20, 2600, 5)), INPAINT)


@pytest.mark.parametrize(
    ("mask", "task", "complaint"),
    [
        (None, INPAINT, "needs a mask"),
        (holed(40, 40, (1, 1, 2, 2)), DENOISE, "only inpaint"),
        (holed(32, 30, (1, 1, 2, 2)), INPAINT, "30 x 32 pixels, the picture 40 x 40"),
        (holed(40, 40), INPAINT, "no hole"),
        (holed(40, 40, (0, 0, 40, 40)), INPAINT, "no known pixel"),
    ],
)
def test_masks_that_say_nothing_are_refused(
    mask: NDArray[np.bool_] | None, task: Task, complaint: str
) -> None:
    with pytest.raises(MaskError, match=complaint) as refused:
        final_frame(picture(40, 40), mask, task)
    assert refused.value.field == "mask"


# --------------------------------------------------------------------------------------------- search frame


def test_noise_removal_is_searched_on_the_most_varied_window() -> None:
    calm = np.full((300, 400, 3), 120, np.uint8)
    calm[150:280, 240:370] = picture(130, 130)
    frame = search_frame(final_frame(calm, None, DENOISE), DENOISE, PREVIEW)
    assert frame.size == (128, 128)
    x, y, _, _ = frame.box
    assert abs(x - 241) <= 16
    assert abs(y - 151) <= 16
    assert (frame.picture == calm[y : y + 128, x : x + 128]).all()


def test_enlarging_is_searched_on_a_crop_in_output_pixels() -> None:
    frame = search_frame(final_frame(picture(100, 90), None, ENLARGE), ENLARGE, PREVIEW)
    assert frame.size == (32, 32)
    tiny = settings_for("preview", Task(TaskKind.UPSCALE, 5), {"crop": 32})
    frame = search_frame(final_frame(picture(64, 64), None, ENLARGE), Task(TaskKind.UPSCALE, 5), tiny)
    assert frame.size == (7, 7)  # 32 // 5 = 6 would give an output of 30 pixels, under the least


def test_a_hole_that_fits_lies_in_the_middle_of_the_crop() -> None:
    mask = holed(400, 400, (250, 100, 40, 20))
    frame = search_frame(final_frame(picture(400, 400), mask, INPAINT), INPAINT, PREVIEW)
    assert frame.box == (206, 46, 128, 128)
    assert frame.mask is not None
    assert (~frame.mask).sum() == 40 * 20


def test_a_hole_that_fills_the_crop_is_searched_where_it_meets_its_context() -> None:
    mask = holed(400, 400, (100, 100, 200, 200))
    frame = search_frame(final_frame(picture(400, 400), mask, INPAINT), INPAINT, PREVIEW)
    assert frame.mask is not None
    assert 0.2 < (~frame.mask).mean() <= 0.5


def test_a_frame_smaller_than_the_crop_is_searched_whole() -> None:
    frame = final_frame(picture(60, 200), holed(60, 200, (150, 10, 20, 20)), INPAINT)
    searched = search_frame(frame, INPAINT, PREVIEW)
    assert searched.size == (60, 128)
    assert searched.box[1] == 0
    assert search_frame(final_frame(picture(50, 60), None, DENOISE), DENOISE, PREVIEW).size == (50, 60)


def test_the_box_of_a_crop_of_a_reduced_frame_is_in_upload_pixels() -> None:
    frame = final_frame(picture(1024, 1024), holed(1024, 1024, (100, 200, 800, 300)), INPAINT)
    searched = search_frame(frame, INPAINT, PREVIEW)
    assert (frame.scale, searched.scale) == (0.5, 0.5)
    assert searched.box[2:] == (256, 256)
    assert 0 <= searched.box[0] <= 1024 - 256


@settings(max_examples=60)
@given(
    st.integers(32, 200),
    st.integers(32, 200),
    st.lists(st.tuples(*[st.integers(0, 199)] * 2, *[st.integers(1, 120)] * 2), min_size=1, max_size=4),
    st.sampled_from([32, 57, 128]),
)
def test_every_search_frame_holds_known_and_missing_pixels(
    height: int, width: int, holes: list[tuple[int, int, int, int]], crop: int
) -> None:
    mask = holed(height, width, *holes)
    if mask.all() or not mask.any():
        return
    whole = picture(height, width)
    asked = settings_for("preview", INPAINT, {"crop": crop})
    frame = final_frame(whole, mask, INPAINT)
    searched = search_frame(frame, INPAINT, asked)
    x, y, w, h = searched.box
    assert searched.size == (h, w) == (min(crop, height), min(crop, width))
    assert (searched.picture == whole[y : y + h, x : x + w]).all()
    assert searched.mask is not None
    assert not searched.mask.all()
    assert searched.mask.any()
    assert searched.digest == search_frame(final_frame(whole.copy(), mask, INPAINT), INPAINT, asked).digest


# ---------------------------------------------------------------------------------------------------- paste


@pytest.mark.parametrize(
    ("size", "hole"),
    [((80, 90), (10, 10, 20, 20)), ((700, 900), (800, 600, 50, 60)), ((900, 1300), (200, 300, 700, 90))],
)
def test_only_hole_pixels_change(size: tuple[int, int], hole: tuple[int, int, int, int]) -> None:
    upload, mask = picture(*size), holed(*size, hole)
    before = upload.copy()
    frame = final_frame(upload, mask, INPAINT)
    restored = np.full(frame.picture.shape, 77, np.uint8)
    result = paste(upload, mask, frame, restored)
    assert (upload == before).all()
    assert (result[mask] == upload[mask]).all()
    assert (result[~mask] == 77).all()


def test_a_reduced_frame_is_put_back_where_it_was_taken_from() -> None:
    rows, columns = np.mgrid[0:1024, 0:1024]
    upload = np.stack([rows // 4, columns // 4, np.zeros_like(rows)], axis=2).astype(np.uint8)
    mask = holed(1024, 1024, (200, 300, 700, 90))
    frame = final_frame(upload, mask, INPAINT)
    result = paste(upload, mask, frame, frame.picture)
    assert frame.scale < 1
    assert np.abs(result.astype(int) - upload).max() <= 2


def test_without_a_mask_the_restored_frame_is_the_result() -> None:
    small = picture(40, 50)
    restored = picture(160, 200)
    assert paste(small, None, final_frame(small, None, ENLARGE), restored) is restored


def test_a_restored_frame_of_another_size_is_refused() -> None:
    mask = holed(40, 40, (1, 1, 2, 2))
    with pytest.raises(ValueError, match="restored is"):
        paste(picture(40, 40), mask, final_frame(picture(40, 40), mask, INPAINT), picture(20, 20))


# --------------------------------------------------------------------------------------------------- digest


def test_a_digest_tells_frames_apart_by_what_a_network_sees() -> None:
    whole = picture(40, 40)
    mask = holed(40, 40, (1, 1, 2, 2))
    base = Frame(whole, mask, (0, 0, 40, 40))
    in_the_hole, outside, other_mask = whole.copy(), whole.copy(), mask.copy()
    in_the_hole[1, 1] ^= 255
    outside[20, 20] ^= 1
    other_mask[30, 30] = False
    assert Frame(in_the_hole, mask, (0, 0, 40, 40)).digest == base.digest
    others = [
        Frame(outside, mask, base.box),
        Frame(whole, other_mask, base.box),
        Frame(whole, None, base.box),
        Frame(whole.reshape(20, 80, 3), None, base.box),
    ]
    assert len({base.digest, *(frame.digest for frame in others)}) == 5
