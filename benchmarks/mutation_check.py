"""Would the tests notice? Faults that would spoil every result, put in one at a time.

    python -m benchmarks.mutation_check [--only NAME] [--table docs/results/mutation-check.md]

Each fault is one exact replacement in a copy of the tree in a temporary folder; then the tests that guard the promise run there
and must turn red, after they were green on the copy as it is. A fault that no test notices, or whose place is not found because
the source has moved on, ends with exit code 1. Takes about five minutes on one core. Not a part of the test suite.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_LEFT_OUT = shutil.ignore_patterns(".*", "docs", "__pycache__", "screenshots", "data", "*.sqlite3*")
_TESTS_FAILED = 1  # pytest's exit code; 2 and more are a broken run, which proves nothing
_NO_MORE = 5  # failures are enough to name


@dataclass(frozen=True)
class Fault:
    """place: text that stands exactly once in file.  guards: the test files of the promise that it breaks."""

    name: str
    file: str
    place: str
    instead: str
    guards: tuple[str, ...]


FAULTS = (
    Fault(
        "no elitism",
        "nasdip_engine/evolution/breeding.py",
        "elites = tuple(ranked[: settings.elites])",
        "elites = tuple(child() for _ in ranked[: settings.elites])",
        ("tests/engine/test_evolution.py",),
    ),
    Fault(
        "mask inverted in the degradation",
        "nasdip_engine/restoration/degradation.py",
        "known = _checked_mask(",
        "known = ~_checked_mask(",
        ("tests/engine/test_degradation.py",),
    ),
    Fault(
        "mask file inverted",
        "nasdip_engine/picture.py",
        "mask.pixels[..., 0] >= _MASK_LEVEL",
        "mask.pixels[..., 0] < _MASK_LEVEL",
        ("tests/engine/test_evaluation.py",),
    ),
    Fault(
        "loss over held-out pixels",
        "nasdip_engine/restoration/fit.py",
        "degradation.known & ~held_out",
        "degradation.known",
        ("tests/engine/test_fit.py",),
    ),
    Fault(
        "seed ignored",
        "nasdip_engine/seeding.py",
        "json.dumps([seed, *purpose])",
        "json.dumps([0, *purpose])",
        ("tests/engine/test_network.py", "tests/engine/test_evaluation.py"),
    ),
    Fault(
        "mutation rate doubled",
        "nasdip_engine/evolution/breeding.py",
        "rng.random(len(genome.bits)) < rate",
        "rng.random(len(genome.bits)) < 2 * rate",
        ("tests/engine/test_evolution.py",),
    ),
    Fault(
        "skip paths dropped",
        "nasdip_engine/restoration/network.py",
        "width_ in phenotype.skips_into(unit)",
        "width_ in ()",
        ("tests/engine/test_network.py",),
    ),
)


def copied(to: Path) -> Path:
    """The working tree without its documents."""
    tree = to / "tree"
    shutil.copytree(ROOT, tree, ignore=_LEFT_OUT)
    return tree


def put_in(fault: Fault, tree: Path) -> str:
    """Spoil the copy; returns the source as it was.  Raises SystemExit where the place is not there exactly once."""
    path = tree / fault.file
    source = path.read_text(encoding="utf-8")
    found = source.count(fault.place)
    if found != 1:
        raise SystemExit(
            f"{fault.name}: {fault.file} holds {fault.place!r} {found} times, not once; mend the fault"
        )
    spoilt = source.replace(fault.place, fault.instead)
    compile(spoilt, fault.file, "exec")  # a source that can't be read turns everything red
    path.write_text(spoilt, encoding="utf-8")
    return source


def run(tree: Path, guards: tuple[str, ...]) -> tuple[int, list[str]]:
    """pytest's exit code and the names of the tests that failed."""
    command = [
        sys.executable,
        "-B",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--maxfail={_NO_MORE}",
        *guards,
    ]
    ran = subprocess.run(
        command,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode not in (0, _TESTS_FAILED):
        raise SystemExit(
            f"pytest ended with {ran.returncode} in the copy:\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}"
        )
    return ran.returncode, re.findall(r"^FAILED \S+::(\w+)", ran.stdout, re.MULTILINE)


def check(faults: tuple[Fault, ...]) -> tuple[list[str], list[str]]:
    """Rows of the table, and the names of the faults that survived."""
    rows, alive = [], []
    with tempfile.TemporaryDirectory(prefix="nasdip-mutation-") as folder:
        tree = copied(Path(folder))
        guards = tuple(sorted({guard for fault in faults for guard in fault.guards}))
        code, red = run(tree, guards)
        if code != 0:
            raise SystemExit(f"the tests are red without any fault: {', '.join(red)}")
        print(f"green as it is: {', '.join(guards)}", flush=True)
        for fault in faults:
            source = put_in(fault, tree)
            code, red = run(tree, fault.guards)
            (tree / fault.file).write_text(source, encoding="utf-8")
            if code == 0:
                alive.append(fault.name)
            seen = ", ".join(f"`{name}`" for name in dict.fromkeys(red)) or "**nothing: the fault survived**"
            rows.append(f"| {fault.name} | `{fault.file}`: `{fault.instead}` | {seen} |")
            print(rows[-1], flush=True)
    return rows, alive


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=[fault.name for fault in FAULTS])
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    chosen = tuple(fault for fault in FAULTS if arguments.only in (None, fault.name))
    rows, alive = check(chosen)
    verdict = (
        f"{len(chosen) - len(alive)} of {len(chosen)} faults turn the tests that guard against them red."
    )
    print(verdict)
    if arguments.table:
        header = "| fault | put in | tests that turn red (the first few) |\n|---|---|---|"
        arguments.table.write_text(
            "# Mutation check\n\n    python -m benchmarks.mutation_check --table docs/results/mutation-check.md\n\n"
            "The same tests are green on the tree as it is.\n\n" + "\n".join([header, *rows, "", verdict, ""])
        )
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
