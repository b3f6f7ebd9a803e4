"""The network that a genome describes, in the one form that equal networks share.

Bits of a bypassed stage and skip paths from or into one mean nothing, so many genomes describe the same
network.  A Phenotype holds what is left; its digest is the key of every cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nasdip_engine.errors import InvalidPhenotype

__all__ = ["Phenotype", "Skip", "Stage"]

Skip = tuple[int, int, int]
"""(encoder unit, decoder unit, channels), units counted from 0."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One active convolutional stage: odd filter size in pixels, number of filters."""

    kernel: int
    filters: int


@dataclass(frozen=True)
class Phenotype:
    """An encoder-decoder network of N paired units (paper, sec. 3.1 and fig. 2).

    encoders, decoders: one entry a unit, None where the stage is bypassed (identity, same resolution).
    skips: gated skip paths between active stages, sorted, at most one a pair of stages.
    epochs: T, the training iterations that the genome asks for (NAS-DIP-T), or None where the settings decide.
        One picture is the whole data, so an epoch is an iteration.
    Raises InvalidPhenotype with the reason where no network follows.
    """

    units: int
    encoders: tuple[Stage | None, ...]
    decoders: tuple[Stage | None, ...]
    skips: tuple[Skip, ...]
    epochs: int | None = None

    def __post_init__(self) -> None:
        for letter, stages in (("E", self.encoders), ("D", self.decoders)):
            if len(stages) != self.units:
                raise InvalidPhenotype(f"{len(stages)} {letter} stages for {self.units} units")
            active = [(unit, stage) for unit, stage in enumerate(stages, start=1) if stage]
            if not active:
                kind = {"E": "encoder", "D": "decoder"}[letter]
                raise InvalidPhenotype(f"no active {kind} stage: all {self.units} are bypassed")
            for unit, stage in active:
                if stage.filters < 1:
                    raise InvalidPhenotype(f"stage {letter}{unit} is active but has no filters")
                if stage.kernel < 1 or stage.kernel % 2 == 0:
                    raise InvalidPhenotype(f"stage {letter}{unit} has filter size {stage.kernel}, not odd")
        pairs = [(encoder, decoder) for encoder, decoder, _ in self.skips]
        if pairs != sorted(set(pairs)):
            raise InvalidPhenotype("skip paths are not sorted, or two join the same stages")
        for encoder, decoder, channels in self.skips:
            if not (self.encoders[encoder] and self.decoders[decoder] and channels >= 1):
                raise InvalidPhenotype(
                    f"skip path E{encoder + 1} to D{decoder + 1} of {channels} channels joins nothing active"
                )
        if self.epochs is not None and self.epochs < 1:
            raise InvalidPhenotype(f"the network would be trained for {self.epochs} iterations")

    @cached_property
    def digest(self) -> str:
        """sha256, in hex, of the canonical JSON."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def iterations(self, otherwise: int) -> int:
        """Length of a fit: T where the genome has one, else what the settings say."""
        return otherwise if self.epochs is None else self.epochs

    def skips_into(self, decoder: int) -> tuple[Skip, ...]:
        """The skip paths that end at one decoder stage, by encoder unit: the order of concatenation."""
        return tuple(skip for skip in self.skips if skip[1] == decoder)

    def to_json(self) -> dict[str, Any]:
        """Canonical; without a T there is no word of it, so digests are those from before there was one."""
        length = {} if self.epochs is None else {"epochs": self.epochs}
        return length | {
            "units": self.units,
            "encoders": [[stage.kernel, stage.filters] if stage else None for stage in self.encoders],
            "decoders": [[stage.kernel, stage.filters] if stage else None for stage in self.decoders],
            "skips": [list(skip) for skip in self.skips],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Phenotype:
        """The inverse of to_json.  Raises InvalidPhenotype where no network follows."""
        return cls(
            value["units"],
            tuple(Stage(*stage) if stage else None for stage in value["encoders"]),
            tuple(Stage(*stage) if stage else None for stage in value["decoders"]),
            tuple((encoder, decoder, channels) for encoder, decoder, channels in value["skips"]),
            value.get("epochs"),
        )
