"""What `up` makes of its options, and its supervisor of children that end: the parts that need no instance."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.launcher.instance import living
from tests.waiting import wait_for
from webapp.config.environment import Environment
from webapp.operations import up
from webapp.operations.access import Access
from webapp.operations.broker import Broker
from webapp.operations.preflight import Address
from webapp.operations.supervisor import (
    LARGEST_LOG_BYTES,
    LONGEST_PAUSE_S,
    STEADY_AFTER_S,
    ChildPlan,
    Supervisor,
    _Child,
    pause_after,
)

HERE = ["localhost", "127.0.0.1", "[::1]"]


@pytest.mark.parametrize(
    ("host", "more", "origin"),
    [
        ("127.0.0.1", [], "http://127.0.0.1:8000"),
        ("192.0.2.7", ["192.0.2.7"], "http://192.0.2.7:8000"),
        ("2001:db8::1", ["[2001:db8::1]"], "http://[2001:db8::1]:8000"),
        ("photos.example", ["photos.example"], "http://photos.example:8000"),
    ],
)
def test_a_host_is_a_name_of_the_site(host: str, more: list[str], origin: str) -> None:
    assert Address(host, 8000).names() == [*HERE, *more]
    assert Address(host, 8000).origin == origin


def test_every_address_of_the_machine_is_a_name_when_it_listens_on_all() -> None:
    address = Address("0.0.0.0", 8000)
    assert {*HERE, socket.gethostname()} <= set(address.names())
    assert address.origin == "http://127.0.0.1:8000"
    assert Address("::", 8000).origin == "http://[::1]:8000", (
        "a socket of IPv6 alone does not answer for IPv4"
    )
    assert not address.is_loopback


def test_children_are_told_hosts_and_origins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    os.environ["NASDIP_ALLOWED_HOSTS"] = "photos.example"
    os.environ["NASDIP_TRUSTED_ORIGINS"] = "https://photos.example"
    options = up.parse(["--host", "192.0.2.7", "--port", "8123", "--data", str(tmp_path)])
    up.lay_environment(options, tmp_path, "unix:///run/redis.sock")
    told = Environment.read(os.environ)
    assert told.allowed_hosts == ("photos.example", *HERE, "192.0.2.7")
    assert told.trusted_origins == (
        "https://photos.example",
        *(f"http://{name}:8123" for name in [*HERE, "192.0.2.7"]),
    )
    assert told.data == tmp_path
    assert told.redis_url == "redis+socket:///run/redis.sock"


@pytest.mark.parametrize(
    ("cores", "workers", "each"), [(1, 1, 1), (2, 1, 2), (2, 2, 1), (2, 3, 1), (16, 1, 16), (16, 3, 5)]
)
def test_workers_share_the_cores(cores: int, workers: int, each: int) -> None:
    assert up.slots_each(cores, workers) == each


def test_each_worker_has_a_name_and_its_share() -> None:
    plans = up.worker_plans(3)
    assert [plan.name for plan in plans] == ["worker-1", "worker-2", "worker-3"]
    assert len({plan.environ["NASDIP_WORKER_NAME"] for plan in plans}) == 3
    assert {plan.environ["NASDIP_SLOTS"] for plan in plans} == {str(max(1, up.cores() // 3))}


@pytest.mark.parametrize(
    "options", [["--port", "0"], ["--port", "70000"], ["--workers", "0"], ["--workers", "65"], ["--no-such"]]
)
def test_an_option_out_of_range_is_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        up.parse(options)
    assert ended.value.code == 2
    assert options[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("host", "sign_up", "sentence"),
    [
        ("0.0.0.0", None, "sign-up is open to everyone on the network"),
        ("192.0.2.7", "open", "sign-up is open to everyone on the network"),
        ("0.0.0.0", "closed", "others on the network reach this site; sign-up is closed"),
        ("127.0.0.1", None, None),
    ],
)
def test_it_says_who_may_sign_up(
    host: str,
    sign_up: str | None,
    sentence: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if sign_up is not None:
        monkeypatch.setenv("NASDIP_SIGN_UP", sign_up)
    options = up.parse(["--host", host, "--data", str(tmp_path)])
    access = Access("http://127.0.0.1:8000/", "owner", "a-password", "a-token")
    up.announce(access, True, tmp_path, Broker("", "none"), options)
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if "network" in line]
    assert [sentence in line for line in lines] == ([True] if sentence else [])
    assert "a-password" in said
    assert "a-token" not in said


def test_more_cores_and_more_workers_take_no_longer() -> None:
    told = [up.ability(cores, workers) for cores, workers in ((1, 1), (2, 1), (2, 2), (16, 1))]
    assert [text.split(":")[0] for text in told] == [
        "1 core, 1 at once",
        "2 cores, 2 at once",
        "2 cores, 2 at once",
        "16 cores, 16 at once",
    ]
    minutes = [int(text.split(" minute")[0].rsplit(" ", 1)[1]) for text in told]
    assert all(later <= before for before, later in pairwise(minutes))
    assert minutes[-1] < minutes[0]


def test_pauses_double_up_to_half_a_minute() -> None:
    pauses = [0.0]
    for _ in range(9):
        pauses.append(pause_after(pauses[-1], lived=1))
    assert pauses[1:] == [0.25, 0.5, 1, 2, 4, 8, 16, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    assert pause_after(LONGEST_PAUSE_S, lived=STEADY_AFTER_S + 1) == 0.25


def test_a_child_that_ends_again_and_again_waits_longer_each_time(tmp_path: Path) -> None:
    said: list[str] = []
    mourned: list[int] = []
    supervisor = Supervisor(tmp_path, said.append)
    command = ("/bin/sh", "-c", "echo could not; exit 3")
    supervisor.start(ChildPlan("poorly", command, {}, after_death=lambda: mourned.append(1)))

    def ended_three_times() -> bool:
        supervisor.tick()
        return len(said) == 3

    wait_for(ended_three_times, 20, "the third end")
    supervisor.stop()
    starts = [
        f"poorly ended (exit code 3); starting it again in {pause} s." for pause in ("0.25", "0.5", "1")
    ]
    assert [line.partition(" Its log")[0] for line in said] == starts
    assert supervisor.deaths("poorly") == 3
    assert supervisor.log_tail("poorly") == "could not"
    wait_for(lambda: len(mourned) == 3, 20, "each end to be mourned")


def test_a_large_log_is_put_aside_while_its_process_writes(tmp_path: Path) -> None:
    script = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
    log = tmp_path / "talker.log"
    with log.open("ab") as own:
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=own, text=True
        )
    assert process.stdin is not None
    os.truncate(log, LARGEST_LOG_BYTES + 1)
    child = _Child(ChildPlan("talker", (), {}), log)
    child.trim_log()
    assert log.stat().st_size == 0
    assert log.with_name("talker.log.1").stat().st_size == LARGEST_LOG_BYTES + 1
    process.communicate("still here\n", timeout=30)
    assert log.read_text() == "still here\n"


def test_a_child_that_cannot_be_started_keeps_the_others(tmp_path: Path) -> None:
    said: list[str] = []
    logs = tmp_path / "logs"
    logs.mkdir()
    supervisor = Supervisor(logs, said.append)
    supervisor.start(ChildPlan("steady", ("/bin/sh", "-c", "while :; do sleep 1; done"), {}))
    supervisor.start(ChildPlan("brief", ("/bin/sh", "-c", "exit 0"), {}))
    moved = logs.rename(tmp_path / "elsewhere")

    def told(words: str) -> bool:
        supervisor.tick()
        return any(words in line for line in said)

    wait_for(lambda: told("brief can't be started ([Errno 2]"), 20, "the start to be put off")
    assert supervisor.deaths("steady") == 0
    moved.rename(logs)
    told_of_ends = len([line for line in said if "brief ended" in line])
    wait_for(
        lambda: (
            supervisor.tick() is None and len([line for line in said if "brief ended" in line]) > told_of_ends
        ),
        20,
        "it to be started again",
    )
    supervisor.stop()


def test_a_child_that_does_not_listen_is_ended_by_force(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, print)
    note = tmp_path / "pid"
    deaf = f"trap '' TERM; echo $$ > {note}.new; mv {note}.new {note}; while :; do sleep 1; done"
    supervisor.start(ChildPlan("deaf", ("/bin/sh", "-c", deaf), {}, last=True))  # 2 s of patience
    wait_for(note.exists, 10, "the child to have made itself deaf")
    supervisor.stop()
    assert living([int(note.read_text())]) == []
