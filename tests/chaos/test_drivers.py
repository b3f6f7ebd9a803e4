"""The command line and the workers drive the same search: the same bits from both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.instance import ROOT, Instance
from webapp.pictures import storage
from webapp.restorations.states import JobState

pytestmark = [pytest.mark.slow]

ASKED = {"population": 4, "generations": 2, "iterations": 20}
MACHINE_ONLY = ("seconds",)


def test_the_command_line_gives_what_the_workers_give(instance: Instance, tmp_path: Path) -> None:
    instance.worker("worker")
    job = instance.submit(overrides=ASKED)
    done = instance.wait_until(job, JobState.DONE)
    upload = tmp_path / "upload.png"
    upload.write_bytes(storage.read(done.picture.digest))
    options = [text for name, value in ASKED.items() for text in (f"--{name}", str(value))]
    command = [
        sys.executable,
        "-m",
        "nasdip_engine",
        "restore",
        str(upload),
        "--task",
        "denoise",
        "--seed",
        "3",
    ]
    ran = subprocess.run(
        [*command, *options, "--out", str(tmp_path / "out")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    by_hand = json.loads((tmp_path / "out" / "run.json").read_text("utf-8"))
    by_workers = json.loads(json.dumps(done.run))
    for run in (by_hand, by_workers):
        for name in MACHINE_ONLY:
            del run["cost"][name]
    assert by_hand == by_workers
    assert storage.digest_of((tmp_path / "out" / "restored.png").read_bytes()) == done.result_digest
