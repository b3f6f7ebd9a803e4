"""Sizes and prices of networks, against figures worked out by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage import data
from torch.profiler import ProfilerActivity, profile

from nasdip_engine.errors import InvalidPhenotype
from nasdip_engine.evolution.search import refusal
from nasdip_engine.evolution.settings import PRESETS, settings_for
from nasdip_engine.genome.cost import cost, multiply_adds_per_pixel
from nasdip_engine.genome.genome import MAX_UNITS, Genome, encode
from nasdip_engine.genome.layout import layout
from nasdip_engine.genome.memory import live_bytes, peak_bytes
from nasdip_engine.genome.pace import seconds_an_iteration
from nasdip_engine.genome.phenotype import Phenotype, Stage
from nasdip_engine.genome.sizes import MIN_SIDE, stage_sizes
from nasdip_engine.genome.starters import plain, starter_multiply_adds_per_pixel
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.restoration.degradation import degradation_for, held_out_set
from nasdip_engine.restoration.fit import FitSettings, fit, noise_input
from nasdip_engine.restoration.network import build
from nasdip_engine.restoration.probe import machine_factor
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task, TaskKind
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


def drawn(count: int, cap: float, seed: int = 5) -> list[Phenotype]:
    """Random networks of 5 units within `cap` multiply-adds a pixel."""
    rng, found = generator(seed, "test cost"), list[Phenotype]()
    while len(found) < count:
        try:
            phenotype = Genome.random(5, rng).phenotype()
        except InvalidPhenotype:
            continue
        if multiply_adds_per_pixel(phenotype, 128) <= cap:
            found.append(phenotype)
    return found


def most_bytes_in_tensors(phenotype: Phenotype, height: int, width: int, channels: int) -> int:
    """The most that torch held at once while the engine's own fit did two steps, by torch's own count."""
    task = Task(TaskKind.DENOISE)
    degradation = degradation_for(task, data.astronaut()[:height, :width], None)
    held_out = held_out_set(degradation, task, 0.05, 1)
    network = build(phenotype, height, width, channels, generator(1, "weights"))
    z = noise_input(channels, height, width, generator(1, "input"))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        fit(
            network, z, degradation, held_out, FitSettings(2, 0.01, "squared", 0.99),
            jitter_rng=generator(1, "jitter"), report=lambda _: None,
        )  # fmt: skip
    held = most = 0
    for event in recorded.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    # What NumPy drew and torch only borrows: input, weights, observation.
    borrowed = [z, degradation.observation, *network.parameters()]
    return most + sum(tensor.numel() * tensor.element_size() for tensor in borrowed)


def test_modelled_memory_is_within_a_quarter_of_torchs_own_count() -> None:
    """One fit's tensors and oneDNN's copies; what the process needs around them is measured by benchmarks/memory_model.py."""
    use_one_thread()
    height, width, channels = 96, 120, 32
    for phenotype in [*drawn(12, 40_000), plain(5), plain(5, skip=15, bypassed=2)]:
        price = cost(phenotype, height, width, channels)
        modelled = live_bytes(layout(phenotype, height, width, channels), price.parameters)
        counted = most_bytes_in_tensors(phenotype, height, width, channels)
        assert modelled == pytest.approx(counted, rel=0.25), phenotype
        assert price.peak_bytes == peak_bytes(modelled) > counted


def test_memory_grows_with_the_pixels_and_with_the_maps() -> None:
    wide, narrow = plain(5, encoder=Stage(3, 64)), plain(5, encoder=Stage(3, 8))
    assert cost(wide, 128, 128).peak_bytes > cost(narrow, 128, 128).peak_bytes
    small, large = (cost(wide, side, side).peak_bytes for side in (128, 256))
    assert 3 < large / small < 4.5


@pytest.mark.parametrize("preset", PRESETS)
def test_no_network_is_refused_for_its_memory_under_a_presets_own_limit(preset: str) -> None:
    """The largest network there is, at the largest crop: the limit is for what a user sets, and for large final fits."""
    stage = Stage(15, 64)
    paths = tuple((encoder, decoder, 15) for encoder in range(MAX_UNITS) for decoder in range(MAX_UNITS))
    largest = Phenotype(MAX_UNITS, (stage,) * MAX_UNITS, (stage,) * MAX_UNITS, paths)
    unhalved = Phenotype(
        MAX_UNITS, (*(None,) * (MAX_UNITS - 1), stage), (stage,) * MAX_UNITS,
        tuple((MAX_UNITS - 1, decoder, 15) for decoder in range(MAX_UNITS)),
    )  # fmt: skip
    settings = settings_for(preset, Task(TaskKind.DENOISE), {"units": MAX_UNITS, "cost_cap": 0, "crop": 512})
    for phenotype in (largest, unhalved):
        assert refusal(encode(phenotype).text, settings) is None


@given(phenotypes())
def test_seconds_grow_with_the_size_and_scale_with_the_machine(phenotype: Phenotype) -> None:
    small, large = (seconds_an_iteration(phenotype, side, side) for side in (64, 128))
    assert 0 < small < large
    assert seconds_an_iteration(phenotype, 64, 64, factor=3.0) == pytest.approx(3 * small)


def test_a_filter_of_one_costs_what_a_block_of_filters_does() -> None:
    one, sixteen = (Phenotype(1, (Stage(7, n),), (Stage(7, n),), ()) for n in (1, 16))
    ratio = cost(sixteen, 128, 128).multiply_adds / cost(one, 128, 128).multiply_adds
    assert ratio > 15
    assert seconds_an_iteration(sixteen, 128, 128) < 4 * seconds_an_iteration(one, 128, 128)


def test_the_machines_factor_is_measured() -> None:
    use_one_thread()
    assert machine_factor() > 0
    assert torch.get_num_threads() == 1
