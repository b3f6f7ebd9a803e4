"""What start-up loads, seen in fresh processes: linters see imports, only these see what is really loaded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.launcher.instance import ROOT, launcher_environment

SHOW = "\nimport sys; print(*sys.modules)"


def loaded(code: str, data: Path) -> set[str]:
    """The modules of a fresh process that ran `code`."""
    environment = launcher_environment(
        NASDIP_DATA=str(data), DJANGO_SETTINGS_MODULE="webapp.config.settings", PYTHONPATH=str(ROOT)
    )
    done = subprocess.run(
        [sys.executable, "-c", code + SHOW], env=environment, capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "module", ["webapp.config.asgi", "gpu_worker.tasks", "nasdip_engine", "nasdip_engine.evaluation"]
)
def test_torch_is_not_loaded(module: str, data_dir: Path) -> None:
    modules = loaded(f"import {module}", data_dir)
    assert module in modules
    assert not modules & {"torch", "torchvision", "matplotlib", "pyvips"}


def test_the_engine_loads_no_web_framework(data_dir: Path) -> None:
    modules = loaded("import nasdip_engine, nasdip_engine.evaluation, nasdip_engine.cli", data_dir)
    assert not modules & {"django", "celery", "channels", "redis", "kombu"}


def test_help_loads_neither(data_dir: Path) -> None:
    code = "import contextlib, runpy, sys\nsys.argv = ['nasdip', '--help']\n"
    code += (
        "with contextlib.suppress(SystemExit):\n    runpy.run_module('nasdip_engine', run_name='__main__')\n"
    )
    modules = loaded(code, data_dir)
    assert "nasdip_engine.cli" in modules
    assert not modules & {"torch", "matplotlib", "django", "celery"}


def test_settings_import_with_an_empty_environment(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); import webapp.config.settings",
        ],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
