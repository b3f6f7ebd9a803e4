"""Fixed lists of random networks, for measurements that have to mean the same next year."""

from __future__ import annotations

from nasdip_engine.errors import InvalidPhenotype
from nasdip_engine.genome.cost import multiply_adds_per_pixel
from nasdip_engine.genome.genome import Genome
from nasdip_engine.seeding import generator

__all__ = ["drawn"]


def drawn(count: int, name: str, cap: float, units: int = 5) -> list[Genome]:
    """The first uniformly drawn genomes whose network is within `cap` multiply-adds a pixel at 128 px."""
    rng = generator(0, "benchmark networks", name)
    genomes: list[Genome] = []
    while len(genomes) < count:
        genome = Genome.random(units, rng)
        try:
            price = multiply_adds_per_pixel(genome.phenotype(), 128)
        except InvalidPhenotype:
            continue
        if price <= cap:
            genomes.append(genome)
    return genomes
