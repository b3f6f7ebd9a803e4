"""Which settings are best for the presets' final fits, at their size and by their length?

    nice python -m benchmarks.final_fits [--shard 0/2] [--minutes M] [--arms default "jitter 0.01"]
        [--damages 4x] [--results FILE.jsonl]

What `fit_settings` found best at 96 px, where a fit is over after two hundred iterations, at 256 px, where it is not: the task's
default settings, noise of 0.01 and of 1/30 (classical deep image prior's) on the input, 8 input channels instead of 32, and noise
of 0.01 with the absolute error, all with the first starter. One fit of 1700 iterations (the most that `thorough` allows before a
refit) with the held-out observations kept out; from its two curves follows what each shorter limit would have given: the averaged
output at the least held-out error up to there. PSNR against the clean picture, in the hole where there is one. The held-out error
stands beside it, since a user could tell by it. Arms have equal iterations; the last column has their processor time against the
default's. Three to four minutes of one core a row.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.stop_rule import stop
from benchmarks.study_fits import RowFile, Study, add_row_options, interval, network_of, shard_of
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
_KEY = ("picture", "damage", "arm")

Row = Mapping[str, Any]


def row(picture: str, damage: str, arm: str) -> dict[str, Any]:
    """One fit; curves every 25 iterations."""
    study = Study(picture, damage, _SIDE)
    changes = dict(_ARMS[arm])
    channels = changes.pop("channels", study.settings.input_channels)
    genome, plan = network_of("starter", picture), study.plan(_ITERATIONS, **changes)
    held_out, averaged = study.watched(study.network(genome, channels), study.input(channels), plan)
    return {"task": study.problem.task.kind.value, "held_out": held_out, "averaged": averaged}


def within(one: Row, limit: int) -> tuple[float, float]:
    """(true, held-out) PSNR in dB of what a fit of at most `limit` iterations gives by our stop rule."""
    place = stop(one["held_out"], limit)[0] // CHECK_EVERY - 1
    return one["averaged"][place], one["held_out"][place]


def table(rows: Sequence[Row]) -> str:
    """Markdown: by limit and damage, what each arm gains over the default."""
    by_key = {tuple(one[name] for name in _KEY): one for one in rows}
    damages = [damage for damage in _DAMAGES if any(one["damage"] == damage for one in rows)]
    lines = [
        f"{len(rows)} rows. Gain in true PSNR, dB, over the default at the same limit: mean ± half of its 95 % interval, and in",
        "how many photographs it is above 0; in brackets the mean gain in held-out PSNR.",
        "",
        "| arm | at most | " + " | ".join(damages) + " | processor time |",
        "|---" * (len(damages) + 3) + "|",
    ]
    for arm in _ARMS:
        pairs = {
            damage: [
                (by_key[key], by_key[(*key[:2], _DEFAULT)])
                for key in by_key
                if key[1:] == (damage, arm) and (*key[:2], _DEFAULT) in by_key
            ]
            for damage in damages
        }
        every = [pair for group in pairs.values() for pair in group]
        if arm == _DEFAULT or not every:
            continue
        times = statistics.median(one["seconds"] / other["seconds"] for one, other in every)
        for limit in _LIMITS:
            cells = []
            for group in pairs.values():
                gains = [[a - b for a, b in zip(within(one, limit), within(other, limit), strict=True)]
                         for one, other in group]  # fmt: skip
                held = f" [{statistics.fmean(gain[1] for gain in gains):+.2f}]" if gains else ""
                cells.append(interval([gain[0] for gain in gains]) + held)
            lines.append(f"| {arm} | {limit} | " + " | ".join(cells) + f" | {times:.2f}x |")
    return "\n".join([*lines, "", *_lengths(by_key, damages)])


def _lengths(by_key: Mapping[tuple[str, ...], Row], damages: Sequence[str]) -> list[str]:
    """What longer limits give by each arm, over 400 iterations of the default."""
    lines = [
        "Gain in true PSNR, dB, over at most 400 iterations of the default:",
        "",
        "| arm | at most | " + " | ".join(damages) + " |",
        "|---" * (len(damages) + 2) + "|",
    ]
    for arm in _ARMS:
        for limit in _LIMITS[3:]:
            cells = []
            for damage in damages:
                gains = [
                    within(one, limit)[0] - within(by_key[(*key[:2], _DEFAULT)], 400)[0]
                    for key, one in by_key.items()
                    if key[1:] == (damage, arm) and (*key[:2], _DEFAULT) in by_key
                ]
                cells.append(interval(gains))
            if any(cell != "-" for cell in cells):
                lines.append(f"| {arm} | {limit} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", nargs="+", choices=_ARMS, default=list(_ARMS))
    parser.add_argument("--damages", nargs="+", choices=_DAMAGES, default=list(_DAMAGES))
    add_row_options(parser, "docs/results/final-fits.jsonl")
    arguments = parser.parse_args()
    use_one_thread()
    wanted = [
        (picture, damage, arm)
        for picture in _PICTURES
        for damage in arguments.damages
        for arm in arguments.arms
    ]
    file = RowFile(arguments.results, _KEY)
    file.fill(shard_of(arguments, wanted), row, arguments.minutes)
    file.write_table("Settings of a final fit, by its length", "final_fits", table)


if __name__ == "__main__":
    main()
