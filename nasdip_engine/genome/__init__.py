"""Bits to the description of a network: genome, phenotype, cost, starters, diagram.  NumPy and JSON only."""

from __future__ import annotations

from nasdip_engine.genome.cost import Cost, cost, multiply_adds_per_pixel
from nasdip_engine.genome.diagram import architecture_svg
from nasdip_engine.genome.genome import MAX_UNITS, REPRESENTATIONS, Genome, encode, genome_length
from nasdip_engine.genome.phenotype import Phenotype, Stage
from nasdip_engine.genome.sizes import StageSizes, stage_sizes
from nasdip_engine.genome.starters import plain, starter_multiply_adds_per_pixel, starters

__all__ = [
    "MAX_UNITS",
    "REPRESENTATIONS",
    "Cost",
    "Genome",
    "Phenotype",
    "Stage",
    "StageSizes",
    "architecture_svg",
    "cost",
    "encode",
    "genome_length",
    "multiply_adds_per_pixel",
    "plain",
    "stage_sizes",
    "starter_multiply_adds_per_pixel",
    "starters",
]
