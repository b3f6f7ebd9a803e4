"""What decides the last bits of a fitness on this machine.

One torch version on one kind of processor with one thread repeats to the bit; another instruction set or
thread count does not. A job records this fingerprint, and only workers that have the same one take its items.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

__all__ = ["THREADS", "fingerprint", "use_one_thread"]

THREADS = 1
"""Torch threads an evaluation: two give other bits than one, and are slower at these sizes."""


def use_one_thread() -> None:
    """Fix torch's thread count for this process. Raises RuntimeError where torch does not take it."""
    import torch

    torch.set_num_threads(THREADS)
    if torch.get_num_threads() != THREADS:
        raise RuntimeError(f"torch runs {torch.get_num_threads()} threads; an evaluation needs {THREADS}")


def fingerprint() -> dict[str, Any]:
    """JSON value; two machines with equal fingerprints are taken to give equal bits. Imports torch."""
    import numpy as np
    import torch
    from torch.backends import mkldnn

    use_one_thread()
    return {
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "device": "cpu",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpu_model": _cpu_model(),
        # Set by hand it makes oneDNN choose other convolution kernels than the processor would get.
        "onednn_isa": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": torch.get_num_threads(),
        "mkldnn": bool(mkldnn.is_available() and mkldnn.enabled),  # type: ignore[no-untyped-call]
    }


def _cpu_model() -> str:
    """As Linux tells it; elsewhere what Python knows."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
