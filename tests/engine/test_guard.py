"""Whatever a child does, the guard comes back with an answer, and the next run works."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasdip_engine.guard import Fault, FaultKind, Host, Outcome
from nasdip_engine.guard_mode import Mode
from nasdip_engine.guard_wire import BrokenFrameError, Frames, pack
from tests.engine.faulty_host import MODES, faulty, gone, pid_in
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the limit tried here exists on Linux only")


@pytest.fixture(scope="module", params=MODES)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    with faulty(mode=request.param) as guarded:
        yield guarded


@pytest.fixture(scope="module")
def forking() -> Iterator[Host]:
    with faulty() as guarded:
        yield guarded


@pytest.fixture(scope="module")
def keeping() -> Iterator[Host]:
    with faulty(mode=Mode.KEPT) as guarded:
        yield guarded


def fault(host: Host, request: dict[str, Any], **options: Any) -> Fault:
    answer = host.run(request, **options)
    assert isinstance(answer, Fault), answer
    # The host has outlived its child and serves on, in a process of its own.
    after = host.run({"do": "echo", "say": "still there"})
    assert isinstance(after, Outcome)
    assert after.value["said"] == "still there"
    return answer


# -- outcomes ----------------------------------------------------------------------------------------


def pid(host: Host) -> int:
    """Of the child that serves next."""
    answer = host.run({"do": "echo", "say": {"a": [1, None, "ü"]}})
    assert isinstance(answer, Outcome)
    assert answer.value["said"] == {"a": [1, None, "ü"]}
    return int(answer.value["pid"])


def test_an_outcome_comes_from_a_child(host: Host) -> None:
    assert len({pid(host), host.hello["pid"], os.getpid()}) == 3


def test_a_forked_child_serves_once(forking: Host) -> None:
    assert pid(forking) != pid(forking)


def test_a_kept_child_serves_on_until_it_faults(keeping: Host) -> None:
    first = pid(keeping)
    assert pid(keeping) == first
    for act in ("segfault", "leave", "bad_alloc"):
        assert isinstance(keeping.run({"do": act}, memory_limit_bytes=2**28), Fault)
        wait_for(lambda first=first: gone(first), 10, "the end of the child that faulted")
        second = pid(keeping)
        assert second != first
        first = second


@LINUX
def test_a_kept_childs_limits_end_with_the_run(keeping: Host) -> None:
    first = pid(keeping)
    before = psutil.Process(first).rlimit(psutil.RLIMIT_DATA)
    assert keeping.run({"do": "count", "to": 2}, memory_limit_bytes=2**28) == Outcome({"counted": 2})
    assert pid(keeping) == first
    assert psutil.Process(first).rlimit(psutil.RLIMIT_DATA) == before


def test_a_kept_child_that_is_killed_between_two_runs_is_replaced(keeping: Host) -> None:
    first = pid(keeping)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: gone(first), 10, "the end of the idle child")
    wait_for(lambda: not isinstance(keeping.run({"do": "echo"}), Fault), 30, "another child to serve")
    assert pid(keeping) != first


def test_the_hello_tells_of_the_host(host: Host) -> None:
    assert host.hello["fingerprint"] == {"made": "here"}
    assert psutil.Process(host.hello["pid"]).num_threads() == 1


def test_large_blocks_go_both_ways(host: Host) -> None:
    block = os.urandom(2**20) * 40
    answer = host.run({"do": "echo"}, block=block)
    assert isinstance(answer, Outcome)
    assert answer.block == block[::-1]


def test_several_runs_at_once(host: Host) -> None:
    answers: dict[int, Any] = {}
    seen: dict[int, list[int]] = {number: [] for number in range(6)}

    def run(number: int) -> None:
        request = {"do": "count", "to": 30 + number, "pause": 0.02}
        answers[number] = host.run(request, on_progress=lambda sign: seen[number].append(sign["iteration"]))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    children = wait_for(
        lambda: len(psutil.Process(host.hello["pid"]).children()) >= 4, 10, "four children at the same time"
    )
    assert children
    for thread in threads:
        thread.join()
    for number in range(6):
        assert answers[number] == Outcome({"counted": 30 + number})
        assert seen[number] == sorted(seen[number])
        assert seen[number][-1] == 30 + number


def test_progress_is_thinned_but_previews_and_the_last_arrive(host: Host) -> None:
    previews = [7, 8, 9, 5000, 19_999]
    seen: list[dict[str, Any]] = []
    request = {"do": "count", "to": 20_000, "previews": previews}
    assert host.run(request, on_progress=seen.append) == Outcome({"counted": 20_000})
    assert [sign["iteration"] for sign in seen if sign["preview"]] == previews
    assert seen[-1]["iteration"] == 20_000
    assert [sign["iteration"] for sign in seen] == sorted(sign["iteration"] for sign in seen)
    assert len(seen) < 500


# -- faults ------------------------------------------------------------------------------------------


def test_segfault(host: Host) -> None:
    answer = fault(host, {"do": "segfault"})
    assert answer.kind is FaultKind.CRASH
    assert "SIGSEGV" in answer.detail
    assert "string_at" in answer.trace


@pytest.mark.parametrize("number", ["SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT"])
def test_native_signals_are_crashes(number: str, host: Host) -> None:
    answer = fault(host, {"do": "signal", "number": int(signal.Signals[number])})
    assert answer.kind is FaultKind.CRASH
    assert number in answer.detail


@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM", "SIGXCPU"])
def test_other_signals_are_no_fault_of_the_run(number: str, host: Host) -> None:
    answer = fault(host, {"do": "signal", "number": int(signal.Signals[number])})
    assert answer.kind is FaultKind.KILLED
    assert number in answer.detail


@pytest.mark.parametrize("act", ["hang", "hang_in_c"])
def test_no_heartbeat_is_a_hang_and_the_child_is_killed(act: str, host: Host, tmp_path: Path) -> None:
    began = time.monotonic()
    answer = fault(host, {"do": act, "pid_file": str(tmp_path / "pid")}, heartbeat_limit=0.6)
    assert answer == Fault(FaultKind.HANG, "no heartbeat for 0.6 s")
    assert time.monotonic() - began > 0.6
    wait_for(lambda: gone(pid_in(tmp_path / "pid")), 10, "the end of the hung child")


def test_a_slow_run_with_a_heartbeat_is_no_hang(host: Host) -> None:
    request = {"do": "count", "to": 14, "pause": 0.3}
    assert host.run(request, heartbeat_limit=3.0) == Outcome({"counted": 14})


@LINUX
def test_a_refused_allocation_is_a_memory_fault(host: Host) -> None:
    answer = fault(host, {"do": "allocate"}, memory_limit_bytes=2**28)
    assert answer.kind is FaultKind.MEMORY
    assert "MemoryError" in answer.detail


def test_growth_over_the_limit_is_a_memory_fault(host: Host) -> None:
    answer = fault(host, {"do": "creep"}, memory_limit_bytes=2**26)
    assert answer.kind is FaultKind.MEMORY
    assert "the limit is 64 MiB" in answer.detail


def test_growth_under_the_limit_is_none(host: Host) -> None:
    assert host.run({"do": "count", "to": 3, "pause": 0.15}, memory_limit_bytes=2**26) == Outcome(
        {"counted": 3}
    )


def test_a_cpp_abort_for_want_of_memory_is_a_memory_fault(host: Host) -> None:
    assert fault(host, {"do": "bad_alloc"}).kind is FaultKind.MEMORY


@pytest.mark.parametrize(
    ("error", "message", "kind"),
    [
        ("ValueError", "12 is odd", FaultKind.ERROR),
        (
            "RuntimeError",
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: 4 bytes",
            FaultKind.MEMORY,
        ),
        ("RuntimeError", "CUDA out of memory. Tried to allocate 2.00 GiB.", FaultKind.MEMORY),
        ("OSError", "4096 requested and 0 written", FaultKind.DISK_FULL),
        ("OSError", "no such picture", FaultKind.ERROR),
    ],
)
def test_exceptions_come_back_with_class_and_message(
    error: str, message: str, kind: FaultKind, host: Host
) -> None:
    answer = fault(host, {"do": "fail", "error": error, "message": message})
    assert (answer.kind, answer.detail) == (kind, f"{error}: {message}")
    assert "Traceback" in answer.trace


@LINUX
def test_a_full_disk(host: Host) -> None:
    answer = fault(host, {"do": "full_disk"})
    assert answer.kind is FaultKind.DISK_FULL
    assert "No space left" in answer.detail


def test_an_exit_without_outcome_is_an_error(host: Host) -> None:
    answer = fault(host, {"do": "leave"})
    assert answer == Fault(FaultKind.ERROR, "ended with exit status 3 and without an outcome", answer.trace)


def test_garbage_from_a_child_stays_its_own_fault(host: Host) -> None:
    before = host.hello["pid"]
    answer = fault(host, {"do": "noise"}, heartbeat_limit=10)
    assert answer.kind is FaultKind.ERROR
    assert "BrokenFrame" in answer.detail
    assert host.hello["pid"] == before


def test_what_a_child_starts_ends_with_it(forking: Host, tmp_path: Path) -> None:
    file = tmp_path / "grandchild"
    assert isinstance(forking.run({"do": "grandchild", "grandchild_file": str(file)}), Outcome)
    wait_for(lambda: gone(pid_in(file)), 10, "the end of the process that the child left behind")


def test_a_crash_beside_leaves_the_others_alone(host: Host) -> None:
    answers: list[Any] = []
    request = {"do": "count", "to": 20, "pause": 0.05}
    beside = threading.Thread(target=lambda: answers.append(host.run(request)))
    beside.start()
    for _ in range(3):
        assert fault(host, {"do": "segfault"}).kind is FaultKind.CRASH
    assert beside.is_alive()
    beside.join()
    assert answers == [Outcome({"counted": 20})]


# -- stopping ----------------------------------------------------------------------------------------


def test_cancelled_within_half_a_second(host: Host, tmp_path: Path) -> None:
    """At the best of three times: a busy machine is no fault of the guard."""

    def cancelled(file: Path) -> float:
        stop = threading.Event()
        answers: list[Any] = []
        request = {"do": "hang_in_c", "pid_file": str(file)}
        thread = threading.Thread(target=lambda: answers.append(host.run(request, should_stop=stop.is_set)))
        thread.start()
        pid = pid_in(file)
        assert not gone(pid)
        began = time.monotonic()
        stop.set()
        thread.join()
        wait_for(lambda: gone(pid), 10, "the end of the cancelled child", every=0.01)
        assert answers == [Fault(FaultKind.CANCELLED, "stopped on request")]
        return time.monotonic() - began

    assert min(cancelled(tmp_path / str(number)) for number in range(3)) < 0.5


def test_what_progress_raises_is_raised_and_kills_the_child(host: Host, tmp_path: Path) -> None:
    def refuse(sign: dict[str, Any]) -> None:
        raise LookupError(f"seen {sign['iteration']}")

    request = {"do": "hang", "pid_file": str(tmp_path / "pid")}
    with pytest.raises(LookupError, match="seen 0"):
        host.run(request, on_progress=refuse)
    wait_for(lambda: gone(pid_in(tmp_path / "pid")), 10, "the end of the abandoned child")


def test_cancelled_while_the_host_starts() -> None:
    with faulty("--late", "30") as host:
        began = time.monotonic()
        answer = host.run({"do": "echo"}, should_stop=lambda: True)
        assert answer == Fault(FaultKind.CANCELLED, "stopped on request")
        assert time.monotonic() - began < 15, "the host takes 30 s to start"


# -- the wire ----------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.dictionaries(st.text(), st.integers() | st.none() | st.text()), st.binary(max_size=300))
    ),
    st.integers(1, 50),
)
def test_frames_survive_any_cutting(messages: list[tuple[dict[str, Any], bytes]], step: int) -> None:
    stream = b"".join(pack(message, block) for message, block in messages)
    frames = Frames()
    received = [frame for at in range(0, len(stream), step) for frame in frames.feed(stream[at : at + step])]
    assert received == messages


@pytest.mark.parametrize(
    "data", [b"\xff" * 12, b"\0\0\0\2" + bytes(8) + b"[]", b"\0\0\0\2" + bytes(8) + b"{x"]
)
def test_broken_frames_are_refused(data: bytes) -> None:
    with pytest.raises(BrokenFrameError):
        Frames().feed(data)
