"""The network that a phenotype describes: sizes, price, first weights, determinism."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nasdip_engine.genome.cost import cost
from nasdip_engine.genome.phenotype import Phenotype, Stage
from nasdip_engine.genome.starters import starters
from nasdip_engine.restoration.fit import noise_input
from nasdip_engine.restoration.network import Network, build
from nasdip_engine.seeding import generator
from tests.engine.strategies import phenotypes


def made(phenotype: Phenotype, height: int, width: int, channels: int = 4, seed: int = 1) -> Network:
    return build(phenotype, height, width, channels, generator(seed, "weights", phenotype.digest))


def run(network: Network, height: int, width: int, channels: int = 4) -> torch.Tensor:
    output: torch.Tensor = network(noise_input(channels, height, width, generator(1, "input")))
    return output


@settings(max_examples=60)
@given(phenotype=phenotypes(), height=st.integers(32, 49), width=st.integers(32, 49))
def test_every_valid_genome_trains_at_every_size(phenotype: Phenotype, height: int, width: int) -> None:
    network = made(phenotype, height, width)
    output = run(network, height, width)
    assert output.shape == (1, 3, height, width)
    assert output.min() >= 0 and output.max() <= 1
    output.square().mean().backward()
    assert (
        sum(parameter.numel() for parameter in network.parameters())
        == cost(phenotype, height, width, 4).parameters
    )
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_small_maps_keep_their_size() -> None:
    """Eight units at 32 px: without the small-size rule the innermost maps would be 1 x 1 and batch norm fail."""
    phenotype = starters(8)[0].phenotype()
    assert sum(stage is not None for stage in phenotype.encoders) == 8
    run(made(phenotype, 32, 32), 32, 32).mean().backward()


def test_bypassed_first_decoders_are_resampled_to_full_size() -> None:
    stage = Stage(3, 4)
    phenotype = Phenotype(2, (stage, stage), (None, stage), ((0, 1, 2),))
    assert run(made(phenotype, 41, 36), 41, 36).shape == (1, 3, 41, 36)


def test_skip_paths_matter() -> None:
    stage = Stage(3, 4)
    plain = Phenotype(2, (stage, stage), (stage, stage), ())
    skipped = Phenotype(2, (stage, stage), (stage, stage), ((0, 1, 3), (1, 0, 2)))
    assert cost(skipped, 32, 32, 4).parameters > cost(plain, 32, 32, 4).parameters
    network = made(skipped, 32, 32)
    before = run(network, 32, 32)
    weights = [parameter for name, parameter in network.named_parameters() if ".paths." in name]
    assert len(weights) == 2 * 3  # weight, and batch norm's weight and bias, of each path
    with torch.no_grad():
        for weight in weights:
            weight.zero_()
    assert not torch.equal(run(network, 32, 32), before)


def test_first_weights_are_a_function_of_the_generator_alone() -> None:
    phenotype = starters(3)[0].phenotype()
    first = made(phenotype, 32, 32)
    again, other = made(phenotype, 64, 48), made(phenotype, 32, 32, seed=2)
    pairs = list(zip(first.parameters(), again.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert any(not torch.equal(a, c) for a, _, c in pairs)


def test_first_weights_follow_torchs_default_rule() -> None:
    phenotype = Phenotype(1, (Stage(5, 64),), (Stage(3, 64),), ())
    weight = dict(made(phenotype, 32, 32, channels=8).named_parameters())["encoders.0.weight"].detach()
    bound = 1 / np.sqrt(8 * 5 * 5)
    assert weight.abs().max() <= bound
    assert weight.abs().max() > 0.99 * bound
    assert abs(float(weight.std()) - bound / np.sqrt(3)) < 0.02 * bound


def test_input_is_uniform_between_0_and_a_tenth() -> None:
    z = noise_input(8, 40, 50, generator(1, "input"))
    assert z.shape == (1, 8, 40, 50) and z.dtype == torch.float32
    assert 0 <= z.min() < 0.001 and 0.099 < z.max() <= 0.1


def test_network_is_plain_nchw() -> None:
    network = made(starters(3)[0].phenotype(), 32, 32)
    assert all(parameter.is_contiguous() for parameter in network.parameters())
    assert run(network, 32, 32).is_contiguous()


def test_a_poisoned_network_gives_no_number() -> None:
    network = made(starters(2)[0].phenotype(), 32, 32)
    network.poison()
    assert torch.isnan(run(network, 32, 32)).all()


@pytest.mark.parametrize("index", range(4))
def test_starters_build(index: int) -> None:
    run(made(starters(5)[index].phenotype(), 48, 33), 48, 33)
