"""Rules of the house that no linter knows: prints each breach with its place, ends with 1 when there is one.

Words are looked for in the files that git tracks or would track; what a word is banned for stands beside it.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
CODE = (".py", ".js", ".html", ".yml", ".css")
NAMELESS = {"utils", "util", "helpers", "common", "manager", "misc"}
VENDORED = "static/vendor/"


@dataclass(frozen=True)
class Ban:
    """A word that must not stand in the code.

    word: a regular expression, looked for line by line.  in_tests: whether tests must do without it too.
    but_in: the one file that may have it, and says why.
    """

    word: str
    why: str
    in_tests: bool = True
    but_in: str = ""


BANS = (
    Ban(r"fake" r"redis", "tests use a real Redis"),
    Ban(r"InMemory" r"ChannelLayer", "tests use a real Redis"),
    Ban(r"(?i)task_always" r"_eager", "tests use a real worker"),
    Ban(r"select_for" r"_update\(", "the conditional UPDATE is the lock"),
    Ban(r"(import|from) multi" r"processing", "processes are started by subprocess.Popen"),
    Ban(r"ProcessPool" r"Executor", "processes are started by subprocess.Popen"),
    Ban(
        r"(import|from) pick" r"le\b",
        "nothing is pickled",
        but_in="nasdip_engine/data/convert_lpips_weights.py",
    ),
    Ban(
        r"\.(uniform|normal|log_normal|random|bernoulli|exponential|cauchy|geometric)_\(",
        "no global generator: random arrays are drawn by nasdip_engine.seeding",
        but_in="tests/engine/test_determinism.py",
    ),
    Ban(r"default_rng\(\s*\)", "a generator has a seed"),
    Ban(r"unsafe" r"-(eval|inline)", "the content security policy is strict", in_tests=False),
    Ban(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b", "an issue, not a comment"),
    Ban(r"mark\.(skip|xfail)(\(\s*\)|\s*$)", "a skipped test says why"),
)


def files() -> list[Path]:
    """Tracked files and those that would be, without what is vendored."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in names if not name.startswith(VENDORED) and (ROOT / name).is_file()]


def banned_words(path: Path, text: str) -> Iterator[str]:
    """A line of report for each line of the text that a ban hits."""
    in_tests = path.is_relative_to(ROOT / "tests")
    for number, line in enumerate(text.splitlines(), 1):
        for ban in BANS:
            allowed = path == ROOT / ban.but_in or (in_tests and not ban.in_tests)
            if not allowed and re.search(ban.word, line):
                yield f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]!r}: {ban.why}"


def long_parts(path: Path, text: str) -> Iterator[str]:
    """Files and functions that have grown long; a file may say at its head why it is ("over 400 lines")."""
    place = path.relative_to(ROOT)
    tree = ast.parse(text)
    lines = text.count("\n")
    if lines > LONGEST_FILE and "over 400 lines" not in (ast.get_docstring(tree) or ""):
        yield f"{place}: {lines} lines; split it, or say at its head why it is over 400 lines"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > LONGEST_FUNCTION:
                yield f"{place}:{node.lineno}: {node.name} has {length} lines; split it"


def breaches() -> Iterator[str]:
    """Lines of report, PLACE: WHAT, over all files of code."""
    for path in files():
        if path.suffix not in CODE:
            continue
        text = path.read_text(encoding="utf-8")
        yield from banned_words(path, text)
        if path.stem in NAMELESS:
            yield f"{path.relative_to(ROOT)}: a file is named after its subject"
        if path.suffix == ".py" and "migrations" not in path.parts:
            yield from long_parts(path, text)


def main() -> int:
    """Exit status: 1 with any breach."""
    found = list(breaches())
    for breach in found:
        print(breach)
    print(f"house rules: {len(found)} breaches")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
