"""Racing by rungs: most networks of a generation are trained for a part of the iterations (successive halving).

All networks that are new to a generation are trained to its first rung, the best of them to the next one, and so on;
the last rung is the whole search fit.  A rung is a search fit like any other, begun anew and stopped early: the same
seeds give it the bits of the first part of a longer fit.

**What stopped stands below what went on**, without any special order.  Held-out fitness falls with the least held-out
error over the looks at iterations 25, 50, 75, ... (`restoration.fit`).  A rung's length is a multiple of 25, so its
looks are the first ones of every longer fit of that network, and the least error over more looks is no larger: from
rung to rung a fitness can only rise.  Those promoted are all whose fitness is at least some cut.  So whoever stopped
has less than the cut, and whoever went on has the cut or more, on every later rung too.  The one exception is right as
well: a fit that diverges, crashes or is excluded on a later rung has fitness 0, as it would have without racing.  So
the fitness of an individual is that of the highest rung it reached, selection, culling and elites need no change, and
since at least as many networks as there are elites go on at each rung, elites have the fitness of a whole fit.
Between generations such a fitness is a lower bound of that of the whole fit.

The paper's own score, LPIPS of the last output, may fall from rung to rung: settings refuse to race with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["LOOK_EVERY", "SPACING", "Field", "Race", "rank_correlation"]

LOOK_EVERY = 25
"""Iterations between two looks at the held-out error: `restoration.fit.CHECK_EVERY`, told without torch."""
SPACING = 3
"""Each rung is so many times as long as the one before, but for the last."""


@dataclass(frozen=True, slots=True)
class Field:
    """The networks of a generation that were trained to one rung.

    rung: its number, from 0.  networks: a genome of each, best known by its phenotype.  fitness: of each, 0 to 1.
    """

    rung: int
    networks: tuple[str, ...]
    fitness: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Race:
    """The rules of racing of one search; pure arithmetic.

    shares: of the iterations of a whole fit, one a rung, rising, the last one 1.  promoted_share: part of a rung's
    networks that goes on.  least: so many go on at least, if they have a fitness.
    """

    shares: tuple[Fraction, ...]
    promoted_share: Fraction
    least: int

    @classmethod
    def of(cls, first: float, promoted_share: float, least: int, shortest: int) -> Race:
        """Rungs at first, 3 * first, 9 * first, ... of the iterations, and at all of them; first 1: no racing.

        shortest: iterations of the shortest whole fit.  A rung that would not be longer there than the one before, or
        not shorter than a whole fit, is left out, so that every network has the same rungs.
        """
        shares: list[Fraction] = []
        share, before = Fraction(str(first)), 0
        while share < 1:
            length = _rounded(shortest, share)
            if before < length < shortest:
                shares.append(share)
                before = length
            share *= SPACING
        return cls((*shares, Fraction(1)), Fraction(str(promoted_share)), least)

    @property
    def last(self) -> int:
        """The number of the last rung, the whole fit."""
        return len(self.shares) - 1

    def length(self, whole: int, rung: int) -> int:
        """Iterations of a fit at a rung, where the whole fit has so many: a multiple of LOOK_EVERY but at the last."""
        return whole if rung == self.last else _rounded(whole, self.shares[rung])

    def places(self, field: int) -> int:
        """How many of so many networks go on, ties aside."""
        return max(self.least, math.ceil(self.promoted_share * field))

    def next_rung(self, field: int, after: int = -1) -> int:
        """The rung to which so many networks are trained next; after: the one where they stand, -1 for none.

        A rung from which all of them would go on decides nothing and is passed over.
        """
        rung = after + 1
        while rung < self.last and self.places(field) >= field:
            rung += 1
        return rung

    def promoted(self, fitness: Sequence[float]) -> tuple[int, ...]:
        """Which networks of a rung go on, by place: the best ones, with all whose fitness equals the last one's.

        fitness: of each network of the rung, 0 to 1; what has none never goes on.
        """
        able = sorted((value for value in fitness if value > 0), reverse=True)
        if not able:
            return ()
        cut = able[min(self.places(len(fitness)), len(able)) - 1]
        return tuple(place for place, value in enumerate(fitness) if value >= cut)

    def planned(self, networks: int, after: int = -1) -> list[tuple[int, int]]:
        """(rung, networks trained to it) of a generation with so many new networks, ties aside: known beforehand.

        after: the rung to which they were trained already.
        """
        fields: list[tuple[int, int]] = []
        rung = after
        while networks and rung < self.last:
            rung = self.next_rung(networks, rung)
            fields.append((rung, networks))
            networks = min(networks, self.places(networks))
        return fields

    def iterations(self, networks: int, whole: int) -> int:
        """Training iterations of a generation with so many new networks, ties aside; whole: of a whole fit."""
        return sum(count * self.length(whole, rung) for rung, count in self.planned(networks))

    def in_turn(self, fields: Iterable[tuple[int, int]], whole: int, at_once: int) -> float:
        """How many whole fits last as long as these rungs one after another, of which so many fits run at once.

        fields: (rung, networks trained to it), as `planned`.  A rung ends with its last fit, until then slots without
        one stand idle; so a rung of two networks lasts as long with sixteen slots as with two.
        """
        return sum(-(-count // at_once) * self.length(whole, rung) for rung, count in fields) / whole

    def left(self, waiting: int, field: int, rung: int) -> list[tuple[int, int]]:
        """(rung, networks) of what is to come in a generation that stands at a rung, ties aside.

        field: the networks of that rung, of which so many are still waiting for its fit.
        """
        return [(rung, waiting), *self.planned(min(field, self.places(field)), rung)]


def _rounded(whole: int, share: Fraction) -> int:
    return LOOK_EVERY * max(1, round(whole * share / LOOK_EVERY))


def rank_correlation(before: Field, after: Field) -> float | None:
    """Spearman's rank correlation of the fitness at two rungs, over the networks that have one at both; -1 to 1.

    None for fewer than three of them, and where one rung tells none apart.  Networks are the same where their genome
    is the same text.  Those of a later rung are the best of the one before: over so narrow a range it is smaller than
    over the whole field.
    """
    earlier = dict(zip(before.networks, before.fitness, strict=True))
    pairs = [
        (earlier[network], fitness)
        for network, fitness in zip(after.networks, after.fitness, strict=True)
        if fitness > 0 and earlier.get(network, 0) > 0
    ]
    if len(pairs) < 3:
        return None
    first, second = (_ranks([pair[side] for pair in pairs]) for side in (0, 1))
    middle = (len(pairs) + 1) / 2
    spreads = [math.fsum((rank - middle) ** 2 for rank in ranks) for ranks in (first, second)]
    if 0 in spreads:
        return None
    shared = math.fsum((a - middle) * (b - middle) for a, b in zip(first, second, strict=True))
    return shared / math.sqrt(spreads[0] * spreads[1])


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values share the mean of theirs."""
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) + 1) / 2 for value in values]
