"""The evaluation store from the command line: the same run for less, a list, an export, and what it refuses."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nasdip_engine.store_commands import add_options, store_of
from tests.commandline.conftest import SMALL, Run, nasdip


@pytest.fixture(scope="module")
def filled(run_of: Callable[[str], Run], photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that one search has filled; beside it, in `out`, the run."""
    folder = tmp_path_factory.mktemp("filled")
    more = [
        "--task",
        "denoise",
        *SMALL,
        "--reference",
        photographs / "clean.png",
        "--store",
        folder / "store",
    ]
    ended = nasdip("restore", photographs / "noisy.png", *more, "--out", folder / "out")
    assert ended.code == 0, ended.err
    return folder


@pytest.mark.slow
def test_a_store_changes_no_result(filled: Path, run_of: Callable[[str], Run]) -> None:
    run, without = json.loads((filled / "out" / "run.json").read_text()), run_of("denoise").json
    assert run["cost"].pop("from_store") == {"evaluations": 0, "iterations": 0}
    for one in (run, without):
        del one["cost"]["seconds"]
    assert run == without


@pytest.mark.slow
def test_a_second_run_pays_for_no_search_fit(
    filled: Path, run_of: Callable[[str], Run], tmp_path: Path
) -> None:
    """One finalist this time: another run, the same search."""
    run = run_of("denoise")
    more = [
        "--task",
        "denoise",
        *SMALL,
        "--finalists",
        "1",
        "--reference",
        run.clean,
        "--store",
        filled / "store",
    ]
    ended = nasdip("restore", run.picture, *more, "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    again = json.loads((tmp_path / "out" / "run.json").read_text())
    assert again["generations"] == run.json["generations"]
    paid = {name: sum(one[name] for one in again["generations"]) for name in ("evaluations", "iterations")}
    assert again["cost"]["from_store"] == paid
    assert "0 networks trained, 4 from the store" in ended.err
    assert [network["genome"] for network in again["final"]["networks"]] == [run.json["best_genome"]]
    assert again["final"]["choice"] == run.json["best_genome"]


@pytest.mark.slow
def test_evaluate_asks_the_store_that_the_environment_names(
    filled: Path, run_of: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of("denoise")
    genome = run.json["best_genome"]
    monkeypatch.setenv("NASDIP_STORE", str(filled / "store"))
    # Every fit is a crash from here on: what has a fitness was not trained.
    monkeypatch.setenv("NASDIP_EVALUATOR_HOOK", "abort:")
    found = nasdip("evaluate", "--like", run.folder, "--genome", genome)
    assert json.loads(found.out)["fitness_hex"] == run.json["best_fitness_hex"], found.err


@pytest.mark.slow
def test_list_and_export(filled: Path, run_of: Callable[[str], Run], tmp_path: Path) -> None:
    run = run_of("denoise").json
    genomes = {genome for generation in run["generations"] for genome in generation["genomes"]}
    listed = nasdip("store", "ls", "--store", filled / "store", "--task", "denoise")
    assert listed.code == 0, listed.err
    assert {line.split()[-1] for line in listed.out.splitlines()[1:]} <= genomes
    out = tmp_path / "outcomes.csv"
    ended = nasdip("store", "export", "--store", filled / "store", "--out", out)
    assert (ended.code, ended.out) == (0, "")
    rows = {row["genome"]: row for row in csv.DictReader(out.read_text().splitlines())}
    assert len(rows) == sum(generation["evaluations"] for generation in run["generations"])
    best = rows[run["best_genome"]]
    assert best["fitness_hex"] == run["best_fitness_hex"]
    assert float(best["true_psnr"]) > 5
    curves = nasdip("store", "export", "--store", filled / "store", "--curves", "--format", "jsonl").out
    assert all(json.loads(line)["outcome"]["curve"] for line in curves.splitlines())
    again = nasdip("store", "export", "--store", filled / "store", "--out", out)
    assert again.code == 2
    assert "exists already" in again.line
    none = nasdip("store", "ls", "--store", filled / "store", "--task", "inpaint")
    assert (none.code, none.out) == (0, "")
    assert "holds no outcomes of inpaint" in none.line


def test_who_uses_a_store_without_being_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Studies do; commands that restore a picture do not, but for the environment's word, and --no-store is the last."""

    def folder(*given: str, default: bool) -> Path | None:
        parser = argparse.ArgumentParser()
        add_options(parser, default=default)
        store = store_of(parser.parse_args(given), default=default)
        return None if store is None else store.folder

    monkeypatch.delenv("NASDIP_STORE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert folder(default=False) is None
    assert folder(default=True) == tmp_path / "nasdip" / "store"
    monkeypatch.setenv("NASDIP_STORE", str(tmp_path / "named"))
    assert folder(default=False) == folder(default=True) == tmp_path / "named"
    assert folder("--store", str(tmp_path / "given"), default=False) == tmp_path / "given"
    assert folder("--no-store", default=False) is folder("--no-store", default=True) is None


@pytest.mark.parametrize("action", ["ls", "export"])
def test_a_store_that_nobody_filled_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    monkeypatch.setenv("NASDIP_STORE", str(tmp_path / "absent"))
    ended = nasdip("store", action)
    assert (ended.code, ended.out) == (0, "")
    assert str(tmp_path / "absent") in ended.line
    assert "holds no outcomes yet" in ended.line
    (tmp_path / "empty").mkdir()
    assert "holds no outcomes" in nasdip("store", action, "--store", tmp_path / "empty").line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["store", "ls", "--store", "absent"], ["absent", "does not exist"]),
        (["store", "ls", "--store", "noisy.png"], ["noisy.png", "is a file"]),
        (["store", "export", "--format", "xml"], ["xml", "csv"]),
        (["store", "export", "--task", "polish"], ["polish", "denoise"]),
        (["store", "list"], ["list", "export"]),
        (["store"], ["ACTION"]),
        (["verify", "out", "--store", "absent"], ["unrecognized", "--store"]),  # a repetition is a repetition
        (
            ["restore", "noisy.png", "--task", "denoise", "--out", "out", "--store", "noisy.png"],
            ["noisy.png", "a file"],
        ),
        (
            ["restore", "noisy.png", "--task", "denoise", "--out", "out", "--store", "s", "--no-store"],
            ["not allowed"],
        ),
        (
            ["restore", "noisy.png", "--task", "denoise", "--out", "out", "--finalists", "5"],
            ["finalists", "1 to 4"],
        ),
        (
            ["restore", "noisy.png", "--task", "denoise", "--out", "out", "--finalists", "0"],
            ["finalists", "1 to 4"],
        ),
    ],
    ids=lambda value: " ".join(value) if len(value) > 2 else "",
)
def test_bad_input(photographs: Path, tmp_path: Path, arguments: list[str], told: list[str]) -> None:
    places = {"noisy.png": photographs / "noisy.png", "absent": tmp_path / "absent", "out": tmp_path / "out"}
    ended = nasdip(*(places.get(argument, argument) for argument in arguments))
    assert ended.code == 2, ended.err
    assert all(word in ended.line for word in told), ended.line
    assert ended.out == ""
    assert list(tmp_path.iterdir()) == []
