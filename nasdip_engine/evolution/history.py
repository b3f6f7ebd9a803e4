"""What a search has done so far, as frozen JSON values: its generations and their fitness."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Closed", "Converged", "Generation"]


@dataclass(frozen=True, slots=True)
class Generation:
    """A population that is about to be evaluated.

    genomes: text forms in slot order; the first `elites` of them passed from the generation before and have
    their fitness already.
    """

    number: int
    genomes: tuple[str, ...]
    elites: int

    def to_json(self) -> dict[str, Any]:
        """`number`, `genomes` as text in slot order, `elites`."""
        return {"number": self.number, "genomes": list(self.genomes), "elites": self.elites}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Generation:
        """The inverse of to_json."""
        return cls(value["number"], tuple(value["genomes"]), value["elites"])


@dataclass(frozen=True, slots=True)
class Closed:
    """A generation with the fitness of each slot, 0 (none) to 1.

    rungs: the number of the highest rung that each slot's network was trained to (`racing`), whose fitness it has; None
    where nothing is raced and every fit is a whole one.
    """

    generation: Generation
    fitness: tuple[float, ...]
    rungs: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.fitness) != len(self.generation.genomes):
            raise ValueError(f"{len(self.fitness)} fitnesses for {len(self.generation.genomes)} genomes")
        if self.rungs is not None and len(self.rungs) != len(self.fitness):
            raise ValueError(f"{len(self.rungs)} rungs for {len(self.fitness)} genomes")
        for value in self.fitness:
            if not 0.0 <= value <= 1.0:  # also refuses NaN, which would break every order
                raise ValueError(f"fitness {value} is outside 0 to 1")

    @property
    def best(self) -> float:
        """0 where no individual has a fitness."""
        return max(self.fitness)

    @property
    def mean(self) -> float:
        """Over the whole population, individuals of fitness 0 included (paper, sec. 3.2)."""
        return math.fsum(self.fitness) / len(self.fitness)

    @property
    def worst(self) -> float:
        """0 as soon as one individual has no fitness."""
        return min(self.fitness)

    def to_json(self) -> dict[str, Any]:
        """`generation` as its own JSON value, `fitness` in slot order; `rungs` likewise where there was a race."""
        raced = {} if self.rungs is None else {"rungs": list(self.rungs)}
        return {"generation": self.generation.to_json(), "fitness": list(self.fitness), **raced}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Closed:
        """The inverse of to_json.  Raises ValueError for a fitness outside 0 to 1, or one too many or few."""
        rungs = value.get("rungs")
        generation = Generation.from_json(value["generation"])
        return cls(generation, tuple(value["fitness"]), None if rungs is None else tuple(rungs))


@dataclass(frozen=True, slots=True)
class Converged:
    """The search is over: "generations" at the limit, "flat" when nothing improves any more."""

    reason: str
