"""The command line and the workers drive the same search: the same bits from both, for every task."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nasdip_engine.picture import encode_mask, encode_png
from tests.chaos.instance import ROOT, Instance, photograph
from webapp.pictures import storage
from webapp.restorations.states import JobState

pytestmark = [pytest.mark.slow]


@dataclass(frozen=True)
class Case:
    """A restoration to ask both for."""

    task: str
    pixels: NDArray[np.unsignedinteger[Any]]
    settings: dict[str, float]
    factor: int = 1
    hole: tuple[slice, slice] | None = None


CASES = {
    "denoise": Case(
        "denoise", photograph()[100:148, 200:248], {"population": 4, "generations": 2, "iterations": 20}
    ),
    # Rungs of 25, 75 and 100 iterations.
    "raced": Case(
        "denoise",
        photograph()[100:148, 200:248],
        {"population": 5, "generations": 2, "iterations": 100, "first_rung": 0.25, "promoted_share": 0.5}
        | {"final_iterations": 20, "units": 2},
    ),
    "upscale": Case(
        "upscale",
        photograph()[100:140, 200:232],
        {"population": 3, "generations": 2, "iterations": 8},
        factor=2,
    ),
    "sixteen": Case(
        "inpaint",
        photograph()[100:148, 200:248].astype(np.uint16) * np.uint16(257) ^ np.uint16(0x5A),
        {"population": 2, "generations": 1, "iterations": 4, "final_iterations": 2},
        hole=(slice(10, 20), slice(20, 30)),
    ),
    # Larger than a tile: each tile is fitted by itself, and the result is blended.
    "tiles": Case(
        "denoise",
        photograph()[100:180, 200:300],
        {
            "population": 2,
            "generations": 1,
            "iterations": 4,
            "final_iterations": 3,
            "tile": 64,
            "tile_finalists": 2,
        },
    ),
    # Larger than the final fit: the hole's surroundings are fitted, and only the hole is pasted back.
    "inpaint": Case(
        "inpaint",
        np.tile(photograph()[:300, :400], (1, 2, 1)),
        {"population": 2, "generations": 1, "iterations": 4, "final_iterations": 2},
        hole=(slice(120, 140), slice(330, 350)),
    ),
    # Two windows around the parts of a hole that one of this size does not hold.
    "windows": Case(
        "inpaint",
        photograph()[100:180, 200:300],
        {"population": 2, "generations": 1, "iterations": 4, "final_iterations": 2, "tile": 80},
        hole=(slice(30, 33), slice(10, 90)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_command_line_gives_what_the_workers_give(instance: Instance, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    upload, mask = tmp_path / "upload.png", tmp_path / "mask.png"
    upload.write_bytes(encode_png(case.pixels))
    options = [
        text for key, value in case.settings.items() for text in (f"--{key.replace('_', '-')}", str(value))
    ]
    digest = None
    known = np.ones(case.pixels.shape[:2], bool)
    if case.hole:
        known[case.hole] = False
        mask.write_bytes(encode_mask(known))
        digest = storage.put(mask.read_bytes())
        options += ["--mask", str(mask)]
    if case.factor > 1:
        options += ["--factor", str(case.factor)]
    instance.worker("worker")
    job = instance.submit(
        pixels=case.pixels, task=case.task, factor=case.factor, mask_digest=digest, overrides=case.settings
    )
    done = instance.wait_until(job, JobState.DONE)
    command = [
        sys.executable,
        "-m",
        "nasdip_engine",
        "restore",
        str(upload),
        "--task",
        case.task,
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
        del run["cost"]["seconds"]
    assert by_hand == by_workers
    assert ("rungs" in by_hand["generations"][0]) == ("first_rung" in case.settings)
    refit = case.task != "inpaint"
    assert by_hand["settings"]["refit"] is refit
    longest = len(by_hand["picture"].get("tiles", [0])) * by_hand["settings"]["final_iterations"]
    assert all((one["iterations"] > longest) is refit for one in by_hand["final"]["networks"])
    restored = (tmp_path / "out" / "restored.png").read_bytes()
    assert storage.digest_of(restored) == done.result_digest, "the same file, byte by byte"
