"""The servers that other tests rely on are real, private and gone when they are said to be gone."""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg
import redis

from tests.servers import RedisServer, tethered
from tests.waiting import wait_for


def test_redis_comes_back_empty_on_the_same_address(redis_server: RedisServer, redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    client.set("left", "behind")
    first = redis_server.pid
    redis_server.restart()
    assert redis_server.pid != first
    assert client.get("left") is None
    client.close()


def test_postgres_gives_each_test_a_database_of_its_own(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        name = connection.execute("select current_database()").fetchone()
    assert name is not None
    assert name[0] in postgres_url


def test_a_tethered_program_dies_with_the_process_that_started_it() -> None:
    starts_a_child = (
        "import subprocess, sys\n"
        "from tests.servers import tethered\n"
        "child = subprocess.Popen(tethered(['sleep', '600']))\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", starts_a_child], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    wait_for(lambda: _command_of(child).startswith("sleep"), 10, "the tether to become sleep")
    parent.kill()
    parent.wait()
    wait_for(lambda: _command_of(child) == "", 10, "the tethered program to end")
    parent.stdin.close()
    parent.stdout.close()


def test_a_tethered_program_does_not_start_when_its_parent_is_gone() -> None:
    command = tethered(["sleep", "600"])
    command[command.index(str(os.getpid()))] = "1"  # a parent that is not ours
    assert subprocess.run(command, timeout=20, check=False).returncode == 97


def _command_of(pid: int) -> str:
    """The command line of a living process, "" when it is gone or a zombie."""
    shown = subprocess.run(
        ["ps", "-o", "stat=,args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    state, _, command = shown.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else command.strip()
