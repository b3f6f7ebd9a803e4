"""Racing through the real command line: the run tells its rungs, and is repeated to the bit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commandline.conftest import nasdip

pytestmark = pytest.mark.slow

TINY = ["--task", "denoise", "--units", "1", "--seed", "3", "--final-iterations", "20"]


def test_a_raced_run_tells_its_rungs_and_is_repeated(photographs: Path, tmp_path: Path) -> None:
    race = ["--population", "6", "--generations", "2", "--iterations", "75", "--first-rung", "0.34"]
    more = ["--promoted-share", "0.5"]
    ended = nasdip("restore", photographs / "small.png", *TINY, *race, *more, "--out", tmp_path / "run")
    assert ended.code == 0, ended.err
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (run["settings"]["first_rung"], run["settings"]["promoted_share"]) == (0.34, 0.5)
    first, second = run["generations"]
    assert [(one["length"], one["networks"]) for one in first["rungs"]] == [(25, 6), (75, 3)]
    assert [(one["length"], one["networks"]) for one in second["rungs"]] == [(25, 5), (75, 3)]
    assert sum(one["iterations"] for one in first["rungs"]) == first["iterations"] == 6 * 25 + 3 * 75
    assert sorted(first["reached"]) == [0, 0, 0, 1, 1, 1]
    again = nasdip("verify", tmp_path / "run", "--search")
    assert again.code == 0, again.err
    assert again.out.startswith("equal: 2 generations and the final fit repeated")


def test_what_is_not_raced_although_it_was_asked_for_is_said(photographs: Path, tmp_path: Path) -> None:
    small = ["--population", "2", "--generations", "1", "--iterations", "5"]
    for number, (asked, told) in enumerate(
        [
            (["--first-rung", "0.2"], "--first-rung not used: 5 iterations are too few for a rung of 25 and more"),
            (["--promoted-share", "0.2"], "--promoted-share not used: without --first-rung under 1"),
        ]
    ):  # fmt: skip
        out = tmp_path / str(number)
        ended = nasdip("restore", photographs / "small.png", *TINY, *small, *asked, "--out", out)
        assert ended.code == 0, ended.err
        assert told in ended.err
        assert "rungs" not in json.loads((out / "run.json").read_text())["generations"][0]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--first-rung", "0"], "first_rung is 0.0; allowed is 0.02 to 1.0"),
        (["--promoted-share", "1"], "promoted_share is 1.0; allowed is 0.05 to 0.95"),
        (["--preset", "paper", "--first-rung", "0.1"], "with fitness 'lpips-observed' it must be 1"),
    ],
)
def test_a_race_that_can_not_be_is_refused_before_anything(
    photographs: Path, tmp_path: Path, more: list[str], sentence: str
) -> None:
    ended = nasdip("restore", photographs / "small.png", *TINY, *more, "--out", tmp_path / "run")
    assert ended.code == 2
    assert sentence in ended.line
    assert not (tmp_path / "run").exists()
