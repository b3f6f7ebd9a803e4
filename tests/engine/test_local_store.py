"""A local search with a store: nothing is trained twice, and nothing else is different."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nasdip_engine.evaluator import HOOK_VARIABLE
from nasdip_engine.genome.cost import cost
from nasdip_engine.genome.genome import Genome
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


def test_what_the_store_has_is_not_trained_and_what_it_lacks_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paid for without a reference; again for the true error, which changes nothing; then never again."""
    store, asked = Store(tmp_path), question(iterations=60)
    said: list[str] = []
    with LocalSearch(asked, workers=1, store=store) as blind:
        plain = blind.evaluate(GENOME)
        assert (blind.from_store, len(entries(tmp_path))) == (set(), 1)
    with LocalSearch(
        asked, workers=1, store=store, reference=clean(), say=said.append, keep_outputs=True
    ) as seeing:
        found = seeing.evaluate(GENOME)
        assert seeing.from_store == set()
        assert found["true"]["psnr"] == true_scores(seeing, GENOME, clean())["psnr"]
    assert [said[0]] == said
    assert "without true error" in said[0]
    assert found | {"seconds": 0, "true": 0} == plain | {"seconds": 0, "true": 0}
    # From here on every fit is a crash: what still has a fitness was not trained.
    monkeypatch.setenv(HOOK_VARIABLE, "abort:")
    with LocalSearch(asked, workers=1, store=store, reference=clean()) as again:
        assert again.evaluate(GENOME) == found
        assert again.from_store == {again.key(GENOME)}
        assert again.evaluate(OTHER)["reason"].startswith("poisoned: SIGABRT")
        told = again._told([again.key(GENOME), again.key(OTHER)])
        assert told == "1 networks trained, 1 from the store"
    (entry,) = entries(tmp_path)  # a poisoned genome is not kept
    assert list(entry.true) == [found["true"]["reference"]]


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


def test_as_many_final_fits_at_once_as_the_memory_carries() -> None:
    """A fit may take all that is not taken by others at the same time, however many workers there are."""
    with LocalSearch(question(), workers=8) as search:
        need = cost(Genome.parse(GENOME).phenotype(), *search.asked.largest_final).peak_bytes
        assert search._finals_at_once([GENOME], 1) == 1
        assert search._finals_at_once([GENOME], 20) == 8
        search._memory = 3 * need
        assert search._finals_at_once([GENOME], 20) == 2
        search._memory = need // 2
        assert search._finals_at_once([GENOME, OTHER], 2) == 1
