"""The search: what is evaluated first, what next, when it ends, and who won (paper, sec. 3.2).

No clock, device or database.  The random numbers of generation n come from (evolution seed, n) alone, so a
generation that is bred twice, by anybody, is the same, and no state needs to be carried.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nasdip_engine.errors import GenomeError, InvalidPhenotype
from nasdip_engine.evolution.breeding import breed, draw_until
from nasdip_engine.evolution.history import Closed, Converged, Generation
from nasdip_engine.evolution.racing import Field, rank_correlation
from nasdip_engine.evolution.settings import SearchSettings
from nasdip_engine.genome.cost import cost, multiply_adds_per_pixel
from nasdip_engine.genome.genome import REPRESENTATIONS, Genome
from nasdip_engine.genome.starters import starters
from nasdip_engine.seeding import Seeds, generator
from nasdip_engine.task import Task

__all__ = [
    "EXCLUDED",
    "Converged",
    "Ranked",
    "best_of",
    "close",
    "entrants",
    "evaluated_with",
    "evaluation_key",
    "finalists_of",
    "first_generation",
    "is_starter",
    "next_generation",
    "raced",
    "refusal",
    "stop_at",
]

EXCLUDED = "excluded by owner"
"""The reason of fitness 0 for a genome that the owner took out of a search; an input that a repetition needs."""
FLAT_WINDOW = 3
"""Generations over which best and mean must both stand still."""
FLAT_GAIN = 0.005
"""Relative improvement over the window below which they do."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One network of a search that was trained to the last rung.

    genome: text of the first individual that described it, in `generation`.  digest: of its phenotype.
    fitness: over 0, to 1.  multiply_adds_per_pixel: of one forward pass at the crop's size.  starter: it is one of
    the hand-made networks.
    """

    genome: str
    digest: str
    fitness: float
    multiply_adds_per_pixel: float
    generation: int
    starter: bool


@lru_cache(maxsize=65_536)
def _network(text: str, crop: int, input_channels: int) -> tuple[str, float]:
    """(digest, multiply-adds a pixel) of a genome.  Raises GenomeError, InvalidPhenotype."""
    phenotype = Genome.parse(text).phenotype()
    return phenotype.digest, multiply_adds_per_pixel(phenotype, crop, input_channels)


@lru_cache(maxsize=65_536)
def _memory(text: str, height: int, width: int, input_channels: int) -> float:
    """Modelled memory in MB of a fit at a size."""
    return cost(Genome.parse(text).phenotype(), height, width, input_channels).peak_bytes / 1e6


def refusal(genome_text: str, settings: SearchSettings) -> str | None:
    """Why a genome gets fitness 0 without training, or None; depends on the two arguments alone."""
    try:
        genome = Genome.parse(genome_text)
        if (genome.representation, genome.units) != (settings.representation, settings.units):
            return (
                f"this search has {settings.representation} genomes of {settings.units} units, "
                f"not {genome.representation} of {genome.units}"
            )
        _, price = _network(genome_text, settings.crop, settings.input_channels)
    except (GenomeError, InvalidPhenotype) as reason:
        return str(reason)
    if settings.cost_cap and price > settings.cost_cap:
        return f"over the cost cap: {price:.0f} multiply-adds a pixel, allowed are {settings.cost_cap}"
    memory = _memory(genome_text, settings.crop, settings.crop, settings.input_channels)
    if memory > settings.memory_limit:
        return f"over the memory limit: {memory:.0f} MB by the model, allowed are {settings.memory_limit}"
    return None


class _Novelty:
    """Accepts a genome that describes a network which is allowed and new to the search, once."""

    def __init__(self, settings: SearchSettings, seen: set[str]) -> None:
        self._settings = settings
        self._seen = seen

    def __call__(self, genome: Genome) -> bool:
        if not self._settings.redraw:
            return True
        if refusal(genome.text, self._settings) is not None:
            return False
        digest, _ = _network(genome.text, self._settings.crop, self._settings.input_channels)
        new = digest not in self._seen
        self._seen.add(digest)
        return new


def _population(
    settings: SearchSettings, seeds: Seeds, number: int, seen: set[str], given: Sequence[Genome]
) -> Generation:
    """The genomes given, as far as they are acceptable, filled up with uniformly drawn ones."""
    rng = generator(seeds.evolution_seed, "generation", number)
    acceptable = _Novelty(settings, seen)

    def draw() -> Genome:
        return Genome.random(settings.units, rng, settings.representation)

    genomes = [genome for genome in given if acceptable(genome)]
    while len(genomes) < settings.population:
        genomes.append(draw_until(acceptable, draw))
    return Generation(number, tuple(genome.text for genome in genomes), elites=0)


def first_generation(settings: SearchSettings, seeds: Seeds) -> Generation:
    """Generation 0: starters under the cost cap for their share of the slots, then uniform bits (sec. 3.2.1).

    A function of settings and evolution seed alone.  `Generation.genomes` are `settings.population` genome texts, in
    slot order; with `settings.redraw` each is a network that is allowed and new, as far as 100 draws find one.
    """
    wanted = int(settings.starter_share * settings.population + 0.5)
    allowed = [
        genome
        for genome in starters(settings.units, settings.representation)
        if refusal(genome.text, settings) is None
    ]
    return _population(settings, seeds, 0, set(), allowed[:wanted])


def _digest(text: str, settings: SearchSettings) -> str | None:
    """Of the phenotype; None for a genome that is refused."""
    if refusal(text, settings) is not None:
        return None
    return _network(text, settings.crop, settings.input_channels)[0]


def _seen(history: Sequence[Closed], settings: SearchSettings) -> set[str]:
    digests = (_digest(text, settings) for closed in history for text in closed.generation.genomes)
    return {digest for digest in digests if digest is not None}


def _whole(history: Sequence[Closed], settings: SearchSettings) -> dict[str, float]:
    """Fitness of each network that was trained to the last rung, by digest."""
    last = settings.race.last
    slots = [(text, fitness) for text, fitness, rung, _ in _slots(history, last) if rung == last]
    return {digest: fitness for text, fitness in slots if (digest := _digest(text, settings)) is not None}


def _slots(history: Sequence[Closed], last: int) -> Iterator[tuple[str, float, int, int]]:
    """(genome, fitness, highest rung, generation) of every place so far."""
    for closed in history:
        genomes = closed.generation.genomes
        rungs = (last,) * len(genomes) if closed.rungs is None else closed.rungs
        for text, fitness, rung in zip(genomes, closed.fitness, rungs, strict=True):
            yield text, fitness, rung, closed.generation.number


def entrants(generation: Generation, history: Sequence[Closed], settings: SearchSettings) -> tuple[str, ...]:
    """The networks that a generation trains: a genome of each, in slot order, the first one that describes it.

    Without those that are refused and those that an earlier generation trained to the last rung, such as elites: they
    have their fitness and take nobody's place in a race.  One that an earlier race stopped runs again.
    """
    known = _whole(history, settings)
    fresh: dict[str, str] = {}
    for text in generation.genomes:
        digest = _digest(text, settings)
        if digest is not None and digest not in known:
            fresh.setdefault(digest, text)
    return tuple(fresh.values())


def close(
    generation: Generation, history: Sequence[Closed], settings: SearchSettings, fields: Sequence[Field]
) -> Closed:
    """The generation with the fitness of each slot: 0 where it is refused, else that of the highest rung reached.

    fields: what `entrants` were trained to, rung by rung.  A network that is in none has its fitness from before.
    Raises KeyError for one that has neither.
    """
    race = settings.race
    found: dict[str | None, tuple[float, int]] = {
        digest: (fitness, race.last) for digest, fitness in _whole(history, settings).items()
    }
    for field in fields:
        for text, fitness in zip(field.networks, field.fitness, strict=True):
            found[_digest(text, settings)] = (fitness, field.rung)
    found[None] = (0.0, 0)
    slots = [found[_digest(text, settings)] for text in generation.genomes]
    rungs = tuple(rung for _, rung in slots) if race.last else None
    return Closed(generation, tuple(fitness for fitness, _ in slots), rungs)


def stop_at(genome_text: str, settings: SearchSettings, rung: int) -> int | None:
    """Iterations after which the search fit of a rung is stopped; None at the last rung, which is the whole fit.

    A genome that says its own length T is stopped after the rung's part of that.  Raises InvalidPhenotype.
    """
    race = settings.race
    if rung == race.last:
        return None
    return race.length(Genome.parse(genome_text).phenotype().iterations(settings.iterations), rung)


def raced(
    fields: Sequence[Field], settings: SearchSettings, spent: Sequence[tuple[int, int]]
) -> list[dict[str, Any]]:
    """What `run.json` tells of a generation's rungs, one record each.

    spent: of each rung, how many networks were trained to it now, and their iterations together.  `length` is that of
    a fit in iterations, null where genomes say it themselves; `spearman` the rank correlation with the rung before.
    """
    race, whole = settings.race, settings.longest_search_fit
    own = bool(REPRESENTATIONS[settings.representation].lengths)
    told: list[dict[str, Any]] = []
    for place, (field, (evaluations, iterations)) in enumerate(zip(fields, spent, strict=True)):
        told.append(
            {
                "rung": field.rung,
                "share": float(race.shares[field.rung]),
                "length": None if own else race.length(whole, field.rung),
                "networks": len(field.networks),
                "evaluations": evaluations,
                "iterations": iterations,
                "spearman": rank_correlation(fields[place - 1], field) if place else None,
            }
        )
    return told


def _order(text: str, fitness: float, settings: SearchSettings) -> tuple[float, float, str]:
    """Sort key: fitness, then fewer multiply-adds, then digest; what describes no network comes last."""
    try:
        digest, price = _network(text, settings.crop, settings.input_channels)
    except InvalidPhenotype:
        return (-fitness, float("inf"), text)
    return (-fitness, price, digest)


def _is_flat(history: Sequence[Closed]) -> bool:
    if len(history) <= FLAT_WINDOW:
        return False
    then, now = history[-1 - FLAT_WINDOW], history[-1]
    if now.best == 0:
        return False  # nothing lives yet: draw on
    return now.best < then.best * (1 + FLAT_GAIN) and now.mean < then.mean * (1 + FLAT_GAIN)


def next_generation(
    settings: SearchSettings, seeds: Seeds, history: Sequence[Closed]
) -> Generation | Converged:
    """What follows generations 0 to n: generation n + 1, or the end.

    The search ends at the limit of generations, or when best and mean fitness have both improved by less than
    FLAT_GAIN over FLAT_WINDOW generations.  A population without any fitness is followed by a fresh one.
    Raises ValueError where the history has holes.
    """
    if [closed.generation.number for closed in history] != list(range(len(history))) or not history:
        raise ValueError("the history must hold every generation from 0 on, in order")
    if len(history) >= settings.generations:
        return Converged("generations")
    if _is_flat(history):
        return Converged("flat")
    number, latest = len(history), history[-1]
    seen = _seen(history, settings)
    if latest.best == 0:
        return _population(settings, seeds, number, seen, ())
    slots = sorted(
        zip(latest.generation.genomes, latest.fitness, strict=True),
        key=lambda slot: _order(slot[0], slot[1], settings),
    )
    bred = breed(
        [Genome.parse(text) for text, _ in slots],
        [fitness for _, fitness in slots],
        settings,
        generator(seeds.evolution_seed, "generation", number),
        _Novelty(settings, seen),
    )
    return Generation(number, tuple(genome.text for genome in bred), settings.elites)


def best_of(history: Sequence[Closed], settings: SearchSettings) -> list[Ranked]:
    """Every distinct network that has a fitness, best first: fitness, fewer multiply-adds, digest.

    Only those that were trained to the last rung: the fitness of the others is a lower bound.  Where none of these has
    a fitness, because each one diverged there or was excluded, those of the highest rung that any has one at.
    """
    known: dict[str, Ranked] = {}
    hand_made = _starter_digests(settings.units, settings.representation)
    able = [slot for slot in _slots(history, settings.race.last) if slot[1] > 0]
    top = max((rung for _, _, rung, _ in able), default=0)
    for text, fitness, rung, number in able:
        if rung == top:
            digest, price = _network(text, settings.crop, settings.input_channels)
            known.setdefault(digest, Ranked(text, digest, fitness, price, number, digest in hand_made))
    return sorted(known.values(), key=lambda one: (-one.fitness, one.multiply_adds_per_pixel, one.digest))


def finalists_of(
    history: Sequence[Closed], settings: SearchSettings, height: int, width: int, tiles: int = 1
) -> list[Ranked]:
    """The best networks whose modelled memory at the final output of height x width pixels is within the limit.

    At most `settings.finals(tiles)`; empty where no network has a fitness or none fits.  With several tiles the
    size is that of the largest.
    """
    fitting: list[Ranked] = []
    for one in best_of(history, settings):
        if _memory(one.genome, height, width, settings.input_channels) <= settings.memory_limit:
            fitting.append(one)
        if len(fitting) == settings.finals(tiles):
            break
    return fitting


@lru_cache(maxsize=16)
def _starter_digests(units: int, representation: str) -> frozenset[str]:
    return frozenset(genome.phenotype().digest for genome in starters(units, representation))


def is_starter(genome_text: str) -> bool:
    """Whether a genome describes one of the hand-made networks.  Raises GenomeError, InvalidPhenotype."""
    genome = Genome.parse(genome_text)
    return genome.phenotype().digest in _starter_digests(genome.units, genome.representation)


def evaluated_with(settings: SearchSettings, stop: int | None = None) -> dict[str, Any]:
    """The part of the settings that one fitness depends on, as its key and the evaluation store have it.

    A fit that is stopped after so many iterations is the whole fit of a search of that length, and has its key; where
    genomes say their length, `rung` tells after how many they were stopped, 0 for not.
    """
    evaluation = settings.evaluation()
    if stop is None:
        return {"evaluation": evaluation, "rung": 0}
    if REPRESENTATIONS[settings.representation].lengths:
        return {"evaluation": evaluation, "rung": stop}
    return {"evaluation": evaluation | {"iterations": stop}, "rung": 0}


def evaluation_key(
    frame_digest: str,
    task: Task,
    settings: SearchSettings,
    seeds: Seeds,
    phenotype_digest: str,
    *,
    stop: int | None = None,
) -> str:
    """sha256, in hex, of all that a fitness is a function of; equal keys have equal fitness to the last bit.

    stop: iterations after which the fit is stopped (`stop_at`).
    The search's population, length, rungs and cost cap are not in it: they decide who is evaluated, not the fitness.
    """
    parts = {
        "frame": frame_digest,
        "task": task.to_json(),
        **evaluated_with(settings, stop),
        "evaluation_seed": seeds.evaluation_seed,
        "phenotype": phenotype_digest,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
