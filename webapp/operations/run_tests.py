"""`nasdip test [--quick]`: everything that has to hold before a change lands, in the order of what it costs.

Installs Debian's Chromium and PostgreSQL when run as root on Debian, after saying so; elsewhere the tests
that need them skip with the command to install (and fail where CI is set). Linters first, then pytest, a file of
tests on each core, whose closing line is the last that is printed. `--quick` leaves out the tests marked slow,
browser and chaos. What follows `--` goes to pytest, which then runs one test after the other:
`nasdip test --quick -- tests/engine -k genome`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[2]
MOST_AT_ONCE = 4
"""A process of tests with its servers and evaluators needs gigabytes of memory."""
NOT_IN_QUICK = "not slow and not browser and not chaos and not postgres"


@dataclass(frozen=True)
class Program:
    """What Debian can bring: the package, and how to see that it is there."""

    package: str
    finds: tuple[str, ...]
    """Names on PATH, or patterns under /, any of which is enough."""

    def is_there(self) -> bool:
        return any(shutil.which(name) or any(Path("/").glob(name)) for name in self.finds)


CHROMIUM = Program("chromium", ("chromium", "chromium-browser", "google-chrome"))
POSTGRES = Program("postgresql", ("initdb", "usr/lib/postgresql/*/bin/initdb"))


def say(text: str) -> None:
    print(text, flush=True)


def bring_programs(quick: bool) -> None:
    """Install what is missing when that can be done, or say which tests will skip."""
    wanted = [POSTGRES] if quick else [POSTGRES, CHROMIUM]
    packages = [each.package for each in wanted if not each.is_there()]
    if not packages:
        return
    by_hand = f"apt-get install {' '.join(packages)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        say(f"Not on this machine: {', '.join(packages)}. The tests that need them skip; as root: {by_hand}")
        return
    say(f"Installing Debian's {' and '.join(packages)} for the tests (about 0.6 GB of disk): {by_hand}")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(
            ["apt-get", "-qq", *command],
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            say(f"apt-get {command[0]} failed, the tests that need these can't run: {done.stderr[-300:]}")
            return


def checks() -> list[tuple[str, list[str]]]:
    """The linters, each with its command line."""
    python = sys.executable
    found = [
        ("ruff", [python, "-m", "ruff", "check", "--quiet", "."]),
        ("house rules", [python, ".ci/house_rules.py"]),
        ("import-linter", [python, "-c", "from importlinter.cli import lint_imports_command as c; c()"]),
        ("mypy", [python, "-m", "mypy"]),
    ]
    if shutil.which("shellcheck") is not None:
        found.insert(1, ("shellcheck", ["shellcheck", "nasdip", "requirements/lock", ".ci/run"]))
    return found


def lint(environ: dict[str, str]) -> list[str]:
    """Run the linters; the output of those that found something is shown. Returns their names."""
    failed = []
    for name, command in checks():
        begun = time.monotonic()
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        verdict = "ok" if done.returncode == 0 else "FAILED"
        say(f"{name}: {verdict} ({time.monotonic() - begun:.0f} s)")
        if done.returncode != 0:
            failed.append(name)
            say(done.stdout.rstrip())
    return failed


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="nasdip test", description="Run the linters and all tests.")
    parser.add_argument("--quick", action="store_true", help="without slow, browser and chaos tests")
    parser.add_argument("pytest", nargs="*", help="after --: arguments for pytest, which then runs alone")
    options = parser.parse_args(arguments)
    bring_programs(options.quick)
    failed = [] if options.pytest else lint(environment())
    if failed:
        say(f"The linters found something: {', '.join(failed)}. The tests run all the same.")
    at_once = min(os.cpu_count() or 1, MOST_AT_ONCE)
    spread = [] if options.pytest else [f"--numprocesses={at_once}", "--dist=loadfile"]
    command = [sys.executable, "-m", "pytest", "--durations=20", *spread, *options.pytest]
    if options.quick:
        command += ["-m", NOT_IN_QUICK]
    tests = subprocess.run(command, cwd=ROOT, env=environment(), check=False).returncode
    if failed:
        print(f"nasdip: {', '.join(failed)} failed, see above", file=sys.stderr)
    return tests or (1 if failed else 0)


def environment() -> dict[str, str]:
    """The caller's environment without the settings of an instance, and with this Python's programs first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NASDIP_")}
    kept["NASDIP_VENV"] = sys.prefix
    kept["NASDIP_SECRET_KEY"] = "of no instance: some linters import the settings"  # noqa: S105
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return kept


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
