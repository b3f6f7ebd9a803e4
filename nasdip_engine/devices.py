"""Whether a machine can compute what the settings of a search ask for, without asking torch.

Device class, precision and threads are settings, since each changes the last bits of a fitness. An evaluator
says once what it can (`numerics.abilities`); here is how that is judged, the same on the command line, in a worker
and in the evaluator itself. Nothing is ever replaced by what happens to be there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from nasdip_engine.evolution.settings import SearchSettings

__all__ = ["cores", "fingerprint_for", "lacking", "memory_bytes", "refusal"]
_LIMIT = Path("/sys/fs/cgroup/memory.max")


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_bytes(limit: Path = _LIMIT) -> int:
    """Bytes of memory that this process may use: the machine's, or as many of them as its container has.

    limit: the file in which Linux says that (cgroup v2); "max" or no file: all.
    """
    total: int = psutil.virtual_memory().total
    try:
        text = limit.read_text(encoding="ascii").strip()
    except OSError:
        return total
    return min(total, int(text)) if text.isdigit() else total


def refusal(settings: SearchSettings, abilities: Mapping[str, Any]) -> tuple[str, str] | None:
    """The setting that the evaluator of these abilities can't honour, with a sentence for the user; or None.

    abilities: as an evaluator's hello has them: `devices`, `cores`, and in `bf16` the devices that compute in it.
    """
    return _refusal(settings.device_class, settings.threads, settings.precision, abilities)


def _refusal(
    device: str, threads: int, precision: str, abilities: Mapping[str, Any]
) -> tuple[str, str] | None:
    if device not in abilities["devices"]:
        return "device_class", (
            f"device_class is {device}, but no such device can be used here; "
            f"here there is {', '.join(abilities['devices'])}"
        )
    if threads > abilities["cores"]:
        return "threads", (
            f"threads is {threads}, but an evaluation here may use {abilities['cores']} cores; "
            "take as many threads as cores, or fewer"
        )
    if precision == "bf16" and device not in abilities["bf16"]:
        return "precision", (
            f"precision is bf16, which this {device} does not compute natively and so many times "
            "slower than fp32; take fp32"
        )
    return None


def lacking(settings: Mapping[str, Any], abilities: Mapping[str, Any]) -> str:
    """The sentence of `refusal` for settings as a job keeps them, which another version may have written; or ""."""
    threads = settings.get("threads", 1)
    refused = _refusal(
        settings.get("device_class", "cpu"),
        threads if isinstance(threads, int) else 1,
        settings.get("precision", "fp32"),
        abilities,
    )
    return "" if refused is None else refused[1]


def fingerprint_for(fingerprint: Mapping[str, Any] | None, threads: int) -> dict[str, Any] | None:
    """The numerics of a search with so many threads on the machine of that fingerprint (`numerics.fingerprint`).

    None where there is none; one from before there were threads in it stays as it is.
    """
    if fingerprint is None:
        return None
    return {**fingerprint, "threads": threads} if "threads" in fingerprint else dict(fingerprint)
