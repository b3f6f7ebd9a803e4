"""What uniformly drawn genomes are: how many describe a network, what those cost, how many a preset's cap lets in.

    python -m benchmarks.genome_census [--draws 2000] [--table docs/results/genomes.md]

NumPy alone, about a minute.  Prices are multiply-adds of one forward pass for each pixel of a 128 px square.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from nasdip_engine.errors import InvalidPhenotype
from nasdip_engine.evolution.settings import default_cost_cap
from nasdip_engine.genome.cost import multiply_adds_per_pixel
from nasdip_engine.genome.genome import MAX_UNITS, REPRESENTATIONS, Genome
from nasdip_engine.seeding import generator

_CROP, _CHANNELS = 128, 32


def prices(representation: str, units: int, draws: int) -> list[float]:
    """The prices of the valid ones among so many uniformly drawn genomes."""
    rng = generator(0, "census", representation, units)
    found = []
    for _ in range(draws):
        try:
            phenotype = Genome.random(units, rng, representation).phenotype()
        except InvalidPhenotype:
            continue
        found.append(multiply_adds_per_pixel(phenotype, _CROP, _CHANNELS))
    return found


def row(representation: str, units: int, draws: int) -> str:
    found = prices(representation, units, draws)
    cap = default_cost_cap("preview", units, _CROP, _CHANNELS)
    admitted = sum(price <= cap for price in found)
    median, high = np.percentile(found, [50, 95])
    return (
        f"| {representation} | {units} | {len(found) / draws:.3f} | {median:,.0f} | {high:,.0f} | "
        f"{cap:,} | {admitted / draws:.3f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument("--table", type=Path)
    asked = parser.parse_args()
    lines = [
        "# Uniformly drawn genomes",
        "",
        f"    python -m benchmarks.genome_census --draws {asked.draws}",
        "",
        f"{asked.draws} genomes a row; prices are multiply-adds a pixel of one forward pass at {_CROP} px.",
        "",
        "| representation | units | valid | median price | 95th percentile | preview's cap | under the cap |",
        "|---|---|---|---|---|---|---|",
        *(
            row(representation, units, asked.draws)
            for representation in REPRESENTATIONS
            for units in range(1, MAX_UNITS + 1)
        ),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if asked.table:
        asked.table.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
