"""The code under which a store keeps outcomes: every module that an evaluation reads is counted, or decides no fitness."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nasdip_engine.store import deciding_files

ROOT = Path(__file__).parents[2]


BYSTANDERS = {
    "nasdip_engine.errors",
    # price, pictures and files of an outcome, and names of references, which no fitness reads
    "nasdip_engine.baseline_names",
    "nasdip_engine.genome.layout", "nasdip_engine.genome.cost", "nasdip_engine.genome.diagram",
    "nasdip_engine.genome.memory", "nasdip_engine.genome.starters", "nasdip_engine.outcome_files", "nasdip_engine.outcome",
    # what comes to an evaluation by value: its settings, where it stops and its frame's pixels stand in the key
    "nasdip_engine.evolution.paper", "nasdip_engine.evolution.presets", "nasdip_engine.evolution.racing",
    "nasdip_engine.evolution.allowed", "nasdip_engine.evolution.refusals", "nasdip_engine.evolution.settings",
    "nasdip_engine.finals",
    "nasdip_engine.framing", "nasdip_engine.learning", "nasdip_engine.request", "nasdip_engine.tiling", "nasdip_engine.windows",
    # what decides whether an evaluation runs at all, and the decoder of uploads
    "nasdip_engine.devices", "nasdip_engine.formats", "nasdip_engine.guard", "nasdip_engine.guard_mode",
    "nasdip_engine.guard_wire",
}  # fmt: skip
EVALUATION = """
import sys
from pathlib import Path
import numpy as np
from nasdip_engine import SearchSettings, Task, TaskKind, evaluate, settings_for
from nasdip_engine.genome.starters import starters
from nasdip_engine.picture import encode_mask, encode_png
from nasdip_engine.request import Kind, Request
folder = Path(sys.argv[1])
mask = np.ones((40, 48), np.bool_)
mask[10:14, 10:30] = False
(folder / "frame.png").write_bytes(encode_png(np.full((40, 48, 3), 90, np.uint8)))
(folder / "mask.png").write_bytes(encode_mask(mask))
task = Task(TaskKind.INPAINT)
asked = Request(
    kind=Kind.EVALUATE, task=task, settings=settings_for("preview", task, {"iterations": 1}), evaluation_seed=1,
    picture=str(folder / "frame.png"), mask=str(folder / "mask.png"), genome=starters(5)[1].text,
)
assert evaluate(asked, lambda _: None)["fitness"] > 0
for name, module in sys.modules.items():
    if name.startswith("nasdip_engine.") and not hasattr(module, "__path__"):
        print(name)
"""


@pytest.mark.slow
def test_the_digest_of_the_code_has_every_module_that_an_evaluation_reads(tmp_path: Path) -> None:
    """Whatever it loads is counted, or stands among those that decide no fitness."""
    ran = subprocess.run(
        [sys.executable, "-c", EVALUATION, str(tmp_path)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    counted = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in deciding_files()}
    loaded = set(ran.stdout.split())
    assert {"nasdip_engine.genome.sizes", "nasdip_engine.restoration.network"} <= loaded & counted
    assert loaded - counted - BYSTANDERS == set()
