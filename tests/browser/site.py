"""The real site as processes: web server, worker, Redis, a database file; and the pictures that tests upload."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data, transform

from tests.servers import tethered
from tests.waiting import wait_for

__all__ = ["PASSWORD", "ROOT", "RunningSite", "photograph", "pixels_of", "png"]

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct-horse-7"

Pixels = NDArray[np.uint8]


def photograph(side: int) -> Pixels:
    """skimage's astronaut, `side` pixels a side; uint8 (side, side, 3)."""
    small = transform.resize(data.astronaut(), (side, side), anti_aliasing=True)
    return np.round(small * 255).astype(np.uint8)


def png(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def pixels_of(content: bytes, mode: str = "RGB") -> Pixels:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert(mode))


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


class RunningSite:
    """Started with `start`, ended with `stop`; every process dies with the tests at the latest.

    worker: whether a worker runs beside the web server.  settings: NASDIP_* variables of this site.
    """

    def __init__(self, folder: Path, redis_url: str, *, worker: bool = True, **settings: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.worker = worker
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NASDIP_")}
        self.environment = {
            **kept,
            "NASDIP_DATA": str(folder / "data"),
            "NASDIP_REDIS_URL": redis_url,
            "NASDIP_SLOTS": "2",
            "PYTHONPATH": str(ROOT),
            **settings,
        }
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        self.manage("migrate", "--verbosity", "0")
        if self.worker:
            self._run("worker", ["-m", "gpu_worker"])
        self.start_web()

    def start_web(self) -> None:
        """Start the web server, again on the same port where it was stopped."""
        web = [
            "uvicorn",
            "webapp.config.asgi:application",
            "--port",
            str(self.port),
            "--log-level",
            "warning",
        ]
        self._run("web", ["-m", *web, "--timeout-graceful-shutdown", "2"])
        wait_for(self._answers, 60, f"the site to answer:\n{self.log('web')}")

    def stop_web(self) -> None:
        """End the web server alone: the site is gone, its rows stay."""
        self._end(self.processes.pop("web"))

    def stop(self) -> None:
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            self._end(process)

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)

    def manage(self, *words: str, **more: str) -> None:
        """Run a management command of the site to its end."""
        subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env={**self.environment, **more},
            check=True,
            timeout=120,
            stdout=subprocess.DEVNULL,
        )

    def log(self, name: str) -> str:
        file = self.folder / f"{name}.log"
        return file.read_text(errors="replace")[-4000:] if file.exists() else ""

    def _run(self, name: str, words: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                tethered([sys.executable, *words]),
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _answers(self) -> bool:
        alive = all(process.poll() is None for process in self.processes.values())
        assert alive, self.log("web") + self.log("worker")
        try:
            with urllib.request.urlopen(self.url, timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
