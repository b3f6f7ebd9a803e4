"""What a job asked for, as the engine's own values."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from nasdip_engine.evolution.search import EXCLUDED, evaluation_key, refusal, stop_at
from nasdip_engine.evolution.settings import SearchSettings
from nasdip_engine.genome.genome import Genome
from nasdip_engine.seeding import Seeds
from nasdip_engine.task import Task
from webapp.restorations.models import Job

__all__ = ["Plan", "Slot", "frames_of_final", "largest_of_final"]


@dataclass(frozen=True)
class Slot:
    """One genome of a population: the key of its work item, and why it gets fitness 0 untrained, or None."""

    genome: str
    key: str
    refused: str | None


@dataclass(frozen=True)
class Plan:
    """Task, settings and seeds of a job; `frame` is the digest of the search frame, once it is made."""

    task: Task
    settings: SearchSettings
    seeds: Seeds
    frame: str
    excluded: frozenset[str]
    """Keys of the genomes that the owner took out of the search."""

    @classmethod
    def of(cls, job: Job) -> Plan:
        """Read the job's row."""
        settings = SearchSettings.from_json(job.settings)
        return cls(
            task=task_of(job, settings),
            settings=settings,
            seeds=Seeds.from_json(job.seeds),
            frame=(job.frames or {}).get("key", ""),
            excluded=frozenset(entry["key"] for entry in job.excluded),
        )

    def slot(self, genome: str, rung: int | None = None) -> Slot:
        """The key of a genome: equal for genomes of one phenotype, so that none is trained twice in a job.

        rung: the key is that of the fit which is stopped at that rung of the settings' race; None: of the whole fit.
        """
        why = refusal(genome, self.settings)
        if why is not None:
            return Slot(genome, "refused:" + hashlib.sha256(genome.encode()).hexdigest(), why)
        digest = Genome.parse(genome).phenotype().digest
        stop = None if rung is None else stop_at(genome, self.settings, rung)
        key = evaluation_key(self.frame, self.task, self.settings, self.seeds, digest, stop=stop)
        return Slot(genome, key, EXCLUDED if key in self.excluded else None)

    def to_json(self) -> dict[str, Any]:
        """The part that every request to an evaluator carries."""
        return {
            "task": self.task.to_json(),
            "settings": self.settings.to_json(),
            "evaluation_seed": self.seeds.evaluation_seed,
        }


def frames_of_final(job: Job) -> list[dict[str, Any]]:
    """The frames of the job's final fit, which a worker made: one where the picture is fitted whole."""
    frames = job.frames or {}
    return list(frames.get("tiles") or [frames["final"]])


def largest_of_final(job: Job) -> tuple[int, int]:
    """(height, width) in output pixels of the largest final fit."""
    frames = frames_of_final(job)
    height, width = (max(frame[side] for frame in frames) for side in ("height", "width"))
    return height * job.factor, width * job.factor


def task_of(job: Job, settings: SearchSettings) -> Task:
    """The job's task; the kernel stands in the settings."""
    return Task.from_json(
        {"kind": job.task, "factor": job.factor, "kernel": settings.kernel, "noise": job.noise}
    )
