"""How a host ends, and what ends with it: killed, stopped, closed, never started, orphaned."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from nasdip_engine.guard import Fault, FaultKind, Host, HostLostError, Outcome
from nasdip_engine.guard_mode import MODE_VARIABLE, Mode
from tests.engine.faulty_host import MODES, PROGRAM, faulty, gone, pid_in
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the limit tried here exists on Linux only")


@pytest.mark.parametrize("mode", MODES)
def test_a_killed_host_loses_its_runs_and_a_new_one_starts(mode: Mode, tmp_path: Path) -> None:
    with faulty(mode=mode) as host:
        answers: list[Any] = []
        files = [tmp_path / name for name in "ab"]
        threads = [
            threading.Thread(
                target=lambda file=file: answers.append(host.run({"do": "hang", "pid_file": str(file)}))
            )
            for file in files
        ]
        for thread in threads:
            thread.start()
        pids = [pid_in(file) for file in files]
        first = host.hello["pid"]
        os.kill(first, signal.SIGKILL)
        for thread in threads:
            thread.join(30)
        assert [answer.kind for answer in answers] == [FaultKind.HOST_LOST] * 2
        for pid in pids:
            wait_for(lambda pid=pid: gone(pid), 10, "the end of a child whose host was killed")
        assert isinstance(host.run({"do": "echo"}), Outcome)
        assert host.hello["pid"] != first


@pytest.mark.parametrize("mode", MODES)
def test_a_stopped_host_is_noticed_and_replaced(mode: Mode) -> None:
    with faulty(mode=mode, grace=0.5) as host:
        first = host.hello["pid"]
        os.kill(first, signal.SIGSTOP)
        answer = host.run({"do": "echo"}, heartbeat_limit=0.5)
        assert isinstance(answer, Fault)
        assert answer.kind is FaultKind.HOST_LOST
        assert gone(first)
        assert isinstance(host.run({"do": "echo"}), Outcome)


@pytest.mark.parametrize("mode", MODES)
def test_closing_ends_everything_and_answers_everybody(mode: Mode, tmp_path: Path) -> None:
    host = faulty(mode=mode)
    answers: list[Any] = []
    request = {"do": "hang", "pid_file": str(tmp_path / "pid")}
    thread = threading.Thread(target=lambda: answers.append(host.run(request)))
    thread.start()
    pid, server = pid_in(tmp_path / "pid"), host.hello["pid"]
    host.close()
    thread.join(30)
    assert answers == [Fault(FaultKind.HOST_LOST, "the host was closed")]
    wait_for(lambda: gone(pid) and gone(server), 10, "the end of host and child")
    assert host.run({"do": "echo"}) == Fault(FaultKind.HOST_LOST, "the host was closed")


@pytest.mark.parametrize("mode", MODES)
def test_a_host_that_cannot_start_says_why(mode: Mode) -> None:
    with faulty("--broken", mode=mode) as host:
        answer = host.run({"do": "echo"})
        assert isinstance(answer, Fault)
        assert answer.kind is FaultKind.HOST_LOST
        assert "no module named flux" in answer.detail
        with pytest.raises(HostLostError, match="no module named flux"):
            assert host.hello
    with (
        Host("evaluator", command=["/nowhere/python"]) as host,
        pytest.raises(HostLostError, match="nowhere"),
    ):
        assert host.hello


@pytest.mark.parametrize("mode", MODES)
def test_a_host_that_starts_too_slowly_is_given_up(mode: Mode) -> None:
    with (
        faulty("--late", "30", mode=mode, start=0.5) as host,
        pytest.raises(HostLostError, match=r"not ready after 0\.5 s"),
    ):
        assert host.hello


@LINUX
def test_a_host_with_two_threads_refuses_to_fork() -> None:
    with faulty("--threads") as host, pytest.raises(HostLostError, match="2 threads"):
        assert host.hello


PARENT = """
import sys, threading
from pathlib import Path
from nasdip_engine.guard import Host
host = Host("evaluator", command=sys.argv[2:])
def run(name):
    host.run({"do": "hang_in_c", "pid_file": str(Path(sys.argv[1]) / name)})
if "--late" in sys.argv:
    threading.Thread(target=run, args=("child",), daemon=True).start()
    while host._connection is None:
        pass
    (Path(sys.argv[1]) / "host").write_text(str(host._connection._process.pid))
    threading.Event().wait()
# A thread that ends: what dies with the thread that started it must not die yet.
starter = threading.Thread(target=lambda: host.hello)
starter.start(); starter.join()
(Path(sys.argv[1]) / "host").write_text(str(host.hello["pid"]))
for name in ("one", "two"):
    threading.Thread(target=run, args=(name,)).start()
"""


@contextlib.contextmanager
def parent_process(folder: Path, *options: str, mode: Mode = Mode.FORK) -> Iterator[subprocess.Popen[bytes]]:
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder), *PROGRAM, *options],
        env={**os.environ, "PYTHONPATH": root, MODE_VARIABLE: mode.value},
    ) as parent:
        try:
            yield parent
        finally:
            parent.kill()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_host_and_children_die_with_their_parent(mode: Mode, number: signal.Signals, tmp_path: Path) -> None:
    with parent_process(tmp_path, mode=mode) as parent:
        pids = [pid_in(tmp_path / name) for name in ("host", "one", "two")]
        assert not any(gone(pid) for pid in pids)
        parent.send_signal(number)
        parent.wait()
        wait_for(lambda: all(gone(pid) for pid in pids), 10, "the end of host and children")


def test_a_host_that_still_starts_dies_with_its_parent(tmp_path: Path) -> None:
    with parent_process(tmp_path, "--late", "60") as parent:
        pid = pid_in(tmp_path / "host")
        wait_for(lambda: b"faulty" in Path(f"/proc/{pid}/cmdline").read_bytes(), 30, "the host program")
        wait_for(lambda: psutil.Process(pid).num_threads() == 2, 30, "the thread that watches the client")
        parent.kill()
        parent.wait()
        wait_for(lambda: gone(pid), 10, "the end of the starting host")
