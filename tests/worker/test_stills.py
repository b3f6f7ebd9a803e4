"""The final fit that can be watched: its stills become files of the job, its curve numbered events; both stay thin."""

from __future__ import annotations

import base64
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from PIL import Image

from gpu_worker import finishing, preview
from gpu_worker.preview import Reporter
from gpu_worker.stills import Watcher
from nasdip_engine.learning import MOST_STILLS
from nasdip_engine.outcome_files import preview_of
from nasdip_engine.picture import Form, encode_png
from nasdip_engine.stills import Recorder
from tests.worker.cast import (
    SETTINGS,
    drive,
    let_leases_run_out,
    outcome_of,
    picture_pixels,
    queue,
    record,
    take,
    take_one,
)
from webapp.pictures import storage
from webapp.restorations import control, files, generations, leases
from webapp.restorations.learning import learning_of, stills_of
from webapp.restorations.leases import Lease
from webapp.restorations.models import Event, Job, JobFile
from webapp.restorations.snapshot import snapshot
from webapp.restorations.states import ItemKind, ItemState, JobState

LIMIT, EVERY = 100, 25


def finishing_job(job: Job) -> Job:
    return drive(job, until=lambda row: row.state == JobState.FINISHING)


def watched(taken: list[Lease]) -> tuple[Lease, list[Lease]]:
    """The lease that leaves stills, which must be one, and the others."""
    (one,) = [lease for lease in taken if lease.request.get("stills")]
    return one, [lease for lease in taken if lease is not one]


def encoded(output: np.ndarray) -> bytes:
    return preview_of(np.round(output * 255).astype(np.uint8), Form())


class Fit:
    """A fit as the evaluator's child makes it, stepped by the test: each output is a grey of its own."""

    def __init__(self, lease: Lease) -> None:
        self.folder = Path(lease.request["stills"])
        self._recorder = Recorder(self.folder, LIMIT, EVERY, encoded)
        self._done = 0
        self.curve: list[list[float]] = []

    @staticmethod
    def output(iteration: int) -> np.ndarray:
        return np.full((32, 40, 3), iteration / 255, np.float32)

    def go_to(self, iteration: int) -> None:
        for number in range(self._done + 1, iteration + 1):
            psnr = 20 - abs(number - 75) / 10 if number % EVERY == 0 else None
            if psnr is not None:
                self.curve.append([number, psnr])
            self._recorder.step(number, psnr, lambda number=number: self.output(number))
        self._done = iteration

    def stop(self) -> dict[str, Any]:
        """What its outcome has of it."""
        self._recorder.stop(75, self.output(75))
        return {
            "stills": self._recorder.stills, "curve": self.curve, "best_iteration": 75, "iterations": self._done,
        }  # fmt: skip


def ended(lease: Lease, more: dict[str, Any]) -> dict[str, Any]:
    """The outcome of a fit, its files stored as the worker does."""
    output = Path(lease.request["output"])
    output.write_bytes(b"float picture")
    return finishing.keep_files(lease, outcome_of(lease) | more)


def told(job: Job) -> list[dict[str, Any]]:
    return list(
        Event.objects.filter(job=job, kind="learning").order_by("number").values_list("data", flat=True)
    )


def test_the_best_networks_first_fit_is_watched_and_no_other(job: Job) -> None:
    record(take_one())
    assert take_one().request["stills"] is None, "a search fit"
    leases.give_back_worker("recorder")
    finishing_job(job)
    best = Job.objects.get(pk=job.pk).best_genome
    lease, others = watched(take())
    assert (lease.kind, lease.genome) == (ItemKind.FINISH, best)
    assert any(other.kind is ItemKind.FINISH for other in others)
    let_leases_run_out()
    leases.sweep()
    again, _ = watched(take())
    assert again.item_id == lease.item_id
    assert again.request["stills"] != lease.request["stills"], "a folder of its own"


def test_of_a_picture_in_tiles_the_first_one_is_watched(alice: User) -> None:
    job = queue(alice, width=150, height=70, overrides=SETTINGS | {"tile": 64, "tile_finalists": 2})
    finishing_job(job)
    lease, _ = watched(take())
    assert (lease.tile, lease.tiles) == (0, 6)
    fit = Fit(lease)
    fit.go_to(1)
    Watcher(lease, fit.folder).look()
    assert (told(job)[0]["tile"], told(job)[0]["tiles"]) == (0, 6)


def test_each_look_and_each_still_is_told_once_and_the_end_tells_all(job: Job) -> None:
    finishing_job(job)
    lease, _ = watched(take())
    watcher, fit = Watcher(lease, Path(lease.request["stills"])), Fit(lease)
    watcher.look()
    assert told(job) == [], "nothing is there yet"
    for until in (1, 60, 60, 80):
        fit.go_to(until)
        watcher.look()
    first, second, third = told(job)
    assert (first["curve"], [number for number, _ in first["stills"]]) == ([], [1])
    assert (second["curve"], [number for number, _ in second["stills"]]) == (
        [[25, 15.0], [50, 17.5]],
        [25, 50],
    )
    assert (third["curve"], [number for number, _ in third["stills"]]) == ([[75, 20.0]], [75])
    assert {event["of"] for event in told(job)} == {LIMIT}
    before = learning_of(job.pk)
    assert before is not None and before["best_iteration"] is None
    fit.go_to(LIMIT)
    more = fit.stop()
    watcher.look()
    watcher.look()
    last = told(job)[3]
    assert len(told(job)) == 4
    assert (last["best_iteration"], last["iterations"], last["refit_iterations"]) == (75, LIMIT, None)
    assert [number for number, _ in last["stills"]] == more["stills"] == [1, 25, 50, 75, 100]
    assert last["curve"][: len(before["curve"])] == before["curve"]
    assert last["stills"][: len(before["stills"])] == before["stills"]
    assert snapshot(Job.objects.get(pk=job.pk))["learning"] == last
    for iteration, digest in last["stills"]:
        with Image.open(storage.path(digest)) as still:
            assert still.format == "WEBP"
            assert still.convert("RGB").getpixel((9, 9)) == pytest.approx((iteration,) * 3, abs=2)


def test_a_page_that_comes_late_is_told_what_the_events_said(job: Job) -> None:
    """A worker is lost in the middle: the next one begins again, and its looks are those that were told."""
    finishing_job(job)
    lease, _ = watched(take())
    lost = Fit(lease)
    lost.go_to(80)
    Watcher(lease, lost.folder).look()
    before = learning_of(job.pk)
    assert before is not None
    let_leases_run_out()
    leases.sweep()
    lost.go_to(LIMIT)
    Watcher(lease, lost.folder).look()
    assert learning_of(job.pk) == before, "of a lost lease nothing is told"
    again, _ = watched(take())
    fit, watcher = Fit(again), Watcher(again, Path(again.request["stills"]))
    fit.go_to(30)
    watcher.look()
    assert learning_of(job.pk) == before, "the same looks, the same stills"
    assert len(told(job)) == 2


def test_stills_stay_with_the_result_and_go_with_the_job(job: Job) -> None:
    finishing_job(job)
    taken = take()
    lease, others = watched(taken)
    fit = Fit(lease)
    fit.go_to(LIMIT)
    outcome = ended(lease, fit.stop() | {"iterations": LIMIT + 75})
    stray = files.keep(job.pk, b"a still of an attempt on another machine")
    assert generations.record(lease, outcome)
    finishing.clear(lease)
    assert not fit.folder.exists()
    end = told(job)[-1]
    assert (end["iterations"], end["refit_iterations"]) == (LIMIT, 75)
    for other in others:
        assert record(other)
    combine = take_one()
    assert record(combine)
    finishing.conclude(combine)
    done = Job.objects.get(pk=job.pk)
    assert done.state == JobState.DONE
    first, *rest = done.run["final"]["networks"]
    assert first["learning"]["refit_iterations"] == 75
    assert [iteration for iteration, _ in first["learning"]["curve"]] == [25, 50, 75, 100]
    assert all(network["learning"] is not None for network in rest), "of each network's fit, its curve"
    kept = stills_of(done)
    assert kept is not None
    genome, digests = kept
    assert genome == lease.genome and sorted(digests) == [1, 25, 50, 75, 100]
    assert all(storage.exists(digest) for digest in digests.values())
    assert not storage.exists(stray)
    control.delete(done)
    assert not any(storage.exists(digest) for digest in digests.values())
    assert not JobFile.objects.filter(digest__in=digests.values()).exists()


def test_a_fit_that_comes_to_no_end_leaves_nothing_to_watch(job: Job) -> None:
    finishing_job(job)
    lease, others = watched(take())
    Fit(lease).go_to(30)
    assert generations.record(lease, outcome_of(lease) | {"reason": "diverged: NaN", "array": None})
    for other in others:
        assert record(other)
    done = drive(job)
    assert done.state == JobState.DONE
    assert stills_of(done) is None and told(done) == []
    assert done.run["final"]["networks"][0]["learning"] is None


def test_the_worker_tells_it_with_its_progress(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(preview, "time", SimpleNamespace(monotonic=lambda: now))
    finishing_job(job)
    lease, _ = watched(take())
    fit, reporter = Fit(lease), Reporter(lease)
    picture = base64.b64encode(encode_png(picture_pixels())).decode("ascii")
    sign = {"iteration": 30, "of": LIMIT, "loss": 0.1, "held_out_psnr": 15.0, "preview": picture}
    fit.go_to(30)
    reporter(sign)
    assert told(job) == [], "at most once a second"
    now += preview.SECONDS_APART
    reporter(sign)
    assert [event["curve"] for event in told(job)] == [[[25, 15.0]]]
    lease_row = Job.objects.get(pk=job.pk).items.get(pk=lease.item_id)
    assert lease_row.state == ItemState.LEASED


def test_the_stills_of_a_job_have_less_than_a_megabyte(job: Job) -> None:
    """The worst that there is: noise in every pixel, twelve times."""
    finishing_job(job)
    lease, _ = watched(take())
    rng = np.random.Generator(np.random.PCG64(3))
    recorder = Recorder(Path(lease.request["stills"]), 2000, EVERY, encoded)
    for iteration in range(1, 1996):
        look = 20.0 if iteration % EVERY == 0 else None
        recorder.step(iteration, look, lambda: rng.random((256, 256, 3), dtype=np.float32))
    recorder.stop(1700, rng.random((256, 256, 3), dtype=np.float32))
    assert len(recorder.stills) == MOST_STILLS - 1
    outcome = ended(lease, {"stills": recorder.stills})
    sizes = [storage.path(digest).stat().st_size for digest in outcome["still_files"].values()]
    assert sum(sizes) / len(sizes) * MOST_STILLS < 1_000_000
