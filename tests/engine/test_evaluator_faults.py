"""The torch host: the same bits from every child, and what a fault is told apart by (all of them: test_fault_classes)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from nasdip_engine.errors import SettingsError
from nasdip_engine.evaluator import HOOK_VARIABLE, Hook, parse_hook
from nasdip_engine.guard import Fault, FaultKind, Host, Outcome
from nasdip_engine.picture import encode_png
from tests.engine.evaluations import DIGEST, ITERATIONS, OTHER, Ask, asking, outcome
from tests.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    with Host("evaluator") as guarded:
        yield guarded


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    return asking(tmp_path_factory.mktemp("frames"))


@pytest.fixture(scope="module")
def undisturbed(host: Host, ask: Ask) -> dict[str, Any]:
    return outcome(host, ask())


def test_the_hello_carries_the_numerics_fingerprint(host: Host) -> None:
    assert host.hello["fingerprint"]["threads"] == 1
    assert host.hello["fingerprint"]["device"] == "cpu"
    process = psutil.Process(host.hello["pid"])
    assert process.num_threads() == 1
    assert process.environ()["OMP_NUM_THREADS"] == "1"


def test_children_give_the_bits_of_any_other(host: Host, ask: Ask, undisturbed: dict[str, Any]) -> None:
    assert undisturbed["reason"] is None
    assert undisturbed["fitness"] > 0
    assert float.fromhex(undisturbed["fitness_hex"]) == undisturbed["fitness"]
    results: list[dict[str, Any]] = []
    beside = [threading.Thread(target=lambda: results.append(outcome(host, ask()))) for _ in range(3)]
    for thread in beside:
        thread.start()
    for thread in beside:
        thread.join()
    with Host("evaluator") as fresh:
        results.append(outcome(fresh, ask()))
    assert results == [undisturbed] * 4


def test_each_iteration_is_a_heartbeat(host: Host, ask: Ask) -> None:
    seen: list[dict[str, Any]] = []
    slow = ask(hook="sleep:0.12")
    assert outcome(host, slow, on_progress=seen.append, heartbeat_limit=10)["hook"] == "sleep:0.12"
    assert [sign["iteration"] for sign in seen][-1] == ITERATIONS
    assert len(seen) >= ITERATIONS - 1  # each comes after the 0.1 s in which only the latest is forwarded
    assert all(sign["of"] == ITERATIONS for sign in seen)


@pytest.mark.parametrize("mebibytes", [1, 4, 8])
def test_a_fit_without_enough_memory_is_never_a_crash_of_its_genome(
    mebibytes: int, host: Host, ask: Ask
) -> None:
    answer = host.run(ask(hook="sleep:0.2"), memory_limit_bytes=mebibytes * 2**20)
    assert isinstance(answer, Outcome) or answer.kind is FaultKind.MEMORY
    if mebibytes == 1:
        assert isinstance(answer, Fault)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit on data works on Linux only")
def test_one_huge_allocation_is_refused_cleanly(host: Host, ask: Ask, tmp_path: Path) -> None:
    wide = tmp_path / "wide.png"
    wide.write_bytes(encode_png(np.zeros((2048, 2048, 3), np.uint8)))
    asked = ask({"iterations": 2, "input_channels": 128}, picture=str(wide))
    answer = host.run(asked, memory_limit_bytes=2**28)
    assert isinstance(answer, Fault)
    assert answer.kind is FaultKind.MEMORY
    assert "llocate" in answer.detail or "grew by" in answer.detail


def test_the_variable_reaches_the_children(
    ask: Ask, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOOK_VARIABLE, f"segfault:{DIGEST[:8]}")
    with Host("evaluator") as hooked:
        answer = hooked.run(ask())
        assert isinstance(answer, Fault)
        assert answer.kind is FaultKind.CRASH
        assert outcome(hooked, ask(genome=OTHER.text))["fitness"] > 0
        assert outcome(hooked, ask(hook="sleep:0.01"))["fitness_hex"] == undisturbed["fitness_hex"]


@pytest.mark.parametrize(
    "text", ["explode:", "segfault", "segfault:XYZ", "sleep:", "sleep:-1", "nan:0 ", "sleep"]
)
def test_unknown_hooks_are_refused_with_those_there_are(text: str) -> None:
    with pytest.raises(SettingsError, match=r"allowed are segfault:DIGEST.*sleep:SECONDS"):
        parse_hook(text)


def test_hooks_are_read() -> None:
    assert parse_hook("hang:0af") == Hook("hang", digest="0af")
    assert parse_hook("sleep:0.05") == Hook("sleep", seconds=0.05)
    assert not parse_hook("segfault:").hits(None)


def test_a_wrong_hook_in_a_request_is_an_error_and_no_run(host: Host, ask: Ask) -> None:
    answer = host.run(ask(hook="explode:"))
    assert isinstance(answer, Fault)
    assert answer.kind is FaultKind.ERROR
    assert answer.detail.startswith("SettingsError: hook 'explode:' is unknown")


def test_a_killed_host_comes_back_with_the_same_bits(ask: Ask, undisturbed: dict[str, Any]) -> None:
    with Host("evaluator") as mortal:
        answers: list[Any] = []
        run = threading.Thread(target=lambda: answers.append(mortal.run(ask(hook="hang:"))))
        pid = mortal.hello["pid"]
        run.start()
        child = wait_for(lambda: psutil.Process(pid).children(), 10, "the child")[0]
        os.kill(pid, signal.SIGKILL)
        run.join(30)
        assert answers[0].kind is FaultKind.HOST_LOST
        wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, 10, "its end")
        assert outcome(mortal, ask()) == undisturbed


def test_the_client_never_loads_torch(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from nasdip_engine.guard import Host\n"
        "from nasdip_engine import picture\n"
        "with Host('evaluator') as host:\n"
        "    assert host.hello['fingerprint']['torch']\n"
        "print('torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "False"
