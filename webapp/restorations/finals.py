"""From the last generation to the result: final fits, the references beside them, the combination, done.

The steps are rows like any other work: `finish` for each finalist (and for each tile of a picture that is not
fitted whole) and `baseline` for each reference at once, `combine` when the fits are there, and the job is done when
all are.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Exists, OuterRef
from django.db.models.fields.json import KT
from django.utils import timezone

from nasdip_engine.baseline_names import baseline_key, baselines_of
from nasdip_engine.evolution.history import Closed
from nasdip_engine.evolution.search import Ranked, best_of, finalists_of
from nasdip_engine.finals import final_key
from webapp.restorations import events, notify
from webapp.restorations.assignments import finished
from webapp.restorations.events import EventKind
from webapp.restorations.learning import stills_of
from webapp.restorations.models import Event, Job, JobFile, WorkItem
from webapp.restorations.plan import Plan, frames_of_final, largest_of_final
from webapp.restorations.references import made_references
from webapp.restorations.results import run_of
from webapp.restorations.states import ENDED, SETTLED, ItemKind, ItemState, JobState
from webapp.restorations.transitions import fail, move

__all__ = [
    "COMBINE_KEY",
    "advance_finals",
    "done_without_discoveries",
    "enter_finishing",
    "final_fits",
    "last_preview",
    "leftovers",
    "open_finals",
    "unused_arrays",
]

COMBINE_KEY = "combine"


def open_finals(job: Job, plan: Plan, history: Sequence[Closed]) -> None:
    """Write the rows of the final fits, inside the transaction that closed the last generation."""
    ranked = best_of(history, plan.settings)
    if not ranked:
        fail(job.pk, "No network of the search could be trained on this picture: every fitness is 0.")
        return
    height, width = largest_of_final(job)
    tiles = len(frames_of_final(job))
    finalists = finalists_of(history, plan.settings, height, width, tiles)
    if not finalists:
        fail(
            job.pk,
            f"No network of the search fits {width} x {height} pixels in memory; take a smaller factor.",
        )
        return
    _settle_best(job, plan, ranked[0])
    rows = [
        WorkItem(
            job=job,
            kind=ItemKind.FINISH,
            key=final_key(one.digest, tile, tiles),
            genome=one.genome,
            device_class=job.device_class,
        )
        for tile in range(tiles)
        for one in finalists
    ]
    rows += [
        WorkItem(job=job, kind=ItemKind.BASELINE, key=baseline_key(name), device_class=job.device_class)
        for name in baselines_of(plan.task)
    ]
    WorkItem.objects.bulk_create(rows)
    enter_finishing(job)
    notify.look(len(rows))


def _settle_best(job: Job, plan: Plan, best: Ranked) -> None:
    """The best network of the search is the job's; told where another one was thought best, and then died on a later rung."""
    if Job.objects.filter(pk=job.pk, best_genome=best.genome, best_fitness=best.fitness).exists():
        return
    Job.objects.filter(pk=job.pk).update(best_genome=best.genome, best_fitness=best.fitness)
    keys = {plan.slot(best.genome, rung).key for rung in range(plan.settings.race.last + 1)}
    outcomes = (
        WorkItem.objects.filter(job=job, key__in=keys).order_by("-rung").values_list("outcome", flat=True)
    )
    psnr = next((one["held_out_psnr"] for one in outcomes if one and one["fitness"] > 0), None)
    told = {"fitness": best.fitness, "genome": best.genome, "preview": "", "held_out_psnr": psnr}
    events.append(job.pk, EventKind.BEST, told)


def enter_finishing(job: Job) -> None:
    """A running job whose generations are all closed is finishing; one being paused gets there later."""
    if move(job.pk, JobState.FINISHING, {JobState.RUNNING}):
        events.append(job.pk, EventKind.FINISHING)


def final_fits(job_id: UUID) -> dict[str, int]:
    """How many final fits, over all tiles, a job has ("fits") and how many of them are settled ("done")."""
    fits = WorkItem.objects.filter(job_id=job_id, kind=ItemKind.FINISH)
    return {"done": fits.filter(state__in=SETTLED).count(), "fits": fits.count()}


def advance_finals(job: Job) -> None:
    """Take the next step of finishing, if what it needs is there.  The caller holds the job."""
    fits = list(WorkItem.objects.filter(job=job, kind=ItemKind.FINISH).order_by("id"))
    if not fits or any(item.state not in SETTLED for item in fits):
        return
    combine = WorkItem.objects.filter(job=job, key=COMBINE_KEY).first()
    if combine is None:
        made = finished(job)
        if not all(made):
            failed = {str(reason) for item in fits if (reason := (item.outcome or {}).get("reason"))}
            missing = sum(not fit for fit in made)
            where = "at full size" if len(made) == 1 else f"for {missing} of {len(made)} tiles"
            reasons = "; ".join(sorted(failed))
            fail(job.pk, f"None of the best networks gave a result {where}: {reasons}.")
            return
        WorkItem.objects.create(
            job=job, kind=ItemKind.COMBINE, key=COMBINE_KEY, device_class=job.device_class
        )
        notify.look()
        return
    open_references = WorkItem.objects.filter(job=job, kind=ItemKind.BASELINE).exclude(state__in=SETTLED)
    if combine.state == ItemState.DONE and not open_references.exists():
        _complete(job, combine)


def _complete(job: Job, combine: WorkItem) -> None:
    result = (combine.outcome or {})["result"]
    now = timezone.now()
    moved = move(
        job.pk,
        JobState.DONE,
        finished_at=now,
        result_digest=result,
        preview_digest="",
        run=run_of(job, now),
        reason="",
        fault_class="",
    )
    if moved:
        events.append(job.pk, EventKind.DONE, {"result": result})


def leftovers(job_id: UUID) -> set[str]:
    """Files that a job which is done needs no more: frames, float pictures, old previews."""
    job = Job.objects.get(pk=job_id)
    if job.state != JobState.DONE:
        return set()
    needed = {job.result_digest, job.mask_digest}
    needed |= {last_preview(job, kind) for kind in (EventKind.BEST, EventKind.FINAL_PROGRESS)}
    watched = stills_of(job)
    needed |= set(watched[1].values()) if watched else set()
    needed |= {outcome["picture"] for outcome in made_references(job)}
    return set(JobFile.objects.filter(job=job).exclude(digest__in=needed).values_list("digest", flat=True))


def last_preview(job: Job, kind: EventKind) -> str:
    """The newest picture that events of a kind showed, by digest; "" where none did.

    An event without one leaves the picture before it in sight, as on a page that reads them one by one.
    """
    told = Event.objects.filter(job=job, kind=kind).exclude(data__preview="").order_by("-number").first()
    return str(told.data["preview"]) if told else ""


def unused_arrays() -> dict[UUID, set[str]]:
    """Float pictures that ended jobs still keep, by job: nobody will combine them any more.

    A job that is done has some where its end was nobody's `conclude`: a kill, or its owner's act, came in between.
    """
    fits = WorkItem.objects.filter(kind=ItemKind.FINISH, state=ItemState.DONE, job__state__in=ENDED)
    kept = JobFile.objects.filter(job=OuterRef("job"), digest=OuterRef("array"))
    found: dict[UUID, set[str]] = {}
    for job_id, array in (
        fits.annotate(array=KT("outcome__array")).filter(Exists(kept)).values_list("job_id", "array")
    ):
        found.setdefault(job_id, set()).add(array)
    return found


def done_without_discoveries() -> list[Job]:
    """Finished searches whose best architectures are not recorded yet."""
    return list(Job.objects.filter(state=JobState.DONE, discoveries__isnull=True))
