"""Pictures larger than a tile: resident memory at 24 megapixels, time at 4 megapixels, seams, and a one-pixel pattern.

    python -m benchmarks.large_pictures --part memory|largest|seams|pattern|timing [--results docs/results/large-pictures.jsonl]
    python -m benchmarks.large_pictures --table docs/results/large-pictures.md

Each part appends one line to the results file and can be run alone; --table writes the page from the last line of each.

memory: a 24 megapixel noisy picture (scikit-image's astronaut laid side by side) is cut into tiles, the first 20 are fitted for
a few iterations by the evaluators of the command line, and all are put together, pasted and encoded, copies standing in for
those not fitted. Resident memory of all processes is sampled.  largest: the last step for a result of 100 megapixels.
pattern: one-pixel stripes and a one-pixel checker under noise are de-noised through tiles; told is what contrast is left.
seams: the difference across the borders of tiles over that beside them.  timing: `nasdip restore` of 4 megapixels from file to
folder at few iterations; 24 megapixels and the presets are extrapolated, not measured. Run it alone (two minutes on two cores).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from nasdip_engine.evolution.settings import PRESETS, SearchSettings, settings_for, task_for
from nasdip_engine.framing import Frame, final_frames, final_windows, search_frame, searched_frame
from nasdip_engine.genome.starters import starters
from nasdip_engine.local import LocalSearch
from nasdip_engine.picture import Form, encode_png
from nasdip_engine.question import Question
from nasdip_engine.seeding import Seeds, generator
from nasdip_engine.task import Task, TaskKind

DENOISE = Task(TaskKind.DENOISE)
SIGMA = 25
MEMORY_SIZE = (4000, 6000)
MEMORY_TILES, MEMORY_ITERATIONS = 20, 3
TIMING_SIZE, TIMING_ITERATIONS = (1632, 2448), 20
PATTERN_ITERATIONS = 700
PATTERN_NETWORKS = {
    "wide starter (32 filters of 5 x 5)": 0,
    "plain 16-filter starter": 1,
}  # places among the starters
GIB = 2**30
Pixels = NDArray[np.uint8]


def _noisy(clean: NDArray[Any], sigma: float = SIGMA) -> Pixels:
    rng = generator(0, "noise of a large picture", *clean.shape[:2])
    noisy = np.empty(clean.shape, np.uint8)
    for top in range(0, clean.shape[0], 256):
        rows = clean[top : top + 256]
        noisy[top : top + 256] = np.clip(rows + sigma * rng.standard_normal(rows.shape, np.float32), 0, 255)
    return noisy


def _photograph(height: int, width: int) -> Pixels:
    """Astronaut laid side by side, every other one mirrored so that no edge is made."""
    photo = data.astronaut()
    pair = np.concatenate([photo, photo[:, ::-1]], axis=1)
    block = np.concatenate([pair, pair[::-1]], axis=0)
    return np.tile(block, (-(-height // block.shape[0]), -(-width // block.shape[1]), 1))[:height, :width]


def _question(pixels: Pixels, settings: SearchSettings) -> Question:
    final = final_frames(pixels, None, DENOISE, settings.tile)
    search = search_frame(searched_frame(pixels, final), DENOISE, settings)
    return Question(pixels, Form(), None, DENOISE, settings, Seeds.from_seed(0), (), final, search)


class _Resident:
    """Resident memory of this process and all below it, sampled ten times a second."""

    def __init__(self) -> None:
        self.together = self.largest = 0
        self._over = threading.Event()

    @contextmanager
    def watching(self) -> Iterator[_Resident]:
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join()

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._over.wait(0.1):
            sizes = []
            for process in [own, *own.children(recursive=True)]:
                try:
                    sizes.append(process.memory_info().rss)
                except psutil.Error:
                    continue
            self.together, self.largest = max(self.together, sum(sizes)), max(self.largest, *sizes)


def memory() -> dict[str, Any]:
    settings = settings_for("preview", DENOISE, {"final_iterations": MEMORY_ITERATIONS})
    genome = starters(5)[0].text
    fitting, combining = _Resident(), _Resident()
    began = time.monotonic()
    with fitting.watching():
        asked = _question(_noisy(_photograph(*MEMORY_SIZE)), settings)
        with LocalSearch(replace(asked, final=asked.final[:MEMORY_TILES]), say=print) as search:
            search.finish([genome])
    seconds = time.monotonic() - began
    with combining.watching(), LocalSearch(asked) as search:
        folder = Path(search._folder.name)  # noqa: SLF001
        made = [_stand_in(frame, folder / f"{number}.npy") for number, frame in enumerate(asked.final)]
        _, picture = search._combined([[(file, genome)] for file in made])  # noqa: SLF001
        encoded = len(encode_png(picture))
    return {
        "size": MEMORY_SIZE, "tiles": len(asked.final), "tile": asked.final[0].size, "fitted": MEMORY_TILES,
        "iterations": MEMORY_ITERATIONS, "workers": os.cpu_count(), "seconds": round(seconds),
        "fitting_together": fitting.together, "fitting_largest": fitting.largest,
        "combining_together": combining.together, "combining_largest": combining.largest, "png_bytes": encoded,
    }  # fmt: skip


def largest() -> dict[str, Any]:
    """The largest result that there is: 100 megapixels out of 2500 x 2500, put together from stand-ins of its tiles."""
    task = Task(TaskKind.UPSCALE, 4)
    settings, genome, resident = settings_for("preview", task), starters(5)[0].text, _Resident()
    began = time.monotonic()
    with resident.watching():
        small = _noisy(_photograph(2500, 2500))
        frames = final_frames(small, None, task, settings.tile)
        search = search_frame(searched_frame(small, frames), task, settings)
        asked = Question(small, Form(), None, task, settings, Seeds.from_seed(0), (), frames, search)
        with LocalSearch(asked) as driver:
            folder = Path(driver._folder.name)  # noqa: SLF001
            made = [_stand_in(frame, folder / f"{number}.npy", 4) for number, frame in enumerate(frames)]
            _, picture = driver._combined([[(file, genome)] for file in made])  # noqa: SLF001
            encoded = len(encode_png(picture))
    return {
        "size": picture.shape[:2], "tiles": len(frames), "seconds": round(time.monotonic() - began),
        "together": resident.together, "largest": resident.largest, "png_bytes": encoded,
    }  # fmt: skip


def _stand_in(frame: Frame, path: Path, factor: int = 1) -> str:
    restored = frame.picture.astype(np.float32) / np.float32(255)
    np.save(path, restored.repeat(factor, axis=0).repeat(factor, axis=1))
    return str(path)


def _patterned(height: int, width: int) -> tuple[Pixels, NDArray[np.float64]]:
    """A photograph's upper half, one-pixel stripes and a one-pixel checker below; and the patterns, -1 or 1, else 0."""
    rows, columns = np.mgrid[0:height, 0:width]
    clean = _photograph(height, width).astype(np.float64)
    lower = rows >= height // 2
    phase = np.where(columns < width // 2, columns, rows + columns)
    pattern = np.where(lower, np.where(phase % 2, 1.0, -1.0), 0.0)
    clean[lower] = 128 + 40 * pattern[lower, None]
    return clean.astype(np.uint8), pattern


def _contrast(picture: NDArray[Any], pattern: NDArray[Any], among: NDArray[Any]) -> float:
    """Amplitude of the pattern in a picture, over the 40 grey levels that it had."""
    return float((picture.mean(axis=2) * pattern)[among].mean() / 40)


def pattern() -> dict[str, Any]:
    clean, signs = _patterned(128, 240)
    settings = settings_for("preview", DENOISE, {"final_iterations": PATTERN_ITERATIONS, "tile": 128})
    stripes = (signs != 0) & (np.arange(240) < 120)
    checker = (signs != 0) & ~stripes
    rows: list[dict[str, Any]] = []
    cases = ((10, 128), (10, 512), (25, 128))
    for (network, place), (sigma, tile) in product(PATTERN_NETWORKS.items(), cases):
        settings = replace(settings, tile=tile)
        asked = _question(_noisy(clean, sigma), settings)
        with LocalSearch(asked, say=print) as search:
            record, restored = search.finish([starters(5)[place].text])
            reference = search.baselines()[1]["non-local means"]
        small = Image.fromarray(asked.upload).resize((120, 64), Image.Resampling.LANCZOS)
        reduced = np.asarray(small.resize((240, 128), Image.Resampling.LANCZOS))
        row: dict[str, Any] = {
            "network": network,
            "sigma": sigma,
            "tiles": len(asked.final),
            "held_out_psnr": record["held_out_psnr"],
        }
        pictures = {"ours": restored, "non-local means": reference, "reduced by two": reduced}
        for name, picture in pictures.items():
            row[name] = [_contrast(picture, signs, stripes), _contrast(picture, signs, checker)]
        rows.append(row)
    return {"size": clean.shape[:2], "tile": 128, "iterations": PATTERN_ITERATIONS, "rows": rows}


def seams() -> dict[str, Any]:
    clean = np.asarray(Image.fromarray(data.astronaut()).resize((232, 232), Image.Resampling.LANCZOS))
    settings = settings_for("preview", DENOISE, {"final_iterations": 300, "tile": 128})
    asked = _question(_noisy(clean), settings)
    with LocalSearch(asked, say=print) as search:
        search.finish([starters(5)[0].text])
        folder = Path(search._folder.name)  # noqa: SLF001
        blended = np.load(folder / "restored.npy")
        cut = np.zeros(blended.shape)
        for number, frame in enumerate(asked.final):
            x, y, width, height = frame.box
            cut[y : y + height, x : x + width] = 255 * np.load(folder / f"final-{number}-0.npy")
    pictures = {"blended": blended, "cut": cut, "clean": clean}
    ratios = {name: _seam(picture, asked.final) for name, picture in pictures.items()}
    return {"size": clean.shape[:2], "tiles": len(asked.final), "tile": 128, "iterations": 300, **ratios}


def _seam(picture: NDArray[Any], frames: tuple[Frame, ...]) -> float:
    ratios = []
    for axis, place in ((0, 1), (1, 0)):
        length = picture.shape[axis]
        steps = np.abs(np.diff(picture.astype(np.float64), axis=axis)).mean(axis=(1 - axis, 2))
        borders = {frame.box[place] for frame in frames} | {
            frame.box[place] + frame.box[place + 2] for frame in frames
        }
        borders -= {0, length}
        beside = {line + shift for line in borders for shift in (-6, -5, -4, -3, 3, 4, 5, 6)} - borders
        ratios.append(
            np.mean([steps[line - 1] for line in borders]) / np.mean([steps[line - 1] for line in beside])
        )
    return float(np.mean(ratios))


def timing() -> dict[str, Any]:
    folder = Path(tempfile.mkdtemp(prefix="nasdip-large-"))
    try:
        picture = folder / "large.png"
        Image.fromarray(_noisy(_photograph(*TIMING_SIZE))).save(picture, compress_level=1)
        search = ["--population", "2", "--generations", "1", "--iterations", "10"]
        command = [
            sys.executable,
            "-m",
            "nasdip_engine",
            "restore",
            str(picture),
            "--task",
            "denoise",
            *search,
        ]
        command += ["--final-iterations", str(TIMING_ITERATIONS), "--out", str(folder / "run")]
        began = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - began
        run = json.loads((folder / "run" / "run.json").read_text())
    finally:
        shutil.rmtree(folder)
    (network,) = run["final"]["networks"]
    return {
        "size": TIMING_SIZE, "tiles": len(run["final"]["tiles"]), "iterations": TIMING_ITERATIONS,
        "workers": os.cpu_count(), "seconds": round(seconds), "load": os.getloadavg()[1],
        "pixels": network["pixels"], "per_pixel": network["multiply_adds"] / TIMING_ITERATIONS / network["pixels"],
    }  # fmt: skip


def _table(rows: dict[str, dict[str, Any]]) -> str:
    lines = [
        "# Pictures larger than a tile",
        "",
        "Made by `python -m benchmarks.large_pictures`; its head says how.",
        "",
    ]
    words = (_memory_words, _largest_words, _timing_words, _seam_words, _pattern_words)
    for part, tell in zip(PARTS, words, strict=True):
        if part in rows:
            lines += [f"## {part.capitalize()}", "", *tell(rows[part]), ""]
    return "\n".join(lines)


def _memory_words(row: dict[str, Any]) -> list[str]:
    height, width = row["size"]
    return [
        (
            f"{width} x {height} pixels (24 megapixels), sigma {SIGMA}: {row['tiles']} tiles of {row['tile'][1]} x "
            f"{row['tile'][0]}. "
            f"The first {row['fitted']} tiles, {row['iterations']} iterations each (the memory of a fit does not depend on their "
            f"number), {row['workers']} at once."
        ),
        "",
        "| step | all processes together | the largest process |",
        "|---|---|---|",
        f"| fitting tiles | {row['fitting_together'] / GIB:.2f} GiB | {row['fitting_largest'] / GIB:.2f} GiB |",
        (
            f"| putting {row['tiles']} tiles together, pasting, encoding | {row['combining_together'] / GIB:.2f} GiB | "
            f"{row['combining_largest'] / GIB:.2f} GiB |"
        ),
        "",
        "Pages that forked processes share are counted in each, so the sums are upper bounds.",
    ]


def _largest_words(row: dict[str, Any]) -> list[str]:
    text = (
        f"A result of {row['size'][1]} x {row['size'][0]} pixels (100 megapixels) from {row['tiles']} tiles: put together, "
        f"pasted and encoded in {row['seconds']} s with {row['together'] / GIB:.2f} GiB in all processes together, "
        f"{row['largest'] / GIB:.2f} GiB in the largest; the file has {row['png_bytes'] / 1e6:.0f} MB."
    )
    return [text]


def _timing_words(row: dict[str, Any]) -> list[str]:
    height, width = row["size"]
    windows = final_windows(*MEMORY_SIZE, None, DENOISE)
    larger = sum(window.size[0] * window.size[1] for window in windows) / row["pixels"]
    told = [
        (
            f"`nasdip restore` of {width} x {height} pixels (4 megapixels) from file to folder, search of two networks included: "
            f"**{row['seconds']} s** with {row['tiles']} tiles, {row['iterations']} iterations each, {row['workers']} cores, "
            f"load of the machine meanwhile {row['load']:.1f}."
        ),
        "",
        f"Extrapolated, not measured, as seconds x pixels x iterations, refits counted (24 megapixels: {len(windows)} tiles):",
        "",
        "| | 4 megapixels | 24 megapixels |",
        "|---|---|---|",
    ]
    for name in PRESETS:
        longest = settings_for(name, task_for(name, DENOISE)).longest_final_fit(DENOISE)
        hours = row["seconds"] * longest / row["iterations"] / 3600
        times = f"{hours:.1f} h | {hours * larger:.0f} h"
        told.append(f"| final fit of {name}, at most {longest} iterations | {times} |")
    return told


def _seam_words(row: dict[str, Any]) -> list[str]:
    text = (
        "Mean difference of neighbouring pixels across the borders of tiles over that 3 to 6 pixels beside them, as a "
        f"multiple of the same ratio in the clean picture ({row['clean']:.3f}: it has edges there). 1 is no seam. "
        f"{row['size'][0]} px, {row['tiles']} tiles of {row['tile']}, sigma {SIGMA}, {row['iterations']} iterations: blended "
        f"**{row['blended'] / row['clean']:.3f}**, cut hard {row['cut'] / row['clean']:.3f}."
    )
    return [text]


def _pattern_words(row: dict[str, Any]) -> list[str]:
    first = (
        f"Contrast left of one-pixel stripes and of a one-pixel checker ({row['iterations']} iterations, "
        f"tiles of {row['tile']}); the goal is half. One tile: fitted whole."
    )
    heads = (
        "network",
        "sigma",
        "tiles",
        "ours: stripes, checker",
        "non-local means",
        "reduced by two and enlarged",
    )
    told = [first, "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for line in row["rows"]:
        known = [str(line[name]) for name in ("network", "sigma", "tiles")]
        pairs = [line[name] for name in ("ours", "non-local means", "reduced by two")]
        told.append(f"| {' | '.join([*known, *(f'{pair[0]:.2f}, {pair[1]:.2f}' for pair in pairs)])} |")
    return told


PARTS = {"memory": memory, "largest": largest, "timing": timing, "seams": seams, "pattern": pattern}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", choices=PARTS, action="append", default=[])
    parser.add_argument("--results", type=Path, default=Path("docs/results/large-pictures.jsonl"))
    parser.add_argument("--table", type=Path)
    arguments = parser.parse_args()
    for part in arguments.part:
        row = {"part": part, **PARTS[part]()}
        print(json.dumps(row))
        with arguments.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    if arguments.table:
        told = list(map(json.loads, arguments.results.read_text("utf-8").splitlines()))
        rows = {row["part"]: row for row in told}
        if "pattern" in rows:  # of each network, strength and number of tiles the last
            lines = [line for row in told if row["part"] == "pattern" for line in row["rows"]]
            last = {(line["network"], line["sigma"], line["tiles"]): line for line in lines}
            rows["pattern"]["rows"] = list(last.values())
        arguments.table.write_text(_table(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
