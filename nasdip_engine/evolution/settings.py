"""Everything that a search depends on but the picture, the task and the seeds: one frozen JSON value.

Presets are sets of numbers with a cost known beforehand.  Nothing here is a worker's own choice: precision,
threads and device class of an evaluation are settings too, since each changes the last bits of a fitness.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from nasdip_engine.errors import SettingsError
from nasdip_engine.evolution.allowed import CHOICES, RANGES, check_choice, checked_number
from nasdip_engine.evolution.presets import (
    FINAL_JITTER,
    GPU_PRESETS,
    HELD_OUT_BLOCK,
    JITTER_FROM,
    PRESETS,
    RACED,
    REFITTED,
)
from nasdip_engine.evolution.racing import Race
from nasdip_engine.evolution.refusals import SMALLEST_OBSERVED, check_kernel, check_together
from nasdip_engine.genome.genome import REPRESENTATIONS
from nasdip_engine.genome.starters import starter_multiply_adds_per_pixel
from nasdip_engine.task import BLOCK, CORRELATED, IMPULSE, NONE, Task, TaskKind

__all__ = [
    "GPU_PRESETS",
    "PRESETS",
    "SMALLEST_OBSERVED",
    "TILE",
    "SearchSettings",
    "allowed_values",
    "default_cost_cap",
    "describe",
    "settings_for",
    "task_for",
]

TILE = 512
"""Largest side in pixels of a picture that is fitted whole, and of a tile of a larger one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """One search's settings.  Raises SettingsError that names the field and what is allowed.

    representation and units say which genomes; generations counts generation 0.  iterations is the length of a
    search fit, final_iterations the limit of the final one; genomes of a representation with lengths (asymt) say
    both themselves.  finalists are the distinct networks that get a final fit.  cost_cap is in forward
    multiply-adds for each output pixel at the size of the crop, 0 for none; memory_limit in MB of modelled memory
    of one fit; crop in output pixels a side.  redraw: draw invalid, too expensive and already seen networks again,
    which the paper does not.  hold_out_share is the part of the observations kept out of the loss, 0 (none) only
    where fitness scores without them: fitness is "held-out" (PSNR on the observations held out) or the paper's
    "lpips-observed" (eq. 6: LPIPS against the observation itself).  hold_out_block is the side in pixels of the blocks
    held out where noise is correlated; 8 is what runs have that are older than the setting (decision 15).
    average_decay is of the averaged output, 0 for the last output alone; jitter the standard deviation of the noise
    added to z in each iteration, final_jitter that of final fits, None for the same as in search fits.  tile is the
    most pixels a side of a picture that is fitted whole; larger ones are fitted in tiles of that size by the best
    tile_finalists networks.  first_rung is the part of the iterations for which every new network of a generation is
    trained, the best promoted_share of them three times as long, and so on up to the whole fit; 1 trains all whole
    (`evolution.racing`), as does a search fit too short for a rung.  refit: whether a final fit is done again with
    the held-out observations too, for as long as they said (decision 21); None is what runs have that are older than
    the setting (`refits`).  The paper's value of each, and where it is printed, stand in `evolution.paper`.
    precision, threads and device_class say what an evaluation computes with; `devices.refusal` says where a machine
    can't.
    """

    preset: str
    population: int
    generations: int
    iterations: int
    final_iterations: int
    finalists: int
    cost_cap: int
    representation: str = "asym"
    units: int = 5
    mutation_rate: float = 0.05
    elite_share: float = 0.05
    cull_share: float = 0.05
    memory_limit: int = 8192
    selection: str = "rank"
    starter_share: float = 0.33
    redraw: bool = True
    crop: int = 128
    learning_rate: float = 0.01
    loss: str = "squared"
    average_decay: float = 0.99
    jitter: float = 0.0
    input_channels: int = 32
    hold_out_share: float = 0.05
    hold_out_block: int = BLOCK
    fitness: str = "held-out"
    kernel: str = "bicubic"
    precision: str = "fp32"
    threads: int = 1
    device_class: str = "cpu"
    tile: int = TILE
    tile_finalists: int = 1
    first_rung: float = 1.0
    promoted_share: float = 0.33
    refit: bool | None = None
    final_jitter: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in CHOICES:
                check_choice(field.name, value)
            elif field.name == "hold_out_share" and self.fitness == "lpips-observed" and _is_zero(value):
                object.__setattr__(self, field.name, 0.0)
            elif value is not None or field.default is not None:
                object.__setattr__(self, field.name, checked_number(field.name, value, field.type == "int"))
        if self.first_rung < 1 and self.fitness != "held-out":
            raise SettingsError(
                f"first_rung is {self.first_rung}; with fitness {self.fitness!r} it must be 1: that score may fall as a "
                "fit goes on, so a short fit does not tell who would be worth a longer one",
                field="first_rung",
            )

    @property
    def elites(self) -> int:
        """How many of the best pass unperturbed: max(1, ceil(share of the population))."""
        return _at_least_one(self.elite_share, self.population)

    @property
    def culled(self) -> int:
        """How many of the worst don't breed; one individual always may."""
        return min(_at_least_one(self.cull_share, self.population), self.population - 1)

    @property
    def jitter_of_finals(self) -> float:
        """Standard deviation of the noise added to z in each iteration of a final fit."""
        return self.jitter if self.final_jitter is None else self.final_jitter

    @property
    def longest_search_fit(self) -> int:
        """Iterations of a search fit, at most: `iterations`, or the largest T that a genome can ask for."""
        return max(REPRESENTATIONS[self.representation].lengths, default=self.iterations)

    def longest_final_fit(self, task: Task) -> int:
        """Iterations of a final fit, at most: `final_iterations`, or the largest T that a genome can ask for.

        The refit's too, where there is one.
        """
        once = max(REPRESENTATIONS[self.representation].lengths, default=self.final_iterations)
        return once + self._longest_refit(once) if self.refits(task) else once

    def refits(self, task: Task) -> bool:
        """Whether a final fit is done again on all observations, for as long as the held-out ones said.

        Older runs, which have None, did so only where the task cannot do without (`Task.refits`).
        """
        wanted = task.refits if self.refit is None else self.refit
        return wanted and self.hold_out_share > 0

    def refit_iterations(self, best: int, known: int, held_out: int) -> int:
        """Length of the refit of a fit that was best at iteration `best` of `held_out` of `known` observations.

        As many iterations an observation: best / (1 - share held out).  Older runs took `best` as it was.
        """
        if self.refit is None:
            return best
        return min(round(best * known / (known - held_out)), self._longest_refit(best))

    def _longest_refit(self, best: int) -> int:
        """A refit's length at most: of few observations twice the share is held out, and a little more of blocks."""
        return best if self.refit is None else math.ceil(best / (1 - min(0.5, 2 * self.hold_out_share)))

    @property
    def race(self) -> Race:
        """The rungs of a generation; a single one, the whole fit, where nothing is raced."""
        shortest = min(REPRESENTATIONS[self.representation].lengths, default=self.iterations)
        return Race.of(self.first_rung, self.promoted_share, self.elites, shortest)

    def finals(self, tiles: int) -> int:
        """How many networks get a final fit where the picture is fitted in so many tiles; 1: whole."""
        return self.finalists if tiles == 1 else self.tile_finalists

    def to_json(self) -> dict[str, Any]:
        """Every setting by its name, defaults too: a run that is repeated needs no version's defaults."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SearchSettings:
        """The inverse of to_json.  A setting that an older version did not know has its default.

        Raises SettingsError for an unknown field, and for a missing one that has no default.
        """
        needed = {field.name for field in fields(cls) if field.default is MISSING}
        known = {field.name for field in fields(cls)}
        for name in sorted((set(value) - known) | (needed - set(value))):
            problem = "is unknown" if name in value else "is missing"
            raise SettingsError(f"setting {name!r} {problem}", field=name)
        return cls(**value)

    def evaluation(self) -> dict[str, Any]:
        """The part that one fitness depends on, and nothing else: what belongs into its key.

        A setting that is younger than keys which are kept enters only where it is not the default, so that
        those keys, and what an owner excluded by them, stand.
        """
        return {name: getattr(self, name) for name in _EVALUATION} | {
            name: getattr(self, name) for name, default in _YOUNGER.items() if getattr(self, name) != default
        }


_EVALUATION = (
    "average_decay",
    "device_class",
    "hold_out_share",
    "input_channels",
    "iterations",
    "jitter",
    "kernel",
    "learning_rate",
    "loss",
    "precision",
    "threads",
)
_YOUNGER: Mapping[str, Any] = MappingProxyType({"fitness": "held-out", "hold_out_block": BLOCK})


def _at_least_one(share: float, population: int) -> int:
    return max(1, math.ceil(Fraction(str(share)) * population))  # in floats 7 % of 100 is over 7


def _is_zero(value: Any) -> bool:
    return not isinstance(value, bool) and isinstance(value, int | float) and value == 0


_CAP_IN_STARTERS = {"preview": 4.5, "balanced": 4.5, "thorough": 6}
_LEARNING_RATES = {TaskKind.INPAINT: 0.02}  # a hole gains from larger steps, noise and enlarging lose by them


def default_cost_cap(preset: str, units: int, crop: int, input_channels: int) -> int:
    """The cap of a preset in multiply-adds a pixel: so many times the price of the 16-filter starter.

    Every representation has that starter, and of each at least 7 % of uniformly drawn genomes lie under the cap of
    a preview (docs/results/genomes.md), so a place that is drawn up to a hundred times is filled.
    """
    price = starter_multiply_adds_per_pixel(units, crop, input_channels)
    return round(_CAP_IN_STARTERS[preset] * price)


def task_for(preset: str, task: Task, kernel: str | None = None) -> Task:
    """The task as a preset sees it: the one place where a kernel that nobody named is decided.

    kernel: the reduction D of eq. 5 that UPSCALE assumes, where a user names one; None for the preset's: bilinear
    in "paper", else the task's own.  Raises SettingsError naming the field.
    """
    check_choice("preset", preset)
    named = PRESETS[preset].get("kernel", task.kernel) if kernel is None else kernel
    return replace(task, kernel=named)


def settings_for(preset: str, task: Task, overrides: Mapping[str, Any] | None = None) -> SearchSettings:
    """A preset's settings for a task (`task_for`), with some of them set by hand.

    The learning rate depends on the task but in "paper", which prints one; impulses want the absolute loss.  The
    task's kernel is the settings' kernel; another one in overrides is refused.  iterations given without
    final_iterations keeps the preset's ratio of the two.  refit is decided here and nowhere else: unless given, all
    but a hole in an exact picture is fitted again.  Long final fits have a jitter unless one is given or the noise is
    one that it was not measured for; without noise what RACED names is raced unless first_rung is given.  The cost cap
    follows units, crop and input channels unless given or the preset has one.  Raises SettingsError naming the field.
    """
    check_choice("preset", preset)
    given = dict(overrides or {})
    _check_names(given)
    if given.get("refit", False) is None:
        del given["refit"]
    base = PRESETS[preset]
    check_kernel(preset, task, given)
    values: dict[str, Any] = {"cost_cap": 0, **base, "preset": preset, "kernel": task.kernel}
    if task.noise == NONE:
        values["first_rung"] = RACED.get(preset, {}).get(task.kind, 1.0)
    if task.kind in _LEARNING_RATES and task.noise == NONE:
        values["learning_rate"] = base.get("learning_rate", _LEARNING_RATES[task.kind])
    if task.noise == CORRELATED:
        values.setdefault("hold_out_block", HELD_OUT_BLOCK)
    if task.noise == IMPULSE:
        values["loss"] = "absolute"  # a squared loss follows the impulses
    # What is known of a picture with a hole is exact and pasted over the result: a refit gains nothing certain.
    held = {**base, **given}.get("hold_out_share") != 0
    values["refit"] = given.get("refit", (task.refits and held) or base.get("refit", not task.keeps_known))
    if values["refit"] is True:
        values["final_iterations"] = REFITTED.get(preset, base["final_iterations"])
    longer = values["final_iterations"] / base["iterations"]
    values |= given
    if values.get("fitness", "held-out") != "held-out" and "first_rung" not in given:
        values["first_rung"] = 1.0  # a preset that races does not keep another score from being chosen
    settings = SearchSettings(**values)
    if "iterations" in given and "final_iterations" not in given:
        scaled = max(1, round(given["iterations"] * longer))
        values["final_iterations"] = min(scaled, int(RANGES["final_iterations"][1]))
    long = task.noise_is_default and values["final_iterations"] >= JITTER_FROM[task.kind]
    if long and "final_jitter" not in values and "jitter" not in given:
        values["final_jitter"] = FINAL_JITTER
    if "cost_cap" not in given and "cost_cap" not in base:
        values["cost_cap"] = default_cost_cap(preset, settings.units, settings.crop, settings.input_channels)
    settings = SearchSettings(**values)
    check_together(settings, task)
    return settings


_ALSO: Mapping[str, str] = MappingProxyType(
    {
        "hold_out_share": ", or 0 with fitness lpips-observed",
        "final_jitter": ", or null (as jitter)",
        "refit": ", or null (as runs before 0.3.0)",
    }
)


def allowed_values() -> dict[str, str]:
    """What each setting that may be set by hand allows, in words: "2 to 1000", "sym, asym or asymt"."""
    words = {}
    for field in fields(SearchSettings):
        if field.name in RANGES:
            low, high = RANGES[field.name]
            words[field.name] = f"{low} to {high}{_ALSO.get(field.name, '')}"
        elif field.name != "preset":
            *others, last = (str(choice).lower() for choice in CHOICES[field.name] if choice is not None)
            words[field.name] = f"{', '.join(others)} or {last}{_ALSO.get(field.name, '')}"
    return words


def _check_names(given: Mapping[str, Any]) -> None:
    settable = {field.name for field in fields(SearchSettings)} - {"preset"}
    for name in given:
        if name not in settable:
            listed = ", ".join(sorted(settable))
            raise SettingsError(f"setting {name!r} is unknown; known: {listed}", field=name)


def describe(
    settings: SearchSettings, task: Task, final_pixels: int = 256 * 256, tiles: int = 1
) -> dict[str, int]:
    """What a search costs at most, known beforehand, in the units of reports.

    final_pixels: output pixels of the final fit, of all its tiles together; a search frame never has more.  Every
    evaluation is counted as if no network came twice, as long as its representation lets it train, and every final
    fit as if it ran to its limit.  evaluations are networks; with racing the iterations are those of all rungs, as if
    no two networks that are promoted last were equal.
    """
    bred, later = settings.population - settings.elites, settings.generations - 1
    evaluations = settings.population + later * bred
    race, longest = settings.race, settings.longest_search_fit
    search = race.iterations(settings.population, longest) + later * race.iterations(bred, longest)
    final = settings.finals(tiles) * settings.longest_final_fit(task)
    return {
        "evaluations": evaluations,
        "iterations": search + final * tiles,
        "iterations_x_pixels": search * min(settings.crop**2, final_pixels) + final * final_pixels,
        "search_iterations": search,
        "final_iterations": final * tiles,
        "tiles": tiles,
    }
