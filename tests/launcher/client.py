"""The site as a program sees it that has a token, and the one small job that these tests ask it for."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from nasdip_engine.seeding import generator
from tests.waiting import wait_for

__all__ = ["Client", "Outcome", "answers"]

SETTINGS = {"population": 4, "generations": 2, "iterations": 20, "final_iterations": 20, "crop": 32}
ENDS = {"done", "failed", "cancelled", "paused"}
AT_MOST = 200
"""Events in one answer."""


@dataclass(frozen=True)
class Outcome:
    """All of a finished job that nothing on its way may change."""

    picture: str
    """SHA-256 of result.png."""
    generations: Any
    best: tuple[str, str]
    final: Any


class Client:
    """Asks the API of the site at `url` (with a slash at its end)."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._authorization = {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, body: object = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}api/v1/{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={**self._authorization, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def send_picture(self, content: bytes, name: str = "picture.png") -> str:
        edge = uuid.uuid4().hex
        head = (
            f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            "Content-Type: image/png\r\n\r\n"
        )
        request = urllib.request.Request(
            f"{self.url}api/v1/pictures",
            data=head.encode() + content + f"\r\n--{edge}--\r\n".encode(),
            headers={**self._authorization, "Content-Type": f"multipart/form-data; boundary={edge}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(json.load(answer)["id"])

    def submit(self) -> str:
        """Ask for the small job, always the same one."""
        picture = self.send_picture(small_picture())
        asked = {"picture": picture, "task": "denoise", "preset": "preview", "seed": 1, "settings": SETTINGS}
        return str(self.call("POST", "jobs", asked)["id"])

    def events(self, job: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["number"] if found else 0
            more = self.call("GET", f"jobs/{job}/events?after={after}")["events"]
            found += more
            if len(more) < AT_MOST:
                return found

    def wait_until_fitting(self, job: str) -> None:
        """Wait until a network of the job has told of its progress."""
        wait_for(
            lambda: any(event["kind"] == "progress" for event in self.events(job)), 90, "a fit under way"
        )
        assert self.call("GET", f"jobs/{job}")["state"] == "running"

    def wait_until_done(self, job: str) -> Outcome:
        def end() -> dict[str, Any] | None:
            told: dict[str, Any] = self.call("GET", f"jobs/{job}")
            return told if told["state"] in ENDS else None

        told = wait_for(end, 170, f"job {job} to end", every=0.3)
        assert told is not None
        assert told["state"] == "done", told["reason"]
        run = told["run"]
        return Outcome(
            picture=hashlib.sha256(self._result(job)).hexdigest(),
            generations=run["generations"],
            best=(run["best_genome"], run["best_fitness_hex"]),
            final=run["final"],
        )

    def _result(self, job: str) -> bytes:
        request = urllib.request.Request(
            f"{self.url}api/v1/jobs/{job}/result.png", headers=self._authorization
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            content: bytes = answer.read()
            return content


def small_picture() -> bytes:
    pixels = generator(3, "test", "picture").integers(0, 256, (48, 48, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def answers(url: str) -> bool:
    """Whether the site at `url` says that it is well."""
    try:
        with urllib.request.urlopen(f"{url}healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException):
        return False
