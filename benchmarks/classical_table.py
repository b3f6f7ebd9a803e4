"""From the rows of `found_against_classical` to a page: gains with intervals, goals, every row, every loss.  Pure functions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import Any

from scipy import stats

__all__ = ["WHOLE", "Comparison", "comparisons", "interval", "reason_of_loss", "table"]

Row = Mapping[str, Any]
Arms = Mapping[str, Row]

# Damage -> (gain in dB over classical deep image prior, share of wins or None): the project's own goals.
GOALS: Mapping[str, tuple[float, float | None]] = MappingProxyType(
    {"sigma 25": (0.3, 0.75), "scattered 50 %": (0.5, None), "4x": (0.15, None)}
)
_FOUND = ("found", "found published")
_WIDE = ("classical", "classical published", "classical slow")
_NARROW = ("narrow", "narrow published", "narrow slow")
_EQUAL = "classical, equal iterations"
_AUTHORS, _PREFERRED = "both with its authors' rate and jitter", "each at its own settings"
# Name -> our arms, the rival's arms; of several the one that the held-out error prefers at the end of its fit.
RIVALS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {
        _EQUAL: (("found",), ("classical",)),
        "classical, equal multiply-adds": (("found",), ("narrow",)),
        "best starter": (("found",), ("starter",)),
        "random search of equal size": (("found",), ("random",)),
        "random search of equal size, both without starters": (("unaided",), ("random",)),
        f"classical, {_AUTHORS}": (("found published",), ("classical published",)),
        f"classical, equal multiply-adds, {_AUTHORS}": (("found published",), ("narrow published",)),
        f"best starter, {_AUTHORS}": (("found published",), ("starter published",)),
        f"classical, {_PREFERRED}": (_FOUND, _WIDE),
        f"classical, equal multiply-adds, {_PREFERRED}": (_FOUND, _NARROW),
    }
)
_LEGEND = """Gain of the found network in dB of PSNR against the clean picture: mean over pictures ± half of its 95 % interval
(Student's t over the pictures, whose seeds are averaged first), and in how many rows it is above 0. Both are fitted at our
learning rate without jitter where nothing else is said. A third of a search's first networks are starters, which random ones
have none of; "both without starters" is a search from random networks alone. "Each at its own settings": of ours and of those of
classical DIP's authors each takes what its held-out error prefers, as a user could."""
_LOSSES = """A loss is put down to the first of these that its figures bear out. **Stop**: at another moment the found network's
averaged output was at least as good as the rival's result. **Score**: at the end of the final fits the held-out error still
preferred the found network, so it could not be known blindly. **Short fits**: at the end it preferred the rival, only the search
fits of 150 iterations did not. **Unexplained**: no moment of the found network's fit reaches the rival, which was not among what
the search chose from; what the held-out error said at the end stands beside it."""


@dataclass(frozen=True)
class Comparison:
    """One picture, damage and seed: the found network beside a rival. arm: which of the rival's."""

    picture: str
    damage: str
    seed: int
    rival: str
    arm: str
    found: Row
    other: Row

    @property
    def gain(self) -> float:
        """In dB of PSNR, positive where the found network is nearer to the clean picture."""
        return float(self.found["psnr"]) - float(self.other["psnr"])


def _by_place(rows: Sequence[Row]) -> dict[tuple[str, str, int], dict[str, Row]]:
    places: dict[tuple[str, str, int], dict[str, Row]] = {}
    for row in rows:
        places.setdefault((row["picture"], row["damage"], row["seed"]), {})[row["arm"]] = row
    return places


def _has_figures(row: Row | None) -> bool:
    """Not so where an arm is missing or its fit diverged."""
    return row is not None and row.get("psnr") is not None


def _preferred(arms: Arms, among: Sequence[str]) -> str | None:
    """The arm whose fit ended with the least held-out error, the first of equals."""
    there = [arm for arm in among if _has_figures(arms.get(arm))]
    return max(there, key=lambda arm: float(arms[arm]["held_out_psnr"]), default=None)


def comparisons(rows: Sequence[Row], rival: str) -> list[Comparison]:
    """Of every picture, damage and seed where all arms of the comparison stand and one on each side has figures.

    "slow" arms are there where the authors' rate is another than ours, and are not waited for.
    """
    found = []
    needed = [arm for side in RIVALS[rival] for arm in side if not arm.endswith("slow")]
    for (picture, damage, seed), arms in _by_place(rows).items():
        if any(arm not in arms for arm in needed):
            continue
        ours, theirs = (_preferred(arms, among) for among in RIVALS[rival])
        if ours is not None and theirs is not None:
            found.append(Comparison(picture, damage, seed, rival, theirs, arms[ours], arms[theirs]))
    return found


def interval(gains: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    """Mean over the pictures and half of its 95 % interval; infinite for one picture.

    gains: picture -> one a seed. Seeds of one picture are no independent trials, so they are averaged first.
    """
    means = [statistics.fmean(values) for values in gains.values()]
    if len(means) < 2:
        return means[0], math.inf
    half = stats.t.ppf(0.975, len(means) - 1) * statistics.stdev(means) / math.sqrt(len(means))
    return statistics.fmean(means), float(half)


def _grouped(compared: Sequence[Comparison], gain: Callable[[Comparison], float]) -> dict[str, list[float]]:
    gains: dict[str, list[float]] = {}
    for one in compared:
        gains.setdefault(one.picture, []).append(gain(one))
    return gains


def _cell(compared: Sequence[Comparison]) -> str:
    if not compared:
        return "-"
    mean, half = interval(_grouped(compared, lambda one: one.gain))
    wins = sum(one.gain > 0 for one in compared)
    spread = "" if math.isinf(half) else f" ± {half:.2f}"
    return f"{mean:+.2f}{spread} ({wins} of {len(compared)})"


def _gains(rows: Sequence[Row], damages: Sequence[str]) -> list[str]:
    lines = ["| found against | " + " | ".join(damages) + " |", "|---" * (len(damages) + 1) + "|"]
    for rival in RIVALS:
        compared = comparisons(rows, rival)
        cells = [_cell([one for one in compared if one.damage == damage]) for damage in damages]
        lines.append(f"| {rival} | " + " | ".join(cells) + " |")
    return lines


def _other_scores(rows: Sequence[Row], damages: Sequence[str]) -> list[str]:
    lines = [
        "| found against | " + " | ".join(f"{damage}: SSIM, LPIPS" for damage in damages) + " |",
        "|---" * (len(damages) + 1) + "|",
    ]
    for rival in RIVALS:
        cells = []
        for damage in damages:
            compared = [one for one in comparisons(rows, rival) if one.damage == damage]
            if not compared:
                cells.append("-")
                continue
            means = [
                interval(_grouped(compared, lambda one: one.found[name] - one.other[name]))[0]  # noqa: B023 - called at once
                for name in ("ssim", "lpips")
            ]
            cells.append(f"{means[0]:+.3f}, {means[1]:+.3f}")
        lines.append(f"| {rival} | " + " | ".join(cells) + " |")
    return lines


def _goals(rows: Sequence[Row], damages: Sequence[str]) -> list[str]:
    lines = []
    for damage, rival in product(damages, (_EQUAL, f"classical, {_AUTHORS}", f"classical, {_PREFERRED}")):
        here = [one for one in comparisons(rows, rival) if one.damage == damage]
        if not here:
            continue
        mean, _ = interval(_grouped(here, lambda one: one.gain))
        share = sum(one.gain > 0 for one in here) / len(here)
        gain, wins = GOALS[damage]
        met = mean >= gain and (wins is None or share >= wins)
        asked = f"{gain:+.2f} dB" + ("" if wins is None else f" and {100 * wins:.0f} % wins")
        lines.append(
            f"- {damage}, against {rival}: the goal is {asked}; measured {mean:+.2f} dB and {100 * share:.0f} % wins: "
            f"{'reached' if met else 'missed'}."
        )
    return lines


def _figure(row: Row | None) -> str:
    """PSNR where the fit stopped, and the best of its moments where it was watched."""
    if row is None:
        return "-"
    if not _has_figures(row):
        return "diverged"
    return f"{row['psnr']:.2f}" + (f" ({row['peak']:.2f})" if "peak" in row else "")


WHOLE = "found whole"
_COLUMNS = (*_FOUND, WHOLE, "unaided", "starter", "starter published", "random", *_WIDE, *_NARROW)


def _every_row(rows: Sequence[Row]) -> list[str]:
    lines = [
        f"| picture | damage | seed | {' | '.join(_COLUMNS)} | best reference | found: kind, multiply-adds a pixel | trained |",
        "|---" * (len(_COLUMNS) + 6) + "|",
    ]
    for (picture, damage, seed), arms in sorted(
        _by_place(rows).items(), key=lambda one: (one[0][1:], one[0][0])
    ):
        cells = [_figure(arms.get(arm)) for arm in _COLUMNS]
        lines.append(
            f"| {picture} | {damage} | {seed} | {' | '.join(cells)} | {_reference(arms)} | {_kind(arms)} | {_search(arms)} |"
        )
    return lines


def _reference(arms: Arms) -> str:
    if "references" not in arms:
        return "-"
    named: Mapping[str, Row] = arms["references"]["references"]
    best = max(named, key=lambda name: named[name]["psnr"])
    ours = arms.get(WHOLE, arms.get("found"))
    won = ours is not None and _has_figures(ours) and named[best]["psnr"] > ours["psnr"]
    return f"{best} {named[best]['psnr']:.2f}{' (wins)' if won else ''}"


def _kind(arms: Arms) -> str:
    found = arms.get("found")
    if found is None:
        return "-"
    bred = "a starter" if found["starter"] else f"of generation {found['generation']}"
    return f"{bred}, {found['multiply_adds_per_pixel']:,.0f}"


def _search(arms: Arms) -> str:
    found, wide = arms.get("found"), arms.get("classical")
    if found is None:
        return "-"
    networks = str(found["search"]["networks"])
    if not _has_figures(wide) or not _has_figures(found):
        return networks
    assert wide is not None
    whole = found["search"]["multiply_adds"] + found["multiply_adds"] * found["iterations"]
    return f"{networks}, {whole / (wide['multiply_adds'] * wide['iterations']):.2f}"


def reason_of_loss(loss: Comparison) -> str:
    """What a loss is put down to, with the figures: see `_LOSSES`."""
    found, other = loss.found, loss.other
    preferred = found["held_out_psnr"] - other["held_out_psnr"]
    blind = f"held-out {preferred:+.2f} dB"
    if found["peak"] >= other["psnr"]:
        return f"stop: {found['peak'] - found['psnr']:.2f} dB better at iteration {found['peak_iteration']}; {blind}"
    if loss.arm.split()[0] not in ("starter", "random"):
        return f"unexplained: its best moment is {other['psnr'] - found['peak']:.2f} dB short of the rival; {blind}"
    return f"{'score' if preferred >= 0 else 'short fits'}: {blind}"


def _losses(rows: Sequence[Row]) -> list[str]:
    lost = [one for rival in RIVALS for one in comparisons(rows, rival) if one.gain < 0]
    lines = ["| lost to | picture | damage | seed | dB | put down to |", "|---" * 6 + "|"]
    lines += [
        f"| {one.rival} | {one.picture} | {one.damage} | {one.seed} | {one.gain:+.2f} | {reason_of_loss(one)} |"
        for one in lost
    ]
    return lines if lost else ["None."]


def table(rows: Sequence[Row]) -> str:
    """The whole page, Markdown."""
    damages = [damage for damage in GOALS if any(row["damage"] == damage for row in rows)]
    arms = {row["arm"] for row in rows}
    counts = f"Damaged pictures and seeds: {len(_by_place(rows))}; arms: {len(arms)}; {len(rows)} rows"
    hours = sum(row["seconds"] for row in rows) / 3600
    diverged = sum("reason" in row for row in rows)
    parts = [
        "# Found against classical deep image prior", "",
        "    nice python -m benchmarks.found_against_classical",
        "    python -m benchmarks.found_against_classical --table", "",
        f"{counts} in {hours:.1f} hours of one core; {diverged} fits diverged. 96 px, 500 iterations.", "",
        _LEGEND, "", *_gains(rows, damages), "", *_goals(rows, damages), "",
        "Means of the differences in SSIM (more is better) and LPIPS (less is better):", "",
        *_other_scores(rows, damages), "", "## Every row", "",
        "PSNR in dB where the held-out error stopped the fit and, in brackets, at the best of its moments, which nobody knows.",
        "Networks lack the held-out tenth of the observations that references see, but for `found whole`, the found network",
        "fitted again as the product does for noise and enlarging; where it stands, references win against it. `unaided`: found",
        "without starters.",
        "`trained`: networks of the search, and its multiply-adds with the final fit's, in those of the classical fit.",
        "", *_every_row(rows), "", "## Every loss", "", _LOSSES, "", *_losses(rows), "",
    ]  # fmt: skip
    return "\n".join(parts)
