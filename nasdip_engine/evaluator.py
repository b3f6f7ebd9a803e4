"""The torch host: `python -m nasdip_engine.evaluator FD`, started by `guard.Host("evaluator")`.

Imports torch once, trains something tiny so that all that loads late is loaded, and from then on forks a
child for each request of `nasdip_engine.evaluation`: its start costs tenths of a second, not seconds, and
the bits are those of a fresh process. Where a fork is not safe (CUDA, macOS) the host loads no torch, and keeps
children that do: each sets what its request asks for before it begins, and is replaced after a fault.

NASDIP_EVALUATOR_HOOK injects a fault into the children, for tests of what a fault leads to:
    segfault:DIGEST  abort:DIGEST  kill:DIGEST  hang:DIGEST  memory:DIGEST  disk_full:DIGEST  nan:DIGEST
    sleep:SECONDS
DIGEST is the beginning of a phenotype's digest (empty: any genome), or "steps" for whatever trains no genome; SECONDS is
slept at each iteration. A request may carry its own `hook`, which then stands for the variable. The outcome names the hook.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import pkgutil
import re
import resource
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasdip_engine import guard_host
from nasdip_engine.errors import InvalidPhenotype, SettingsError
from nasdip_engine.genome.genome import Genome
from nasdip_engine.guard_child import Program, Send
from nasdip_engine.guard_mode import DEVICE_VARIABLE
from nasdip_engine.guard_wire import Message

__all__ = ["HOOK_VARIABLE", "Hook", "parse_hook"]

HOOK_VARIABLE = "NASDIP_EVALUATOR_HOOK"
_GENOME_HOOKS = ("segfault", "abort", "kill", "hang", "memory", "disk_full", "nan")
_STEPS = "steps"


@dataclass(frozen=True)
class Hook:
    """A fault to inject. digest: how the phenotype digests begin that it hits, or "steps"; seconds: for "sleep"."""

    fault: str
    digest: str = ""
    seconds: float = 0.0

    def hits(self, genome: str | None) -> bool:
        """Whether requests for this genome (text form) are hit; "sleep" hits every request."""
        if self.fault == "sleep":
            return True
        if genome is None:
            return self.digest == _STEPS
        try:
            return Genome.parse(genome).phenotype().digest.startswith(self.digest)
        except InvalidPhenotype:
            return False

    def strike(self) -> None:
        """Do the damage, really. "nan" is done by the fit itself, which has the weights."""
        match self.fault:
            case "sleep":
                time.sleep(self.seconds)
            case "segfault":
                ctypes.string_at(0)
            case "abort":
                os.abort()
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                while True:
                    time.sleep(3600)
            case "memory":
                _eat_memory()
            case "disk_full":
                Path("/dev/full").write_bytes(b"0")


def parse_hook(text: str) -> Hook:
    """A hook as the module's head writes it.  Raises SettingsError that names the hooks there are."""
    fault, colon, argument = text.partition(":")
    if colon and fault in _GENOME_HOOKS and re.fullmatch(f"[0-9a-f]{{0,64}}|{_STEPS}", argument):
        return Hook(fault, digest=argument)
    if fault == "sleep" and re.fullmatch(r"\d{1,3}(\.\d{1,6})?", argument):
        return Hook(fault, seconds=float(argument))
    allowed = ", ".join(f"{name}:DIGEST" for name in _GENOME_HOOKS)
    raise SettingsError(f"hook {text!r} is unknown; allowed are {allowed}, sleep:SECONDS", field="hook")


def _eat_memory() -> None:
    """8 GB, every page of it written, unless somebody sees to it."""
    if resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY:
        raise SettingsError("the hook memory needs a run with a memory limit", field="hook")
    eaten = [bytearray(b"x" * 2**24) for _ in range(8 * 2**30 // 2**24)]
    raise SettingsError(f"{len(eaten)} blocks of 16 MiB were taken and no limit met", field="hook")


def _work(request: Message, block: bytes, send: Send) -> tuple[Mapping[str, Any], bytes]:
    from nasdip_engine.evaluation import evaluate
    from nasdip_engine.request import Progress

    if block:
        raise SettingsError("an evaluation takes paths, not bytes")
    text = request.get("hook") or os.environ.get(HOOK_VARIABLE)
    hook = parse_hook(text) if text else None
    struck = hook is not None and hook.hits(request.get("genome"))

    def progress(sign: Progress) -> None:
        send(dict(sign))
        if struck and hook is not None:
            hook.strike()

    return evaluate({**request, "hook": text if struck else None}, progress), b""


def _confine(memory_limit: int | None) -> None:
    """RLIMIT_DATA, well above what the host watches; address space can't be limited (torch maps gigabytes).

    For one huge allocation it gives torch's own clean exception before the machine is short of memory. It
    must not be what a growing fit meets first: oneDNN answers a refused allocation with a native crash or
    "could not create a primitive" (tried), which would blame the genome.
    """
    if memory_limit is None:
        return
    status = Path("/proc/self/status")
    if not status.is_file():
        return  # the host watches the resident size; elsewhere than on Linux that is all there is
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmData:"))
    limit = int(line.split()[1]) * 1024 + max(2 * memory_limit, memory_limit + 2**30)
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))  # soft: a kept child takes it back after the run


def _warm_up() -> Program:
    import torch

    import nasdip_engine.baselines
    import nasdip_engine.evaluation
    import nasdip_engine.restoration
    from nasdip_engine.numerics import abilities, fingerprint

    device = os.environ.get(DEVICE_VARIABLE) or "cpu"
    able = abilities(device)
    if device not in able["devices"]:
        device = "cpu"  # whoever wants the other one reads it in the hello
    torch.set_num_threads(1)
    for module in pkgutil.iter_modules(nasdip_engine.restoration.__path__, "nasdip_engine.restoration."):
        importlib.import_module(module.name)
    _train_a_little(device)
    if device == "cpu" and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        raise RuntimeError("CUDA is in use in a host that forks: its children could not use it")
    return Program({"fingerprint": fingerprint(device), "abilities": able}, _work, _confine)


def _train_a_little(device: str) -> None:
    """Adam's constructor and the first convolution and backward pass load seconds' worth of modules."""
    import torch
    from torch.nn import functional

    weight = torch.full((4, 4, 3, 3), 0.01, requires_grad=True, device=device)
    picture = torch.linspace(0, 1, 4 * 16 * 16, device=device).reshape(1, 4, 16, 16)
    optimiser = torch.optim.Adam([weight], lr=0.01, fused=True)
    for _ in range(2):
        optimiser.zero_grad(set_to_none=True)
        output = functional.conv2d(picture, weight, padding=1, stride=2)
        output = functional.batch_norm(output, None, None, training=True)
        output = functional.interpolate(functional.leaky_relu(output, 0.2), size=(16, 16), mode="bilinear")
        functional.mse_loss(output, picture).backward()  # type: ignore[no-untyped-call]
        optimiser.step()


if __name__ == "__main__":
    guard_host.main(_warm_up)
