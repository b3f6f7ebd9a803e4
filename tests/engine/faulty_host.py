"""The guard with a program that fails on demand (`faulty_program`), and what tests ask of its processes."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

from nasdip_engine.guard import Host, Limits
from tests.waiting import wait_for

PROGRAM = [sys.executable, str(Path(__file__).with_name("faulty_program.py"))]


def faulty(*options: str, **limits: float) -> Host:
    return Host("evaluator", command=[*PROGRAM, *options], limits=Limits(**limits))  # type: ignore[arg-type]


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def pid_in(file: Path) -> int:
    return int(wait_for(lambda: file.exists() and file.read_text(), 10, "the child's process id"))
