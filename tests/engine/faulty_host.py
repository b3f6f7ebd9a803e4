"""The guard with a program that fails on demand (`faulty_program`), and what tests ask of its processes."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from nasdip_engine.guard import Host, Limits
from nasdip_engine.guard_mode import Mode
from tests.waiting import wait_for

PROGRAM = [sys.executable, str(Path(__file__).with_name("faulty_program.py"))]


MODES = [
    pytest.param(
        Mode.FORK, marks=pytest.mark.skipif(sys.platform != "linux", reason="a fork is safe on Linux only")
    ),
    pytest.param(Mode.KEPT),
]
"""Both ways for a host to come by its children: what the guard promises holds in each."""


def faulty(*options: str, mode: Mode = Mode.FORK, **limits: float) -> Host:
    return Host("evaluator", command=[*PROGRAM, *options], limits=Limits(**limits), mode=mode)  # type: ignore[arg-type]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def pid_in(file: Path) -> int:
    return int(wait_for(lambda: file.exists() and file.read_text(), 30, "the child's process id"))
