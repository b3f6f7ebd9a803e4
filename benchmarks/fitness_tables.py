"""The fitness study's rows as tables and one plot: which blind score ranks networks as the truth does, and what it costs.

    python -m benchmarks.fitness_tables [--rows docs/results/fitness-study.jsonl] [--out docs/results/fitness-study.md]

For each picture and degradation over its networks: Spearman's rank correlation of a score with the true PSNR, SSIM and LPIPS
(negated, so that more is better), and the regret, dB between the best network and the one that the score picks. Then mean and
95 % interval (Student's t) over the pictures. Truth is of the output at the least held-out error for every score, so that
regrets tell what choosing by a score is worth and nothing else; of the fits of their own for what was held out in such. How far
behind the same best the picked network is after all iterations, as a protocol without held-out observations shows it, stands
beside it. Networks that diverged are left out, since every score refuses them.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.fitness_study import COPIES_ALONE, DAMAGES, KEY, ROWS
from benchmarks.study_fits import RowFile, span
from benchmarks.study_pictures import PICTURES

__all__ = ["arms_table", "judged", "missed", "scores_of", "table"]

Row = Mapping[str, Any]
Values = NDArray[np.float64]
_FEWEST = 4  # networks under which a correlation says nothing
_CONTROL = "parameters (control)"
_PAPER = "LPIPS observed, at the end (the paper's score, our fit)"
_LOSS = "training loss, at the end"
_MOVED = "held out: the engine's moved copies (fits of their own)"
_OWN_FITS = {
    "blocks": "held out: 8x8 blocks (fits of their own)",
    "small blocks": "held out: 4x4 blocks (fits of their own)",
    "moved copies": _MOVED,
    "alike copies": "held out: the 2 copies most alike (fits of their own)",
}
_BEST = 6
# Where a pixel's error is that of the result, and noise.
_SAMPLED = ("sigma 15", "sigma 25", "sigma 50", "scattered 50 %")
_DEFAULTS = {"strokes": "held out: copies", "large hole": _MOVED}
_MISSED = (
    "Among a picture's six best networks, in squares of 8-bit values: standard deviation of the true mean squared error, and "
    "of what the held-out pixels' error has besides. Where the second is as large as the first, their order is chance."
)
_WIDER = (
    "The order by the held-out error with a tenth of the pixels held out (pixels) and with three tenths (wider), and what it "
    "chooses, judged by the truth of the same networks trained from other first weights with a tenth held out."
)
_SMALLER = (
    "The same of blocks of 8 x 8 (blocks) and 4 x 4 (small blocks), a tenth of the pixels each, judged by the truth of the same "
    "networks fitted with single pixels held out: what choosing is worth."
)
_SMALLER_FITS = (
    "The same judged by the truth of their own fits, which did not see the blocks, were stopped by them and not done again "
    "without: choosing, stopping and what is missing together."
)
_ALIKE = (
    "In large holes, the engine's copies (moved copies) and the two of eight that are most alike in what surrounds them (alike "
    "copies), about as many pixels: the order by fits with either held out, judged by the truth of those fits."
)
_ALIKE_CHOSEN = "The same judged by the truth of the same networks fitted with eight copies held out: what choosing is worth."
_CHOSEN = (
    "The order by the fits with 4 x 4 blocks held out (small blocks) and by those with single pixels held out (pixels), judged "
    "by the truth of the former."
)
_ARMS_HEADER = (
    "| degradation | networks | Spearman: {0} | {1} | gain | regret, dB: {0} | {1} | gain | PSNR chosen: {0} | {1} | gain |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)


def _each(rows: Sequence[Row], value: Callable[[Row], float]) -> Values:
    return np.array([value(row) for row in rows], dtype=np.float64)


def _held_out(rows: Sequence[Row]) -> Values:
    """Least held-out error, as PSNR, of the set that stopped the fit."""
    return _each(rows, lambda row: max(next(iter(row["curves"].values()))))


def _finished(rows: Sequence[Row], picture: str, damage: str) -> list[Row]:
    """The trainings of one field that did not diverge."""
    field = (picture, damage, "pixels", None)
    return [row for row in rows if (row["picture"], row["damage"], row["arm"], row["reason"]) == field]


def _mean_rank(parts: Sequence[Values]) -> Values:
    """Mean of ranks, more is better."""
    return np.mean([stats.rankdata(part) for part in parts], axis=0)


def scores_of(damage: str, rows: Sequence[Row]) -> dict[str, Values]:
    """Every score of some networks on one picture by name, more is better.  rows: of the arm "pixels"."""
    found = {
        _LOSS: _each(rows, lambda row: row["at_end"]["fitted"]),
        _PAPER: -_each(rows, lambda row: row["at_end"]["lpips observed"]),
        "LPIPS observed, at the stop": -_each(rows, lambda row: row["at_stop"]["lpips observed"]),
        "held out: LPIPS": -_each(rows, lambda row: row["at_stop"]["lpips held out"]),
        "held out: pixels": _each(rows, lambda row: max(row["curves"]["pixels"])),
        "ES-WMV's variance": -_each(rows, lambda row: row["variance"]["value"]),
        "ISNAS-DIP's strip": -_each(rows, lambda row: row["strip"]),
        _CONTROL: _each(rows, lambda row: row["parameters"]),
    }
    if damage == "strokes":
        found["held out: copies"] = _each(rows, lambda row: row["at_stop"]["held out"]["copies"])
        found["mixture: copies, LPIPS"] = _mean_rank([found["held out: copies"], found["held out: LPIPS"]])
    elif damage == "large hole":
        found |= _hole_scores(rows)
    else:
        found["mixture: pixels, LPIPS"] = _mean_rank([found["held out: pixels"], found["held out: LPIPS"]])
    if damage == "4x":
        found["reduced resolution"] = _each(rows, lambda row: row["reduced"])
        found["mixture: loss, reduced"] = _mean_rank([found[_LOSS], found["reduced resolution"]])
        found["mixture: loss, pixels"] = _mean_rank([found[_LOSS], found["held out: pixels"]])
    return found


def _hole_scores(rows: Sequence[Row]) -> dict[str, Values]:
    names = sorted(rows[0]["at_stop"]["lpips copies"]) if rows else []

    def of_copies(score: str) -> list[Values]:
        return [np.array([row["at_stop"][score][name] for row in rows]) for name in names]

    errors, distances = of_copies("held out"), [-values for values in of_copies("lpips copies")]
    squared = np.mean([10 ** (-error / 10) for error in errors], axis=0)
    found = {
        f"held out: {count} cop{'y' if count == 1 else 'ies'}, rank": _mean_rank(errors[:count])
        for count in (1, 4, len(names))
    }
    found["held out: 8 copies, mean error"] = -squared
    found["held out: 2 copies (the most alike), mean error"] = _each(
        rows, lambda row: max(row["curves"]["two copies"])
    )
    found["held out: 8 copies, LPIPS rank"] = _mean_rank(distances)
    found["seam"] = -_each(rows, lambda row: row["at_stop"]["seam"])
    found["patch coherence"] = -_each(rows, lambda row: row["at_stop"]["patches"])
    found["self-consistency"] = _each(rows, lambda row: row["consistency"])
    copies = _mean_rank(errors)
    found["mixture: copies, their LPIPS"] = _mean_rank([*errors, *distances])
    found["mixture: copies, LPIPS, seam, patches"] = _mean_rank(
        [copies, _mean_rank(distances), found["seam"], found["patch coherence"]]
    )
    return found


def judged(score: Values, rows: Sequence[Row]) -> dict[str, float]:
    """Spearman with each truth, nan where the score is constant, and in dB behind the best network's PSNR:

    regret, the picked one where the held-out error stopped it; at_end, after all iterations.
    """
    truth = {
        "psnr": _each(rows, lambda row: row["truth"]["psnr"]),
        "ssim": _each(rows, lambda row: row["truth"]["ssim"]),
        "lpips": -_each(rows, lambda row: row["truth"]["lpips"]),
    }
    constant = bool(np.all(score == score[0]))
    found = {
        name: float("nan") if constant else float(stats.spearmanr(score, values).statistic)
        for name, values in truth.items()
    }
    best, picked = float(truth["psnr"].max()), int(np.argmax(score))
    return found | {
        "regret": best - float(truth["psnr"][picked]),
        "at_end": best - float(rows[picked]["truth_end"]),
    }


def _by_picture(rows: Sequence[Row]) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """damage -> score -> picture -> figures."""
    cells: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row["reason"] is None:
            cells[row["picture"], row["damage"], row["arm"]].append(row)
    found: dict[str, dict[str, dict[str, dict[str, float]]]] = defaultdict(lambda: defaultdict(dict))
    for picture in PICTURES:
        for damage in DAMAGES:
            mine = sorted(cells[picture, damage, "pixels"], key=lambda row: row["genome"])
            if len(mine) < _FEWEST:
                continue
            for name, score in scores_of(damage, mine).items():
                found[damage][name][picture] = judged(score, mine) | {"networks": len(mine)}
            for arm, name in _OWN_FITS.items():
                own = sorted(cells[picture, damage, arm], key=lambda row: row["genome"])
                if len(own) >= _FEWEST:
                    found[damage][name][picture] = judged(_held_out(own), own) | {"networks": len(own)}
    return found


def _interval(values: Sequence[float]) -> str:
    sound = [value for value in values if not np.isnan(value)]
    if len(sound) < 2:
        return "-"
    half = stats.t.ppf(0.975, len(sound) - 1) * statistics.stdev(sound) / len(sound) ** 0.5
    return f"{statistics.fmean(sound):.2f} ± {half:.2f}"


_HEADER = (
    "| score | pictures x networks | Spearman with PSNR | with SSIM | with LPIPS | regret, dB | worst regret "
    "| picked one after all iterations, dB behind |\n|---|---|---|---|---|---|---|---|"
)


def table(rows: Sequence[Row]) -> str:
    """Markdown: for each degradation the scores, best regret first, then picture by picture."""
    found = _by_picture(rows)
    lines = []
    for damage, by_score in found.items():
        lines += ["", f"## {damage}", "", _HEADER]
        mean = {
            name: statistics.fmean(one["regret"] for one in pictures.values())
            for name, pictures in by_score.items()
        }
        for name in sorted(by_score, key=mean.__getitem__):
            each = list(by_score[name].values())
            figures = [_interval([one[kind] for one in each]) for kind in ("psnr", "ssim", "lpips", "regret")]
            worst = max(one["regret"] for one in each)
            counted = f"{len(each)} x {span([int(one['networks']) for one in each])}"
            late = _interval([one["at_end"] for one in each])
            lines.append(f"| {name} | {counted} | {' | '.join(figures)} | {worst:.2f} | {late} |")
    lines += [
        "",
        "## Picture by picture",
        "",
        "Spearman with the true PSNR, and regret in dB, of the score that is nearest to the default of the engine.",
        "",
    ]
    lines += ["| degradation | score | " + " | ".join(PICTURES) + " |", "|---" * (2 + len(PICTURES)) + "|"]
    for damage, by_score in found.items():
        name = _DEFAULTS.get(damage, "held out: pixels")
        told = [by_score[name].get(picture) for picture in PICTURES]
        cells = [f"{one['psnr']:.2f}, {one['regret']:.2f}" if one else "-" for one in told]
        lines.append(f"| {damage} | {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def missed(rows: Sequence[Row]) -> tuple[float, float]:
    """Of a picture's six best networks, in squares of 8-bit values: standard deviation of the true mean squared error, and of
    what the held-out pixels' error has besides.  rows: of the arm "pixels"; constant noise drops out of the second.
    """
    true, held_out = (
        255**2 * 10 ** (-_each(rows, value) / 10)
        for value in (lambda row: row["truth"]["psnr"], lambda row: max(row["curves"]["pixels"]))
    )
    best = np.argsort(true, kind="stable")[:_BEST]
    return float(np.std(true[best], ddof=1)), float(np.std((held_out - true)[best], ddof=1))


def missed_table(rows: Sequence[Row]) -> str:
    """Markdown: where the best networks of a picture differ by less than a sample of pixels can tell."""
    lines = [
        "",
        "## What held-out pixels can't tell",
        "",
        _MISSED,
        "",
        "| degradation | " + " | ".join(PICTURES) + " |",
        "|---" * (1 + len(PICTURES)) + "|",
    ]
    for damage in _SAMPLED:
        told = []
        for picture in PICTURES:
            mine = _finished(rows, picture, damage)
            told.append("{:.0f}, {:.0f}".format(*missed(mine)) if len(mine) >= _BEST else "-")
        lines.append(f"| {damage} | " + " | ".join(told) + " |")
    return "\n".join(lines)


def arms_table(rows: Sequence[Row], arms: tuple[str, str], judge: str | None) -> str:
    """Markdown: two ways of holding out, on the networks that were trained in both.

    judge: the arm whose truth decides, of other trainings of the same networks; None for each arm's own.
    """
    by_key = {tuple(row[name] for name in KEY): row for row in rows if row["reason"] is None}
    networks = sorted({number for *_, number in by_key})
    lines = [_ARMS_HEADER.format(*arms)]
    for damage in DAMAGES:
        counted, told = [], []
        for picture in PICTURES:
            needed = {*arms, judge or arms[0]}
            numbers = [
                number
                for number in networks
                if all((picture, damage, arm, number) in by_key for arm in needed)
            ]
            if len(numbers) < _FEWEST:
                continue
            counted.append(len(numbers))
            fields = {
                arm: [by_key[picture, damage, arm, number] for number in numbers] for arm in sorted(needed)
            }
            told.append([_chosen(fields[arm], fields[judge or arm]) for arm in arms])
        if counted:
            both = np.array(told).transpose(2, 1, 0)  # figure, arm, picture
            cells = [_interval(values) for one in both for values in (*one, one[1] - one[0])]
            lines.append(f"| {damage} | {span(counted)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _chosen(field: Sequence[Row], judge: Sequence[Row]) -> tuple[float, float, float]:
    """Spearman of the held-out PSNR with the truth, regret, and the true PSNR of the network that it picks."""
    score = _held_out(field)
    true = _each(judge, lambda row: row["truth"]["psnr"])
    picked = float(true[int(np.argmax(score))])
    return float(stats.spearmanr(score, true).statistic), float(true.max()) - picked, picked


def compared(rows: Sequence[Row]) -> str:
    """Markdown: what a larger sample, smaller blocks, and pixels to choose by instead of blocks are worth."""
    parts = (
        ("A larger sample", _WIDER, ("pixels", "wider"), "again"),
        ("Smaller blocks, to choose by", _SMALLER, ("blocks", "small blocks"), "pixels"),
        ("Smaller blocks, their own fits", _SMALLER_FITS, ("blocks", "small blocks"), None),
        ("Copies of the hole", _ALIKE, COPIES_ALONE, None),
        ("Copies of the hole, to choose by", _ALIKE_CHOSEN, COPIES_ALONE, "pixels"),
        ("Chosen by pixels, stopped by blocks", _CHOSEN, ("small blocks", "pixels"), "small blocks"),
    )
    told = [
        f"\n## {title}\n\n{words}\n\n{arms_table(rows, arms, judge)}" for title, words, arms, judge in parts
    ]
    return "\n".join(told)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Mean Spearman with the true PSNR of every score, by degradation: SVG."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    found = _by_picture(rows)
    names = sorted({name for by_score in found.values() for name in by_score})
    values = np.full((len(names), len(found)), np.nan)
    for column, by_score in enumerate(found.values()):
        for name, pictures in by_score.items():
            sound = [one["psnr"] for one in pictures.values() if not np.isnan(one["psnr"])]
            values[names.index(name), column] = statistics.fmean(sound) if sound else np.nan
    order = np.argsort(-np.nan_to_num(np.nanmean(values, axis=1)))
    figure = Figure(figsize=(9, 0.36 * len(names) + 1.6), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(values[order], vmin=-1, vmax=1, cmap="RdYlGn", aspect="auto")
    axes.set_xticks(range(len(found)), list(found), rotation=30, ha="right")
    axes.set_yticks(range(len(names)), [names[place] for place in order])
    for place, line in enumerate(values[order]):
        for column, value in enumerate(line):
            if not np.isnan(value):
                axes.text(column, place, f"{value:.2f}", ha="center", va="center", fontsize=7)
    figure.colorbar(image, label="Spearman with the true PSNR, mean over the pictures")
    with rc_context({"svg.hashsalt": path.name}):  # else its ids are other ones each time
        figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, default=ROWS)
    parser.add_argument("--out", type=Path, default=Path("docs/results/fitness-study.md"))
    arguments = parser.parse_args()
    rows = RowFile(arguments.rows, KEY).rows()
    spent = sum(row["seconds"] for row in rows) / 3600
    lost = sum(row["reason"] is not None for row in rows)
    head = (
        "# Which blind score knows a good network?\n\n    nice python -m benchmarks.fitness_study\n"
        f"    python -m benchmarks.fitness_tables\n\n{len(rows)} trainings, {lost} of which diverged, in {spent:.1f} "
        "core-hours. Mean ± half of the 95 % interval over the pictures; regret is the dB between the best network and "
        "the one that the score picks, both where the held-out error stopped them.\n\n"
        f"![Spearman by score and degradation]({arguments.out.with_suffix('.svg').name})\n"
    )
    told = "\n".join(part(rows) for part in (table, missed_table, compared))
    arguments.out.write_text(head + told + "\n", encoding="utf-8")
    plot(rows, arguments.out.with_suffix(".svg"))
    print(told)


if __name__ == "__main__":
    main()
