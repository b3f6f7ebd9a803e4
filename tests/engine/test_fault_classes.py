"""Every way for a genome to fail, with its real cause, in both kinds of evaluator: what it is called, and that the
others of its generation keep their fitness to the last bit.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nasdip_engine.baseline_names import baselines_of
from nasdip_engine.evaluation import evaluate
from nasdip_engine.evaluator import HOOK_VARIABLE
from nasdip_engine.evolution.settings import settings_for
from nasdip_engine.framing import final_frames, search_frame
from nasdip_engine.guard import Fault, FaultKind, Host, Limits, Outcome
from nasdip_engine.local import CannotGoOn, LocalSearch
from nasdip_engine.picture import Form
from nasdip_engine.question import Question
from nasdip_engine.task import Task, TaskKind
from tests.engine.evaluations import DIGEST, GENOME, ITERATIONS, OTHER, SEEDS, THIRD, Ask, asking, outcome
from tests.engine.faulty_host import MODES
from tests.engine.pictures import photo

pytestmark = pytest.mark.slow

MEMORY = 2**28


@pytest.fixture(scope="module", params=MODES)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    with Host("evaluator", mode=request.param, limits=Limits(heartbeat=20, memory_bytes=MEMORY)) as guarded:
        yield guarded


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    return asking(tmp_path_factory.mktemp("frames"))


@pytest.fixture(scope="module")
def healthy(ask: Ask) -> list[dict[str, Any]]:
    """The outcomes of the others when nothing is wrong and no process stands between."""
    found = [evaluate(ask(genome=genome.text), lambda _: None) for genome in (OTHER, THIRD)]
    assert all(one["fitness"] > 0 for one in found)
    return [{name: value for name, value in one.items() if name != "seconds"} for one in found]


def generation(host: Host, ask: Ask, **of_the_faulty: Any) -> tuple[Any, list[dict[str, Any]]]:
    """What came of GENOME, which is struck, and of the others, evaluated two at once; all are asked the same hook."""
    hook = of_the_faulty.pop("hook", None)
    requests = [
        ask(genome=OTHER.text, hook=hook),
        ask(hook=hook, **of_the_faulty),
        ask(genome=THIRD.text, hook=hook),
    ]
    with ThreadPoolExecutor(2) as slots:
        first, faulty, last = slots.map(host.run, requests)
    others = []
    for one in (first, last):
        assert isinstance(one, Outcome), one
        others.append({name: value for name, value in one.value.items() if name != "seconds"})
    return faulty, others


@pytest.mark.parametrize(
    ("hook", "kind", "detail"),
    [
        ("segfault", FaultKind.CRASH, "SIGSEGV"),  # a null pointer read
        ("abort", FaultKind.CRASH, "SIGABRT"),
        ("kill", FaultKind.KILLED, "SIGKILL"),  # as the kernel does it for want of memory
        ("memory", FaultKind.MEMORY, ""),  # 8 GB, page after page
        ("disk_full", FaultKind.DISK_FULL, "No space left"),
    ],
)
def test_a_fault_has_its_class_and_costs_nobody_else_a_bit(
    hook: str, kind: FaultKind, detail: str, host: Host, ask: Ask, healthy: list[dict[str, Any]]
) -> None:
    faulty, others = generation(host, ask, hook=f"{hook}:{DIGEST[:12]}")
    assert isinstance(faulty, Fault)
    assert faulty.kind is kind, faulty
    assert detail in faulty.detail
    assert others == healthy


def test_a_hang_is_ended_and_costs_nobody_else_a_bit(
    host: Host, ask: Ask, healthy: list[dict[str, Any]]
) -> None:
    with ThreadPoolExecutor(1) as slot:
        beside = slot.submit(outcome, host, ask(genome=OTHER.text))
        faulty = host.run(ask(hook=f"hang:{DIGEST}"), heartbeat_limit=2.0)
        assert faulty == Fault(FaultKind.HANG, "no heartbeat for 2 s")
        assert [beside.result(), outcome(host, ask(genome=THIRD.text))] == healthy


def test_nan_is_an_outcome_and_costs_nobody_else_a_bit(
    host: Host, ask: Ask, healthy: list[dict[str, Any]]
) -> None:
    faulty, others = generation(host, ask, hook=f"nan:{DIGEST}")
    assert isinstance(faulty, Outcome)
    assert faulty.value["fitness"] == 0.0
    assert "diverged" in faulty.value["reason"]
    assert faulty.value["hook"] == f"nan:{DIGEST}", "an injected fault is told"
    assert others == healthy


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 kB of its own."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_an_output_that_the_disk_has_no_room_for_is_a_full_disk(
    full_disk: Path, host: Host, ask: Ask, healthy: list[dict[str, Any]]
) -> None:
    output = full_disk / "average.npy"
    faulty, others = generation(host, ask, output=str(output))
    assert isinstance(faulty, Fault)
    assert faulty.kind is FaultKind.DISK_FULL, faulty
    assert not output.exists(), "whole or not at all"
    assert others == healthy


# -- what the command line makes of it -------------------------------------------------------------------


def search(hook: str, monkeypatch: pytest.MonkeyPatch) -> LocalSearch:
    monkeypatch.setenv(HOOK_VARIABLE, hook)
    task, picture = Task(TaskKind.DENOISE), photo(48, 40)
    settings = settings_for("preview", task, {"iterations": ITERATIONS})
    final = final_frames(picture, None, task)
    asked = Question(
        upload=picture, form=Form(), mask=None, task=task, settings=settings, seeds=SEEDS, notes=(),
        final=final, search=search_frame(final[0], task, settings),
    )  # fmt: skip
    return LocalSearch(asked, workers=2)


def test_a_genome_that_crashes_twice_is_poison_and_the_others_keep_their_bits(
    healthy: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    genomes = [OTHER.text, GENOME.text, THIRD.text]
    with search(f"segfault:{DIGEST}", monkeypatch) as struck:
        first, poisoned, last = struck.evaluate_all(genomes)
    assert poisoned["fitness"] == 0.0
    assert "poisoned: SIGSEGV" in poisoned["reason"]
    assert "2 times, on cpu" in poisoned["reason"]
    assert [first["fitness_hex"], last["fitness_hex"]] == [one["fitness_hex"] for one in healthy]


def test_a_killed_evaluator_decides_no_fitness(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        search(f"kill:{DIGEST}", monkeypatch) as struck,
        pytest.raises(CannotGoOn, match=r"killed: SIGKILL.*nothing was kept"),
    ):
        struck.evaluate(GENOME.text)
    assert struck.outcomes == {}


@pytest.mark.parametrize(
    ("hook", "cause"), [("segfault:steps", "2 tries, the last one so: SIGSEGV"), ("kill:steps", "SIGKILL")]
)
def test_a_reference_that_cannot_be_computed_is_left_out_and_loses_nothing(
    hook: str, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with search(hook, monkeypatch) as struck:
        records, pictures = struck.baselines()
    assert {record["method"] for record in records} == set(baselines_of(Task(TaskKind.DENOISE)))
    assert pictures == {}
    for record in records:
        assert record["left_out"].startswith(f"{record['method']}: it could not be computed in ")
        assert cause in record["left_out"]
