"""One law test over all degradations, and what each promises for itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch.nn import functional

from nasdip_engine.bit_depth import quantised
from nasdip_engine.errors import MaskError, SettingsError
from nasdip_engine.restoration.degradation import (
    Degradation,
    degradation_for,
    held_out_error,
    held_out_set,
)
from nasdip_engine.restoration.hold_out import CAP, moved_copies, scattered
from nasdip_engine.restoration.resample import bilinear, bilinear_matrix, downsampling_matrix, separable
from nasdip_engine.seeding import generator
from nasdip_engine.task import KERNELS, Task, TaskKind

HEIGHT, WIDTH = 40, 33


def noise_picture(height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    return generator(7, "test picture").integers(0, 256, (height, width, 3), dtype=np.uint8)


def square_hole(height: int = HEIGHT, width: int = WIDTH, side: int = 9) -> NDArray[np.bool_]:
    known = np.ones((height, width), dtype=np.bool_)
    known[10 : 10 + side, 12 : 12 + side] = False
    return known


def crossing_strokes(height: int, width: int) -> NDArray[np.bool_]:
    """Two thin strokes from edge to edge: a hole that has no room to move inside the picture."""
    known = np.ones((height, width), dtype=np.bool_)
    known[height // 2 : height // 2 + 3, :] = False
    known[:, width // 3 : width // 3 + 3] = False
    return known


def drawn_output(degradation: Degradation) -> torch.Tensor:
    height, width = degradation.output_size
    return torch.from_numpy(generator(2, "output").random((1, 3, height, width), dtype=np.float32))


@dataclass(frozen=True)
class Case:
    task: Task
    mask: NDArray[np.bool_] | None = None

    def degradation(self) -> Degradation:
        return degradation_for(self.task, noise_picture(), self.mask)


CASES = {
    "noise": Case(Task(TaskKind.DENOISE)),
    "square hole": Case(Task(TaskKind.INPAINT), square_hole()),
    "strokes": Case(Task(TaskKind.INPAINT), crossing_strokes(HEIGHT, WIDTH)),
    "scattered hole": Case(Task(TaskKind.INPAINT), generator(1, "holes").random((HEIGHT, WIDTH)) < 0.5),
    **{f"{kernel} by 3": Case(Task(TaskKind.UPSCALE, 3, kernel)) for kernel in KERNELS},
    "bicubic by 8": Case(Task(TaskKind.UPSCALE, 8)),
    "correlated noise": Case(Task(TaskKind.DENOISE, noise="correlated")),
    "impulses": Case(Task(TaskKind.DENOISE, noise="impulse")),
    "hole and noise": Case(Task(TaskKind.INPAINT, noise="independent"), square_hole()),
    "hole and correlated noise": Case(Task(TaskKind.INPAINT, noise="correlated"), square_hole()),
    "strokes and impulses": Case(Task(TaskKind.INPAINT, noise="impulse"), crossing_strokes(HEIGHT, WIDTH)),
    "small and correlated": Case(Task(TaskKind.UPSCALE, 2, noise="correlated")),
}


@pytest.mark.parametrize("name", CASES)
def test_law_of_degradations(name: str) -> None:
    case = CASES[name]
    degradation = case.degradation()
    held_out = held_out_set(degradation, case.task, 0.05, evaluation_seed=3)
    fitted = degradation.known & ~held_out

    # Held-out and fitted observations are disjoint, neither is empty, and together they are all there are.
    assert held_out.any() and fitted.any()
    assert not (held_out & ~degradation.known).any()
    assert torch.equal(held_out | fitted, degradation.known)

    # An output is observed at the size of the observation, and only there has the loss a gradient.
    height, width = degradation.output_size
    output = drawn_output(degradation).requires_grad_()
    assert degradation.observe(output).shape == degradation.observation.shape
    for kind in ("squared", "absolute"):
        (gradient,) = torch.autograd.grad(degradation.loss(output, fitted, kind), output)
        reached = torch.autograd.grad(
            (degradation.observe(output) * fitted).sum(), output, create_graph=False
        )[0]
        assert gradient.abs().sum() > 0
        assert (gradient[reached == 0] == 0).all()

    # What the observation fixes exactly is the same, to the last bit, after compose.
    restored = generator(5, "restored").random((height, width, 3), dtype=np.float32)
    composed = degradation.compose(restored)
    assert composed.dtype == np.uint8 and composed.shape == (height, width, 3)
    assert np.array_equal(composed[~degradation.exact], quantised(restored, 8)[~degradation.exact])
    if degradation.exact.any():
        assert np.array_equal(composed[degradation.exact], noise_picture()[degradation.exact])


@pytest.mark.parametrize("name", CASES)
def test_loss_is_the_mean_over_what_was_asked_about(name: str) -> None:
    degradation = CASES[name].degradation()
    output = drawn_output(degradation)
    among = degradation.known.clone()
    among[::2] = False
    difference = (degradation.observe(output) - degradation.observation)[..., among].double()
    assert float(degradation.loss(output, among, "squared")) == pytest.approx(
        float(difference.square().mean()), rel=1e-5
    )
    assert float(degradation.loss(output, among, "absolute")) == pytest.approx(
        float(difference.abs().mean()), rel=1e-5
    )
    impulses = CASES[name].task.noise == "impulse"
    expected = difference.abs().mean() ** 2 if impulses else difference.square().mean()
    assert degradation.error(output, among) == pytest.approx(float(expected), rel=1e-12)


def test_unknown_loss_is_refused() -> None:
    degradation = CASES["noise"].degradation()
    with pytest.raises(SettingsError, match="squared, absolute"):
        degradation.loss(torch.zeros(1, 3, HEIGHT, WIDTH), degradation.known, "huber")


def test_exact_pixels_are_the_known_ones_of_a_hole_and_none_otherwise() -> None:
    assert np.array_equal(CASES["square hole"].degradation().exact, square_hole())
    assert not CASES["noise"].degradation().exact.any()
    assert not CASES["hole and noise"].degradation().exact.any()
    assert not CASES["bicubic by 8"].degradation().exact.any()


def test_held_out_error_of_the_observation_itself_is_zero() -> None:
    degradation = CASES["noise"].degradation()
    held_out = held_out_set(degradation, Task(TaskKind.DENOISE), 0.05, 1)
    assert held_out_error(degradation, noise_picture().astype(np.float32) / np.float32(255), held_out) == 0


def test_held_out_set_depends_on_seed_task_mask_and_size_alone() -> None:
    task = Task(TaskKind.INPAINT)

    def held(pixels: NDArray[np.uint8], mask: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = held_out_set(degradation_for(task, pixels, mask), task, 0.05, seed).numpy()
        return found

    first = held(noise_picture(), square_hole(), 3)
    assert np.array_equal(first, held(255 - noise_picture(), square_hole(), 3))
    assert not np.array_equal(first, held(noise_picture(), square_hole(), 4))
    assert not np.array_equal(first, held(noise_picture(), square_hole(side=8), 3))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (None, "needs a mask"),
        (np.ones((5, 6), dtype=np.bool_), "6x5, the picture 33x40"),
        (np.ones((HEIGHT, WIDTH), dtype=np.bool_), "no hole"),
        (np.zeros((HEIGHT, WIDTH), dtype=np.bool_), "0 known pixels"),
    ],
)
def test_masks_that_fit_nothing_are_refused(mask: NDArray[np.bool_] | None, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        degradation_for(Task(TaskKind.INPAINT), noise_picture(), mask)


def test_a_mask_belongs_to_a_hole() -> None:
    with pytest.raises(MaskError, match="denoise"):
        degradation_for(Task(TaskKind.DENOISE), noise_picture(), square_hole())


# ------------------------------------------------------------------------------------------- held-out observations


def test_share_of_scattered_pixels_is_doubled_where_they_are_few() -> None:
    many = np.ones((200, 200), dtype=np.bool_)
    few = np.ones((100, 100), dtype=np.bool_)
    assert np.count_nonzero(scattered(many, 0.05, generator(1))) == 2000
    assert np.count_nonzero(scattered(few, 0.05, generator(1))) == 1000


def test_one_known_pixel_cannot_be_held_out() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        scattered(np.eye(1, dtype=np.bool_), 0.05, generator(1))


def test_moved_copies_have_the_shape_of_the_hole_and_keep_its_rim() -> None:
    known = square_hole(120, 120, side=15)
    held = moved_copies(known, 0.05, generator(2))
    pieces, count = ndimage.label(held)
    assert count >= 2
    assert np.count_nonzero(held) <= CAP * np.count_nonzero(known)
    assert np.count_nonzero(held) >= 0.05 * np.count_nonzero(known)
    # At least one copy lies whole: it is the hole's own square.
    boxes = ndimage.find_objects(pieces)
    assert any(held[box].all() and held[box].shape == (15, 15) for box in boxes)
    rim = ndimage.binary_dilation(~known, structure=np.ones((3, 3)), iterations=2)
    assert not (held & rim).any()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("side", [3, 20, 60, 95])
def test_never_more_than_the_cap_is_held_out(side: int, seed: int) -> None:
    known = square_hole(120, 120, side)
    held = moved_copies(known, 0.05, generator(seed))
    assert 0 < np.count_nonzero(held) <= CAP * np.count_nonzero(known)
    assert not (held & ~known).any()


def test_strokes_across_the_picture_are_moved_round_its_edge() -> None:
    known = crossing_strokes(120, 90)
    held = moved_copies(known, 0.05, generator(4))
    # Strokes, not specks: each piece is as thin as a stroke and much longer.
    pieces, count = ndimage.label(held)
    sizes = ndimage.sum_labels(held, pieces, range(1, count + 1))
    assert sizes.max() > 30
    assert np.count_nonzero(held) >= 0.05 * np.count_nonzero(known)


def test_where_no_copy_fits_single_pixels_are_scattered() -> None:
    known = np.zeros((60, 60), dtype=np.bool_)
    known[::2, ::2] = True  # no known pixel is further than the rim from the hole
    assert np.array_equal(moved_copies(known, 0.05, generator(6)), _scattered_after_tries(known))


def _scattered_after_tries(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    held = moved_copies(known, 0.05, generator(6))
    assert np.count_nonzero(held) == round(0.1 * np.count_nonzero(known))
    assert not (held & ~known).any()
    return held


# ----------------------------------------------------------------------------------------------- changing size


@pytest.mark.parametrize("factor", range(2, 9))
@pytest.mark.parametrize("kernel", ["bicubic", "bilinear"])
def test_downsampling_is_torchs_antialiased_one(kernel: str, factor: int) -> None:
    picture = torch.from_numpy(generator(1, "float").random((1, 3, 9 * factor, 7 * factor), dtype=np.float32))
    expected = functional.interpolate(picture, size=(9, 7), mode=kernel, antialias=True, align_corners=False)
    ours = separable(
        picture, downsampling_matrix(9 * factor, 9, kernel), downsampling_matrix(7 * factor, 7, kernel)
    )
    assert torch.allclose(ours, expected, atol=2e-6)


PILLOWS: dict[str, Image.Resampling] = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_downsampling_is_pillows(kernel: str, factor: int) -> None:
    plane = generator(1, "float").random((11 * factor, 8 * factor), dtype=np.float32)
    expected = np.asarray(Image.fromarray(plane).resize((8, 11), PILLOWS[kernel]))
    rows, columns = downsampling_matrix(11 * factor, 11, kernel), downsampling_matrix(8 * factor, 8, kernel)
    assert np.allclose(separable(torch.from_numpy(plane), rows, columns).numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_flat_picture_stays_flat(kernel: str) -> None:
    assert torch.allclose(downsampling_matrix(64, 16, kernel).sum(1), torch.ones(16))


@pytest.mark.parametrize(("size", "target"), [(5, 10), (5, 9), (17, 33), (4, 4), (33, 12), (1, 7), (64, 3)])
def test_bilinear_matrix_is_torchs_interpolation(size: int, target: int) -> None:
    picture = torch.from_numpy(generator(1, "map").random((1, 2, size, size + 3), dtype=np.float32))
    ours = separable(picture, bilinear_matrix(size, target), bilinear_matrix(size + 3, target + 1))
    assert torch.allclose(ours, bilinear(picture, target, target + 1), atol=2e-6)


def test_bilinear_leaves_a_map_of_the_right_size_alone() -> None:
    picture = torch.zeros(1, 2, 5, 6)
    assert bilinear(picture, 5, 6) is picture
