"""A disk that is too small, and what the small job gives when nothing happens to it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.launcher.client import Outcome
from tests.launcher.instance import Instance


@dataclass(frozen=True)
class Undisturbed:
    outcome: Outcome
    said: str
    processes: tuple[str, ...]
    """Command lines of the instance's processes."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with 64 MB; needs the right to mount one, which CI has as root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount a small file system: run the tests as root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """The small job on an instance of its own, on SQLite, without Redis and without a disturbance."""
    folder = tmp_path_factory.mktemp("undisturbed") / "data"
    instance = Instance(folder, "--no-sample", NASDIP_REDIS_URL="").wait_until_up()
    try:
        client = instance.client()
        outcome = client.wait_until_done(client.submit())
        return Undisturbed(outcome, instance.said(), tuple(instance.children().values()))
    finally:
        instance.stop()
