"""What decides the last bits of a fitness on this machine, and how torch is set to what the settings say.

One torch version on one kind of device with one number of threads repeats to the bit; another instruction set, card
or thread count does not. A job records this fingerprint, and only workers that have the same one take its items.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasdip_engine.devices import cores, refusal
from nasdip_engine.errors import SettingsError
from nasdip_engine.evolution.settings import SearchSettings

if TYPE_CHECKING:
    import torch

__all__ = ["abilities", "device_for", "fingerprint", "prepare", "use_one_thread"]

_NATIVE_BF16 = ("avx512_bf16", "amx_bf16", "bf16")  # Intel and AMD, and ARM's name for it


def prepare(settings: SearchSettings) -> torch.device:
    """Set torch of this process to what the settings say, whatever it did before, and return the device.

    Two threads give other bits than one, and are slower at these sizes.  On CUDA every operation is a
    deterministic one, or raises RuntimeError.  Raises SettingsError where this machine can't honour a setting.
    """
    import torch
    from torch.backends import cudnn

    refused = refusal(settings, abilities(settings.device_class))
    if refused is not None:
        raise SettingsError(refused[1], field=refused[0])
    torch.set_num_threads(settings.threads)
    if torch.get_num_threads() != settings.threads:
        raise RuntimeError(f"torch runs {torch.get_num_threads()} threads; asked for were {settings.threads}")
    cuda = settings.device_class == "cuda"
    if cuda:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(cuda)
    cudnn.benchmark, cudnn.deterministic = False, True  # never choose a kernel by the clock
    # No TF32 under the name of fp32.
    cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    return device_for(settings)


def use_one_thread() -> None:
    """Fix torch's thread count for measuring outside an evaluation, at the settings' default."""
    import torch

    torch.set_num_threads(1)


def device_for(settings: SearchSettings) -> torch.device:
    """Where an evaluation with these settings computes, whether or not this machine has it: `prepare` checks that."""
    import torch

    return torch.device(settings.device_class)


def abilities(device: str = "cpu") -> dict[str, Any]:
    """What an evaluator here can honour: `devices`, `cores`, and in `bf16` the devices that compute in it natively.

    CUDA is looked for only where `device` asks for it: looking makes a process unfit for forking.
    """
    import torch

    able: dict[str, Any] = {"devices": ["cpu"], "cores": cores(), "bf16": []}
    if any(torch.cpu.get_capabilities().get(name) for name in _NATIVE_BF16):
        able["bf16"].append("cpu")
    if device == "cuda" and torch.cuda.is_available():
        able["devices"].append("cuda")
        if torch.cuda.get_device_capability() >= (8, 0):
            able["bf16"].append("cuda")
    return able


_CHANGES_BITS = (
    "DNNL_DEFAULT_FPMATH_MODE",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_DEFAULT_FPMATH_MODE",
)
"""Variables by which a user makes MKL and oneDNN compute otherwise than the processor lets them; nobody's by default."""


def fingerprint(device: str = "cpu", threads: int = 1) -> dict[str, Any]:
    """JSON value; two machines with equal fingerprints are taken to give equal bits. Imports torch."""
    import numpy as np
    import torch
    from torch.backends import cudnn, mkldnn

    found: dict[str, Any] = {
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "device": device,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cpu_model": _cpu_model(),
        # Set by hand it makes oneDNN choose other convolution kernels than the processor would get.
        "onednn_isa": os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA", ""),
        "system": f"{platform.system()} {platform.machine()}",
        "threads": threads,
        "mkldnn": bool(mkldnn.is_available() and mkldnn.enabled),  # type: ignore[no-untyped-call]
    }
    set_by_hand = {name: os.environ[name] for name in _CHANGES_BITS if os.environ.get(name)}
    if set_by_hand:
        found["environment"] = set_by_hand
    if device == "cuda":
        found |= {
            "cuda_device": torch.cuda.get_device_name(),
            "cuda_capability": list(torch.cuda.get_device_capability()),
            "cuda": torch.version.cuda,
            "cudnn": cudnn.version(),  # type: ignore[no-untyped-call]
        }
    return found


def _cpu_model() -> str:
    """As Linux tells it; elsewhere what Python knows."""
    listing = Path("/proc/cpuinfo")
    if listing.is_file():
        for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
