"""What a finished search found: its best distinct networks, as rows that outlive the job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasdip_engine.evolution.search import Ranked, best_of
from nasdip_engine.evolution.settings import SearchSettings
from webapp.architectures.models import Discovery

if TYPE_CHECKING:
    from webapp.restorations.models import Job

__all__ = ["KEPT", "record"]

KEPT = 3
"""Networks recorded of one search."""


def record(job: Job) -> list[Discovery]:
    """Record the best networks of a job whose generations are all closed; twice changes nothing.

    gain_over_starter is the difference in fitness to the best hand-made network of the same search, None
    where no hand-made network lived, or a race stopped them all.
    """
    # Here, not above: finishing a job imports this room, and the generations import finishing.
    from webapp.restorations.generations import history_of

    settings = SearchSettings.from_json(job.settings)
    ranked = best_of(history_of(job), settings)
    starter = next((one.fitness for one in ranked if one.starter), None)
    Discovery.objects.bulk_create(
        [_row(job, settings, one, rank, starter) for rank, one in enumerate(ranked[:KEPT], start=1)],
        ignore_conflicts=True,
    )
    return list(Discovery.objects.filter(job=job).order_by("rank"))


def _row(job: Job, settings: SearchSettings, one: Ranked, rank: int, starter: float | None) -> Discovery:
    return Discovery(
        job=job,
        owner_id=job.owner_id,
        task=job.task,
        genome=one.genome,
        phenotype_digest=one.digest,
        fitness=one.fitness,
        gain_over_starter=None if starter is None else one.fitness - starter,
        multiply_adds=round(one.multiply_adds_per_pixel * settings.crop**2),
        is_starter=one.starter,
        rank=rank,
    )
