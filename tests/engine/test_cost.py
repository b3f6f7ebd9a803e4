"""Sizes and prices of networks, against figures worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasdip_engine.genome.cost import MIN_SIDE, cost, multiply_adds_per_pixel, stage_sizes
from nasdip_engine.genome.phenotype import Phenotype, Stage
from nasdip_engine.genome.starters import plain, starter_multiply_adds_per_pixel
from tests.engine.strategies import phenotypes

STAGE = Stage(kernel=3, filters=8)


def test_each_encoder_stage_halves_and_odd_sides_are_rounded_up() -> None:
    sizes = stage_sizes(plain(3), 33, 64)
    assert sizes.received == ((33, 64), (17, 32), (9, 16))
    assert sizes.produced == ((17, 32), (9, 16), (5, 8))
    assert sizes.strides == (2, 2, 2)
    assert sizes.decoded == (33, 64)


def test_a_stage_that_would_leave_a_side_under_four_pixels_keeps_its_resolution() -> None:
    sizes = stage_sizes(plain(5), 32, 64)
    assert sizes.produced == ((16, 32), (8, 16), (4, 8), (4, 8), (4, 8))
    assert sizes.strides == (2, 2, 2, 1, 1)
    assert stage_sizes(plain(4), 49, 49).produced[-1] == (4, 4)  # 7 rounds up to 4, which is enough


def test_a_bypassed_stage_keeps_its_resolution() -> None:
    sizes = stage_sizes(Phenotype(3, (None, STAGE, None), (STAGE, None, STAGE), ()), 64, 64)
    assert sizes.received == ((64, 64), (64, 64), (32, 32))
    assert sizes.produced == ((64, 64), (32, 32), (32, 32))
    assert sizes.strides == (1, 2, 1)
    assert sizes.decoded == (64, 64)


def test_the_head_resamples_where_the_first_decoder_stage_is_bypassed() -> None:
    assert stage_sizes(Phenotype(2, (STAGE, STAGE), (None, STAGE), ()), 64, 48).decoded == (32, 24)
    assert stage_sizes(Phenotype(2, (None, STAGE), (None, STAGE), ()), 64, 48).decoded == (64, 48)


@given(phenotypes(), st.integers(32, 300), st.integers(32, 300))
def test_no_map_gets_too_small_for_batch_norm(phenotype: Phenotype, height: int, width: int) -> None:
    sizes = stage_sizes(phenotype, height, width)
    assert all(min(size) >= MIN_SIDE for size in sizes.produced)
    for received, produced, stride in zip(sizes.received, sizes.produced, sizes.strides, strict=True):
        assert produced == tuple(-(-side // stride) for side in received)


def test_cost_of_a_network_that_can_be_counted_by_hand() -> None:
    """One unit at 32 x 32, 2 input channels: E 4 filters of 3 x 3, path of 5, D 8 filters of 1 x 1."""
    phenotype = Phenotype(1, (Stage(3, 4),), (Stage(1, 8),), ((0, 0, 5),))
    weights = {"E": 9 * 2 * 4, "path": 4 * 5, "D": (4 + 5) * 8, "head": 8 * 3}
    norms = 2 * 4 + 2 * 5 + 2 * (4 + 5) + 2 * 8
    price = cost(phenotype, 32, 32, input_channels=2)
    assert price.parameters == sum(weights.values()) + norms + 3
    assert price.multiply_adds == 256 * (weights["E"] + weights["path"]) + 1024 * (
        weights["D"] + weights["head"]
    )
    assert price.peak_bytes > 4 * (4 * price.parameters + 1024 * (4 + 5 + 8))


@given(phenotypes(), st.sampled_from([32, 64, 128]))
def test_multiply_adds_per_pixel_is_the_whole_divided_by_the_pixels(phenotype: Phenotype, side: int) -> None:
    assert multiply_adds_per_pixel(phenotype, side) == pytest.approx(
        cost(phenotype, side, side).multiply_adds / side**2
    )


def test_the_starters_price_barely_depends_on_the_size() -> None:
    prices = [starter_multiply_adds_per_pixel(5, side) for side in (64, 128, 256, 512)]
    assert max(prices) < 1.05 * min(prices)
    assert 4000 < prices[-1] < 6000
