"""Genomes that crash, hang or diverge cost their own fitness, or stop the job with the cause: nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from nasdip_engine.genome.genome import Genome
from tests.chaos.instance import Instance, check_the_rows
from webapp.restorations import control
from webapp.restorations.models import Generation, Job, WorkItem
from webapp.restorations.states import ItemState, JobState

pytestmark = [pytest.mark.chaos, pytest.mark.slow]


def victim(undisturbed: dict[str, Any]) -> str:
    """The last genome of generation 0, which is no starter."""
    return undisturbed["generations"][0]["genomes"][-1]


def hook(fault: str, genome: str) -> str:
    return f"{fault}:{Genome.parse(genome).phenotype().digest}"


def others_are_as_ever(job: Job, undisturbed: dict[str, Any], genome: str) -> bool:
    """Whether every other genome of generation 0 has its undisturbed fitness, to the bit."""
    expected = undisturbed["generations"][0]
    row = Generation.objects.get(job=job, number=0)
    assert row.genomes == expected["genomes"]
    for text, found, wanted in zip(row.genomes, row.fitness or [], expected["fitness_hex"], strict=True):
        assert float.fromhex(found) == (0.0 if text == genome else float.fromhex(wanted))
    return True


def test_a_genome_that_segfaults_costs_its_own_fitness(
    instance: Instance, undisturbed: dict[str, Any]
) -> None:
    genome = victim(undisturbed)
    instance.worker("worker", hook=hook("segfault", genome))
    job = instance.submit()
    done = instance.wait_until(job, JobState.DONE)
    row = WorkItem.objects.get(job=job, kind="evaluate", genome=genome)
    assert (row.state, row.crashes) == (ItemState.POISONED, 2)
    assert "SIGSEGV" in row.outcome["reason"]
    assert instance.faults(job) == ["crash", "crash"]
    assert done.run["generations"][0]["failed"] == 1
    assert others_are_as_ever(job, undisturbed, genome)
    check_the_rows(job)


def test_a_genome_that_gives_nan_costs_its_own_fitness(
    instance: Instance, undisturbed: dict[str, Any]
) -> None:
    genome = victim(undisturbed)
    instance.worker("worker", hook=hook("nan", genome))
    job = instance.submit()
    instance.wait_until(job, JobState.DONE)
    row = WorkItem.objects.get(job=job, kind="evaluate", genome=genome)
    assert (row.state, row.outcome["fitness"]) == (ItemState.DONE, 0)
    assert "diverged" in row.outcome["reason"]
    assert instance.faults(job) == [], "an outcome, not a fault"
    assert others_are_as_ever(job, undisturbed, genome)
    check_the_rows(job)


def test_a_genome_that_hangs_pauses_the_job_which_may_go_on_without_it(
    instance: Instance, undisturbed: dict[str, Any]
) -> None:
    genome = victim(undisturbed)
    instance.worker("worker", hook=hook("hang", genome), heartbeat=3)
    job = instance.submit()
    paused = instance.wait_until(job, JobState.PAUSED)
    assert paused.fault_class == "hang"
    assert genome in paused.reason
    assert set(instance.faults(job)) == {"hang"}
    row = WorkItem.objects.get(job=job, kind="evaluate", genome=genome)
    assert row.outcome is None, "wall time decides no fitness"
    control.go_on_without(job.pk, job.owner)
    done = instance.wait_until(job, JobState.DONE)
    assert [entry["genome"] for entry in done.run["excluded"]] == [genome]
    assert others_are_as_ever(job, undisturbed, genome)
    check_the_rows(job)
