"""Which settings are best for the presets' final fits, at their size and by their length?

    nice python -m benchmarks.final_fits [--shard 0/2] [--minutes M] [--arms default "jitter 0.01"]
        [--damages 4x] [--networks found] [--results FILE.jsonl]

What `fit_settings` found best at 96 px, where most fits are over after two hundred iterations, at 256 px, where few are: the
task's default settings, noise of 0.01 and of 1/30 (classical deep image prior's) on the input, 8 input channels instead of 32,
and noise of 0.01 with the absolute error. With the first starter, and with networks that a search found (`--networks found`),
which are what final fits are for, and some of which learn slower. One fit of 1700 iterations (the most that `balanced` allows
before a refit) with the held-out observations kept out; from its two curves follows what each shorter limit would have given:
the averaged output at the least held-out error up to there. PSNR against the clean picture, in the hole where there is one. The
held-out error stands beside it, since a user could tell by it. Arms have equal iterations; the last column has their processor
time against the default's. One to seven minutes of one core a row.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.stop_rule import stop
from benchmarks.study_fits import RowFile, Study, add_choices, add_row_options, interval, network_of, shard_of
from benchmarks.study_pictures import problem
from nasdip_engine.genome.genome import Genome
from nasdip_engine.numerics import use_one_thread
from nasdip_engine.restoration.fit import CHECK_EVERY

_SIDE, _ITERATIONS = 256, 1700
_LIMITS = (150, 300, 400, 700, 850, 1200, _ITERATIONS)
_PICTURES = ("astronaut", "gravel", "coffee", "chelsea")
_DAMAGES = ("4x", "sigma 25", "strokes", "scattered 50 %", "large hole")
_DEFAULT = "default"
_ARMS: Mapping[str, Mapping[str, Any]] = {
    _DEFAULT: {"jitter": 0.0},
    "jitter 0.01": {"jitter": 0.01},
    "8 channels": {"jitter": 0.0, "channels": 8},
    "jitter 1/30": {"jitter": 1 / 30},
    "jitter 0.01, absolute error": {"jitter": 0.01, "loss": "absolute"},
}
# Both finalists of `python -m benchmarks.preset_rows --preset preview` (seed 0), as its run.json tells them, and behind them
# those of `balanced` where it was run. Those of strokes and 4x are of before previews were raced.
_FOUND: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("astronaut", "sigma 25"): (
        "asym:5:0f788088d3c1e00234f00380091c001e034b0100785",
        "asym:5:0f380000d2c1e01014f206801d1c101e034f021078f",
        "asym:5:3d32442042a0888034aa02220f1a000801600000050",
        "asym:5:3d3244604ba0800034a902000d2a5008034a8000205",
    ),
    ("chelsea", "strokes"): (
        "asym:5:07f80010d1e1e880347a07800dfde88732dfc30d682",
        "asym:5:07f80000d1e1e000347807800d1e001e0347800078d",
    ),
    ("coffee", "4x"): (
        "asym:5:06a00000d1a08000347005800f3c0096014f001078d",
        "asym:5:2c69b8df535009f3a765fd6ded150cfa6107800078d",
    ),
}
_STARTER, _FINALISTS = "starter", ("found 1", "found 2", "found 3", "found 4")
_GROUPS: Mapping[str, tuple[str, ...]] = {_STARTER: (_STARTER,), "found": _FINALISTS}
_KEY = ("picture", "damage", "network", "arm")

Row = Mapping[str, Any]


def _genome(picture: str, damage: str, network: str) -> Genome:
    if network == _STARTER:
        return network_of(_STARTER, picture)
    return Genome.parse(_FOUND[picture, damage][_FINALISTS.index(network)])


def row(picture: str, damage: str, network: str, arm: str) -> dict[str, Any]:
    """One fit; curves every 25 iterations."""
    study = Study(problem(picture, damage, _SIDE))
    changes = dict(_ARMS[arm])
    channels = changes.pop("channels", study.settings.input_channels)
    genome, plan = _genome(picture, damage, network), study.plan(_ITERATIONS, **changes)
    held_out, averaged = study.watched(study.network(genome, channels), study.input(channels), plan)
    return {"task": study.problem.task.kind.value, "held_out": held_out, "averaged": averaged}


def within(one: Row, limit: int) -> tuple[float, float]:
    """(true, held-out) PSNR in dB of what a fit of at most `limit` iterations gives by our stop rule."""
    place = stop(one["held_out"], limit)[0] // CHECK_EVERY - 1
    return one["averaged"][place], one["held_out"][place]


def table(rows: Sequence[Row]) -> str:
    """Markdown: by network, limit and damage, what each arm gains over the default."""
    by_key = {tuple(one[name] for name in _KEY): one for one in rows}
    damages = [damage for damage in _DAMAGES if any(one["damage"] == damage for one in rows)]
    lines = [
        f"{len(rows)} rows. Gain in true PSNR, dB, over the default at the same limit: mean ± half of its 95 % interval (over",
        "photographs), and in how many fits it is above 0; in brackets the mean gain in held-out PSNR. Starter: the first one;",
        "found: the finalists of a preview, and of balanced for sigma 25, one damage a photograph.",
        "",
        "| network, arm | at most | " + " | ".join(damages) + " | processor time |",
        "|---" * (len(damages) + 3) + "|",
    ]
    for group in _GROUPS:
        for arm in _ARMS:
            pairs = {damage: _pairs(by_key, group, damage, arm) for damage in damages}
            every = [pair for each in pairs.values() for pair in each]
            if arm == _DEFAULT or not every:
                continue
            times = statistics.median(one["seconds"] / other["seconds"] for one, other in every)
            for limit in _LIMITS:
                cells = " | ".join(_gain(each, limit) for each in pairs.values())
                lines.append(f"| {group}, {arm} | {limit} | {cells} | {times:.2f}x |")
    return "\n".join([*lines, "", *_lengths(by_key, damages)])


def _pairs(by_key: Mapping[tuple[str, ...], Row], group: str, damage: str, arm: str) -> list[tuple[Row, Row]]:
    """Fits of an arm, each with that of the default."""
    wanted = [key for key in by_key if key[1] == damage and key[2] in _GROUPS[group] and key[3] == arm]
    return [(by_key[key], by_key[(*key[:3], _DEFAULT)]) for key in wanted if (*key[:3], _DEFAULT) in by_key]


def _gain(pairs: Sequence[tuple[Row, Row]], limit: int) -> str:
    if not pairs:
        return "-"
    gains = [
        [a - b for a, b in zip(within(one, limit), within(other, limit), strict=True)] for one, other in pairs
    ]
    told = interval([gain[0] for gain in gains], [one["picture"] for one, _ in pairs])
    return f"{told} [{statistics.fmean(gain[1] for gain in gains):+.2f}]"


def _lengths(by_key: Mapping[tuple[str, ...], Row], damages: Sequence[str]) -> list[str]:
    """What longer limits give by each arm, over 400 iterations of the default."""
    lines = [
        "Gain in true PSNR, dB, over at most 400 iterations of the default:",
        "",
        "| network, arm | at most | " + " | ".join(damages) + " |",
        "|---" * (len(damages) + 2) + "|",
    ]
    for group in _GROUPS:
        for arm in _ARMS:
            for limit in _LIMITS[3:]:
                cells = []
                for damage in damages:
                    pairs = _pairs(by_key, group, damage, arm)
                    gains = [within(one, limit)[0] - within(base, 400)[0] for one, base in pairs]
                    cells.append(interval(gains, [one["picture"] for one, _ in pairs]))
                if any(cell != "-" for cell in cells):
                    lines.append(f"| {group}, {arm} | {limit} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_choices(parser, arms=_ARMS, damages=_DAMAGES, networks=_GROUPS)
    add_row_options(parser, "docs/results/final-fits.jsonl")
    arguments = parser.parse_args()
    use_one_thread()
    places = [(picture, damage) for picture in _PICTURES for damage in arguments.damages]
    fits = [
        (*place, network)
        for place in places
        for group in arguments.networks
        for network in ((_STARTER,) if group == _STARTER else _FINALISTS[: len(_FOUND.get(place, ()))])
    ]
    wanted = [(*each, arm) for each in fits for arm in arguments.arms]
    file = RowFile(arguments.results, _KEY)
    file.fill(shard_of(arguments, wanted), row, arguments.minutes)
    file.write_table("Settings of a final fit, by its length", "final_fits", table)


if __name__ == "__main__":
    main()
