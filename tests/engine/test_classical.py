"""Classical deep image prior: its published shape, held against torch's own layers and the published counts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nasdip_engine.errors import PictureError, SettingsError
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.restoration.classical import (
    PUBLISHED,
    ClassicalNetwork,
    Recipe,
    Shape,
    build,
    network_input,
    price,
)
from nasdip_engine.restoration.degradation import degradation_for, held_out_set
from nasdip_engine.restoration.fit import Fit, FitSettings, fit
from nasdip_engine.restoration.layers import BatchNorm
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task, TaskKind
from tests.engine.pictures import photo

SMALL = Shape((4, 6), (5, 7), (2, 3))


def made(shape: Shape, height: int, width: int, channels: int = 3, seed: int = 1) -> ClassicalNetwork:
    return build(shape, height, width, channels, generator(seed, "weights"))


def given_input(height: int, width: int, channels: int = 3) -> Tensor:
    recipe = Recipe(SMALL, 0.01, 1, 0.0, input_channels=channels)
    return network_input(recipe, height, width, generator(1, "input"))


def convolutions_and_norms(network: nn.Module) -> tuple[int, int]:
    """Convolutions are what has a bias and weights of four dimensions, the head's among them."""
    kernels = sum(parameter.dim() == 4 for parameter in network.parameters())
    return kernels, sum(isinstance(module, BatchNorm) for module in network.modules())


class _Plain(nn.Module):
    """One scale as the publication describes it, out of torch's own layers, for even sizes and strides alone."""

    def __init__(self, shape: Shape, channels: int) -> None:
        super().__init__()
        down, up, skip = shape.down[0], shape.up[0], shape.skip[0]
        rest = (
            None
            if shape.scales == 1
            else Shape(
                shape.down[1:], shape.up[1:], shape.skip[1:], shape.down_kernel, shape.up_kernel,
                shape.upsampling, shape.downsampling, shape.second,
            )
        )  # fmt: skip
        self.deeper = nn.Sequential(
            *self.block(channels, down, shape.down_kernel, 2), *self.block(down, down, shape.down_kernel)
        )
        self.across = nn.Sequential(*self.block(channels, skip, 1)) if skip else None
        self.inner = _Plain(rest, down) if rest else nn.Identity()
        self.doubled = nn.Upsample(scale_factor=2, mode=shape.upsampling)
        joined = skip + (rest.up[0] if rest else down)
        last = self.block(up, up, 1) if shape.second else []
        self.outward = nn.Sequential(nn.BatchNorm2d(joined), *self.block(joined, up, shape.up_kernel), *last)

    @staticmethod
    def block(channels: int, filters: int, kernel: int, stride: int = 1) -> list[nn.Module]:
        rim = kernel // 2
        convolution = nn.Conv2d(channels, filters, kernel, stride, rim, padding_mode="reflect")
        return [convolution, nn.BatchNorm2d(filters), nn.LeakyReLU(0.2)]

    def forward(self, received: Tensor) -> Tensor:
        inner = self.doubled(self.inner(self.deeper(received)))
        joined = inner if self.across is None else torch.cat([self.across(received), inner], dim=1)
        features: Tensor = self.outward(joined)
        return features


def plain(shape: Shape, channels: int) -> nn.Sequential:
    return nn.Sequential(_Plain(shape, channels), nn.Conv2d(shape.up[0], 3, 1), nn.Sigmoid())


def test_the_network_for_f16_has_the_published_parameters_and_layers() -> None:
    """2,217,831 as the sum over the authors' layers: 5 scales of 128 filters, skip paths of 4, 32 input channels."""
    wide, across, joined = 128, 4, 128 + 4
    square = wide * wide * 9 + wide  # a 3 x 3 convolution from 128 to 128, with bias
    first = 32 * wide * 9 + wide
    down = (first + 4 * square) + 5 * square + 10 * 2 * wide
    paths = (32 * across + across) + 4 * (wide * across + across) + 5 * 2 * across
    up = 5 * (2 * joined + joined * wide * 9 + wide + 2 * wide + wide * wide + wide + 2 * wide)
    assert down + paths + up + wide * 3 + 3 == 2_217_831
    recipe = PUBLISHED["F16, sigma 25"]
    network = made(recipe.shape, 64, 64, recipe.input_channels)
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_217_831
    assert convolutions_and_norms(network) == (5 * (2 + 1 + 1 + 1) + 1, 5 * (2 + 1 + 1 + 1 + 1))


LAYERS = {
    "F16, sigma 25": (26, 30),
    "F16, sigma 50": (26, 30),
    "snail, JPEG": (5 * 4 + 2 + 1, 5 * 5 + 2),
    "vase, region": (5 * 4 + 1, 5 * 5),
    "kate, text": (26, 30),
    "library, region": (6 * 3 + 1, 6 * 4),
    "barbara, 50 % missing": (26, 30),
    "kate, 98 % missing": (5 * 4 + 1, 5 * 5),
    "zebra, 4x": (26, 30),
    "zebra, 8x": (26, 30),
}


@pytest.mark.parametrize("picture", PUBLISHED)
def test_every_published_network_has_its_layers_and_is_priced_as_it_is_built(picture: str) -> None:
    recipe = PUBLISHED[picture]
    network = made(recipe.shape, 192, 192, recipe.input_channels)
    assert convolutions_and_norms(network) == LAYERS[picture]
    counted = sum(parameter.numel() for parameter in network.parameters())
    reference = plain(recipe.shape, recipe.input_channels)
    assert counted == price(recipe.shape, 192, 192, recipe.input_channels).parameters
    assert counted == sum(parameter.numel() for parameter in reference.parameters())


@pytest.mark.parametrize(
    "shape",
    [
        SMALL,
        Shape((4, 6), (5, 7), (0, 3), down_kernel=5, upsampling="nearest"),
        Shape((4, 6, 5), (5, 7, 4), (0, 0, 0), down_kernel=5, upsampling="nearest", second=False),
    ],
)
def test_outputs_and_gradients_are_those_of_torchs_own_layers(shape: Shape) -> None:
    """The same weights in a network that the test puts together from torch.nn: wired alike, they give alike."""
    network, reference = made(shape, 32, 48), plain(shape, 3)
    ours, theirs = list(network.named_parameters()), list(reference.named_parameters())
    ranked = ours[2:] + ours[:2]  # the head's own come first in ours, last in the reference
    assert [tuple(one.shape) for _, one in ranked] == [tuple(one.shape) for _, one in theirs]
    with torch.no_grad():
        for (_, mine), (_, other) in zip(ranked, theirs, strict=True):
            other.copy_(mine)
    z = given_input(32, 48)
    outputs = [net(z) for net in (network, reference)]
    assert torch.allclose(*outputs, atol=1e-5)
    for output in outputs:
        output.square().mean().backward()
    for (name, mine), (_, other) in zip(ranked, theirs, strict=True):
        assert mine.grad is not None and other.grad is not None
        assert torch.allclose(mine.grad, other.grad, atol=1e-5), name


@settings(max_examples=25)
@given(
    height=st.integers(32, 51), width=st.integers(32, 51),
    upsampling=st.sampled_from(["bilinear", "nearest"]), downsampling=st.sampled_from(["stride", "average"]),
    skip=st.sampled_from([0, 2]),
)  # fmt: skip
def test_every_size_comes_out_as_it_went_in_and_has_gradients(
    height: int, width: int, upsampling: str, downsampling: str, skip: int
) -> None:
    shape = Shape((4,) * 4, (5,) * 4, (skip,) * 4, upsampling=upsampling, downsampling=downsampling)
    network = made(shape, height, width)
    output = network(given_input(height, width))
    assert output.shape == (1, 3, height, width)
    assert output.min() >= 0 and output.max() <= 1
    output.square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize(
    ("shape", "side"), [(Shape((4,) * 5, (4,) * 5, (0,) * 5), 32), (PUBLISHED["library, region"].shape, 96)]
)
def test_a_picture_that_is_too_small_is_refused_with_its_size(shape: Shape, side: int) -> None:
    with pytest.raises(PictureError, match=f"{side} x {side}"):
        made(shape, side, side)
    made(shape, 2 * side, 2 * side)


def test_a_shape_of_uneven_scales_or_an_unknown_word_is_refused() -> None:
    with pytest.raises(SettingsError, match="2, 1 and 2"):
        Shape((4, 4), (4,), (0, 0))
    with pytest.raises(SettingsError, match="bicubic"):
        Shape((4,), (4,), (0,), upsampling="bicubic")
    with pytest.raises(SettingsError, match="max"):
        Shape((4,), (4,), (0,), downsampling="max")


def test_multiply_adds_of_one_scale_can_be_counted_by_hand() -> None:
    shape = Shape((4,), (8,), (2,))
    inner = 9 * 3 * 4 + 9 * 4 * 4
    outer = 3 * 2 + 9 * (2 + 4) * 8 + 8 * 8 + 8 * 3
    assert price(shape, 32, 48).multiply_adds != price(shape, 32, 48, 3).multiply_adds
    assert price(shape, 32, 48, 3).multiply_adds == 32 * 48 // 4 * inner + 32 * 48 * outer
    averaged = Shape((4,), (8,), (2,), downsampling="average")
    more = 9 * 3 * 4 * (32 * 48 - 32 * 48 // 4)
    assert price(averaged, 32, 48, 3).multiply_adds == price(shape, 32, 48, 3).multiply_adds + more


def test_the_width_changes_every_stage_and_no_path() -> None:
    narrow = PUBLISHED["F16, sigma 25"].shape.at_width(20)
    assert (narrow.down, narrow.up, narrow.skip) == ((20,) * 5, (20,) * 5, (4,) * 5)


def test_first_weights_are_a_function_of_the_generator_alone() -> None:
    first, again, other = made(SMALL, 32, 32), made(SMALL, 48, 40), made(SMALL, 32, 32, seed=2)
    trios = list(zip(first.parameters(), again.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in trios)
    assert any(not torch.equal(a, c) for a, _, c in trios)


def test_first_weights_and_biases_follow_torchs_default_rule() -> None:
    network = made(Shape((64,), (64,), (0,)), 32, 32, channels=8)
    named = dict(network.named_parameters())
    for name, fan_in in (("outermost.first.weight", 72), ("outermost.first.bias", 72), ("head_bias", 64)):
        values, bound = named[name].detach(), fan_in**-0.5
        assert values.abs().max() <= bound
        assert values.abs().max() > 0.5 * bound, name


def test_noise_is_uniform_and_a_meshgrid_runs_from_corner_to_corner() -> None:
    noise = network_input(PUBLISHED["F16, sigma 25"], 40, 50, generator(1, "input"))
    assert noise.shape == (1, 32, 40, 50) and noise.min() >= 0 and 0.09 < noise.max() <= 0.1
    grid = network_input(PUBLISHED["vase, region"], 40, 50, generator(1, "input"))
    assert grid.shape == (1, 2, 40, 50) and grid.dtype == torch.float32
    assert grid[0, 0, 7].tolist() == pytest.approx([column / 49 for column in range(50)])
    assert grid[0, 1, :, 7].tolist() == pytest.approx([row / 39 for row in range(40)])


def fitted(seed: int) -> Fit:
    use_one_thread()
    task = Task(TaskKind.DENOISE)
    degradation = degradation_for(task, photo(40, 36), None)
    return fit(
        made(SMALL, 36, 40, seed=seed), given_input(36, 40), degradation, held_out_set(degradation, task, 0.05, 1),
        FitSettings(50, 0.01, "squared", 0.99, jitter=1 / 30),
        jitter_rng=generator(1, "jitter"), report=lambda _: None,
    )  # fmt: skip


def test_it_is_fitted_in_the_harness_of_every_network_and_repeats_to_the_bit() -> None:
    first, again, other = fitted(1), fitted(1), fitted(2)
    assert first.average.tobytes() == again.average.tobytes()
    assert first.curve == again.curve
    assert first.average.tobytes() != other.average.tobytes()
    assert [iteration for iteration, _ in first.curve] == [25, 50]
