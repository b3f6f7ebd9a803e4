"""The evaluation store: written whole or not at all, by any number of processes, found only where it is the same."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nasdip_engine.errors import InvalidInput
from nasdip_engine.outcome import without_fitness
from nasdip_engine.store import Entry, Shelf, Store, code_digest, default_folder, may_be_kept, statements
from nasdip_engine.store_commands import export_lines, ls_lines

ROOT = Path(__file__).parents[2]
MACHINE = {"torch": "2", "threads": 1}
ABOUT = {
    "task": {"kind": "denoise", "factor": 1, "kernel": "bicubic"}, "evaluation": {"iterations": 50}, "rung": 0,
    "evaluation_seed": 7, "frame": "f" * 64, "size": [48, 40],
}  # fmt: skip
CLEAN = "c" * 64


def key(number: int) -> str:
    return f"{number:064x}"


def outcome(number: int = 1, **changes: Any) -> dict[str, Any]:
    """That of a fit which came to an end; the figures have no short decimal form."""
    fitness = 1 / (3 + number)
    return {
        **without_fitness(None, 1920), "fitness": fitness, "fitness_hex": fitness.hex(), "iterations": 50,
        "best_iteration": 50, "held_out_psnr": 10 + 40 * fitness, "seconds": 1.5,
        "curve": [[25, 10 + 30 * fitness], [50, 10 + 40 * fitness]], **changes,
    }  # fmt: skip


def true(number: int = 1, reference: str = CLEAN) -> dict[str, Any]:
    return {
        "reference": reference,
        "psnr": 20 + number / 7,
        "curve": [[25, 20 + number / 9], [50, 20 + number / 7]],
    }


def shelf(folder: Path, said: list[str] | None = None, **changes: Any) -> Shelf:
    values = {
        "fingerprint": MACHINE,
        "about": ABOUT,
        "say": (said if said is not None else []).append,
        **changes,
    }
    return Shelf(Store(folder), **values)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def sound(folder: Path) -> list[Entry]:
    said: list[str] = []
    found = list(Store(folder).entries(said.append))
    assert said == []
    return found


def test_what_was_kept_is_found_to_the_last_bit_in_another_process(tmp_path: Path) -> None:
    shelf(tmp_path).keep(key(1), "asym:5:0", "digest", outcome())
    assert shelf(tmp_path).find(key(1)) == outcome()
    assert shelf(tmp_path).find(key(2)) is None
    (entry,) = sound(tmp_path)
    assert (entry.key, entry.outcome) == (key(1), outcome())
    assert (
        entry.about.items()
        >= {**ABOUT, "fingerprint": MACHINE, "genome": "asym:5:0", "phenotype": "digest"}.items()
    )


def test_another_machine_and_other_code_find_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf(tmp_path).keep(key(1), "g", "p", outcome())
    assert shelf(tmp_path, fingerprint=MACHINE | {"torch": "3"}).find(key(1)) is None
    monkeypatch.setattr("nasdip_engine.store.code_digest", lambda: "of another engine")
    assert shelf(tmp_path).find(key(1)) is None
    assert len(sound(tmp_path)) == 1, "it stays where it is"


def test_the_digest_of_the_code_sees_statements_and_no_words() -> None:
    plain = statements(b'def f(x: int) -> int:\n    """One."""\n    return x + 1\n')
    assert (
        statements(b'"""Two."""\n# three\n\n\ndef f(\n    x: int,\n) -> int:\n    return x + 1  # four\n')
        == plain
    )
    assert statements(b'def f(x: int) -> int:\n    """One."""\n    return x + 2\n') != plain
    assert len(code_digest()) == 64


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),
        ({"reason": "diverged: the loss was nan at iteration 3"}, True),
        ({"reason": "poisoned: SIGSEGV, 2 times, on cpu"}, False),
        ({"reason": "invalid: no active encoder stage"}, False),
        ({"hook": "sleep:0.1"}, False),
        ({"reason": "diverged: the loss was nan at iteration 1", "hook": "nan:"}, False),
    ],
)
def test_only_what_is_a_function_of_the_key_is_kept(
    tmp_path: Path, changes: dict[str, Any], kept: bool
) -> None:
    found = outcome(**changes)
    assert may_be_kept(found) is kept
    shelf(tmp_path).keep(key(1), "g", "p", found)
    assert shelf(tmp_path).find(key(1)) == (found if kept else None)
    assert bool(files(tmp_path)) is kept


def test_a_true_error_is_found_by_its_reference_alone(tmp_path: Path) -> None:
    said: list[str] = []
    mine = shelf(tmp_path, said)
    mine.keep(key(1), "g", "p", outcome())
    assert mine.find(key(1), CLEAN) is None, "it has to be trained for its true error"
    assert mine.find(key(1), CLEAN) is None
    assert len(said) == 1
    assert "without true error" in said[0]
    mine.keep(key(1), "g", "p", outcome() | {"true": true()})
    mine.keep(key(1), "g", "p", outcome() | {"true": true(2, "d" * 64)})
    assert mine.find(key(1), CLEAN) == outcome() | {"true": true()}
    assert mine.find(key(1), "d" * 64) == outcome() | {"true": true(2, "d" * 64)}
    assert mine.find(key(1)) == outcome(), "no true error where none is asked for"
    assert set(sound(tmp_path)[0].true) == {CLEAN, "d" * 64}


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda _: b"", "Expecting value"),
        (lambda data: data[: len(data) // 2], "damaged"),
        (lambda data: b"\xff\xfe" + data, "damaged"),
        (lambda _: b"[1, 2]", "no JSON object"),
        (lambda _: b"[" * 100_000, "damaged"),
        (lambda data: data.replace(b'"iterations": 50', b'"iterations": NaN', 1), "not JSON compliant"),
        (lambda data: data.replace(b'"iterations": 50', b'"iterations": 51', 1), "checksum"),
    ],
)
@pytest.mark.parametrize("which", ["entry", "true"])
def test_a_damaged_entry_is_told_and_made_again(tmp_path: Path, damage: Any, told: str, which: str) -> None:
    whole = outcome() | {"true": true() | {"iterations": 50}}
    said: list[str] = []
    shelf(tmp_path).keep(key(1), "g", "p", whole)
    (path,) = [path for path in files(tmp_path) if (".true-" in path.name) is (which == "true")]
    path.write_bytes(damage(path.read_bytes()))
    mine = shelf(tmp_path, said)
    assert mine.find(key(1), CLEAN) is None
    assert str(path) in said[0]
    assert told in said[0]
    assert "trained again" in said[0]
    listed: list[str] = []
    assert len(list(Store(tmp_path).entries(listed.append))) == (which == "true")
    assert str(path) in listed[0]
    mine.keep(key(1), "g", "p", whole)
    assert mine.find(key(1)) == outcome()
    assert len(sound(tmp_path)) == 1


def test_files_of_others_in_the_folder_are_none_of_a_store(tmp_path: Path) -> None:
    shelf(tmp_path).keep(key(1), "g", "p", outcome())
    run = tmp_path / "a-run" / "run.json"
    run.parent.mkdir()
    run.write_text("{}")
    listed: list[str] = []
    assert len(list(Store(tmp_path).entries(listed.append))) == 1 and not listed


def test_an_entry_under_the_name_of_another_is_damage(tmp_path: Path) -> None:
    mine = shelf(tmp_path)
    mine.keep(key(1), "g", "p", outcome())
    (path,) = files(tmp_path)
    path.with_name(f"{key(2)}.json").write_bytes(path.read_bytes())
    assert mine.find(key(2)) is None
    assert mine.find(key(1)) == outcome()


def test_a_machine_that_does_not_repeat_itself_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    mine = shelf(tmp_path, said)
    mine.keep(key(1), "g", "p", outcome(1))
    mine.keep(key(1), "g", "p", outcome(1, seconds=9.0))
    assert said == []
    mine.keep(key(1), "g", "p", outcome(2))
    assert "does not repeat itself" in said[0]


def test_a_full_disk_costs_the_entry_and_not_the_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    said: list[str] = []
    mine = shelf(tmp_path, said)
    monkeypatch.setattr("nasdip_engine.store.os.fsync", full)
    mine.keep(key(1), "g", "p", outcome())
    monkeypatch.undo()
    assert "No space left on device" in said[0]
    assert files(tmp_path) == []
    assert mine.find(key(1)) is None


WRITER = """
import json, sys
from pathlib import Path
from tests.engine.test_store import key, outcome, shelf, true
mine = shelf(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    mine.keep(key(number), f"genome {number}", "p", outcome(number) | {"true": true(number)})
print("done", flush=True)
"""
HELD = """
import os, sys
from pathlib import Path
from tests.engine.test_store import key, outcome, shelf
def hold(number):
    print("all is written, nothing renamed", flush=True)
    sys.stdin.readline()
os.fsync = hold
shelf(Path(sys.argv[1])).keep(key(1), "g", "p", outcome())
"""


def process(program: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, **pipes)


def test_two_processes_write_the_same_keys_at_once(tmp_path: Path) -> None:
    writers = [process(WRITER, tmp_path) for _ in range(2)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    reader = shelf(tmp_path)
    while any(writer.poll() is None for writer in writers):
        for number in range(40):
            assert reader.find(key(number)) in (None, outcome(number)), "half an entry was seen"
    assert [writer.communicate()[0] for writer in writers] == ["done\n"] * 2
    found = sound(tmp_path)
    assert {entry.key: entry.outcome for entry in found} == {
        key(number): outcome(number) for number in range(40)
    }
    assert all(entry.true[CLEAN]["psnr"] == true(number)["psnr"] for number, entry in enumerate(found))
    assert len(files(tmp_path)) == 80, "no temporary file is left"


def test_a_writer_killed_in_the_middle_leaves_nothing_half(tmp_path: Path) -> None:
    with process(HELD, tmp_path) as writer:
        assert writer.stdout.readline() == "all is written, nothing renamed\n"
        writer.kill()
        assert writer.wait(30) == -9
    (left,) = files(tmp_path)
    assert left.name.endswith(".partial")
    mine = shelf(tmp_path)
    assert mine.find(key(1)) is None
    assert sound(tmp_path) == []
    assert left.exists(), "it might be another writer's, at work"
    os.utime(left, (0, 0))
    shelf(tmp_path).keep(key(1), "g", "p", outcome())
    assert [path.name for path in files(tmp_path)] == [f"{key(1)}.json"]


def test_where_the_store_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NASDIP_STORE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "nasdip" / "store"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == tmp_path / ".local" / "share" / "nasdip" / "store"
    monkeypatch.setenv("NASDIP_STORE", "/elsewhere")
    assert default_folder() == Path("/elsewhere")


def test_a_place_that_can_be_no_store_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "new" / "store").check()
    assert not (tmp_path / "new").exists(), "nothing is made before something is kept"
    (tmp_path / "file").write_text("hello")
    for name in ("file", "file/store"):
        with pytest.raises(InvalidInput, match="is a file"):
            Store(tmp_path / name).check()


def exported(folder: Path, form: str, *, curves: bool) -> list[dict[str, Any]]:
    text = "\n".join(export_lines(sound(folder), form, curves=curves))
    return (
        [*csv.DictReader(io.StringIO(text))]
        if form == "csv"
        else [json.loads(line) for line in text.splitlines()]
    )


def test_an_export_reads_back_as_what_was_kept(tmp_path: Path) -> None:
    mine = shelf(tmp_path)
    mine.keep(key(1), "asym:5:1", "p", outcome(1) | {"true": true(1)})
    mine.keep(key(2), "asym:5:2", "p", outcome(2))
    mine.keep(
        key(3),
        "asym:5:3",
        "p",
        outcome(3, fitness=0.0, reason='diverged: "so", it was', held_out_psnr=None, curve=[]),
    )
    whole = exported(tmp_path, "jsonl", curves=True)
    assert [line["outcome"] for line in whole] == [entry.outcome for entry in sound(tmp_path)]
    assert whole[0]["true"] == {CLEAN: {"psnr": true(1)["psnr"], "curve": true(1)["curve"]}}
    assert "curve" not in exported(tmp_path, "jsonl", curves=False)[0]["outcome"]

    first, second, third = exported(tmp_path, "csv", curves=False)
    assert float(first["fitness"]) == outcome(1)["fitness"] == float.fromhex(first["fitness_hex"])
    assert (float(first["true_psnr"]), first["reference"]) == (true(1)["psnr"], CLEAN)
    assert (second["true_psnr"], second["reference"], second["genome"]) == ("", "", "asym:5:2")
    assert (third["reason"], third["held_out_psnr"]) == ('diverged: "so", it was', "")
    assert json.loads(first["evaluation"]) == ABOUT["evaluation"]
    assert json.loads(first["fingerprint"]) == MACHINE

    looks = exported(tmp_path, "csv", curves=True)
    of_first = [
        [int(look["iteration"]), float(look["held_out_psnr"])] for look in looks if look["key"] == key(1)
    ]
    assert of_first == outcome(1)["curve"]
    assert [float(look["true_psnr"]) for look in looks if look["key"] == key(1)] == [
        at[1] for at in true(1)["curve"]
    ]
    assert [look["true_psnr"] for look in looks if look["key"] == key(2)] == ["", ""]


def test_the_list_tells_what_each_outcome_is(tmp_path: Path) -> None:
    mine = shelf(tmp_path)
    mine.keep(key(16**60), "asym:5:1", "p", outcome(1) | {"true": true(1)})
    mine.keep(key(2), "asym:5:2", "p", outcome(2))
    heading, *rows = ls_lines(sound(tmp_path))
    assert heading.split() == [
        "key",
        "task",
        "noise",
        "size",
        "fitness",
        "held-out",
        "true",
        "iterations",
        "when",
        "genome",
    ]
    cells = {row.split()[-1]: row.split() for row in rows}
    assert cells["asym:5:1"][:5] == ["000100000000", "denoise", "independent", "48x40", "0.2500"]
    assert cells["asym:5:1"][5:8] == ["20.00", "20.14", "50"]
    assert cells["asym:5:2"][6] == "-"


def test_outcomes_of_one_genome_under_two_kinds_of_noise_are_told_apart(tmp_path: Path) -> None:
    shelf(tmp_path).keep(key(1), "asym:5:1", "p", outcome(1))
    grain = {**ABOUT, "task": {**ABOUT["task"], "noise": "correlated"}}
    Shelf(Store(tmp_path), fingerprint=MACHINE, about=grain).keep(key(2), "asym:5:1", "p", outcome(2))
    told = {line["key"]: line["noise"] for line in exported(tmp_path, "csv", curves=False)}
    assert told == {key(1): "independent", key(2): "correlated"}
    _, *rows = ls_lines(sound(tmp_path))
    assert {row.split()[2] for row in rows} == {"independent", "correlated"}
