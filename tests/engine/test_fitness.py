"""Held-out error to fitness: monotone, 10..50 dB to [0, 1], never 0 for a valid genome."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasdip_engine.restoration.fitness import SMALLEST, fitness, held_out_psnr


@pytest.mark.parametrize(("decibels", "expected"), [(10, SMALLEST), (20, 0.25), (30, 0.5), (50, 1.0)])
def test_ten_to_fifty_decibels_are_zero_to_one(decibels: float, expected: float) -> None:
    assert fitness(10 ** (-decibels / 10)) == pytest.approx(expected, abs=1e-12)


@given(st.floats(0, 4), st.floats(0, 4))
def test_a_smaller_error_is_never_less_fit(one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert SMALLEST <= fitness(large) <= fitness(small) <= 1


def test_no_error_at_all_is_a_finite_figure() -> None:
    assert held_out_psnr(0.0) == pytest.approx(120)
    assert fitness(0.0) == 1.0
    assert math.isfinite(held_out_psnr(1e-300))
