"""The only source of randomness.

Every random array is drawn by a generator made here from a seed and the purpose it serves, so that no
number depends on what was drawn before it, where or in which order.  "The same genome must yield the same
perceptual score for a given source image" (paper, sec. 4).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from nasdip_engine.errors import SettingsError

__all__ = ["SEED_LIMIT", "Seeds", "generator"]

SEED_LIMIT = 2**31 - 1
"""Largest seed that is accepted; fits a signed database integer."""


def _digest(seed: int, *purpose: str | int) -> bytes:
    return hashlib.sha256(json.dumps([seed, *purpose]).encode()).digest()


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A PCG64 generator for one purpose, e.g. ``generator(seeds.evolution_seed, "generation", 3)``.

    Equal arguments give equal streams; different purposes give independent ones.
    """
    digest = _digest(seed, *purpose)
    words = [int.from_bytes(digest[start : start + 4], "big") for start in range(0, len(digest), 4)]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


@dataclass(frozen=True, slots=True)
class Seeds:
    """The user's seed and the two that follow from it, each 0 to SEED_LIMIT.

    evaluation_seed: input noise z, held-out observations and (with the phenotype's digest) first weights.
    evolution_seed: first population and breeding.
    """

    seed: int
    evaluation_seed: int
    evolution_seed: int

    def __post_init__(self) -> None:
        for field, value in asdict(self).items():
            if type(value) is not int or not 0 <= value <= SEED_LIMIT:
                raise SettingsError(
                    f"{field} is {value!r}; allowed is a whole number, 0 to {SEED_LIMIT}", field=field
                )

    @classmethod
    def from_seed(cls, seed: int) -> Seeds:
        """Both seeds of a search from the one that a user gives.  Raises SettingsError out of range."""
        if type(seed) is not int or not 0 <= seed <= SEED_LIMIT:
            raise SettingsError(
                f"seed is {seed!r}; allowed is a whole number, 0 to {SEED_LIMIT}", field="seed"
            )
        derived = (
            int.from_bytes(_digest(seed, purpose)[:4], "big") & SEED_LIMIT
            for purpose in ("evaluation", "evolution")
        )
        return cls(seed, *derived)

    def to_json(self) -> dict[str, int]:
        """As `run.json` records them."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, int]) -> Seeds:
        """Raises KeyError where one is missing, SettingsError out of range."""
        return cls(value["seed"], value["evaluation_seed"], value["evolution_seed"])
