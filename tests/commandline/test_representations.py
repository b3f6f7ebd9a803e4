"""Every representation and the paper's preset through the real command line, on a picture of 32 pixels."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nasdip_engine.genome.genome import Genome
from tests.commandline.conftest import nasdip

pytestmark = pytest.mark.slow

TINY = ["--task", "denoise", "--units", "1", "--iterations", "20", "--generations", "2", "--seed", "3"]
MORE: dict[str, list[str]] = {
    "sym": ["--representation", "sym", "--population", "4"],
    "asymt": ["--representation", "asymt", "--population", "2", "--seed", "6"],
    "paper": ["--preset", "paper", "--population", "4"],
}


@dataclass(frozen=True)
class Made:
    folder: Path
    run: dict[str, Any]
    err: str


@pytest.fixture(scope="session")
def made(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    kept: dict[str, Made] = {}
    folder = tmp_path_factory.mktemp("representations")

    def run(name: str) -> Made:
        if name not in kept:
            out = folder / name
            ended = nasdip("restore", photographs / "small.png", *TINY, *MORE[name], "--out", out)
            assert ended.code == 0, ended.err
            kept[name] = Made(out, json.loads((out / "run.json").read_text()), ended.err)
        return kept[name]

    return run


@pytest.mark.parametrize("name", MORE)
def test_the_run_tells_representation_units_and_epochs(made: Callable[[str], Made], name: str) -> None:
    run = made(name).run
    representation = "asym" if name == "paper" else name
    assert (run["settings"]["representation"], run["settings"]["units"]) == (representation, 1)
    network = Genome.parse(run["best_genome"])
    assert run["best_architecture"] == {
        "representation": representation,
        "units": 1,
        "epochs": network.phenotype().epochs,
    }
    assert {Genome.parse(text).representation for one in run["generations"] for text in one["genomes"]} == {
        representation
    }


@pytest.mark.parametrize("name", MORE)
def test_elites_pass_unperturbed_and_are_not_trained_again(made: Callable[[str], Made], name: str) -> None:
    run = made(name).run
    seen: set[str] = set()
    for generation in run["generations"]:
        valid = []
        for text, fitness in zip(generation["genomes"], generation["fitness_hex"], strict=True):
            if float.fromhex(fitness) > 0:
                valid.append(Genome.parse(text).phenotype().digest)
        new = set(valid) - seen
        assert generation["evaluations"] == len(new)  # each network once, in whatever generation it comes
        seen |= new
    for before, after in pairwise(run["generations"]):
        if before["best"] > 0:
            best = max(map(float.fromhex, before["fitness_hex"]))
            assert float.fromhex(after["fitness_hex"][0]) == best
            assert after["genomes"][0] in before["genomes"]


def test_a_genome_that_says_its_length_is_trained_as_long_in_search_and_final_fit(
    made: Callable[[str], Made],
) -> None:
    found = made("asymt")
    assert "--iterations not used: each asymt genome says how long it is trained" in found.err
    for network in found.run["final"]["networks"]:
        first, epochs = network["learning"]["iterations"], Genome.parse(network["genome"]).phenotype().epochs
        assert first == epochs
        assert network["iterations"] == first + network["learning"]["refit_iterations"]
    trained: dict[str, int] = {}
    for generation in found.run["generations"]:
        for text, fitness in zip(generation["genomes"], generation["fitness_hex"], strict=True):
            if float.fromhex(fitness) > 0:
                phenotype = Genome.parse(text).phenotype()
                trained[phenotype.digest] = phenotype.epochs or 0
    assert sum(one["iterations"] for one in found.run["generations"]) == sum(trained.values())


def test_the_papers_preset_searches_and_restores(made: Callable[[str], Made]) -> None:
    run = made("paper").run
    assert (run["settings"]["preset"], run["settings"]["final_iterations"]) == ("paper", 20)
    assert len(run["final"]["networks"]) == 1
    frames = run["picture"]["search_frame"], run["picture"]["final_frame"]
    assert frames[0]["digest"] == frames[1]["digest"]  # the whole picture


def test_evaluate_takes_the_runs_own_representation_and_no_other(made: Callable[[str], Made]) -> None:
    found = made("sym")
    ended = nasdip("evaluate", "--like", found.folder, "--genome", found.run["best_genome"])
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["fitness_hex"] == found.run["best_fitness_hex"]
    for other in ("asym:1:04989", "sym:2:04104"):
        ended = nasdip("evaluate", "--like", found.folder, "--genome", other)
        assert ended.code == 2
        assert other in ended.line and "sym genomes of 1 units" in ended.line
        assert ended.out == ""


def test_evaluate_without_a_run_takes_the_genomes_representation(photographs: Path) -> None:
    ended = nasdip(
        "evaluate",
        photographs / "small.png",
        "--task",
        "denoise",
        "--iterations",
        "5",
        "--genome",
        "sym:1:064",
    )
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["reason"] is None


def test_verify_repeats_a_symmetric_run(made: Callable[[str], Made]) -> None:
    ended = nasdip("verify", made("sym").folder, "--search")
    assert ended.code == 0, ended.err
    assert ended.out.startswith("equal: ")
