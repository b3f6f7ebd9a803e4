"""A preset beside strong simple rivals, on three photographs of scikit-image's wheel.

    python -m benchmarks.preset_rows [--preset preview] [--seed 0] [--only denoise] [--keep DIR] [--table FILE.md]

Runs the command line exactly as a user would, one picture after the other, and prints one row a picture: PSNR in dB, SSIM
and LPIPS against the clean picture, seconds of wall time, and cost. The preview takes about a quarter of an hour on two cores,
`balanced` about an hour; nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.pictures import Case, astronaut_noise, chelsea_strokes, coffee_small
from benchmarks.rivals import rivals
from nasdip_engine.restoration.metrics import scores

_HEADER = """Each result with its PSNR in dB, SSIM and LPIPS (less is better); PSNR decides who wins.

| picture | ours | rivals | dB over the first rival | winner | seconds | iterations x pixels | multiply-adds |
|---|---|---|---|---|---|---|---|"""


def _restore(case: Case, folder: Path, preset: str, seed: int) -> tuple[dict[str, Any], float]:
    observation, clean, out = folder / "observation.png", folder / "clean.png", folder / "run"
    Image.fromarray(case.observation).save(observation)
    Image.fromarray(case.clean).save(clean)
    command = [sys.executable, "-m", "nasdip_engine", "restore", str(observation), "--task", case.task]
    command += ["--preset", preset]
    command += ["--seed", str(seed), "--reference", str(clean), "--out", str(out)]
    if case.mask is not None:
        mask = folder / "mask.png"
        Image.fromarray(case.mask).convert("L").save(mask)
        command += ["--mask", str(mask)]
    if case.task == "upscale":
        command += ["--factor", str(case.factor)]
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return json.loads((out / "run.json").read_text()), time.monotonic() - began


def row(case: Case, folder: Path, preset: str, seed: int) -> str:
    """One table row; the result and the rivals stay in `folder`."""
    run, seconds = _restore(case, folder, preset, seed)
    against: dict[str, dict[str, Any]] = {
        name: scores(pixels, case.clean) for name, pixels in rivals(case).items()
    }
    ours = run["reference"]["psnr"]
    listed = ", ".join(
        f"{name} {_told(score)}{' (wins)' if score['psnr'] > ours else ''}" for name, score in against.items()
    )
    first = next(iter(against.values()))["psnr"]
    origin = "a starter" if run["best_is_starter"] else "found by the search"
    cost = run["cost"]
    return (
        f"| {case.name} | **{_told(run['reference'])}** | {listed} | {ours - first:+.2f} | {origin} | {seconds:.0f} "
        f"| {cost['iterations_x_pixels'] / 1e6:.0f} M | {cost['multiply_adds'] / 1e12:.2f} T |"
    )


def _told(score: dict[str, Any]) -> str:
    return f"{score['psnr']:.2f} / {score['ssim']:.3f} / {score['lpips']:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="preview")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["denoise", "inpaint", "upscale"])
    parser.add_argument("--keep", type=Path, help="folder for pictures and runs")
    parser.add_argument("--table", type=Path, help="Markdown file to write")
    arguments = parser.parse_args()
    cases = [
        case
        for case in (astronaut_noise(), chelsea_strokes(), coffee_small())
        if arguments.only in (None, case.task)
    ]
    lines = [
        f"# Preset {arguments.preset} beside simple rivals",
        "",
        f"    python -m benchmarks.preset_rows --preset {arguments.preset} --seed {arguments.seed}"
        + (f" --only {arguments.only}" if arguments.only else ""),
        "",
        f"Preset {arguments.preset}, seed {arguments.seed}; {platform.machine()}, {platform.system()}.",
        "",
        _HEADER,
    ]
    with tempfile.TemporaryDirectory() as scratch:
        for case in cases:
            folder = (arguments.keep or Path(scratch)) / case.task
            folder.mkdir(parents=True, exist_ok=True)
            lines.append(row(case, folder, arguments.preset, arguments.seed))
            print(lines[-1], flush=True)
    if arguments.table:
        arguments.table.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
