"""Every size, representation, task and depth: a network runs both ways and returns the picture's size.

A size is that of the output; an enlargement observes the smallest picture that makes at least as much.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data

from nasdip_engine.errors import InvalidPhenotype
from nasdip_engine.genome.cost import multiply_adds_per_pixel
from nasdip_engine.genome.genome import MAX_UNITS, REPRESENTATIONS, Genome, encode
from nasdip_engine.genome.phenotype import Phenotype, Stage
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.restoration.degradation import degradation_for, held_out_set
from nasdip_engine.restoration.fit import noise_input
from nasdip_engine.restoration.network import build
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task, TaskKind

pytestmark = pytest.mark.slow

SIZES = ((32, 32), (33, 517), (517, 33), (35, 47), (64, 64), (127, 129))
QUICK = ((32, 32), (35, 47))
TASKS = (
    Task(TaskKind.DENOISE),
    Task(TaskKind.INPAINT),
    Task(TaskKind.UPSCALE, 2),
    Task(TaskKind.UPSCALE, 3),
    Task(TaskKind.UPSCALE, 8),
)
DEPTHS = (1, 5, MAX_UNITS)
CHANNELS = 4
CAP = 6000.0  # multiply-adds a pixel, so that the table stays quick; it refuses width, not shape


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    """As an evaluation has; more only wait for each other at these sizes."""
    use_one_thread()


def drawn(representation: str, units: int, *purpose: str | int) -> Phenotype:
    """A uniformly drawn network under the cap."""
    rng = generator(11, "sizes", representation, units, *purpose)
    while True:
        try:
            phenotype = Genome.random(units, rng, representation).phenotype()
        except InvalidPhenotype:
            continue
        if multiply_adds_per_pixel(phenotype, 64, CHANNELS) <= CAP:
            return phenotype


def runs(phenotype: Phenotype, size: tuple[int, int], task: Task) -> None:
    """Forward, loss, backward: the output has the restoration's size, and the gradient reaches every weight."""
    height, width = (-(-side // task.factor) for side in size)
    pixels = np.ascontiguousarray(data.astronaut()[:height, :width][:, :, :3])
    if height > pixels.shape[0] or width > pixels.shape[1]:  # the photograph has 512 px a side
        pixels = np.pad(
            pixels, ((0, height - pixels.shape[0]), (0, width - pixels.shape[1]), (0, 0)), "reflect"
        )
    mask = None
    if task.kind is TaskKind.INPAINT:
        mask = np.ones((height, width), dtype=np.bool_)
        mask[height // 3 : height // 3 + 6, width // 3 : width // 3 + 6] = False
    degradation = degradation_for(task, pixels, mask)
    expected = (height * task.factor, width * task.factor)
    assert degradation.output_size == expected
    assert min(expected) >= 32

    network = build(phenotype, *expected, CHANNELS, generator(1, "weights"))
    output = network(noise_input(CHANNELS, *expected, generator(1, "input")))
    assert output.shape == (1, 3, *expected)
    assert torch.isfinite(output).all()
    among = degradation.known & ~held_out_set(degradation, task, 0.05, 1)
    degradation.loss(output, among, "squared").backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
    for head in (network.head_weight, network.head_bias):
        assert head.grad is not None
        assert head.grad.flatten(1 if head.dim() > 1 else 0).ne(0).any(dim=-1).all()  # to each colour
    # The shift of a batch norm is the weight behind it that no normalisation can cancel.
    first = next(module for module in network.encoders if not isinstance(module, torch.nn.Identity))
    assert first.norm.bias.grad.ne(0).any() or not reaches(phenotype)
    assert degradation.compose(output.detach()[0].permute(1, 2, 0).numpy()).shape == (*expected, 3)


def reaches(phenotype: Phenotype) -> bool:
    """Whether what the first active encoder stage adds to all its pixels can matter: some later stage sees it
    beside another channel or a padded edge, which one 1 x 1 stage behind another does not."""
    return any(
        stage is not None and stage.kernel > 1 for stage in (*phenotype.encoders[1:], *phenotype.decoders)
    )


@pytest.mark.parametrize("task", TASKS, ids=lambda task: f"{task.kind}-{task.factor}")
@pytest.mark.parametrize("units", DEPTHS)
@pytest.mark.parametrize("representation", tuple(REPRESENTATIONS))
@pytest.mark.parametrize(
    "size",
    [pytest.param(size, marks=() if size in QUICK else pytest.mark.slow) for size in SIZES],
    ids=lambda size: f"{size[0]}x{size[1]}",
)
def test_a_random_network_runs_both_ways(
    size: tuple[int, int], representation: str, units: int, task: Task
) -> None:
    runs(drawn(representation, units, *size, str(task.kind), task.factor), size, task)


SMALL, POINT = Stage(3, 4), Stage(1, 2)


def one_stage_a_side(encoder: int, decoder: int) -> Phenotype:
    """All bypassed but one encoder and one decoder stage."""
    sides = [
        tuple(SMALL if unit == active else None for unit in range(MAX_UNITS)) for active in (encoder, decoder)
    ]
    return Phenotype(MAX_UNITS, sides[0], sides[1], ((encoder, decoder, 3),))


EDGES = {
    "only E1 and D8": one_stage_a_side(0, 7),
    "only E8 and D1": one_stage_a_side(7, 0),
    "only E1 and D1": one_stage_a_side(0, 0),
    "D1 bypassed": Phenotype(5, (SMALL,) * 5, (None, *(SMALL,) * 4), ((0, 1, 2),)),
    "D1 to D7 bypassed": Phenotype(8, (SMALL,) * 8, (*(None,) * 7, SMALL), ()),
    "all skips": Phenotype(
        8, (SMALL,) * 8, (SMALL,) * 8, tuple((e, d, 15) for e in range(8) for d in range(8))
    ),
    "1 x 1 everywhere": Phenotype(8, (POINT,) * 8, (POINT,) * 8, ()),
    "15 x 15 on the smallest maps": Phenotype(5, (Stage(15, 1),) * 5, (Stage(15, 1),) * 5, ()),
}


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("name", EDGES)
def test_a_network_at_the_edge_of_the_representation_runs_both_ways(name: str, size: tuple[int, int]) -> None:
    assert encode(EDGES[name]).phenotype() == EDGES[name]  # it has a genome
    runs(EDGES[name], size, TASKS[0])
