"""`run.json`: read whole, or refused by the name of what is not there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nasdip_engine.errors import InvalidInput
from nasdip_engine.runfile import FORMAT, load_run

WHOLE: dict[str, Any] = {
    "format": FORMAT,
    "task": {"kind": "denoise"},
    "settings": {},
    "seeds": {},
    "picture": {"width": 64},
    "fingerprint": {"torch": "2"},
    "excluded": [],
    "generations": [{"number": 0, "genomes": ["asym:5:0"], "fitness_hex": ["0x0.0p+0"]}],
    "final": {"networks": [{"genome": "asym:5:0"}], "choice": "asym:5:0", "digest": "d" * 64},
}


def written(folder: Path, run: Any) -> Path:
    (folder / "run.json").write_text(json.dumps(run))
    return folder


def test_a_whole_run_is_read(tmp_path: Path) -> None:
    assert load_run(written(tmp_path, WHOLE)) == WHOLE


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"final": {}}, "final.networks, final.choice, final.digest is"),
        ({"final": None}, "final is"),
        ({"final": WHOLE["final"] | {"networks": []}}, "final.networks is"),
        ({"final": WHOLE["final"] | {"networks": [{}]}}, "final.networks[0].genome is"),
        ({"final": WHOLE["final"] | {"networks": [None]}}, "final.networks[0].genome is"),
        ({"picture": []}, "picture is"),
        ({"picture": None, "task": "denoise"}, "task, picture is"),
        ({"generations": None}, "generations is"),
        ({"generations": [{"number": 0}]}, "generations[0].genomes, generations[0].fitness_hex is"),
        ({"generations": [3]}, "generations[0].number"),
        ({"fingerprints": 3}, "fingerprints is"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_missing_or_of_another_kind_is_named(
    tmp_path: Path, changed: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        load_run(written(tmp_path, WHOLE | changed))
    assert f"no whole run: {told}" in str(refused.value)


@pytest.mark.parametrize("run", [[], 3, None, {}, {"format": FORMAT + 1}])
def test_another_format_is_refused(tmp_path: Path, run: Any) -> None:
    with pytest.raises(InvalidInput, match=f"this version reads {FORMAT}"):
        load_run(written(tmp_path, run))
