"""Where a run's folder may be: nothing that was accepted beforehand may lose a finished run in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from nasdip_engine.errors import InvalidInput
from nasdip_engine.interrupts import ended_as_by_hand
from nasdip_engine.library import Restoration, restore
from nasdip_engine.local_evaluations import CannotGoOn
from nasdip_engine.run_folder import check_output_folder
from nasdip_engine.runfile import load_run
from tests.commandline.conftest import nasdip
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"population": 2, "generations": 1, "iterations": 2, "final_iterations": 2, "finalists": 1}
TINY = [
    word for name, value in SMALL.items() for word in (f"--{name.replace('_', '-')}", str(value))
]  # the same as options


@pytest.fixture(scope="module")
def restored() -> Restoration:
    pixels = np.random.Generator(np.random.PCG64(2)).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    return restore(pixels, settings=SMALL)


def whole(folder: Path) -> bool:
    return bool(load_run(folder)) and {"restored.png", "baselines"} <= {one.name for one in folder.iterdir()}


def test_a_new_folder_appears_whole_and_nothing_beside_it(restored: Restoration, tmp_path: Path) -> None:
    restored.save(tmp_path / "above" / "run")
    assert whole(tmp_path / "above" / "run")
    assert [one.name for one in (tmp_path / "above").iterdir()] == ["run"]
    assert (tmp_path / "above" / "run").stat().st_mode & 0o777 == 0o777 & ~current_umask()


def current_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


@pytest.mark.parametrize("which", ["the working folder", "a link to a folder", "a long name"])
def test_an_empty_folder_that_must_stay_is_filled(
    restored: Restoration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    """As a mounted one must, too."""
    folder = tmp_path / ("n" * 250 if which == "a long name" else "empty")
    folder.mkdir()
    named = folder
    if which == "the working folder":
        monkeypatch.chdir(folder)
        named = Path()
    elif which == "a link to a folder":
        named = tmp_path / "link"
        named.symlink_to(folder)
    restored.save(named)
    assert whole(folder)
    assert not list(folder.glob(".*"))
    with pytest.raises(InvalidInput, match="holds a run already"):
        restored.save(named)


def test_the_command_line_fills_the_working_folder(photographs: Path, tmp_path: Path) -> None:
    words = ["-m", "nasdip_engine", "restore", str(photographs / "noisy.png"), "--task", "denoise", *TINY]
    ended = subprocess.run(
        [sys.executable, *words, "--out", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert whole(tmp_path)


def test_what_comes_in_meanwhile_costs_no_run(
    restored: Restoration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    fill = type(restored.question.form).encode

    def also_theirs(*words: Any, **more: Any) -> bytes:
        (folder / "theirs.txt").write_text("mine")
        return fill(*words, **more)

    monkeypatch.setattr(type(restored.question.form), "encode", also_theirs)
    with pytest.raises(
        CannotGoOn, match="something else was put into it meanwhile; the whole run lies in "
    ) as told:
        restored.save(folder)
    assert whole(Path(str(told.value).rsplit(" lies in ", 1)[1]))
    assert (folder / "theirs.txt").read_text() == "mine"


def test_what_cannot_be_looked_at_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="File name too long; name another folder"):
        check_output_folder(tmp_path / ("n" * 300))
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nothing")
    with pytest.raises(InvalidInput, match="is no folder"):
        check_output_folder(dangling)
    with pytest.raises(InvalidInput, match="is no folder"):
        check_output_folder(Path(__file__))


def scratch_of(folder: Path) -> list[Path]:
    return list(folder.glob("nasdip-*"))


@pytest.mark.parametrize("stored", [False, True], ids=["alone", "with a store"])
def test_sigterm_leaves_nothing_behind(photographs: Path, tmp_path: Path, stored: bool) -> None:
    scratch, out, store = tmp_path / "scratch", tmp_path / "run", tmp_path / "store"
    scratch.mkdir()
    words = ["restore", photographs / "noisy.png", "--task", "denoise", "--iterations", "20000", "--out", out]
    words += ["--store", store] if stored else ["--no-store"]
    started = subprocess.Popen(
        [sys.executable, "-m", "nasdip_engine", *map(str, words)],
        env={**os.environ, "TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: scratch_of(scratch) != [], 60, "the run to write its frames")
        children = psutil.Process(started.pid).children(recursive=True)
        started.send_signal(signal.SIGTERM)
        _, said = started.communicate(timeout=60)
    finally:
        if started.poll() is None:
            started.kill()
            started.wait()
    assert started.returncode == 128 + signal.SIGTERM
    assert said.splitlines()[-1] == "nasdip: interrupted; no result was kept"
    assert (f"the store {store} keeps what was trained" in said) == stored
    assert scratch_of(scratch) == [] and not out.exists()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []


def test_a_signal_that_python_drops_ends_a_command_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception in a weak reference's callback goes to nobody; each import has such a callback."""
    dropped: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", dropped.append)
    cleaned: list[str] = []

    class Referred:
        pass

    def work() -> None:
        referred = Referred()
        kept = weakref.ref(referred, lambda _: os.kill(os.getpid(), signal.SIGTERM))
        del referred
        assert kept() is None
        try:
            for _ in range(100):
                time.sleep(0.1)
        finally:
            for _ in range(25):  # longer than the next time it is raised
                time.sleep(0.1)
            cleaned.append("everything")

    with pytest.raises(KeyboardInterrupt), ended_as_by_hand():
        work()
    assert len(dropped) == 1 and cleaned == ["everything"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_search_fits_leave_no_outputs(photographs: Path, tmp_path: Path) -> None:
    """Each would be kept to the end, gigabytes for a search of the paper's size."""
    words = ["restore", photographs / "noisy.png", "--task", "denoise", *TINY, "--out", tmp_path / "run"]
    started = subprocess.Popen(
        [sys.executable, "-m", "nasdip_engine", *map(str, words), "--final-iterations", "20000"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stderr is not None
    try:
        said = iter(started.stderr.readline, "")
        assert any("final fit" in line for line in said), "it ended before"
        found = [file.name for file in tmp_path.rglob("*.npy")]
    finally:
        started.send_signal(signal.SIGTERM)
        started.communicate(timeout=60)
    assert found == []


def test_a_picture_larger_than_may_be_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "endless.png"
    with file.open("wb") as made:
        made.truncate(40 * 10**9)  # sparse
    ended = nasdip("restore", file, "--task", "denoise", "--out", tmp_path / "run", timeout=60)
    assert (
        ended.code == 2 and "endless.png" in ended.line and "more than the 50 MB that are taken" in ended.line
    )


def test_a_small_array_that_is_enlarged_can_be_verified(tmp_path: Path) -> None:
    pixels = np.random.Generator(np.random.PCG64(2)).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    mine = pixels.copy()
    made = restore(mine, "upscale", factor=np.int64(4), seed=np.int64(3), settings=SMALL)  # type: ignore[arg-type]
    mine[:] = 0  # whose buffer it is may use it again
    made.save(tmp_path / "run")
    assert np.array_equal(made.question.upload, pixels)
    ended = nasdip("verify", tmp_path / "run")
    assert ended.code == 0, ended.err
    ended = nasdip(
        "restore", tmp_path / "run" / "input.png", "--task", "upscale", "--factor", "4", *TINY,
        "--out", tmp_path / "again",
    )  # fmt: skip
    assert ended.code == 0, ended.err


def test_masks_that_leave_too_little_are_refused_at_once(photographs: Path, tmp_path: Path) -> None:
    from nasdip_engine.picture import encode_mask

    known = np.zeros((64, 64), np.bool_)
    known[8:12, 8:12] = True
    (tmp_path / "block.png").write_bytes(encode_mask(known))
    known[:] = False
    known[9, 9] = True
    (tmp_path / "pixel.png").write_bytes(encode_mask(known))
    asked = ["restore", photographs / "clean.png", "--task", "inpaint", *TINY, "--out", tmp_path / "run"]
    ended = nasdip(*asked, "--mask", tmp_path / "pixel.png")
    assert ended.code == 2 and "1 known pixel; at least 2 are needed" in ended.line
    ended = nasdip(*asked, "--mask", tmp_path / "block.png", "--noise", "correlated")
    assert ended.code == 2 and "at least 2 blocks of 4 x 4 pixels are needed" in ended.line
