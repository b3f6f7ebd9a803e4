"""Device class, threads and precision are settings: honoured to the letter, or refused before training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from nasdip_engine.devices import cores, fingerprint_for, lacking, memory_bytes, refusal
from nasdip_engine.errors import SettingsError
from nasdip_engine.evaluation import evaluate
from nasdip_engine.evolution.settings import settings_for
from nasdip_engine.genome.starters import starters
from nasdip_engine.guard import Fault, FaultKind, Host
from nasdip_engine.guard_mode import Mode, host_environment, mode_for
from nasdip_engine.numerics import abilities, fingerprint, prepare
from nasdip_engine.restoration.degradation import degradation_for
from nasdip_engine.restoration.fit import noise_input
from nasdip_engine.restoration.network import build
from nasdip_engine.restoration.placement import moved
from nasdip_engine.restoration.resample import bilinear
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task, TaskKind
from tests.engine.evaluations import OTHER, THIRD, Ask, asking, outcome
from tests.engine.pictures import photo

SETTINGS = settings_for("preview", Task(TaskKind.DENOISE))
HERE: dict[str, Any] = {"devices": ["cpu"], "cores": 2, "bf16": []}
NO_CUDA = "no CUDA device here"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Other tests of this process rely on the settings of a plain evaluation."""
    yield
    prepare(SETTINGS)


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    return asking(tmp_path_factory.mktemp("frames"))


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({}, None, ""),
        ({"threads": 2}, None, ""),
        ({"threads": 3}, "threads", "threads is 3.*may use 2 cores"),
        ({"device_class": "cuda"}, "device_class", "device_class is cuda.*here there is cpu"),
        ({"precision": "bf16"}, "precision", "precision is bf16.*take fp32"),
    ],
)
def test_what_a_machine_has_not_is_refused_with_the_value_and_a_way_out(
    changes: dict[str, Any], field: str | None, words: str
) -> None:
    refused = refusal(replace(SETTINGS, **changes), HERE)
    assert (refused[0] if refused else None) == field
    if refused:
        with pytest.raises(SettingsError, match=words):
            raise SettingsError(refused[1])
    assert lacking(replace(SETTINGS, **changes).to_json(), HERE) == (refused[1] if refused else "")


def test_settings_of_a_job_that_knew_none_of_them_lack_nothing() -> None:
    assert lacking({}, HERE) == ""
    assert lacking({"threads": "two"}, HERE) == "", "whoever takes the job says what is wrong with it"


def test_bf16_where_the_processor_computes_in_it() -> None:
    assert refusal(replace(SETTINGS, precision="bf16"), HERE | {"bf16": ["cpu"]}) is None


def test_an_evaluation_refuses_before_it_reads_the_picture(ask: Ask) -> None:
    more = cores() + 1 if cores() < 64 else 64
    if more > cores():
        with pytest.raises(SettingsError, match=f"threads is {more}"):
            evaluate(ask({"threads": more}, picture="/nowhere.png"), lambda _: None)


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_cuda_where_there_is_none_is_refused(ask: Ask) -> None:
    with pytest.raises(SettingsError, match="device_class is cuda"):
        evaluate(ask({"device_class": "cuda"}), lambda _: None)


@pytest.mark.skipif(cores() < 2, reason="one core")
def test_threads_are_those_of_the_settings_whatever_ran_before() -> None:
    for threads in (2, 1, 2):
        prepare(replace(SETTINGS, threads=threads))
        assert torch.get_num_threads() == threads


def test_the_fingerprint_of_a_search_has_its_threads() -> None:
    assert fingerprint_for(fingerprint(), 2) == fingerprint(threads=2)
    assert fingerprint_for({"torch": "another"}, 2) == {"torch": "another"}, "older ones knew no threads"
    assert fingerprint_for(None, 2) is None


def test_the_fingerprint_tells_what_was_set_by_hand_and_changes_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MKL_CBWR", "ONEDNN_DEFAULT_FPMATH_MODE"):
        monkeypatch.delenv(name, raising=False)
    plain = fingerprint()
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    assert fingerprint() == plain | {"environment": {"MKL_CBWR": "COMPATIBLE"}}


# -- the mode of an evaluator --------------------------------------------------------------------------


def test_the_mode_follows_the_device_unless_it_is_set() -> None:
    assert mode_for("cuda", {}) is Mode.KEPT
    assert mode_for("cpu", {"NASDIP_EVALUATOR": "kept"}) is Mode.KEPT
    with pytest.raises(SettingsError, match="a forked process can't use cuda"):
        mode_for("cuda", {"NASDIP_EVALUATOR": "fork"})
    with pytest.raises(SettingsError, match="'spawn'; allowed: fork, kept"):
        mode_for("cpu", {"NASDIP_EVALUATOR": "spawn"})


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_only_linux_forks(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", system)
    assert mode_for("cpu", {}) is (Mode.FORK if system == "linux" else Mode.KEPT)


def test_a_host_sees_a_gpu_only_if_it_is_its_device() -> None:
    assert host_environment(Mode.FORK, "cpu")["CUDA_VISIBLE_DEVICES"] == ""
    assert host_environment(Mode.KEPT, "cuda").get("CUDA_VISIBLE_DEVICES") != ""


# -- a kept child's memory of what it did ----------------------------------------------------------------


@pytest.mark.slow
def test_nothing_of_an_evaluation_meets_the_next_one_of_a_kept_child(ask: Ask) -> None:
    """Threads, precision, memory limit, task, a fit that diverges: whatever came between, the same bits after it."""
    odd = [
        ask(genome=OTHER.text),
        ask(genome=THIRD.text, hook="nan:"),
        ask(genome=OTHER.text, settings={"jitter": 0.1}),
    ]
    if cores() > 1:
        odd.append(ask({"threads": 2}))
    if "cpu" in abilities()["bf16"]:
        odd.append(ask({"precision": "bf16"}))
    with Host("evaluator", mode=Mode.FORK) as forked, Host("evaluator", mode=Mode.KEPT) as kept:
        alone = outcome(forked, ask())
        told = [outcome(forked, one) for one in odd]
        assert outcome(kept, ask()) == alone
        for request, expected in zip(odd, told, strict=True):
            assert outcome(kept, request, memory_limit_bytes=2**30) == expected
            assert outcome(kept, ask()) == alone
        assert kept.hello["fingerprint"] == forked.hello["fingerprint"]
        differ = {one["fitness_hex"] for one in [alone, *told]}
        assert len(differ) >= 4, "what came between was something else"


@pytest.mark.slow
def test_a_host_says_what_it_can_and_refuses_the_rest(ask: Ask) -> None:
    with Host("evaluator") as host:
        able = host.hello["abilities"]
        assert able == abilities()
        answer = host.run(ask({"threads": 64}))
    if able["cores"] < 64:
        assert isinstance(answer, Fault)
        assert answer.kind is FaultKind.ERROR
        assert answer.detail.startswith("SettingsError: threads is 64")


# -- CUDA: by construction, and where there is one -------------------------------------------------------

_WITHOUT_A_DETERMINISTIC_GRADIENT = (
    "upsample", "reflection_pad", "replication_pad", "grid_sampler", "scatter", "index_add", "index_put", "put_",
    "adaptive", "avg_pool", "max_pool", "embedding", "histc", "bincount", "cumsum", "kthvalue", "median", "ctc",
)  # fmt: skip
"""Families of operations for which torch names no deterministic CUDA kernel (use_deterministic_algorithms)."""


class Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(function.name())
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("task", [Task(TaskKind.DENOISE), Task(TaskKind.UPSCALE, 2)], ids=str)
def test_off_the_cpu_a_fit_uses_no_operation_without_a_deterministic_gradient(task: Task) -> None:
    """Shown on the meta device, which runs every operation but computes nothing."""
    device = torch.device("meta")
    degradation = degradation_for(task, photo(41, 36), None)
    height, width = degradation.output_size
    degradation = moved(degradation, device)
    phenotype = starters(5)[0].phenotype()
    network = build(phenotype, height, width, 8, generator(1, "weights")).to(device)
    with Recorder() as seen:
        output = network(noise_input(8, height, width, generator(1, "input")).to(device))
        (
            (degradation.observe(output) - degradation.observation) * degradation.known
        ).square().sum().backward()
    assert {"aten::convolution", "aten::convolution_backward"} <= seen.names
    assert not doubtful(seen)


def doubtful(seen: Recorder) -> set[str]:
    return {name for name in seen.names if any(word in name for word in _WITHOUT_A_DETERMINISTIC_GRADIENT)}


def test_the_cpus_own_resampling_would_be_seen() -> None:
    with Recorder() as seen:
        bilinear(torch.zeros(1, 1, 4, 4, requires_grad=True), 8, 8).sum().backward()
    assert "aten::upsample_bilinear2d_backward" in doubtful(seen)


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_CUDA)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_cuda_two_processes_give_the_same_bits(ask: Ask, precision: str) -> None:
    if precision == "bf16" and "cuda" not in abilities("cuda")["bf16"]:
        pytest.skip("this card does not compute in bf16")
    request = ask({"device_class": "cuda", "precision": precision})
    found = []
    for _ in range(2):
        with Host("evaluator", device="cuda") as host:
            assert host.hello["fingerprint"]["cuda_device"]
            found += [outcome(host, request), outcome(host, ask({"device_class": "cuda"}, genome=OTHER.text))]
    assert found[:2] == found[2:]
    assert found[0]["fitness"] > 0


def test_memory_is_the_container_s_where_it_has_a_limit(tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    whole = memory_bytes(limit)
    for text, expected in (("max\n", whole), ("1073741824\n", 2**30), (f"{2 * whole}\n", whole)):
        limit.write_text(text)
        assert memory_bytes(limit) == expected
