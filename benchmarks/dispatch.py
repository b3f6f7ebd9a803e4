"""What it costs to hand an evaluation to a child: forked for it, or kept.

    python -m benchmarks.dispatch [--repeats 20] [--out docs/results/dispatch.md]

One iteration of a small network at 32 px, asked of a warm evaluator host; the price of dispatch is the time until the
outcome is there, less the median of the same evaluation called in a warm process without any guard. So it holds the
fork, what a fresh child does again, the reading of the request and the way back. The modes take turns.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from skimage import data

from nasdip_engine.evaluation import evaluate
from nasdip_engine.evolution.settings import settings_for
from nasdip_engine.genome.starters import starters
from nasdip_engine.guard import Host, Outcome
from nasdip_engine.guard_mode import Mode
from nasdip_engine.numerics import fingerprint
from nasdip_engine.picture import encode_png
from nasdip_engine.task import Task, TaskKind

SIDE = 32


def request(picture: Path) -> dict[str, Any]:
    """One iteration on a corner of a photograph."""
    picture.write_bytes(encode_png(data.astronaut()[:SIDE, :SIDE]))
    task = Task(TaskKind.DENOISE)
    return {
        "kind": "evaluate", "genome": starters(5)[0].text, "task": task.to_json(), "evaluation_seed": 1,
        "settings": settings_for("preview", task, {"iterations": 1}).to_json(), "picture": str(picture),
    }  # fmt: skip


def timed(work: Callable[[], Any]) -> float:
    """Seconds that `work` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def ask(host: Host, what: dict[str, Any]) -> None:
    """One evaluation, which must succeed."""
    answer = host.run(what)
    if not isinstance(answer, Outcome):
        raise SystemExit(f"{host.mode}: {answer}")


def row(name: str, seconds: list[float], plain: float) -> str:
    """A line of the table: median, quartiles and extremes in milliseconds above `plain`."""
    above = sorted(1000 * (second - plain) for second in seconds)
    low, middle, high = statistics.quantiles(above, n=4)
    return f"| {name} | {middle:.0f} | {low:.0f} to {high:.0f} | {above[0]:.0f} to {above[-1]:.0f} |"


def measure(repeats: int) -> str:
    """The page of results."""
    with tempfile.TemporaryDirectory() as folder:
        what = request(Path(folder) / "frame.png")
        evaluate(what, lambda _: None)
        bare = [timed(lambda: evaluate(what, lambda _: None)) for _ in range(repeats)]
        plain = statistics.median(bare)
        with Host("evaluator", mode=Mode.FORK) as forked, Host("evaluator", mode=Mode.KEPT) as kept:
            started = [timed(partial(getattr, host, "hello")) for host in (forked, kept)]
            seconds: dict[str, list[float]] = {"forked": [], "kept": []}
            for host in (forked, kept):
                ask(host, what)
            for _ in range(repeats):
                seconds["forked"].append(timed(lambda: ask(forked, what)))
                seconds["kept"].append(timed(lambda: ask(kept, what)))
    machine = fingerprint()
    return "\n".join(
        [
            "# What dispatch costs",
            "",
            (
                f"`python -m benchmarks.dispatch --repeats {repeats}` on {machine['cpu_model']} ({machine['cpu_capability']}, "
                f"{os.cpu_count()} cores), {platform.system()}, torch {machine['torch']}, "
                f"load average {os.getloadavg()[0]:.1f} at the end."
            ),
            "",
            (
                f"One iteration at {SIDE} px; milliseconds above the same evaluation in a warm process without a guard "
                f"(median {1000 * plain:.0f} ms, {1000 * min(bare):.0f} to {1000 * max(bare):.0f})."
            ),
            "",
            "| child | median | quartiles | extremes |",
            "|---|---|---|---|",
            *[row(name, values, plain) for name, values in seconds.items()],
            "",
            (
                f"A host that forks was ready after {started[0]:.1f} s, one that keeps its child after {started[1]:.1f} s "
                "(started at the same time); a kept child that faulted is replaced in that time, beside the others."
            ),
            "",
        ]
    )


def main() -> None:
    """Measure, print, and write the page if asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    page = measure(arguments.repeats)
    print(page)
    if arguments.out:
        arguments.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
