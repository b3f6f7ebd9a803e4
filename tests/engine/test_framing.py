"""Which pixels a network sees, and that only the hole changes on the way back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nasdip_engine.errors import MaskError, PictureError
from nasdip_engine.evolution.settings import TILE, settings_for
from nasdip_engine.framing import Frame, final_frames, final_windows, paste, search_frame, searched_frame
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task, TaskKind
from tests.engine.pictures import final_frame

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


def test_a_large_picture_is_fitted_in_tiles_of_its_own_pixels() -> None:
    large = picture(600, 1100)
    frames = final_frames(large, None, DENOISE)
    assert len(frames) == 6
    assert {frame.size for frame in frames} == {(332, 410)}
    covered = np.zeros((600, 1100), np.bool_)
    for frame in frames:
        x, y, width, height = frame.box
        assert frame.scale == 1.0
        assert (frame.picture == large[y : y + height, x : x + width]).all()
        covered[y : y + height, x : x + width] = True
    assert covered.all()


@pytest.mark.parametrize(
    ("size", "factor", "tiles"),
    [((512, 512), 4, 1), ((512, 512), 8, 25), ((257, 200), 8, 6), ((300, 513), 2, 2)],
)
def test_a_result_over_2048_pixels_a_side_is_enlarged_in_tiles_of_at_most_1024(
    size: tuple[int, int], factor: int, tiles: int
) -> None:
    windows = final_windows(*size, None, Task(TaskKind.UPSCALE, factor))
    assert len(windows) == tiles
    if tiles > 1:
        assert all(max(window.size) * factor <= 1024 for window in windows)


def test_a_result_has_up_to_100_megapixels() -> None:
    assert final_windows(2500, 2500, None, ENLARGE)
    with pytest.raises(
        PictureError, match=r"2501 x 2500 pixels 4 times gives 10004 x 10000, 100.0 megapix.*smaller factor"
    ):
        final_windows(2500, 2501, None, ENLARGE)
    with pytest.raises(PictureError, match=r"this picture has 10001 x 10000, 100.0 megapixels"):
        final_windows(10_000, 10_001, None, DENOISE)


def test_a_hole_in_a_picture_of_600_pixels_is_fitted_in_a_window_of_512() -> None:
    large = picture(600, 600)
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
    assert max(frame.size) == TILE
    assert frame.scale == pytest.approx(512 / 1200)
    assert (width, height) == (1200, 1200)
    assert x <= 300 - 200
    assert x + width >= 1100 + 200
    assert y == 0
    assert frame.mask is not None
    assert 0 < (~frame.mask).mean() < 0.2


def test_what_lies_in_the_hole_never_shows_in_the_known_pixels_of_a_reduced_frame() -> None:
    mask = holed(900, 1100, (100, 400, 801, 203))
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
        final_frames(picture(100, 8000), holed(100, 8000, (200, 0, 3000, 100)), INPAINT)


@pytest.mark.parametrize(
    ("mask", "task", "complaint"),
    [
        (None, INPAINT, "needs a mask"),
        (holed(40, 40, (1, 1, 2, 2)), DENOISE, "only inpaint"),
        (holed(32, 30, (1, 1, 2, 2)), INPAINT, "30 x 32 pixels, the picture 40 x 40"),
        (holed(40, 40), INPAINT, "no hole"),
        (holed(40, 40, (0, 0, 40, 40)), INPAINT, "no known pixel"),
        (holed(40, 40, (0, 0, 40, 39), (0, 39, 39, 1)), INPAINT, "1 known pixel;"),
    ],
)
def test_masks_that_say_nothing_are_refused(
    mask: NDArray[np.bool_] | None, task: Task, complaint: str
) -> None:
    with pytest.raises(MaskError, match=complaint) as refused:
        final_frame(picture(40, 40), mask, task)
    assert refused.value.field == "mask"


# ------------------------------------------------------------------------------------- windows around holes


def covering(frames: tuple[Frame, ...], x: int, y: int) -> list[Frame]:
    return [
        frame
        for frame in frames
        if frame.box[0] <= x < frame.box[0] + frame.box[2] and frame.box[1] <= y < frame.box[1] + frame.box[3]
    ]


def test_holes_far_apart_have_windows_of_their_own_at_full_size() -> None:
    large = picture(1500, 2000)
    specks = [(20, 30, 9, 9), (60, 70, 9, 9), (1900, 30, 9, 9), (1000, 1400, 30, 40)]
    mask = holed(1500, 2000, *specks)
    frames = final_frames(large, mask, INPAINT)
    assert len(frames) == 3, "the two that lie together share one"
    assert all(frame.scale == 1.0 and frame.size == (512, 512) for frame in frames)
    assert all(covering(frames, x, y) for x, y, _, _ in specks)


def test_a_long_scratch_is_taken_in_windows_along_it() -> None:
    mask = np.ones((900, 3000), np.bool_)
    for x in range(100, 2900):
        mask[100 + x // 5 : 104 + x // 5, x] = False
    frames = final_frames(picture(900, 3000), mask, INPAINT)
    assert all(frame.scale == 1.0 and max(frame.size) <= 512 for frame in frames)
    assert all(covering(frames, int(x), int(y)) for y, x in np.argwhere(~mask)[::50])
    assert all(frame.mask is not None and not frame.mask.all() for frame in frames), "none without a hole"
    assert len(frames) <= 14


def test_only_the_hole_that_is_too_wide_is_reduced() -> None:
    mask = holed(1200, 2400, (300, 400, 800, 300), (2200, 100, 10, 10))
    speck, wide = final_frames(picture(1200, 2400), mask, INPAINT)
    assert (speck.scale, speck.size) == (1.0, (512, 512))
    assert (wide.scale, max(wide.size)) == (pytest.approx(512 / 1200), 512)


def test_pixels_that_are_missing_everywhere_are_filled_tile_by_tile() -> None:
    missing = generator(3, "missing").random((700, 1300)) < 0.5
    frames = final_frames(picture(700, 1300), ~missing, INPAINT)
    assert len(frames) == 6
    assert all(frame.scale == 1.0 for frame in frames)


def test_specks_all_over_a_picture_take_no_more_fits_than_its_tiles() -> None:
    mask = np.ones((1500, 2000), np.bool_)
    for y, x in generator(3, "specks").integers(0, 1490, (150, 2)):
        mask[y : y + 6, x : x + 6] = False
    windows = final_windows(1500, 2000, mask, INPAINT)
    assert len(windows) <= 1.25 * len(final_windows(1500, 2000, None, DENOISE))
    covered = np.zeros_like(mask)
    for window in windows:
        x, y, width, height = window.box
        covered[y : y + height, x : x + width] = True
    assert covered[~mask].all()


def test_a_search_looks_at_the_whole_of_a_tiled_picture_and_at_the_window_with_most_hole() -> None:
    large = picture(600, 1100)
    assert searched_frame(large, final_frames(large, None, DENOISE)).size == (600, 1100)
    mask = holed(600, 1100, (20, 30, 9, 9), (1000, 400, 30, 40))
    looked_at = searched_frame(large, final_frames(large, mask, INPAINT))
    assert looked_at.box == (588, 88, 512, 512)


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
    [((80, 90), (10, 10, 20, 20)), ((700, 900), (800, 600, 50, 60)), ((900, 1300), (200, 300, 700, 190))],
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
    mask = holed(1024, 1024, (200, 300, 700, 190))
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
