"""Is the best network another one for each picture? From the rows of the fitness study, nothing is trained.

    python -m benchmarks.content_specific [--rows docs/results/fitness-study.jsonl] [--out docs/results/content-specific.md]

The study trains the same networks on every picture. If the paper is right that the best architecture follows the content, the
order of networks by true PSNR differs between pictures, and the best network of one picture costs something on another. But the
order is measured with chance of its own: beside it stands what two trainings of the same networks on the same picture have in
common, from other first weights and another input (where the study has both). Only what pictures agree less, or lose more, than
that is beyond chance; the last table has it picture by picture as a mean with its interval. Another picture has another noise and
another hole too, the same picture has not, so a part of what is beyond chance may be the damage's. First weights and input are
shared by all pictures, which works in the other direction.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, permutations, product
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.fitness_study import DAMAGES, KEY, ROWS
from benchmarks.study_fits import RowFile, interval, span, write_page

__all__ = ["agreement", "beyond_chance", "table"]

_FEWEST = 4
Scores = Mapping[int, float]


def agreement(pairs: Iterable[tuple[Scores, Scores]]) -> dict[str, float]:
    """How far the orders of networks agree.  pairs: true PSNR in dB of each network by number, twice.

    spearman: mean over the pairs, over the networks that both have.  transfer: mean over both directions of what the best
    network of one loses in the other, dB.  mean_network: what the mean network loses there, for scale.
    Raises ValueError where no pair has enough networks in common.
    """
    correlations, losses, means = [], [], []
    for first, second in pairs:
        common = sorted(set(first) & set(second))
        if len(common) < _FEWEST:
            continue
        one, other = (np.array([scores[number] for number in common]) for scores in (first, second))
        correlations.append(float(stats.spearmanr(one, other).statistic))
        for chosen, judged in permutations((one, other)):
            losses.append(float(judged.max() - judged[int(np.argmax(chosen))]))
            means.append(float(judged.max() - judged.mean()))
    if not correlations:
        raise ValueError(f"no pair has {_FEWEST} networks in common")
    return {
        "spearman": statistics.fmean(correlations),
        "transfer": statistics.fmean(losses),
        "mean_network": statistics.fmean(means),
        "pairs": len(correlations),
    }


def _by_arm(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, dict[int, float]]]]:
    """Damage -> arm -> picture -> true PSNR of each network that did not diverge."""
    found: dict[str, dict[str, dict[str, dict[int, float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(dict))
    )
    for row in rows:
        if row["reason"] is None:
            found[row["damage"]][row["arm"]][row["picture"]][row["genome"]] = row["truth"]["psnr"]
    return found


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown, up to three lines a degradation: other pictures, other pictures and seed, the same picture with another seed."""
    found = _by_arm(rows)
    lines = [
        (
            "| degradation | trained again | networks | pairs | Spearman | the best of one loses in the other, dB "
            "| the mean network loses, dB |"
        ),
        "|---" * 7 + "|",
    ]
    for damage in (one for one in DAMAGES if one in found):
        once, again = found[damage]["pixels"], found[damage]["again"]
        compared = {
            "on another picture": [(once[one], once[other]) for one, other in combinations(once, 2)],
            "on another picture with another seed": [
                (once[one], again[other]) for one, other in product(once, again) if one != other
            ],
            "on the same picture with another seed": [
                (once[one], again[one]) for one in once if one in again
            ],
        }
        for name, pairs in compared.items():
            try:
                told = agreement(pairs)
            except ValueError:
                continue
            counts = [count for one, other in pairs if (count := len(set(one) & set(other))) >= _FEWEST]
            lines.append(
                f"| {damage} | {name} | {span(counts)} | {told['pairs']:.0f} | {told['spearman']:.2f} | "
                f"{told['transfer']:.2f} | {told['mean_network']:.2f} |"
            )
    return "\n".join(lines)


def beyond_chance(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown, a line a degradation that was trained again: other pictures less the same picture, paired by picture."""
    lines = [
        "Beyond chance: on another picture less on the same one, each with another seed: mean ± half of its 95 % interval",
        "over the pictures, and for how many it is above 0.",
        "",
        "| degradation | Spearman | the best of one loses in the other, dB |",
        "|---|---|---|",
    ]
    found = _by_arm(rows)
    for damage in (one for one in DAMAGES if "again" in found.get(one, {})):
        once, again = found[damage]["pixels"], found[damage]["again"]
        gaps: dict[str, list[float]] = {"spearman": [], "transfer": []}
        for picture in (one for one in once if one in again):
            others = [(once[picture], again[one]) for one in again if one != picture]
            others += [(once[one], again[picture]) for one in once if one != picture]
            try:
                same, other = agreement([(once[picture], again[picture])]), agreement(others)
            except ValueError:
                continue
            for name, values in gaps.items():
                values.append(other[name] - same[name])
        if gaps["spearman"]:
            lines.append(f"| {damage} | {interval(gaps['spearman'])} | {interval(gaps['transfer'])} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=Path, default=ROWS)
    parser.add_argument("--out", type=Path, default=Path("docs/results/content-specific.md"))
    arguments = parser.parse_args()
    rows = RowFile(arguments.rows, KEY).rows()
    text = f"{table(rows)}\n\n{beyond_chance(rows)}"
    title = "Is the best network another one for each picture?"
    write_page(arguments.out, title, "python -m benchmarks.content_specific", text)


if __name__ == "__main__":
    main()
