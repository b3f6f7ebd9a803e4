"""The launcher makes its environment once, in turns, and goes on where it was interrupted.

Tried on a copy of the launcher whose lock files name one tiny package that lies beside them: a whole install
takes seconds, and nothing is downloaded.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.launcher.instance import ROOT
from tests.waiting import wait_for
from webapp.operations import install

pytestmark = pytest.mark.slow

TELLS = "import sys; print('engine', *sys.argv[1:])\n"


def tiny_wheel(folder: Path, version: str) -> None:
    """A wheel of the package `tiny`, which holds nothing but its version."""
    info = f"tiny-{version}.dist-info"
    with zipfile.ZipFile(folder / f"tiny-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tiny.py", f"VERSION = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A checkout with the real launcher and installer, and an engine that prints its arguments."""
    root = tmp_path / "copy"
    (root / "webapp" / "operations").mkdir(parents=True)
    (root / "requirements").mkdir()
    (root / "nasdip_engine").mkdir()
    shutil.copy(ROOT / "nasdip", root / "nasdip")
    shutil.copy(ROOT / "webapp/operations/install.py", root / "webapp/operations/install.py")
    (root / "nasdip_engine" / "__init__.py").write_text("")
    (root / "nasdip_engine" / "__main__.py").write_text(TELLS)
    tiny_wheel(tmp_path, "1.0")
    tiny_wheel(tmp_path, "2.0")
    (root / "requirements" / "base.txt").write_text("tiny==1.0\n")
    (root / "requirements" / "torch.txt").write_text("")
    return root


def environment(copy: Path, **more: str) -> dict[str, str]:
    ours = ("NASDIP_", "PIP_", "PYTHONPATH", "PYTHONSAFEPATH")  # what the launcher of this very run has set
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {
        **kept,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(copy.parent),
        "PIP_CONFIG_FILE": os.devnull,
        **more,
    }


def launch(copy: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(copy / "nasdip"), *arguments],
        env=environment(copy, **more),
        cwd=copy.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def installed(copy: Path) -> str:
    done = subprocess.run(
        [copy / ".venv/bin/python", "-c", "import tiny; print(tiny.VERSION)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_it_installs_once_and_again_when_a_lock_changes(copy: Path) -> None:
    first = launch(copy, "evaluate", "a b", "--like")
    assert first.stdout == "engine evaluate a b --like\n"
    assert "GB to download" in first.stderr
    assert "GB on disk" in first.stderr
    assert installed(copy) == "1.0"

    second = launch(copy, "--help")
    assert (second.stdout, second.stderr) == ("engine --help\n", "")

    (copy / "requirements" / "base.txt").write_text("tiny==2.0\n")
    third = launch(copy, "--help")
    assert third.stdout == "engine --help\n"
    assert installed(copy) == "2.0"
    assert launch(copy, "--help").stderr == ""


def test_it_is_quick_when_nothing_is_to_be_done(copy: Path) -> None:
    launch(copy)
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        launch(copy)
        times.append(time.perf_counter() - begun)
    # 0.1 s is the promise for the launcher itself; Python's own start and a busy machine come on top.
    assert min(times) < 0.4


def test_an_environment_that_holds_everything_is_adopted_without_a_word(copy: Path) -> None:
    launch(copy)
    (copy / ".venv" / ".nasdip-base").unlink()
    assert launch(copy).stderr == ""
    assert (copy / ".venv" / ".nasdip-base").exists()


def test_two_launches_at_once_install_once(copy: Path) -> None:
    both = [
        subprocess.Popen(
            [copy / "nasdip", "x"],
            env=environment(copy),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert [out for out, _ in said] == ["engine x\n", "engine x\n"]
    assert sum("GB to download" in err for _, err in said) == 1


def test_an_interrupted_install_is_gone_on_with(copy: Path) -> None:
    launcher = subprocess.Popen(
        [copy / "nasdip"],
        env=environment(copy),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for((copy / ".venv" / "pyvenv.cfg").exists, 60, "the environment to be begun", every=0.01)
    os.killpg(launcher.pid, signal.SIGKILL)
    launcher.wait()
    assert not (copy / ".venv" / ".nasdip-base").exists()
    assert launch(copy, "x").stdout == "engine x\n"
    assert installed(copy) == "1.0"


def test_a_folder_that_holds_something_else_is_left_alone(copy: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter").write_text("dear")
    done = launch(copy, NASDIP_VENV=str(mine))
    assert done.returncode == 1
    assert f"{mine} holds something else" in done.stderr
    assert [path.name for path in mine.iterdir()] == ["letter"]


def test_a_disk_that_is_too_small_is_said_beforehand(copy: Path, small_disk: Path) -> None:
    (copy / "requirements" / "base.txt").write_text("tiny==1.0\nscipy==1.0\n")
    done = launch(copy, NASDIP_VENV=str(small_disk / "venv"))
    assert done.returncode == 1
    assert "are needed" in done.stderr
    assert "NASDIP_VENV" in done.stderr
    assert not (small_disk / "venv").exists()


def test_the_disk_has_to_hold_only_what_is_missing(copy: Path, small_disk: Path) -> None:
    venv = {"NASDIP_VENV": str(small_disk / "venv")}
    assert launch(copy, "x", **venv).stdout == "engine x\n"
    (copy / "requirements" / "base.txt").write_text("tiny==2.0\n")
    assert launch(copy, "x", **venv).stdout == "engine x\n"

    # The environment is there and works, and what a new lock adds does not fit any more.
    (copy / "requirements" / "base.txt").write_text("tiny==2.0\nscipy==1.0\n")
    refused = launch(copy, **venv)
    assert refused.returncode == 1
    assert "0.2 GB are needed" in refused.stderr
    assert str(small_disk) in refused.stderr
    (copy / "requirements" / "base.txt").write_text("tiny==2.0\n")
    assert launch(copy, "x", **venv).stdout == "engine x\n"


def test_wheels_have_to_fit_where_pip_puts_them(copy: Path, small_disk: Path) -> None:
    (copy / "requirements" / "torch.txt").write_text("torch==2.0\n")
    cache = {"PIP_CACHE_DIR": str(small_disk / "pip" / "cache")}
    for name, more in (("TMPDIR", {"TMPDIR": str(small_disk)}), ("PIP_CACHE_DIR", cache)):
        done = launch(copy, **more)
        assert done.returncode == 1
        assert f"are needed in {small_disk}" in done.stderr
        assert f"another disk with {name}" in done.stderr
    assert not (copy / ".venv").exists()


def test_sizes_are_of_what_the_environment_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locks = ["base.txt", "torch.txt", "test.txt"]
    assert install.sizes(Path(sys.prefix), locks) == (0, 0), "the tests run in a whole environment"
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    download, disk = install.sizes(tmp_path / "new", locks)
    assert 3 < download < 4
    assert 6 < disk < 7
    monkeypatch.setenv("NASDIP_TORCH_INDEX", "https://index.example/cpu")
    small_download, small_disk = install.sizes(tmp_path / "new", locks)
    assert 0.7 < small_download < 1.2
    assert 1.8 < small_disk < 2.6
    assert install.sizes(tmp_path / "new", ["test.txt"])[1] < 1


def test_what_an_interrupted_install_has_left_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    before = install.sizes(tmp_path, ["torch.txt"])
    library = tmp_path / "lib/python3.11/site-packages/nvidia/library.so"
    library.parent.mkdir(parents=True)
    with library.open("wb") as sparse:
        sparse.truncate(1 << 31)
    after = install.sizes(tmp_path, ["torch.txt"])
    assert before[1] - after[1] == pytest.approx(2)
    assert before[0] - after[0] > 1


def test_without_venv_the_debian_package_is_named(copy: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "dirname", "cat", "cksum"):
        (programs / name).symlink_to(shutil.which(name) or name)
    missing = launch(copy, PATH=str(programs))
    assert missing.returncode == 1
    assert "python3 python3-venv" in missing.stderr

    # Debian's python3 as it is without that package: everything but ensurepip.
    python = programs / "python3"
    python.write_text(f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; esac\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    half = launch(copy, PATH=str(programs))
    assert half.returncode == 1
    assert "apt install python3-venv" in half.stderr


def test_a_failing_install_says_why_and_leaves_no_stamp(copy: Path) -> None:
    (copy / "requirements" / "base.txt").write_text("tiny==9.0\n")
    done = launch(copy)
    assert done.returncode == 1
    assert "tiny==9.0" in done.stderr
    assert not (copy / ".venv" / ".nasdip-base").exists()
    (copy / "requirements" / "base.txt").write_text("tiny==1.0\n")
    assert launch(copy).returncode == 0


def test_torch_is_taken_from_the_index_that_is_named(copy: Path) -> None:
    (copy / "requirements" / "torch.txt").write_text("torch==2.0\n")
    done = launch(copy, PIP_NO_INDEX="", NASDIP_TORCH_INDEX=f"file://{copy.parent}/no-index")
    assert done.returncode == 1
    assert "no-index" in done.stderr
    assert "no NVIDIA card" not in done.stderr


def test_what_lies_in_the_users_folder_is_not_run(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "nasdip_engine.py").write_text("print('not this one')\n")
    assert launch(copy, "x").stdout == "engine x\n"
