"""Convolution as the networks do it: what torch's own gives, also where the weights' gradient is computed in halves."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from nasdip_engine.restoration.layers import convolved
from nasdip_engine.seeding import generator


def _drawn(*shape: int) -> Tensor:
    return torch.from_numpy(generator(0, "layers", *shape).standard_normal(shape, dtype="float32"))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(40, 40), (33, 46), (8, 5), (4, 4)])
@pytest.mark.parametrize(("channels", "filters"), [(1, 32), (5, 3), (32, 1)])
@pytest.mark.parametrize("side", [13, 15])
def test_outputs_and_gradients_are_those_of_a_plain_convolution(
    side: int, channels: int, filters: int, size: tuple[int, int], stride: int
) -> None:
    features, weight = _drawn(1, channels, *size), _drawn(filters, channels, side, side)
    given = features.requires_grad_(), weight.requires_grad_()
    output = convolved(*given, stride, side // 2)
    exact = tuple(one.detach().double().requires_grad_() for one in given)
    wanted = functional.conv2d(*exact, stride=stride, padding=side // 2)
    assert torch.equal(output, functional.conv2d(*given, stride=stride, padding=side // 2))
    upstream = _drawn(*output.shape)
    found = torch.autograd.grad(output, given, upstream)
    for one, other in zip(found, torch.autograd.grad(wanted, exact, upstream.double()), strict=True):
        assert torch.allclose(one.double(), other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


def test_halves_are_for_wide_filters_alone_and_a_fixed_input_gets_no_gradient() -> None:
    features = _drawn(1, 3, 20, 20)
    wide = convolved(features, _drawn(2, 3, 15, 15).requires_grad_(), 1, 7)
    plain = convolved(features, _drawn(2, 3, 13, 13).requires_grad_(), 1, 6)
    assert [one.grad_fn.name() for one in (wide, plain) if one.grad_fn] == [
        "_WideFiltersBackward",
        "ConvolutionBackward0",
    ]
    wide.sum().backward()
    assert features.grad is None
