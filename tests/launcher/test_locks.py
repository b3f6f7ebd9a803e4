"""What a user installs is enough: nothing that the program loads comes from the tests' own packages alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys

from tests.launcher.instance import ROOT

# Loads the site, the worker and the engine, runs every baseline and score (they import late), and tells what was loaded.
SCRIPT = """
import json, sys
import django, numpy as np
django.setup()
import webapp.config.asgi, gpu_worker.app, gpu_worker.batch, nasdip_engine.cli, nasdip_engine.reproduce
from nasdip_engine.baseline_names import baselines_of
from nasdip_engine.baselines import baseline
from nasdip_engine.report import write_convergence
from nasdip_engine.restoration.metrics import scores
from nasdip_engine.task import BLOCK, Task
pixels = np.tile(np.arange(40, dtype=np.uint8)[:, None, None] * 5, (1, 40, 3))
mask = np.ones((40, 40), bool); mask[10:14, 10:14] = False
for task, known in ((Task("denoise"), None), (Task("inpaint"), mask), (Task("upscale", 2), None)):
    for method in baselines_of(task):
        if method != "BM3D":  # its package is the user's own choice
            held_out = {"hold_out_share": 0.05, "hold_out_block": BLOCK, "evaluation_seed": 1}
            baseline(task, pixels, known, method=method, **held_out, alive=lambda: None)
scores(pixels, pixels)
import matplotlib.backends.backend_agg, pyvips
from importlib.metadata import packages_distributions
owners = packages_distributions()
tops = {name.partition(".")[0] for name in sys.modules}
print(json.dumps(sorted({owner for top in tops for owner in owners.get(top, [])})))
"""


# Taken by others when they are there, and done without otherwise.
OPTIONAL = {"charset-normalizer", "greenlet", "pip", "pyyaml", "setuptools", "tqdm"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_everything_that_is_loaded_stands_in_the_locks_of_a_user() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stderr
    loaded = {normal(name) for name in json.loads(ended.stdout.splitlines()[-1])}
    locked = {
        normal(line.partition("==")[0].partition("[")[0].strip())
        for lock in ("base.txt", "torch.txt")
        for line in (ROOT / "requirements" / lock).read_text().splitlines()
        if "==" in line
    }
    assert {"numpy", "django", "torch", "scikit-image", "pywavelets"} <= loaded
    brought_by_torch = {name for name in loaded if name.startswith(("nvidia-", "cuda-")) or name == "triton"}
    assert loaded - locked - brought_by_torch - OPTIONAL == set()
