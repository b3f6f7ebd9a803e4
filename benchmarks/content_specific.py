"""Is the best network another one for each picture? From the rows of the fitness study, nothing is trained.

    python -m benchmarks.content_specific [--rows docs/results/fitness-study.jsonl] [--out docs/results/content-specific.md]

The study trains the same networks on every picture. If the paper is right that the best architecture follows the content, the
order of networks by true PSNR differs between pictures, and the best network of one picture costs something on another. But the
order is measured with noise of its own: beside it stands how well the orders of two trainings of the same networks on the same
picture agree, of which one held blocks out and the other pixels (where the study has both). Only what is less than that is the
content's. First weights and input are shared by all pictures, which works in the other direction.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.fitness_study import KEY, ROWS
from benchmarks.study_fits import RowFile, span, write_page
from benchmarks.study_pictures import DAMAGES

__all__ = ["agreement"]

_FEWEST = 4
Scores = Mapping[int, float]


def agreement(by_picture: Mapping[str, Scores]) -> dict[str, float]:
    """Between pictures, over the networks that both have.  by_picture: true PSNR in dB of each network by number.

    spearman: mean over the pairs of pictures.  transfer: mean over ordered pairs of what the best network of one picture
    loses on the other, dB.  mean_network: what the mean network loses there, for scale.
    Raises ValueError where no two pictures have enough networks in common.
    """
    correlations, losses, means = [], [], []
    for first, second in combinations(by_picture, 2):
        common = sorted(set(by_picture[first]) & set(by_picture[second]))
        if len(common) < _FEWEST:
            continue
        one, other = (np.array([by_picture[name][number] for number in common]) for name in (first, second))
        correlations.append(float(stats.spearmanr(one, other).statistic))
        for chosen, judged in permutations((one, other)):
            losses.append(float(judged.max() - judged[int(np.argmax(chosen))]))
            means.append(float(judged.max() - judged.mean()))
    if not correlations:
        raise ValueError(f"no two pictures have {_FEWEST} networks in common")
    return {
        "spearman": statistics.fmean(correlations),
        "transfer": statistics.fmean(losses),
        "mean_network": statistics.fmean(means),
        "pairs": len(correlations),
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown, one line a degradation."""
    found: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if row["arm"] == "pixels" and row["reason"] is None:
            found[row["damage"]][row["picture"]][row["genome"]] = row["truth"]["psnr"]
    lines = [
        (
            "| degradation | networks | pairs of pictures | Spearman between pictures | on one picture, trained twice "
            "| best network of another picture loses, dB | the mean network loses, dB |"
        ),
        "|---" * 7 + "|",
    ]
    for damage in DAMAGES:
        if damage not in found:
            continue
        try:
            told = agreement(found[damage])
        except ValueError:
            continue
        twice = _twice(rows, damage)
        counts = [len(scores) for scores in found[damage].values()]
        lines.append(
            f"| {damage} | {span(counts)} | {told['pairs']:.0f} | {told['spearman']:.2f} | "
            f"{'-' if twice is None else format(twice, '.2f')} | {told['transfer']:.2f} | {told['mean_network']:.2f} |"
        )
    return "\n".join(lines)


def _twice(rows: Sequence[Mapping[str, Any]], damage: str) -> float | None:
    """Spearman of the networks' true PSNR in two trainings on the same picture, mean over pictures; None without any."""
    scores: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if row["damage"] == damage and row["reason"] is None:
            scores[row["picture"]][row["arm"]][row["genome"]] = row["truth"]["psnr"]
    found = []
    for arms in scores.values():
        common = sorted(set(arms["pixels"]) & set(arms["blocks"]))
        if len(common) >= _FEWEST:
            one, other = ([arms[arm][number] for number in common] for arm in ("pixels", "blocks"))
            found.append(float(stats.spearmanr(one, other).statistic))
    return statistics.fmean(found) if found else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, default=ROWS)
    parser.add_argument("--out", type=Path, default=Path("docs/results/content-specific.md"))
    arguments = parser.parse_args()
    text = table(RowFile(arguments.rows, KEY).rows())
    title = "Is the best network another one for each picture?"
    write_page(arguments.out, title, "python -m benchmarks.content_specific", text)


if __name__ == "__main__":
    main()
