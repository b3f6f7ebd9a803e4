"""`nasdip store ls` and `nasdip store export`, and the option by which other commands use a store.

`restore` and `evaluate` use one only when it is named, by --store or by $NASDIP_STORE: whoever restores a picture of his
own should not leave traces of it in a folder that he never heard of, and a repetition should be one. `verify` never does.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from nasdip_engine.errors import InvalidInput
from nasdip_engine.store import STORE_VARIABLE, Entry, Store, default_folder
from nasdip_engine.task import NOISES, TaskKind

__all__ = ["add_commands", "add_options", "export_lines", "ls_lines", "run", "store_of"]

Say = Callable[[str], None]

_OUTCOME = (
    "fitness",
    "fitness_hex",
    "reason",
    "held_out_psnr",
    "iterations",
    "best_iteration",
    "still_falling",
)
_COST = ("multiply_adds", "pixels", "seconds")
_COLUMNS = (
    "key", "task", "factor", "kernel", "noise", "width", "height", "genome", "phenotype", "frame", "evaluation_seed",
    *_OUTCOME, *_COST, "reference", "true_psnr", "nasdip", "when", "fingerprint", "code", "evaluation",
)  # fmt: skip
_CURVE_COLUMNS = ("key", "task", "genome", "iteration", "held_out_psnr", "reference", "true_psnr")


def add_options(parser: argparse.ArgumentParser, *, default: bool = False) -> None:
    """--store and --no-store.  default: use a store without being told to, as studies do."""
    where = f"default: ${STORE_VARIABLE}, else " + (
        "nasdip/store in the user's data folder" if default else "none"
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--store",
        type=Path,
        metavar="DIR",
        help=f"keep outcomes of search fits here and train none twice; no result changes ({where})",
    )
    group.add_argument("--no-store", action="store_true", help="use no store, whatever $NASDIP_STORE says")


def store_of(arguments: argparse.Namespace, *, default: bool = False) -> Store | None:
    """The store that a command was given, or None.  Raises InvalidInput where it can't be one."""
    if arguments.no_store:
        return None
    folder: Path | None = arguments.store
    if folder is None and (default or os.environ.get(STORE_VARIABLE)):
        folder = default_folder()
    if folder is None:
        return None
    store = Store(folder)
    store.check()
    return store


def add_commands(commands: Any) -> None:
    """The parser of `nasdip store`, added to the commands."""
    parser = commands.add_parser("store", help="list or export the outcomes that studies have paid for")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("ls", help="one line an outcome")
    export = actions.add_parser("export", help="every figure of every outcome, as CSV or JSON lines")
    for action in (listing, export):
        action.add_argument(
            "--store",
            type=Path,
            metavar="DIR",
            help="default: $NASDIP_STORE, else nasdip/store in the user's data folder",
        )
        action.add_argument(
            "--task", choices=[kind.value for kind in TaskKind], help="only outcomes of this task"
        )
    export.add_argument("--format", choices=("csv", "jsonl"), default="csv", help="default: csv")
    export.add_argument(
        "--curves",
        action="store_true",
        help="learning curves: with csv one line for each look instead of one for each outcome",
    )
    export.add_argument("--out", type=Path, help="a new file, instead of standard output")


def run(arguments: argparse.Namespace, write: Callable[[str], Any], say: Say) -> int:
    """One action: lines go to `write`, remarks to `say`.  Raises InvalidInput for a store or file that can't be."""
    folder = arguments.store or default_folder()
    try:
        is_folder = folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)
        is_there = folder.exists()
    except OSError as problem:
        raise InvalidInput(f"the store {folder} cannot be looked at: {problem.strerror}") from problem
    if folder.is_dir() and not is_folder:
        raise InvalidInput(f"the store {folder} cannot be read: it is not yours to look into")
    if not is_folder:
        if arguments.store or is_there:
            what = "is a file" if is_there else "does not exist"
            raise InvalidInput(f"the store {folder} {what}; name the folder that --store named before")
        say(f"the store {folder} holds no outcomes yet")
        return 0
    entries = [
        entry for entry in Store(folder).entries(say) if arguments.task in (None, entry.about["task"]["kind"])
    ]
    if not entries:
        say(f"the store {folder} holds no outcomes" + (f" of {arguments.task}" if arguments.task else ""))
        return 0
    entries.sort(key=lambda entry: (entry.about["when"], entry.key))
    if arguments.action == "ls":
        lines: Iterable[str] = ls_lines(entries)
    else:
        lines = export_lines(entries, arguments.format, curves=arguments.curves)
        if arguments.out is not None:
            return _to_file(arguments.out, lines, len(entries), say)
    for line in lines:
        write(line)
    return 0


def _to_file(path: Path, lines: Iterable[str], count: int, say: Say) -> int:
    try:
        with path.open("x", encoding="utf-8", newline="") as file:
            file.writelines(line + "\n" for line in lines)
    except FileExistsError:
        raise InvalidInput(f"{path} exists already; name another file") from None
    except OSError as problem:
        raise InvalidInput(f"{path} cannot be written: {problem.strerror}; name another file") from None
    say(f"{path}: {count} outcomes")
    return 0


def _decibels(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _noise(entry: Entry) -> str:
    """What was assumed of it; a default is not written into a task, and still told."""
    task = entry.about["task"]
    return str(task.get("noise", NOISES[TaskKind(task["kind"])][0]))


def ls_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """A table with a heading; PSNR in dB, several true ones where there were several references."""
    heading = ("key", "task", "noise", "size", "fitness", "held-out", "true", "iterations", "when", "genome")
    rows = [heading]
    for entry in entries:
        about, outcome = entry.about, entry.outcome
        width, height = about["size"]
        true = "/".join(_decibels(one["psnr"]) for _, one in sorted(entry.true.items())) or "-"
        rows.append(
            (
                entry.key[:12], about["task"]["kind"], _noise(entry), f"{width}x{height}", f"{outcome['fitness']:.4f}",
                _decibels(outcome["held_out_psnr"]), true, str(outcome["iterations"]), about["when"], about["genome"],
            )
        )  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def export_lines(entries: Iterable[Entry], form: str, *, curves: bool) -> Iterator[str]:
    """form "jsonl": an entry a line, with its curves if asked for. "csv": a heading, then a line for each outcome and
    reference, or for each look. Numbers are written so that reading them gives the same value."""
    if form == "jsonl":
        yield from (json.dumps(entry.to_json() if curves else _without_curves(entry)) for entry in entries)
        return
    yield _csv(_CURVE_COLUMNS if curves else _COLUMNS)
    for entry in entries:
        references: list[str] | list[None] = sorted(entry.true) or [None]
        for reference in references:
            if curves:
                yield from (_csv(row) for row in _looks(entry, reference))
            else:
                row = _flat(entry, reference)
                yield _csv([row[name] for name in _COLUMNS])


def _without_curves(entry: Entry) -> dict[str, Any]:
    true = {reference: {"psnr": one["psnr"]} for reference, one in entry.true.items()}
    outcome = {name: value for name, value in entry.outcome.items() if name != "curve"}
    return entry.to_json() | {"outcome": outcome, "true": true}


def _flat(entry: Entry, reference: str | None) -> dict[str, Any]:
    about = entry.about
    one_word = {name: json.dumps(about[name], sort_keys=True) for name in ("fingerprint", "evaluation")}
    return {
        **about, **one_word, "key": entry.key, "task": about["task"]["kind"], "factor": about["task"]["factor"],
        "kernel": about["task"]["kernel"], "noise": _noise(entry), "width": about["size"][0], "height": about["size"][1],
        **{name: entry.outcome.get(name) for name in (*_OUTCOME, *_COST)},
        "reference": reference, "true_psnr": entry.true[reference]["psnr"] if reference else None,
    }  # fmt: skip


def _looks(entry: Entry, reference: str | None) -> Iterator[list[Any]]:
    """One row an iteration at which either error was looked at."""
    held_out = dict(entry.outcome["curve"])
    true = dict(entry.true[reference]["curve"]) if reference else {}
    for number in sorted(held_out.keys() | true.keys()):
        yield [
            entry.key, entry.about["task"]["kind"], entry.about["genome"], number,
            held_out.get(number), reference, true.get(number),
        ]  # fmt: skip


def _csv(cells: Iterable[Any]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="").writerow(cells)
    return file.getvalue()
