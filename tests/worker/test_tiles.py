"""The final fit of a picture that is larger than a tile: each tile is a row, leased, lost and counted by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from PIL import Image

from gpu_worker import finishing, heartbeat
from nasdip_engine.baseline_names import baselines_of
from nasdip_engine.errors import PictureError
from nasdip_engine.framing import final_windows
from nasdip_engine.picture import encode_mask
from tests.worker.cast import (
    SETTINGS,
    Trouble,
    drive,
    let_leases_run_out,
    outcome_of,
    picture_pixels,
    queue,
    record,
    take,
    take_one,
)
from tests.worker.test_files import age
from webapp.pictures import storage
from webapp.restorations import control, estimates, generations, leases, progress
from webapp.restorations.leases import Lease
from webapp.restorations.models import Event, Job, JobFile, WorkItem
from webapp.restorations.plan import Plan
from webapp.restorations.snapshot import snapshot
from webapp.restorations.states import ItemKind, ItemState, JobState

TILED = SETTINGS | {"tile": 64}
WIDTH, HEIGHT, TILES = 150, 70, 6


@pytest.fixture
def tiled(alice: User) -> Job:
    """A queued job on a picture of 150 x 70 pixels, in six tiles of at most 64."""
    return queue(alice, width=WIDTH, height=HEIGHT, overrides=TILED)


def finishing_job(job: Job) -> Job:
    return drive(job, until=lambda row: row.state == JobState.FINISHING)


def fits(taken: list[Lease]) -> list[Lease]:
    return [lease for lease in taken if lease.kind is ItemKind.FINISH]


def test_every_tile_is_a_row_that_asks_for_its_own_pixels(tiled: Job) -> None:
    finishing_job(tiled)
    taken = take()
    tiles, references = fits(taken), [lease for lease in taken if lease.kind is ItemKind.BASELINE]
    assert [(lease.kind, lease.tile, lease.tiles) for lease in tiles] == [
        (ItemKind.FINISH, tile, TILES) for tile in range(TILES)
    ]
    assert len({lease.genome for lease in tiles}) == 1, "the best network alone, where nothing else is set"
    pixels = picture_pixels(HEIGHT, WIDTH)
    for lease, window in zip(tiles, final_windows(HEIGHT, WIDTH, None, Plan.of(tiled).task, 64), strict=True):
        x, y, width, height = window.box
        with Image.open(lease.request["picture"]) as frame:
            assert (np.asarray(frame) == pixels[y : y + height, x : x + width]).all()
    assert [lease.request["method"] for lease in references] == list(baselines_of(Plan.of(tiled).task))
    assert all(len(lease.request["parts"]) == TILES for lease in references)


def test_the_result_is_put_together_from_all_of_them(tiled: Job) -> None:
    finishing_job(tiled)
    for lease in take():
        assert record(lease)
    combine = take_one()
    assert combine.kind is ItemKind.COMBINE
    assert combine.request["size"] == [HEIGHT, WIDTH]
    assert combine.request["output"].endswith(".npy")
    arrays = [part["inputs"] for part in combine.request["parts"]]
    assert [len(files) for files in arrays] == [1] * TILES
    assert all(f"tile {tile}" in Path(files[0]).read_text() for tile, files in enumerate(arrays))
    assert record(combine)
    done = Job.objects.get(pk=tiled.pk)
    assert done.state == JobState.DONE
    assert done.run["picture"]["final_frame"] is None
    assert [tile["box"] for tile in done.run["picture"]["tiles"]] == [
        tile["box"] for tile in done.run["final"]["tiles"]
    ]
    (network,) = done.run["final"]["networks"]
    assert network["iterations"] == TILES * 20
    assert done.run["settings"]["tile"] == 64


def test_two_networks_fit_every_tile_where_the_settings_say_so(alice: User) -> None:
    job = queue(alice, width=WIDTH, height=HEIGHT, overrides=TILED | {"tile_finalists": 2})
    done = drive(job)
    assert WorkItem.objects.filter(job=job, kind=ItemKind.FINISH).count() == 2 * TILES
    assert len(done.run["final"]["networks"]) == 2


def test_a_lost_tile_is_handed_out_again_and_no_other(tiled: Job) -> None:
    finishing_job(tiled)
    first, lost, *others = take()
    for lease in (first, *others):
        assert record(lease)
    let_leases_run_out()
    assert leases.sweep() == 1
    again = take_one()
    assert (again.kind, again.tile) == (ItemKind.FINISH, lost.tile)
    assert not record(lost), "the old token writes nothing"
    assert record(again)
    assert drive(tiled).state == JobState.DONE


def test_a_tile_that_no_network_can_fit_fails_the_job_and_says_how_many(tiled: Job) -> None:
    finishing_job(tiled)
    diverged, *others = fits(take())
    assert generations.record(diverged, outcome_of(diverged) | {"reason": "diverged: NaN", "array": None})
    for lease in others:
        assert record(lease)
    failed = Job.objects.get(pk=tiled.pk)
    assert failed.state == JobState.FAILED
    assert "for 1 of 6 tiles: diverged: NaN" in failed.reason


def test_a_job_can_not_go_on_without_the_only_fit_of_a_tile(tiled: Job, alice: User) -> None:
    finishing_job(tiled)
    failing, *others = fits(take())
    for lease in others:
        record(lease)
    while Job.objects.get(pk=tiled.pk).state != JobState.PAUSED:
        leases.give_back(failing, Trouble("hang"))
        failing = next(iter(fits(take())), failing)
    with pytest.raises(control.NotPossible, match="No other network"):
        control.go_on_without(tiled.pk, alice)
    control.resume(tiled.pk, alice)
    leases.give_back_worker("recorder")
    assert drive(tiled).state == JobState.DONE


def test_tiles_are_counted_and_so_is_the_time_left(tiled: Job) -> None:
    drive(tiled, until=lambda row: row.generation == 1)
    searching = Job.objects.get(pk=tiled.pk)
    assert snapshot(searching)["finals"] is None
    finishing_job(tiled)
    tiles = fits(take())
    left = []
    for done, lease in enumerate(tiles[:4]):
        assert snapshot(Job.objects.get(pk=tiled.pk))["finals"] == {
            "tiles": TILES,
            "done": done,
            "fits": TILES,
        }
        left.append(estimates.seconds_left(Job.objects.get(pk=tiled.pk)))
        record(lease)
    assert left[1:] == [0.5 * open_fits for open_fits in (5, 4, 3)], "what the tiles so far took"
    told = {"iteration": 3, "of": 30, "held_out_psnr": 20.0}
    assert progress.report(tiles[4], told, "")
    event = Event.objects.filter(job=tiled, kind="final_progress").latest("number").data
    assert (event["tile"], event["tiles"], event["done"], event["fits"]) == (4, TILES, 4, TILES)
    assert snapshot(Job.objects.get(pk=tiled.pk))["best_of_whole"] is False, "a tile is not the whole picture"


def test_a_tiled_job_costs_what_all_its_tiles_cost(tiled: Job) -> None:
    settings, task = Plan.of(tiled).settings, Plan.of(tiled).task
    windows = final_windows(HEIGHT, WIDTH, None, task, 64)
    pixels = sum(window.size[0] * window.size[1] for window in windows)
    whole = estimates.guess(settings, task, pixels, 1)
    in_tiles = estimates.guess(settings, task, pixels, 1, tiles=TILES)
    one_network = estimates.guess(settings, task, 2 * pixels, 1, tiles=TILES) - in_tiles
    assert whole - in_tiles == pytest.approx((settings.finalists - 1) * one_network), (
        "one network instead of two"
    )


def test_files_of_tiles_go_with_the_result(tiled: Job) -> None:
    finishing_job(tiled)
    taken = take()
    arrays = [outcome_of(lease)["array"] for lease in fits(taken)]
    frames = [frame["picture"] for frame in (Job.objects.get(pk=tiled.pk).frames or {})["tiles"]]
    for lease in taken:
        record(lease)
    combine = take_one()
    record(combine)
    finishing.conclude(combine)
    assert not any(storage.exists(digest) for digest in (*arrays, *frames))
    done = Job.objects.get(pk=tiled.pk)
    assert storage.exists(done.result_digest)
    assert storage.exists(done.picture.digest)


def test_a_job_that_was_done_without_its_worker_keeps_no_float_pictures(tiled: Job) -> None:
    """As where the worker was killed between the outcome and what follows, or the owner did without a reference."""
    finishing_job(tiled)
    taken = take()
    arrays = [outcome_of(lease)["array"] for lease in fits(taken)]
    for lease in taken:
        record(lease)
    heartbeat.tidy()
    assert all(storage.exists(array) for array in arrays), "they are still to be put together"
    record(take_one())
    done = Job.objects.get(pk=tiled.pk)
    assert done.state == JobState.DONE
    heartbeat.tidy()
    assert not any(storage.exists(array) for array in arrays)
    assert not JobFile.objects.filter(job=tiled, digest__in=arrays).exists()
    assert storage.exists(done.result_digest)


def test_a_cancelled_job_keeps_no_float_pictures(tiled: Job, alice: User) -> None:
    finishing_job(tiled)
    first, *_ = fits(take())
    record(first)
    (array,) = [
        row["array"] for row in WorkItem.objects.filter(pk=first.item_id).values_list("outcome", flat=True)
    ]
    control.cancel(tiled.pk, alice)
    leases.give_back_worker("recorder")
    assert Job.objects.get(pk=tiled.pk).state == JobState.CANCELLED
    assert storage.exists(array)
    heartbeat.tidy()
    assert not storage.exists(array)
    assert not JobFile.objects.filter(job=tiled, digest=array).exists()


@pytest.mark.usefixtures("job")
def test_scratch_of_a_killed_combination_is_tidied_away() -> None:
    folder = storage.scratch("token.npy.abc")
    folder.mkdir()
    (folder / "1.npy").write_bytes(b"float picture")
    age(folder)
    heartbeat.tidy()
    assert not folder.exists()


def test_windows_around_holes_are_tiles_too(alice: User) -> None:
    known = np.ones((HEIGHT, WIDTH), np.bool_)
    known[30:33, 10:140] = False
    mask = storage.put(encode_mask(known))
    job = queue(
        alice, width=WIDTH, height=HEIGHT, task="inpaint", mask_digest=mask, overrides=TILED | {"tile": 96}
    )
    finishing_job(job)
    taken = fits(take())
    assert len(taken) == 2
    assert all(lease.request["mask"] for lease in taken)
    for lease in taken:
        record(lease)
    leases.give_back_worker("recorder")
    assert drive(job).state == JobState.DONE


def test_a_result_over_100_megapixels_is_refused_before_anything_is_queued(alice: User) -> None:
    before = Job.objects.count()
    with pytest.raises(PictureError, match="megapixels; a result has up to 100"):
        queue(alice, width=1300, height=1300, task="upscale", factor=8)
    assert Job.objects.count() == before


def test_what_is_recorded_of_a_tile_is_settled_like_any_other(tiled: Job) -> None:
    states: dict[str, Any] = {}
    drive(tiled)
    for row in WorkItem.objects.filter(job=tiled, kind=ItemKind.FINISH):
        states[row.key] = row.state
    assert set(states.values()) == {ItemState.DONE}
    assert len({key.rsplit(":", 1)[0] for key in states}) == 1
    assert sorted(int(key.rsplit(":", 1)[1]) for key in states) == list(range(TILES))
