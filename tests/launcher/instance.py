"""An instance of the site as its operator has it: `./nasdip up` as a process, seen from outside."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.launcher.client import Client, answers
from tests.servers import tethered
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]


def launcher_environment(**more: str) -> dict[str, str]:
    """Our environment without an instance's settings; the launcher uses the Python that runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NASDIP_")}
    return {**kept, "NASDIP_VENV": sys.prefix, **more}


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


class Instance:
    """One `./nasdip up`; `environment` is added to what the launcher is given."""

    def __init__(self, data: Path, *options: str, port: int | None = None, **environment: str) -> None:
        self.data = data
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.output = data.parent / f"{data.name}.up.log"
        command = [str(ROOT / "nasdip"), "up", "--port", str(self.port), "--data", str(data), *options]
        with self.output.open("wb") as log:
            self.process = subprocess.Popen(
                tethered(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=launcher_environment(**environment),
            )

    def wait_until_up(self, timeout: float = 90) -> Instance:
        self.wait_until_it_says("stop      Ctrl-C", timeout)
        return self

    def wait_until_it_says(self, text: str, timeout: float) -> None:
        wait_for(lambda: self._says(text), timeout, f"{text!r} to be said; see {self.output}", every=0.1)

    def said(self) -> str:
        return self.output.read_text()

    def access(self) -> dict[str, str]:
        data: dict[str, str] = json.loads((self.data / "access.json").read_text())
        return data

    def children(self) -> dict[int, str]:
        """Process id -> command line of all that descend from the supervisor."""
        found = {}
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                found[child.pid] = " ".join(child.cmdline())
            except psutil.Error:
                continue  # ended while we looked
        return {pid: line for pid, line in found.items() if line and "tether.py" not in line}

    def child(self, word: str) -> int:
        """The process whose command line has the word, once it is there."""
        return wait_for(
            lambda: next((pid for pid, line in self.children().items() if word in line), 0),
            30,
            f"a {word} process",
        )

    def client(self) -> Client:
        """One that asks with the token of access.json."""
        return Client(self.url, self.access()["token"])

    def answers(self) -> bool:
        return answers(self.url)

    def stop(self, timeout: float = 15, number: int = signal.SIGTERM) -> int:
        """Send the signal, then wait for the end; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout)
        note = self.data / "redis-folder"
        if (
            note.exists()
        ):  # a killed supervisor leaves the socket's folder to its next start, which a test may not have
            shutil.rmtree(note.read_text().strip(), ignore_errors=True)
        return code

    def _says(self, text: str) -> bool:
        assert self.process.poll() is None, f"up ended:\n{self.said()}"
        return text in self.said()


def living(pids: Sequence[int]) -> list[int]:
    """Those of the processes that still are, zombies apart."""
    left = []
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                left.append(pid)
        except psutil.NoSuchProcess:
            continue
    return left


def processes_of(folder: Path) -> list[int]:
    """Every process that names `folder` in its command line, environment or working folder: orphans too."""
    found = []
    for process in psutil.process_iter():
        try:
            known = [*process.cmdline(), *process.environ().values(), process.cwd()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(folder) in text for text in known):
            found.append(process.pid)
    return found
