"""Breeding: one population and its fitness to the next population (paper, sec. 3.2.1 and 3.2.2).

Pure functions of their arguments.  Selection bisects a running total that is added up in order, so that
machines with other vector units breed the same children.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np

from nasdip_engine.evolution.settings import SearchSettings
from nasdip_engine.genome.genome import REPRESENTATIONS, Genome

__all__ = ["breed", "crossover", "draw_until", "mutate", "selection_weights"]

TOURNAMENT = 3
"""Contestants of one tournament."""

TRIES = 100
"""Draws for one place of a population before what was drawn last is taken as it is."""

Acceptable = Callable[[Genome], bool]


def crossover(first: Genome, second: Genome, splice: int) -> Genome:
    """Units before unit `splice` (1 to N) from the first parent, the others from the second (sec. 3.2.2).

    splice = 1 copies the second parent whole.
    """
    if not 1 <= splice <= first.units:
        raise ValueError(f"splice point {splice}; allowed is 1 to {first.units}")
    border = (splice - 1) * REPRESENTATIONS[first.representation].unit_length(first.units)
    return Genome(first.representation, first.units, first.bits[:border] + second.bits[border:])


def mutate(genome: Genome, rate: float, rng: np.random.Generator) -> Genome:
    """Flip each bit with probability rate (paper: p_m = 0.05)."""
    flips = rng.random(len(genome.bits)) < rate
    bits = tuple(bit ^ int(flip) for bit, flip in zip(genome.bits, flips, strict=True))
    return Genome(genome.representation, genome.units, bits)


def selection_weights(fitness: Sequence[float], selection: str) -> list[float]:
    """Weight of each parent, given best first; fitness 0 weighs 0 and never breeds.

    "fitness": f itself (paper: p = f / sum f).  "rank": n for the best down to 1 for the last of the n that
    have a fitness.  "tournament": 1 each, for the draw of its contestants.
    """
    if selection == "fitness":
        return list(fitness)
    able = sum(value > 0 for value in fitness)
    return [
        (float(able - place) if selection == "rank" else 1.0) if value > 0 else 0.0
        for place, value in enumerate(fitness)
    ]


def draw_until(acceptable: Acceptable, draw: Callable[[], Genome]) -> Genome:
    """The first acceptable of at most TRIES draws, else the last one: bounded, and still deterministic."""
    genome = draw()
    for _ in range(TRIES - 1):
        if acceptable(genome):
            break
        genome = draw()
    return genome


def _always(_: Genome) -> bool:
    return True


def breed(
    ranked: Sequence[Genome],
    fitness: Sequence[float],
    settings: SearchSettings,
    rng: np.random.Generator,
    acceptable: Acceptable = _always,
) -> tuple[Genome, ...]:
    """The next population: the elites unperturbed and in order, then children, as many as before.

    ranked: a population, best first; fitness: in the same order.  The worst are culled; of the others, elites
    included, two parents are drawn with replacement for each child, which takes units from both at one splice
    point and mutates.  acceptable: a child that it refuses is borne again by new parents, within TRIES.
    Raises ValueError where nobody has a fitness: such a population is drawn afresh, not bred.
    """
    if not any(value > 0 for value in fitness):
        raise ValueError("a population without fitness can't breed")
    parents = ranked[: len(ranked) - settings.culled]
    cumulative = list(accumulate(selection_weights(fitness[: len(parents)], settings.selection)))
    last = bisect_left(cumulative, cumulative[-1])  # where a product rounded up to the total lands
    contestants = TOURNAMENT if settings.selection == "tournament" else 1

    def parent() -> Genome:
        drawn = [bisect_right(cumulative, rng.random() * cumulative[-1]) for _ in range(contestants)]
        return parents[min(*drawn, last)]

    def child() -> Genome:
        first, second = parent(), parent()
        splice = int(rng.integers(1, settings.units, endpoint=True))
        return mutate(crossover(first, second, splice), settings.mutation_rate, rng)

    elites = tuple(ranked[: settings.elites])
    return elites + tuple(draw_until(acceptable, child) for _ in ranked[settings.elites :])
