"""Each reference is a work item of its own: made, left out with a sentence, or lost, without harm to the others."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from gpu_worker import finishing
from nasdip_engine.baseline_names import left_out_record
from tests.worker.cast import Trouble, drive, let_leases_run_out, record, take
from tests.worker.test_control import finals_of, give_up
from webapp.restorations import control, generations, leases
from webapp.restorations import finals as job_finals
from webapp.restorations.leases import Lease
from webapp.restorations.models import Event, Job, WorkItem
from webapp.restorations.references import made_references
from webapp.restorations.snapshot import snapshot
from webapp.restorations.states import ItemKind, JobState


def fault(lease: Lease, trouble: Trouble, times: int) -> None:
    """Let the item of a lease fault so often; its job goes on after each but the last."""
    for left in reversed(range(times)):
        assert leases.give_back(lease, trouble)
        if left:
            lease = next(again for again in take() if again.item_id == lease.item_id)


@pytest.mark.parametrize(
    ("kind", "times", "said"),
    [
        ("crash", 2, "it crashed 2 fresh evaluators on cpu: no luck."),
        ("memory", 3, "it could not be computed: 3 tries failed, the last one so: no luck."),
        ("hang", 3, "it could not be computed: 3 tries failed, the last one so: no luck."),
    ],
)
def test_a_reference_that_always_faults_is_left_out_alone_and_the_run_says_so(
    job: Job, kind: str, times: int, said: str
) -> None:
    finals = finals_of(job)
    for fit in finals[ItemKind.FINISH]:
        assert record(fit)
    (combine,) = take()
    failing, *others = finals[ItemKind.BASELINE]
    for reference in others:
        assert record(reference)
    assert record(combine), "all else is there"
    assert Job.objects.get(pk=job.pk).state == JobState.FINISHING
    fault(failing, Trouble(kind, "no luck"), times)
    done = Job.objects.get(pk=job.pk)
    assert (done.state, done.reason, done.run["excluded"]) == (JobState.DONE, "", [])
    methods = [lease.request["method"] for lease in others]
    first, *made = done.run["baselines"]
    assert first == left_out_record("non-local means", f"non-local means: {said}")
    assert [record["method"] for record in made] == methods
    assert done.run["baseline"]["method"] == methods[0]
    assert not Event.objects.filter(job=job, kind="paused").exists()


def test_a_full_disk_pauses_the_job_and_its_owner_may_do_without_the_reference(job: Job, alice: User) -> None:
    finals = finals_of(job)
    for lease in (*finals[ItemKind.FINISH], *finals[ItemKind.BASELINE][1:]):
        assert record(lease)
    (combine,) = take()
    assert record(combine)
    give_up(finals[ItemKind.BASELINE][0], "disk_full")
    paused = Job.objects.get(pk=job.pk)
    assert paused.reason.startswith("the reference “non-local means”: 3 tries failed")
    done = control.go_on_without(job.pk, alice)
    assert done.state == JobState.DONE
    assert done.run["baselines"][0]["left_out"] == (
        "non-local means: it was left out by the owner of this restoration."
    )
    (entry,) = done.run["excluded"]
    assert (entry["kind"], entry["key"]) == ("baseline", "baseline:non-local-means")


def test_a_job_without_any_reference_is_done_all_the_same(job: Job) -> None:
    finals = finals_of(job)
    for fit in finals[ItemKind.FINISH]:
        assert record(fit)
    (combine,) = take()
    assert record(combine)
    for reference in finals[ItemKind.BASELINE]:
        fault(reference, Trouble("memory"), 3)
    done = Job.objects.get(pk=job.pk)
    assert (done.state, done.run["baseline"]) == (JobState.DONE, None)
    assert [bool(record["left_out"]) for record in done.run["baselines"]] == [True] * 3
    assert made_references(done) == []


def test_a_job_of_an_older_version_finishes_with_its_one_reference(job: Job) -> None:
    """Its only item of the kind has the key "baseline" and names no method: the evaluator takes the task's own."""
    finals = finals_of(job)
    items = [lease.item_id for lease in finals[ItemKind.BASELINE]]
    WorkItem.objects.filter(pk__in=items[1:]).delete()
    WorkItem.objects.filter(pk=items[0]).update(key="baseline")
    let_leases_run_out()
    leases.sweep()
    done = drive(job)
    assert done.state == JobState.DONE
    assert done.run["baseline"]["method"] == "non-local means"
    assert done.run["baselines"] == [done.run["baseline"]]


def test_what_a_reference_made_is_kept_and_what_left_one_out_is_told(job: Job) -> None:
    finals = finals_of(job)
    for fit in finals[ItemKind.FINISH]:
        assert record(fit)
    means, bm3d, blur = finals[ItemKind.BASELINE]
    assert [lease.request["method"] for lease in (means, bm3d, blur)] == [
        "non-local means",
        "BM3D",
        "Gaussian blur",
    ]
    assert record(blur) and record(means)
    told = finishing.keep_files(bm3d, left_out_record("BM3D", "It is not installed."))
    assert generations.record(bm3d, told)
    done = drive(job)
    assert [(record["method"], record.get("left_out")) for record in done.run["baselines"]] == [
        ("non-local means", None),
        ("BM3D", "It is not installed."),
        ("Gaussian blur", None),
    ]
    events = Event.objects.filter(job=job, kind="baseline").order_by("number")
    assert [event.data["method"] for event in events] == ["Gaussian blur", "non-local means"]
    shown = snapshot(done)
    assert shown["baseline"] == shown["baselines"][0] == {"method": "non-local means", "held_out_psnr": 21.5}
    kept = {outcome["picture"] for outcome in made_references(done)}
    assert len(kept) == 1 and kept.isdisjoint(job_finals.leftovers(done.pk))
