"""The evaluation store: outcomes kept on disk by what they are a function of, so that a study pays for training once.

A folder of JSON files, each written once: a temporary name, synced, renamed. So any number of processes on one machine
may read and write it without a lock, and whoever is killed leaves no half entry. `SPACE/KEY.json` holds an outcome with
its learning curve, `SPACE/KEY.true-REFERENCE.json` the true error of the same fit against one clean picture, by iteration.

KEY is `search.evaluation_key`. SPACE stands for all that the key leaves out and equal bits need: the numerics fingerprint
of the machine and the code that computes a fitness. An entry of another machine or version is never found, and stays.

For the command line and studies only: the application never shares outcomes between jobs.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from nasdip_engine.errors import InvalidInput
from nasdip_engine.version import VERSION

__all__ = [
    "FORMAT",
    "STORE_VARIABLE",
    "Entry",
    "Shelf",
    "Store",
    "code_digest",
    "deciding_files",
    "default_folder",
    "may_be_kept",
    "statements",
]

FORMAT = 1
STORE_VARIABLE = "NASDIP_STORE"
_PARTIAL = ".partial"
_ABANDONED = 3600.0  # seconds after which a temporary file is that of a killed process
_DECIDING = (
    "bit_depth.py", "evaluation.py", "numerics.py", "picture.py", "png.py", "seeding.py", "task.py",
    "genome/genome.py", "genome/phenotype.py", "genome/representation.py", "genome/sizes.py", "restoration",
)  # fmt: skip

Say = Callable[[str], None]


_KEY = re.compile("[0-9a-f]{64}")


class _DamagedError(Exception):
    """A file of the store is not what was written."""


@dataclass(frozen=True)
class Entry:
    """One outcome as the store holds it.

    about: what it is a function of (genome, phenotype, task, evaluation settings and seed, frame, size, fingerprint,
    code), and with which version and when it was made.  true: by the digest of the clean picture, `psnr` in dB of the
    outcome's averaged output and `curve`, (iteration, PSNR in dB) at every look; null where equal to it.
    """

    key: str
    about: dict[str, Any]
    outcome: dict[str, Any]
    true: dict[str, dict[str, Any]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """One object a line of `nasdip store export --format jsonl`: what `about` holds stands beside the key."""
        return {"key": self.key, **self.about, "outcome": self.outcome, "true": self.true}


def default_folder() -> Path:
    """$NASDIP_STORE, else `nasdip/store` in the user's data folder ($XDG_DATA_HOME, ~/.local/share)."""
    named = os.environ.get(STORE_VARIABLE)
    if named:
        return Path(named)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "nasdip" / "store"


def may_be_kept(outcome: Mapping[str, Any]) -> bool:
    """Whether an outcome is a function of its key alone.

    A fit that came to an end, and one that diverged: yes. A poisoned genome may be the fault of this machine or of a
    library, a hook is a test's: such outcomes must be found again each time.
    """
    reason = outcome["reason"]
    return "hook" not in outcome and (reason is None or str(reason).startswith("diverged"))


@lru_cache(maxsize=1)
def code_digest() -> str:
    """sha256, in hex, of the syntax trees of every module that decides a fitness.

    Comments, docstrings and layout are not in it, so mending them keeps what was paid for; any change of a statement
    makes new entries. A version number alone would hand out the outcomes of another engine while one is developed.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in deciding_files():
        digest.update(f"{path.relative_to(here).as_posix()}:{statements(path.read_bytes())}\n".encode())
    return digest.hexdigest()


def deciding_files() -> list[Path]:
    """The modules that decide a fitness: bits, network, fit, score and what they are computed with."""
    here = Path(__file__).parent
    return [
        path
        for name in _DECIDING
        for path in (sorted((here / name).glob("*.py")) if (here / name).is_dir() else [here / name])
    ]


def statements(source: bytes) -> str:
    """The syntax tree of a module as text, without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    return ast.dump(tree)


def _canonical(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _sealed(value: Mapping[str, Any]) -> bytes:
    """The bytes of a file: the value with the checksum of all the rest."""
    checksum = hashlib.sha256(_canonical(value)).hexdigest()
    return (
        json.dumps({**value, "sha256": checksum}, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"
    )


def _opened(path: Path) -> dict[str, Any] | None:
    """What a file holds, None where there is none.  Raises _DamagedError for anything but what was written there."""
    try:
        value = json.loads(path.read_bytes())
        if not isinstance(value, dict):
            raise _DamagedError("it holds no JSON object")
        checksum = value.pop("sha256", None)
        found = hashlib.sha256(_canonical(value)).hexdigest()
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as problem:  # also of NaN, which no entry holds
        raise _DamagedError(str(problem)) from None
    if checksum != found:
        raise _DamagedError("its checksum does not fit")
    if value.get("key") != path.name.partition(".")[0]:
        raise _DamagedError("it is the entry of another key")
    return value


def _write_whole(path: Path, data: bytes) -> None:
    """Whole or not at all, and on the disk when this returns.  Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_PARTIAL, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name, too
    finally:
        os.close(folder)


class Store:
    """A folder of outcomes. Makes nothing until something is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self) -> None:
        """Raises InvalidInput where the folder is a file, or can neither be written nor made."""
        above = self.folder.absolute()
        try:
            while not above.exists():
                above = above.parent
            is_folder = above.is_dir()
        except OSError as problem:
            raise InvalidInput(
                f"the store {self.folder} cannot be looked at: {problem.strerror}; name another one"
            ) from problem
        if not is_folder:
            raise InvalidInput(
                f"the store {self.folder} cannot be a folder: {above} is a file; name another one"
            )
        if not os.access(above, os.W_OK | os.X_OK):
            raise InvalidInput(f"the store {self.folder} cannot be written: {above} is not writable for you")

    def entries(self, say: Say) -> Iterator[Entry]:
        """Every sound entry, by space and key; `say` is told of each damaged file, which is left out."""
        for path in sorted(self.folder.glob("*/*.json")):
            if not _KEY.fullmatch(path.stem):  # figures beside an entry, and files of others
                continue
            try:
                entry = self._entry(path, say)
            except _DamagedError as problem:
                say(f"{path} is damaged ({problem}) and left out; it is trained again when it is asked for")
                continue
            if entry is not None:
                yield entry

    def _entry(self, path: Path, say: Say) -> Entry | None:
        value = _opened(path)
        if value is None or value.get("format") != FORMAT:
            return None
        true = {}
        for beside in sorted(path.parent.glob(f"{path.stem}.true-*.json")):
            try:
                curve = _opened(beside)
            except _DamagedError as problem:
                say(f"{beside} is damaged ({problem}) and left out; it is trained again when it is asked for")
                continue
            if curve is not None:
                true[curve["reference"]] = {"psnr": curve["psnr"], "curve": curve["curve"]}
        own = ("key", "format", "outcome")
        about = {name: part for name, part in value.items() if name not in own}
        return Entry(value["key"], about, value["outcome"], true)


class Shelf:
    """What one search reads and keeps: entries of one space. Safe for threads and for other processes."""

    def __init__(
        self,
        store: Store,
        *,
        fingerprint: Mapping[str, Any],
        about: Mapping[str, Any],
        say: Say = lambda _: None,
    ) -> None:
        """about: what entries of this search have in common, recorded with each; no part of the key that is looked up."""
        space = {"format": FORMAT, "fingerprint": dict(fingerprint), "code": code_digest()}
        self.folder = store.folder / hashlib.sha256(_canonical(space)).hexdigest()[:16]
        self._about = {**about, "fingerprint": dict(fingerprint), "code": code_digest()}
        self._say = say
        self._lock = threading.Lock()
        self._said: set[str] = set()
        self._sweep()

    def find(self, key: str, reference: str | None = None) -> dict[str, Any] | None:
        """The outcome of a key, or None where it has to be trained.

        reference: digest of a clean picture: then only an outcome whose true error against it is known, which it
        carries as `true` (see `request.Request`). A damaged entry is told and counts as missing.
        """
        entry = self._read(self.folder / f"{key}.json")
        if entry is None:
            return None
        outcome: dict[str, Any] = entry["outcome"]
        if reference is None:
            return outcome
        true = self._read(self._true(key, reference))
        if true is None or true["reference"] != reference:
            self._say_once(
                "outcomes in the store without true error against this reference are trained again for it"
            )
            return None
        return outcome | {"true": {name: true[name] for name in ("reference", "psnr", "curve")}}

    def keep(
        self,
        key: str,
        genome: str,
        phenotype: str,
        outcome: Mapping[str, Any],
        **about: Mapping[str, Any] | int,
    ) -> None:
        """Write an outcome, and its true error where it has one; nothing where `may_be_kept` says no.

        about: what this entry does not have in common with the search's others.
        An outcome that was there with another fitness is told: bits that should be equal are not. A store that can't
        be written is told too and otherwise ignored: the outcome itself is sound.
        """
        if not may_be_kept(outcome):
            return
        kept = {name: value for name, value in outcome.items() if name != "true"}
        entry = {
            "format": FORMAT, "key": key, "genome": genome, "phenotype": phenotype, **self._about, **about,
            "nasdip": VERSION, "when": datetime.now(UTC).isoformat(timespec="seconds"), "outcome": kept,
        }  # fmt: skip
        path = self.folder / f"{key}.json"
        before = self._read(path)
        if before is not None and before["outcome"]["fitness_hex"] != kept["fitness_hex"]:
            self._say(
                f"{path}: the fitness kept was {before['outcome']['fitness_hex']}, trained again it is "
                f"{kept['fitness_hex']}: this machine does not repeat itself to the bit; the entry is replaced"
            )
        true = outcome.get("true")
        try:
            _write_whole(path, _sealed(entry))
            if true is not None:
                _write_whole(
                    self._true(key, true["reference"]), _sealed({"format": FORMAT, "key": key, **true})
                )
        except OSError as problem:
            self._say_once(
                f"the store {self.folder.parent} cannot be written: {problem.strerror}; what is trained now is not kept"
            )

    def _true(self, key: str, reference: str) -> Path:
        return self.folder / f"{key}.true-{reference[:16]}.json"

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            return _opened(path)
        except _DamagedError as problem:
            self._say_once(f"{path} is damaged ({problem}); it is trained again")
            return None

    def _say_once(self, text: str) -> None:
        with self._lock:
            if text in self._said:
                return
            self._said.add(text)
        self._say(text)

    def _sweep(self) -> None:
        """Temporary files that killed processes left."""
        for path in self.folder.glob(f".*{_PARTIAL}"):
            try:
                if time.time() - path.stat().st_mtime > _ABANDONED:
                    path.unlink()
            except OSError:  # another process was first
                continue
