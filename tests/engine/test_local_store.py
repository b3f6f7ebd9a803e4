"""A local search with a store: nothing is trained twice, and nothing else is different."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nasdip_engine.evaluator import HOOK_VARIABLE
from nasdip_engine.genome.starters import starters
from nasdip_engine.local import LocalSearch
from nasdip_engine.local_run import true_scores
from nasdip_engine.store import Store
from tests.engine.searches import clean, question

pytestmark = pytest.mark.slow

GENOME, OTHER = (genome.text for genome in starters(2)[:2])


def entries(folder: Path) -> list[Any]:
    said: list[str] = []
    found = list(Store(folder).entries(said.append))
    assert said == []
    return found


def test_what_the_store_has_is_not_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    with LocalSearch(question(), workers=1, store=store) as first:
        paid = first.evaluate(GENOME)
        assert (first.from_store, len(entries(tmp_path))) == (set(), 1)
    # From here on every fit is a crash: what still has a fitness was not trained.
    monkeypatch.setenv(HOOK_VARIABLE, "abort:")
    said: list[str] = []
    with LocalSearch(question(), workers=1, store=store, say=said.append) as second:
        assert second.evaluate(GENOME) == paid
        assert second.from_store == {second.key(GENOME)}
        assert second.evaluate(OTHER)["reason"].startswith("poisoned: SIGABRT")
        told = second._told([second.key(GENOME), second.key(OTHER)])
        assert told == "1 networks trained, 1 from the store"
    assert len(entries(tmp_path)) == 1, "a poisoned genome is not kept"
    with LocalSearch(question(), workers=1) as without:
        assert without.evaluate(GENOME)["reason"].startswith("poisoned"), (
            "without a store nothing is looked up"
        )


def test_other_settings_seeds_and_pictures_have_other_keys(tmp_path: Path) -> None:
    def key(**changes: Any) -> str:
        with LocalSearch(question(**changes)) as search:
            return search.key(GENOME)

    same = key()
    assert key(population=9, generations=7, final_iterations=99) == same, (
        "who is evaluated is not what it scores"
    )
    others = [
        key(**one)
        for one in (
            {"iterations": 13}, {"seed": 4}, {"learning_rate": 0.02}, {"hold_out_share": 0.1}, {"loss": "absolute"},
            {"jitter": 0.01}, {"input_channels": 4}, {"average_decay": 0.9}, {"crop": 32},
        )
    ]  # fmt: skip
    assert len({same, *others}) == 1 + len(others)


def test_the_true_error_is_recorded_by_iteration_and_changes_nothing(tmp_path: Path) -> None:
    """Recorded at each look; the last one is the figure of the output that the fit gave; fitness equal to the bit."""
    store = Store(tmp_path)
    asked = question(iterations=60)
    said: list[str] = []
    with LocalSearch(asked, workers=1, store=store) as blind:
        plain = blind.evaluate(GENOME)
    with LocalSearch(asked, workers=1, store=store, reference=clean(), say=said.append) as seeing:
        found = seeing.evaluate(GENOME)
        assert seeing.from_store == set(), "the store had no true error: it is trained for it"
        true = found["true"]
        assert [iteration for iteration, _ in true["curve"]] == [iteration for iteration, _ in found["curve"]]
        assert true["psnr"] == dict(true["curve"])[found["best_iteration"]]
        assert true["psnr"] == true_scores(seeing, GENOME, clean())["psnr"]
    assert [said[0]] == said
    assert "without true error" in said[0]
    for one in (plain, found):
        del one["seconds"]
    del found["true"]
    assert found == plain
    (entry,) = entries(tmp_path)
    assert list(entry.true) == [true["reference"]]
