"""How fast this machine is, by one short training: the factor that estimates of seconds are multiplied by."""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np

from nasdip_engine.genome.pace import seconds_an_iteration
from nasdip_engine.genome.starters import plain
from nasdip_engine.restoration.degradation import degradation_for, held_out_set
from nasdip_engine.restoration.fit import FitSettings, Step, fit, noise_input
from nasdip_engine.restoration.network import build
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task, TaskKind

__all__ = ["machine_factor"]

_SIDE = 96  # pixels
_CHANNELS = 32
_STEPS = 12
_WARM = 2  # steps, in which oneDNN compiles its kernels


def machine_factor() -> float:
    """Seconds here for a second of the reference processor, on the thread that calls: under a second of work.

    The same network, picture and weights each time; the least processor time of its steps, so that other work on
    the machine counts little.  The caller fixes torch's threads first (`numerics.use_one_thread`).
    """
    task, phenotype = Task(TaskKind.DENOISE), plain(5)
    pixels = generator(0, "probe", "picture").integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8)
    degradation = degradation_for(task, pixels, None)
    clock = [time.thread_time()]

    def tick(_: Step) -> None:
        clock.append(time.thread_time())

    fit(
        build(phenotype, _SIDE, _SIDE, _CHANNELS, generator(0, "probe", "weights")),
        noise_input(_CHANNELS, _SIDE, _SIDE, generator(0, "probe", "input")),
        degradation,
        held_out_set(degradation, task, 0.05, 0),
        FitSettings(_STEPS, learning_rate=0.01, loss="squared", average_decay=0.99),
        jitter_rng=generator(0, "probe", "jitter"),
        report=tick,
    )
    steps = [after - before for before, after in pairwise(clock[_WARM:])]
    return min(steps) / seconds_an_iteration(phenotype, _SIDE, _SIDE, _CHANNELS)
