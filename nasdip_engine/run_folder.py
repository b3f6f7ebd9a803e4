"""The folder of a run: what may stand where it is to be, and how it comes there, whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasdip_engine.baseline_names import slug_of
from nasdip_engine.bit_depth import Samples
from nasdip_engine.errors import InvalidInput
from nasdip_engine.learning import STILLS_FOLDER
from nasdip_engine.local_evaluations import CannotGoOn
from nasdip_engine.picture import encode_mask, encode_png
from nasdip_engine.question import Question
from nasdip_engine.runfile import dump_run
from nasdip_engine.stills import still_file

__all__ = ["Stills", "check_output_folder", "write_run"]

Stills = Mapping[int, Samples]

_SCRATCH = ".nasdip-"  # of no length that a name near the longest could not bear


def check_output_folder(folder: Path) -> None:
    """Raises InvalidInput where a run lies already, a file stands in the way or nothing may be written; makes nothing."""
    try:
        if folder.is_dir():
            if any(folder.iterdir()):
                what = "holds a run already" if (folder / "run.json").exists() else "is not empty"
                raise InvalidInput(f"{folder} {what}; name another folder")
            above = folder
        elif os.path.lexists(folder):
            raise InvalidInput(f"{folder} is no folder; name a folder for the result")
        else:
            above = folder.absolute()
            while not above.exists():
                above = above.parent
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            raise InvalidInput(f"{folder} cannot be made: {above} is not a folder that you may write to")
    except OSError as problem:
        raise InvalidInput(
            f"{folder} cannot be looked at: {problem.strerror}; name another folder"
        ) from problem


def write_run(
    asked: Question,
    folder: Path,
    run: dict[str, Any],
    restored: Samples,
    rivals: Mapping[str, Samples],
    stills: Stills,
) -> None:
    """Write the folder of a run, whole or not at all.  rivals: references by name.

    Raises CannotGoOn; where only the last step is refused, because something came into the folder meanwhile, the whole
    run stays and the message says where.
    """
    try:
        home = folder if folder.is_dir() else folder.absolute().parent
        home.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=home))
        made = scratch / "run"
        try:
            made.mkdir()
            _fill(asked, made, run, restored, rivals, stills)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    except OSError as problem:
        raise CannotGoOn(f"{folder} cannot be written: {problem.strerror}; nothing was kept") from problem
    try:
        _move(made, folder, scratch)
    except OSError as problem:
        raise CannotGoOn(
            f"{folder} cannot be written: {problem.strerror}; the whole run lies in {made}"
        ) from problem
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    shutil.rmtree(scratch, ignore_errors=True)


def _move(made: Path, folder: Path, scratch: Path) -> None:
    """A new folder appears at once; into one that is there (a mount, a link) `run.json` comes last.  Raises OSError."""
    if not folder.is_dir():
        made.replace(folder)
        return
    if any(entry.name != scratch.name for entry in folder.iterdir()):
        raise OSError(errno.ENOTEMPTY, "something else was put into it meanwhile")
    moved: list[str] = []
    try:
        for entry in sorted(made.iterdir(), key=lambda entry: entry.name == "run.json"):
            entry.replace(folder / entry.name)
            moved.append(entry.name)
    except BaseException:
        for name in moved:
            (folder / name).replace(made / name)
        raise


def _fill(
    asked: Question,
    made: Path,
    run: dict[str, Any],
    restored: Samples,
    rivals: Mapping[str, Samples],
    stills: Stills,
) -> None:
    """The files of a run.  The task's own reference is `baseline.png`, the others lie in `baselines/` by name."""
    from nasdip_engine.report import write_architecture, write_convergence

    _save_question(asked, made)
    (made / "restored.png").write_bytes(asked.form.encode(restored))
    if stills:
        (made / STILLS_FOLDER).mkdir()
    for iteration, still in stills.items():
        file = still_file(made / STILLS_FOLDER, iteration)
        file.write_bytes(encode_png(still, asked.form.icc, grey=asked.form.grey))
    (made / "baselines").mkdir()
    for method, rival in rivals.items():
        own = run["baseline"] is not None and method == run["baseline"]["method"]
        name = "baseline.png" if own else f"baselines/{slug_of(method)}.png"
        (made / name).write_bytes(asked.form.encode(rival))
    write_convergence(run, made / "convergence.png")
    write_architecture(run, made / "architecture.svg")
    (made / "run.json").write_text(dump_run(run), encoding="utf-8")


def _save_question(asked: Question, folder: Path) -> None:
    """Write `input.png` and, with a mask, `mask.png` (white = known): with `run.json` all that a repetition needs."""
    (folder / "input.png").write_bytes(asked.form.encode(asked.upload))
    if asked.mask is not None:
        (folder / "mask.png").write_bytes(encode_mask(asked.mask))
