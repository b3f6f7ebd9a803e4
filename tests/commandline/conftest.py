"""One small run of each task, made once by the real command line and looked at by many tests."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

SMALL = ["--population", "4", "--generations", "2", "--iterations", "20", "--seed", "3"]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The only line on stderr: what a user with bad input reads."""
        assert len(self.err.splitlines()) == 1, self.err
        return self.err.strip()


def nasdip(*arguments: object, timeout: float = 300) -> Ended:
    ended = subprocess.run(
        [sys.executable, "-m", "nasdip_engine", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@dataclass(frozen=True)
class Run:
    task: str
    folder: Path
    picture: Path
    mask: Path | None
    clean: Path
    err: str
    out: str = ""

    @property
    def json(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text())

    def pixels(self, name: str) -> np.ndarray:
        return np.asarray(Image.open(self.folder / name).convert("RGB"))


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """clean.png (64 px of the astronaut), noisy.png, holed.png with mask.png, small.png (32 px)."""
    folder = tmp_path_factory.mktemp("photographs")
    clean = np.asarray(Image.fromarray(data.astronaut()).resize((64, 64), Image.Resampling.LANCZOS))
    noise = np.random.Generator(np.random.PCG64(5)).normal(0, 25, clean.shape)
    mask = np.ones((64, 64), bool)
    mask[20:30, 24:40] = False
    Image.fromarray(clean).save(folder / "clean.png")
    Image.fromarray(np.clip(clean + noise, 0, 255).astype(np.uint8)).save(folder / "noisy.png")
    Image.fromarray(np.where(mask[..., None], clean, np.uint8(0))).save(folder / "holed.png")
    Image.fromarray(mask).convert("L").save(folder / "mask.png")
    Image.fromarray(clean).resize((32, 32), Image.Resampling.BICUBIC).save(folder / "small.png")
    return folder


def _make(task: str, photographs: Path, folder: Path) -> Run:
    picture = photographs / {"denoise": "noisy.png", "inpaint": "holed.png", "upscale": "small.png"}[task]
    mask = photographs / "mask.png" if task == "inpaint" else None
    more = ["--mask", mask] if mask else ["--factor", "2"] if task == "upscale" else []
    clean = photographs / "clean.png"
    out = folder / task
    ended = nasdip("restore", picture, "--task", task, *more, *SMALL, "--reference", clean, "--out", out)
    assert ended.code == 0, ended.err
    return Run(task, out, picture, mask, clean, ended.err, ended.out)


@pytest.fixture(scope="session")
def run_of(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    made: dict[str, Run] = {}
    folder = tmp_path_factory.mktemp("runs")

    def run(task: str) -> Run:
        if task not in made:
            made[task] = _make(task, photographs, folder)
        return made[task]

    return run
