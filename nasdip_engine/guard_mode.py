"""How a host comes by its children: forked from itself for each run, or kept and asked again.

A fork of a warm process starts in tenths of a second and leaves nothing behind, so it is the rule where it is
safe: on Linux, computing on the processor. A process that used CUDA, or macOS's own libraries, can't be forked;
there a host keeps children that it started afresh, each for one run after another, and replaces one that faulted.
The kept mode runs on Linux too and is tested there with equal bits; on macOS and CUDA it has not been tried.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from nasdip_engine.errors import SettingsError

__all__ = ["DEVICE_VARIABLE", "MODE_VARIABLE", "Mode", "host_environment", "mode_for"]

MODE_VARIABLE = "NASDIP_EVALUATOR"
"""fork or kept; by default what the platform and the device can."""
DEVICE_VARIABLE = "NASDIP_DEVICE"
"""cpu or cuda: what an evaluator process computes on, and a worker takes work for."""


class Mode(StrEnum):
    """FORK: a child for each run.  KEPT: a child for many runs, replaced after a fault."""

    FORK = "fork"
    KEPT = "kept"


def mode_for(device: str = "cpu", environ: Mapping[str, str] = os.environ) -> Mode:
    """The evaluator's mode on a device.  Raises SettingsError where NASDIP_EVALUATOR is no mode that it can have."""
    can_fork = device == "cpu" and sys.platform == "linux"
    asked = environ.get(MODE_VARIABLE, "").strip().lower()
    if not asked:
        return Mode.FORK if can_fork else Mode.KEPT
    try:
        mode = Mode(asked)
    except ValueError:
        raise SettingsError(f"{MODE_VARIABLE} is {asked!r}; allowed: {', '.join(Mode)}") from None
    if mode is Mode.FORK and device != "cpu":
        raise SettingsError(
            f"{MODE_VARIABLE} is fork, but a forked process can't use {device}; set kept or nothing"
        )
    return mode


def host_environment(mode: Mode, device: str) -> dict[str, str]:
    """For a host process: its mode and device, one thread until an evaluation sets its own, no GPU but by device.

    Two threads give other bits than one, and a fork after a region with two may hang for ever.
    """
    environment = dict(os.environ)
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment |= {MODE_VARIABLE: mode.value, DEVICE_VARIABLE: device}
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    else:
        environment["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # without it cuBLAS may choose by what is free
    paths = [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return environment
