"""What is refused for its modelled memory, and how long an evaluation may be silent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nasdip_engine.evolution.history import Closed, Generation
from nasdip_engine.evolution.search import finalists_of, refusal
from nasdip_engine.evolution.settings import settings_for
from nasdip_engine.genome.cost import cost
from nasdip_engine.genome.genome import encode
from nasdip_engine.genome.starters import plain
from nasdip_engine.liveness import LEAST_HEARTBEAT, heartbeat_limit
from nasdip_engine.task import Task, TaskKind

SETTINGS = replace(settings_for("preview", Task(TaskKind.DENOISE)), cost_cap=0)
SMALL, MIDDLE, LARGE = (plain(5, skip=channels) for channels in (1, 4, 15))


def megabytes(side: int, which: int) -> float:
    return cost((SMALL, MIDDLE, LARGE)[which], side, side).peak_bytes / 1e6


def test_a_genome_over_the_memory_limit_at_the_crop_is_refused_with_both_figures() -> None:
    wide = settings_for("preview", Task(TaskKind.DENOISE), {"crop": 512, "cost_cap": 0})
    need = megabytes(512, 2)
    assert need > 64  # the smallest limit that can be set
    low = replace(wide, memory_limit=int(need) - 1)
    told = refusal(encode(LARGE).text, low)
    assert told is not None
    assert f"{need:.0f} MB" in told
    assert str(low.memory_limit) in told
    assert refusal(encode(LARGE).text, replace(wide, memory_limit=int(need) + 1)) is None


def test_finalists_are_the_best_that_fit_at_the_final_size() -> None:
    genomes = tuple(encode(phenotype).text for phenotype in (LARGE, MIDDLE, SMALL))
    history = [Closed(Generation(0, genomes, 0), (0.9, 0.8, 0.7))]
    limit = int(megabytes(1024, 1)) + 1  # between the middle and the large one
    assert megabytes(1024, 1) < limit < megabytes(1024, 2)
    chosen = finalists_of(history, replace(SETTINGS, memory_limit=limit, finalists=2), 1024, 1024)
    assert [one.genome for one in chosen] == [genomes[1], genomes[2]]
    assert [one.genome for one in finalists_of(history, replace(SETTINGS, finalists=2), 1024, 1024)] == [
        *genomes[:2]
    ]
    assert finalists_of(history, replace(SETTINGS, memory_limit=64), 2048, 2048) == []


@pytest.mark.parametrize("side", [64, 256])
def test_small_fits_have_the_sites_limit_and_steps_without_iterations_more(side: int) -> None:
    genome = encode(MIDDLE).text
    assert heartbeat_limit(genome, side, side, 32) == LEAST_HEARTBEAT
    assert heartbeat_limit(genome, side, side, 32, least=5.0) >= 5.0
    assert heartbeat_limit(None, side, side, 32) > LEAST_HEARTBEAT


def test_a_large_fit_may_be_silent_for_twenty_slow_iterations() -> None:
    genome = encode(LARGE).text
    price = cost(LARGE, 4096, 4096).multiply_adds
    assert heartbeat_limit(genome, 4096, 4096, 32) == pytest.approx(20 * 3 * price / 5e8)
