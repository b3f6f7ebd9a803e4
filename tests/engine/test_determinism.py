"""The same genome, the same score (paper, sec. 4): however many at once, in which order, where and after what."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nasdip_engine.evaluation import evaluate
from nasdip_engine.evaluator import HOOK_VARIABLE
from nasdip_engine.evolution.history import Closed, Generation
from nasdip_engine.evolution.search import first_generation, next_generation, refusal
from nasdip_engine.genome.genome import Genome
from nasdip_engine.genome.starters import starters
from nasdip_engine.local import CannotGoOn, LocalSearch
from nasdip_engine.local_run import restore_question
from nasdip_engine.request import Kind, Request
from nasdip_engine.store import Store
from tests.engine.searches import SIDE, noisy, question

ROOT = Path(__file__).parents[2]
GENOMES = [genome.text for genome in starters(2)[5:10]]
Searched = tuple[list[Closed], list[dict[str, Any]]]


def bits(outcomes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All of an outcome but its seconds, which alone may differ."""
    return [{name: value for name, value in outcome.items() if name != "seconds"} for outcome in outcomes]


@pytest.fixture(scope="module")
def alone() -> tuple[Searched, list[dict[str, Any]]]:
    """One worker: a whole search, then five genomes in order."""
    with LocalSearch(question(), workers=1) as search:
        return search.search(), bits(search.evaluate_all(GENOMES))


SEARCH = """
import json
from nasdip_engine.local import LocalSearch
from tests.engine.searches import question
with LocalSearch(question(), workers=1) as search:
    history, records = search.search()
print(json.dumps([[closed.to_json() for closed in history], records]))
"""


@pytest.mark.slow
def test_three_workers_a_reordered_batch_and_another_process_beside_them_give_what_one_gives_in_order(
    alone: tuple[Searched, list[dict[str, Any]]],
) -> None:
    """The other process has an evaluator of its own and another seed of Python's hashes."""
    order = [3, 0, 4, 2, 1]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "1"}
    with (
        subprocess.Popen(
            [sys.executable, "-c", SEARCH], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        ) as beside,
        LocalSearch(question(), workers=3) as search,
    ):
        shuffled = bits(search.evaluate_all([GENOMES[number] for number in order]))
        searched = {search.key(text) for closed in alone[0][0] for text in closed.generation.genomes}
        assert not search.outcomes.keys() & searched, "nothing of the search below is known yet"
        assert search.search() == alone[0]
        found = json.loads(beside.communicate(timeout=300)[0])
    assert shuffled == [alone[1][number] for number in order]
    assert len({outcome["fitness_hex"] for outcome in shuffled}) == len(GENOMES)
    history, records = alone[0]
    assert found == [[closed.to_json() for closed in history], records]


@pytest.mark.slow
def test_a_search_cut_by_a_fault_and_resumed_gives_what_an_undisturbed_one_gives(
    alone: tuple[Searched, list[dict[str, Any]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at a genome of generation 1; taken up from the store, what was closed before is not paid again."""
    history, _ = alone[0]
    bred = next(
        genome
        for genome, fitness in zip(history[1].generation.genomes, history[1].fitness, strict=True)
        if genome not in history[0].generation.genomes and fitness > 0
    )
    monkeypatch.setenv(HOOK_VARIABLE, f"disk_full:{Genome.parse(bred).phenotype().digest}")
    said: list[str] = []
    with (
        LocalSearch(question(), workers=1, store=Store(tmp_path)) as cut,
        pytest.raises(CannotGoOn, match="space left"),
    ):
        cut.search()
    monkeypatch.delenv(HOOK_VARIABLE)
    kept = {entry.key for entry in Store(tmp_path).entries(said.append)}
    with LocalSearch(question(), workers=1, store=Store(tmp_path), say=said.append) as resumed:
        assert resumed.search() == alone[0]
        assert resumed.from_store == kept
        assert {resumed.key(genome) for genome in history[0].generation.genomes} <= kept
        assert resumed.key(bred) not in kept, "a fault of the machine is no outcome"
        first = history[0].generation.genomes[0]
        output = resumed.output_of(first)
        assert output is not None
        assert output.shape == (SIDE, SIDE, 3)
        assert "trained again for its picture" in said[-1], "a store keeps no pictures"
        assert resumed.outcomes[resumed.key(first)]["fitness_hex"] == history[0].fitness[0].hex()


def dead_then_alive(**overrides: Any) -> tuple[int, int]:
    """(seed, number of the first generation with a network) of a search that begins with invalid genomes alone."""
    for seed in range(100):
        asked = question(seed, **overrides)
        history: list[Closed] = []
        step = first_generation(asked.settings, asked.seeds)
        while isinstance(step, Generation) and all(refusal(text, asked.settings) for text in step.genomes):
            history.append(Closed(step, (0.0,) * len(step.genomes)))
            step = next_generation(asked.settings, asked.seeds, history)
        if len(history) >= 2 and isinstance(step, Generation):
            return seed, step.number
    raise AssertionError("no seed begins so")


@pytest.mark.slow
def test_a_search_goes_on_after_populations_that_describe_no_network() -> None:
    """Drawn as the paper draws: with one unit four genomes of five are invalid, so whole populations are."""
    drawn = {
        "units": 1,
        "population": 2,
        "generations": 6,
        "redraw": False,
        "starter_share": 0.0,
        "iterations": 3,
    }
    seed, first = dead_then_alive(**drawn)
    with LocalSearch(question(seed, **drawn), workers=1) as search:
        history, records = search.search()
    assert [record["evaluations"] for record in records[:first]] == [0] * first
    assert [record["invalid"] for record in records[:first]] == [2] * first
    assert all(closed.best == 0 for closed in history[:first])
    assert history[first].best > 0
    assert len(history) == 6


@pytest.mark.slow
def test_a_search_in_which_every_genome_is_refused_ends_with_a_sentence() -> None:
    nothing = question(redraw=False, starter_share=0.0, cost_cap=1)
    with pytest.raises(CannotGoOn, match="no network of this search has a fitness; raise the population"):
        restore_question(nothing, workers=1)


@pytest.mark.parametrize("jitter", [0.0, 0.05])
def test_a_fit_draws_nothing_from_global_generators(tmp_path: Path, jitter: float) -> None:
    """Their states are the same afterwards, and other states before give the same bits."""
    picture = tmp_path / "frame.png"
    Image.fromarray(noisy()).save(picture)
    asked = question(jitter=jitter, iterations=6)
    request = Request(
        kind=Kind.EVALUATE, task=asked.task, settings=asked.settings, evaluation_seed=5, picture=str(picture),
        genome=GENOMES[0],
    )  # fmt: skip
    found = []
    for seed in (11, 12):
        torch.random.set_rng_state(torch.Generator().manual_seed(seed).get_state())
        before = torch.random.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
        found.append(evaluate(request, lambda _: None))
        assert torch.equal(torch.random.get_rng_state(), before[0])
        assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert bits(found)[0] == bits(found)[1]


GLOBAL = [
    "import random", "np.random.seed(1)", "np.random.rand(3)", "np.random.randn(3)", "np.random.randint(3)",
    "np.random.normal(0, 1)", "np.random.standard_normal(3)", "np.random.RandomState(1)",
    "torch.manual_seed(1)", "torch.seed()", "torch.rand(3)", "torch.randn(3)", "torch.randint(3, (1,))",
    "torch.randperm(3)", "torch.rand_like(x)", "torch.randn_like(x)", "torch.normal(0.0, 1.0, (2,))",
    "torch.bernoulli(x)", "torch.multinomial(x, 2)", "torch.nn.init.kaiming_normal_(x)", "torch.nn.Dropout(0.5)",
    "torch.nn.functional.dropout(x)", "torch.cuda.manual_seed_all(1)",
]  # fmt: skip
OWN = ["generator(1, 'test').normal(0, 1, 3)", "np.random.Generator(np.random.PCG64(5)).normal(0, 1, 3)"]


def test_the_linter_refuses_global_generators_and_no_others() -> None:
    """ruff reads a module of the engine's torch half that draws in every way that there is, one a line."""
    calls = [*GLOBAL, *OWN]
    source = "\n".join(["import torch; import numpy as np", *calls])
    command = [sys.executable, "-m", "ruff", "check", "--select", "TID251,NPY002", "--output-format", "json"]
    name = "nasdip_engine/restoration/tried.py"
    ran = subprocess.run(
        [*command, "--no-cache", "--stdin-filename", name, "-"],
        input=source, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 1, ran.stderr
    rows = {finding["location"]["row"] for finding in json.loads(ran.stdout)}
    assert [call for row, call in enumerate(calls, 2) if row in rows] == GLOBAL


@pytest.mark.parametrize(
    "drawn", ["x.normal_(0, 1)", "weight.data.uniform_(-1, 1)", "x.bernoulli_(0.5)", "x.random_(3)"]
)
def test_what_the_linter_can_not_see_the_house_rules_refuse(drawn: str) -> None:
    """A tensor's own methods draw from torch's global generator, and no import names them."""
    spec = importlib.util.spec_from_file_location("house_rules", ROOT / ".ci" / "house_rules.py")
    assert spec and spec.loader
    rules = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = rules
    spec.loader.exec_module(rules)
    (breach,) = rules.banned_words(ROOT / "nasdip_engine" / "restoration" / "tried.py", f"    {drawn}\n")
    assert "no global generator" in breach
