"""Small evaluations to ask a real evaluator for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nasdip_engine.evolution.settings import settings_for
from nasdip_engine.genome.starters import starters
from nasdip_engine.guard import Host, Outcome
from nasdip_engine.picture import encode_png
from nasdip_engine.seeding import Seeds
from nasdip_engine.task import Task, TaskKind
from tests.engine.pictures import photo

GENOME, OTHER, THIRD = starters(5)[:3]
DIGEST = GENOME.phenotype().digest
ITERATIONS = 6
SEEDS = Seeds.from_seed(3)
Ask = Callable[..., dict[str, Any]]


def asking(folder: Path) -> Ask:
    """A request to evaluate GENOME on a small noisy picture, with changes to the request or to its settings."""
    picture = folder / "frame.png"
    picture.write_bytes(encode_png(photo(48, 40)))
    task = Task(TaskKind.DENOISE)
    whole = {
        "kind": "evaluate", "genome": GENOME.text, "task": task.to_json(), "evaluation_seed": SEEDS.evaluation_seed,
        "picture": str(picture), "mask": None, "output": None, "method": None, "hook": None,
    }  # fmt: skip

    def ask(settings: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        asked = settings_for("preview", task, {"iterations": ITERATIONS, **(settings or {})})
        return whole | {"settings": asked.to_json()} | changes

    return ask


def outcome(host: Host, request: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Without the seconds, which alone may differ from run to run."""
    answer = host.run(request, **options)
    assert isinstance(answer, Outcome), answer
    return {name: value for name, value in answer.value.items() if name != "seconds"}
