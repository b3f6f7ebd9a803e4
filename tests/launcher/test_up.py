"""`nasdip up` from outside: what it starts, what it leaves behind, what it says when it cannot."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import stat
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.launcher.conftest import Undisturbed
from tests.launcher.instance import ROOT, Instance, free_port, launcher_environment, living, processes_of
from tests.waiting import wait_for
from webapp.operations.up import cores

pytestmark = pytest.mark.slow


@pytest.fixture
def up(data: Path) -> Iterator[Instance]:
    instance = Instance(data, "--no-sample").wait_until_up()
    yield instance
    instance.stop()


def refused(*options: str, **environment: str) -> tuple[int, str]:
    """Run `up` where it has to refuse: its exit code and all that it said on standard error."""
    done = subprocess.run(
        [str(ROOT / "nasdip"), "up", *options],
        env=launcher_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def test_the_supervisor_has_all_processes_and_leaves_none(up: Instance) -> None:
    words = ("uvicorn", "gpu_worker", "valkey-server")
    pids = [up.child(word) for word in words]
    assert "webapp.operations.up" in Path(f"/proc/{up.process.pid}/cmdline").read_text()
    begun = time.monotonic()
    assert up.stop() == 0
    assert time.monotonic() - begun < 12
    assert living(pids) == []
    wait_for(lambda: processes_of(up.data) == [], 20, "all processes of the instance to end")


def test_access_is_private_and_outlives_a_restart(up: Instance) -> None:
    file = up.data / "access.json"
    first = up.access()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert set(first) == {"url", "user", "password", "token"}
    assert first["url"] == up.url
    assert first["password"] in up.said()
    assert up.client().call("GET", "jobs")["jobs"] == []
    up.stop()

    begun = time.monotonic()
    again = Instance(up.data, "--no-sample", port=up.port).wait_until_up()
    try:
        assert time.monotonic() - begun < 30
        assert again.access() == first
        assert again.client().call("GET", "jobs")["jobs"] == []
    finally:
        again.stop()


def test_a_killed_child_comes_back(up: Instance) -> None:
    for word in ("gpu_worker", "valkey-server", "uvicorn"):
        before = up.child(word)
        os.kill(before, signal.SIGKILL)
        wait_for(lambda w=word, b=before: up.child(w) != b, 30, f"another {word}")
    wait_for(up.answers, 60, "the site to answer again")


def test_children_die_with_a_killed_supervisor(up: Instance) -> None:
    pids = list(up.children())
    assert len(pids) >= 3
    up.process.kill()
    up.process.wait()
    wait_for(lambda: living(pids) == [], 10, "the children to die with their supervisor")


def test_a_data_folder_belongs_to_one_supervisor(up: Instance) -> None:
    code, said = refused("--port", str(free_port()), "--data", str(up.data), "--no-sample")
    assert code == 1
    assert f"{up.data} is in use" in said
    assert str(up.process.pid) in said
    assert said.count("\n") == 1


def test_a_reset_password_is_told_and_kept(up: Instance) -> None:
    old = up.access()["password"]
    command = [str(ROOT / "nasdip"), "user", "owner", "--reset", "--data", str(up.data)]
    done = subprocess.run(
        command, env=launcher_environment(), capture_output=True, text=True, timeout=60, check=True
    )
    new = up.access()["password"]
    assert new != old
    assert new in done.stdout


def test_an_operator_makes_a_token(up: Instance) -> None:
    command = [str(ROOT / "nasdip"), "user", "owner", "--token", "--data", str(up.data)]
    done = subprocess.run(
        command, env=launcher_environment(), capture_output=True, text=True, timeout=60, check=True
    )
    token = done.stdout.split()[-1]
    assert token not in (up.access()["token"], up.access()["password"])
    request = urllib.request.Request(f"{up.url}api/v1/jobs", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def test_an_account_of_nothing_makes_nothing(tmp_path: Path) -> None:
    command = [str(ROOT / "nasdip"), "user", "owner", "--reset", "--data", str(tmp_path)]
    done = subprocess.run(
        command, env=launcher_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "holds no instance yet" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_without_redis_a_job_runs_by_polling(undisturbed: Undisturbed) -> None:
    assert "look into the database" in undisturbed.said
    assert not any("valkey" in line for line in undisturbed.processes)
    assert len(undisturbed.outcome.generations) == 2, "the job was done to its end"


def test_a_site_on_the_network_with_two_workers_ends_by_ctrl_c(data: Path, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {shown}.new && mv {shown}.new {shown}\n')
    browser.chmod(0o755)
    # A shell that runs the tests in the background has SIGINT ignored, and children inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    options = ("--no-sample", "--host", "0.0.0.0", "--workers", "2", "--open")
    try:
        site = Instance(data, *options, BROWSER=f"{browser} %s", NASDIP_ALLOWED_HOSTS="photos.example")
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        site.wait_until_up()
        assert "sign-up is open to everyone on the network" in site.said()
        wait_for(shown.exists, 10, "the browser to be opened")
        assert shown.read_text().strip() == site.url == site.access()["url"]
        assert [status_for(site, host) for host in (socket.gethostname(), "photos.example")] == [200, 200]
        assert status_for(site, "elsewhere.example") == 400
        workers = [pid for pid, line in site.children().items() if "-m gpu_worker" in line]
        slots = [psutil.Process(pid).environ()["NASDIP_SLOTS"] for pid in workers]
        assert slots == [str(max(1, cores() // 2))] * 2
    finally:
        code = site.stop(number=signal.SIGINT)
    assert code == 0
    wait_for(lambda: processes_of(data) == [], 20, "all processes of the instance to end")


def status_for(site: Instance, host: str) -> int:
    """What the sign-in page answers a browser that knows the site as `host`."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    connection.request("GET", "/accounts/login/", headers={"Host": f"{host}:{site.port}"})
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_taken_port_is_one_sentence(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, said = refused("--port", port, "--data", str(data))
    assert code == 1
    assert f"Port {port}" in said
    assert "--port" in said
    assert said.count("\n") == 1


def test_a_redis_that_was_named_has_to_answer(data: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"
    begun = time.monotonic()
    code, said = refused("--port", str(free_port()), "--data", str(data), NASDIP_REDIS_URL=url)
    assert 9 < time.monotonic() - begun < 25
    assert code == 1
    assert "NASDIP_REDIS_URL" in said
    assert said.count("\n") == 1


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, said = refused("--port", str(free_port()), "--data", str(tmp_path / "file" / "data"))
    assert code == 1
    assert "--data" in said
    assert said.count("\n") == 1


def test_a_full_disk_is_one_sentence(small_disk: Path) -> None:
    code, said = refused("--port", str(free_port()), "--data", str(small_disk / "data"))
    assert code == 1
    assert "is full" in said
    assert said.count("\n") == 1
