"""A whole run by the paper's own fitness with nothing held out: searched, written, told and repeated."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nasdip_engine import local_run, question
from tests.commandline.conftest import Run, nasdip

pytestmark = pytest.mark.slow


def test_a_run_with_nothing_held_out_has_no_such_figure_and_repeats(
    run_of: Callable[[str], Run], tmp_path: Path
) -> None:
    asked = question.from_run(run_of("upscale").folder)
    settings = replace(
        asked.settings, fitness="lpips-observed", hold_out_share=0.0, average_decay=0.0, first_rung=1.0
    )
    said: list[str] = []
    out = tmp_path / "run"
    local_run.restore_to_folder(replace(asked, settings=settings), out, say=said.append)
    run = json.loads((out / "run.json").read_text())
    assert (run["settings"]["fitness"], run["settings"]["hold_out_share"]) == ("lpips-observed", 0.0)
    assert run["final"]["held_out_psnr"] is None and run["baseline"]["held_out_psnr"] is None
    assert {network["held_out_psnr"] for network in run["final"]["networks"]} == {None}
    assert {network["iterations"] for network in run["final"]["networks"]} == {settings.final_iterations}
    assert 0 < run["best_fitness"] < 1

    told = nasdip("evaluate", "--like", out, "--genome", run["best_genome"])
    assert told.code == 0, told.err
    answer = json.loads(told.out)
    assert (answer["fitness_hex"], answer["held_out_psnr"]) == (run["best_fitness_hex"], None)
    repeated = nasdip("verify", out, "--search")
    assert repeated.out.startswith("equal: "), repeated.out + repeated.err
