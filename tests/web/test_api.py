"""The JSON API as a client uses it: submit, follow, steer, fetch, and every refusal as a problem."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User

from tests.web.cast import Api, decoded, encoded, photograph
from tests.web.drive import SMALL, finish, queue
from tests.web.requests import order, refused
from webapp.pictures.intake import save_strokes, store_picture
from webapp.pictures.models import Picture
from webapp.restorations import events
from webapp.restorations.models import Job
from webapp.restorations.plan import Plan

pytestmark = pytest.mark.django_db

HOLE = [{"tool": "brush", "size": 8.0, "points": [[20.5, 20.5], [40.5, 30.5]]}]


def mask_file(width: int = 64, height: int = 48, *, white_hole: bool = False) -> bytes:
    mask = np.full((height, width), 255, np.uint8)
    mask[10:20, 10:30] = 0
    return encoded(255 - mask if white_hole else mask)


# --- submitting ---


def test_a_job_is_accepted_with_its_address(
    alice: User, api: Callable[[User], Api], picture: Picture
) -> None:
    way = api(alice)
    answer = way("POST", "jobs", order(picture))
    assert answer.status_code == 202
    told = answer.json()
    assert answer["Location"] == told["url"] == f"/api/v1/jobs/{told['id']}"
    assert told["state"] == "queued" and told["share_to_fill"] is None
    job = way("GET", f"jobs/{told['id']}").json()
    assert job["state"] == "queued" and job["place_in_queue"] == 1 and job["generations"] == 2
    assert job["settings"]["population"] == 4 and job["seed"] == 3 and job["result_url"] is None
    assert job["generation"] is None and job["best_fitness"] is None and job["best_genome"] is None


def test_an_order_with_every_field_is_taken(
    alice: User, api: Callable[[User], Api], picture: Picture
) -> None:
    save_strokes(picture, HOLE)
    body = {
        "picture": str(picture.pk), "mask": None, "invert_mask": False, "task": "inpaint", "factor": 4,
        "preset": "preview", "seed": 3, "share": False,
        "settings": {"population": 8, "generations": 3, "iterations": 60},
    }  # fmt: skip
    told = api(alice)("POST", "jobs", body)
    assert told.status_code == 202
    assert 0 < told.json()["share_to_fill"] < 1


@pytest.mark.parametrize(
    ("more", "assumed"),
    [
        ({}, "independent"),
        ({"noise": None}, "independent"),
        ({"noise": "independent"}, "independent"),
        ({"noise": "impulse"}, "impulse"),
        ({"task": "upscale", "factor": 2}, "none"),
        ({"task": "upscale", "factor": 2, "noise": "correlated"}, "correlated"),
    ],
)
def test_a_job_says_what_it_assumes_of_the_noise(
    alice: User, api: Callable[[User], Api], picture: Picture, more: dict[str, Any], assumed: str
) -> None:
    way = api(alice)
    told = way("POST", "jobs", order(picture, **more)).json()
    assert way("GET", f"jobs/{told['id']}").json()["noise"] == assumed
    job = Job.objects.get(pk=told["id"])
    assert Plan.of(job).task.noise == assumed
    assert job.settings["loss"] == ("absolute" if assumed == "impulse" else "squared")


def test_a_key_names_one_job_whether_its_default_noise_is_named_or_not(
    alice: User, api: Callable[[User], Api], picture: Picture
) -> None:
    way, key = api(alice), {"Idempotency-Key": "k"}
    first = way("POST", "jobs", order(picture), **key).json()
    assert way("POST", "jobs", order(picture, noise="independent"), **key).json()["id"] == first["id"]
    refused(way("POST", "jobs", order(picture, noise="correlated"), **key), 422, "Idempotency-Key")


def test_a_key_names_its_job_after_an_update_that_brought_settings(
    alice: User, api: Callable[[User], Api], picture: Picture
) -> None:
    way, key = api(alice), {"Idempotency-Key": "k"}
    first = way("POST", "jobs", order(picture), **key).json()
    job = Job.objects.get(pk=first["id"])
    younger = {"fitness", "tile", "tile_finalists", "first_rung", "promoted_share", "refit", "hold_out_block"}
    kept = {name: value for name, value in job.settings.items() if name not in younger}
    longer = {"final_iterations": kept["final_iterations"] + 300}  # as another release's preset has it
    Job.objects.filter(pk=job.pk).update(settings=kept | longer)
    for newer in ({}, {"tile": 256}):  # which the job has not: whatever it is, no other request
        again = way("POST", "jobs", order(picture, settings=SMALL | newer), **key)
        assert (again.status_code, again.json()["id"]) == (202, first["id"])
    refused(way("POST", "jobs", order(picture, settings={}), **key), 422, "Idempotency-Key")
    Job.objects.filter(pk=job.pk).update(settings=job.settings | longer)
    refused(way("POST", "jobs", order(picture), **key), 422, "Idempotency-Key")


@pytest.mark.parametrize("inverted", [False, True])
def test_an_uploaded_mask_is_read_in_both_conventions(
    alice: User, api: Callable[[User], Api], picture: Picture, inverted: bool
) -> None:
    way = api(alice)
    mask = way.upload(mask_file(white_hole=inverted), "mask.png", kind="mask").json()
    assert mask["kind"] == "mask"
    told = way("POST", "jobs", order(picture, task="inpaint", mask=mask["id"], invert_mask=inverted)).json()
    assert told["share_to_fill"] == pytest.approx(200 / (64 * 48))


def test_the_drawn_mask_is_used_where_none_is_named(
    alice: User, api: Callable[[User], Api], picture: Picture
) -> None:
    share = save_strokes(picture, HOLE).share
    told = api(alice)("POST", "jobs", order(picture, task="inpaint")).json()
    assert told["share_to_fill"] == pytest.approx(share)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"settings": {"population": 1}}, "settings.population"),
        ({"settings": {"generations": 101}}, "settings.generations"),
        ({"settings": {"iterations": 0}}, "settings.iterations"),
        ({"settings": {"iterations": "many"}}, "settings.iterations"),
        ({"settings": {"colour": 1}}, "settings.colour"),
        ({"settings": []}, "settings"),
        ({"task": "sharpen"}, "task"),
        ({"task": "upscale", "factor": 9}, "factor"),
        ({"task": "upscale", "factor": 1}, "factor"),
        ({"task": "upscale", "factor": 0}, "factor"),
        ({"settings": {"representation": "asymmetric"}}, "settings.representation"),
        ({"settings": {"representation": ["sym"]}}, "settings.representation"),
        ({"settings": {"units": 9}}, "settings.units"),
        ({"settings": {"units": "5"}}, "settings.units"),
        ({"settings": {"fitness": "lpips"}}, "settings.fitness"),
        ({"task": "upscale", "settings": {"kernel": "nearest"}}, "settings.kernel"),
        ({"noise": "none"}, "noise"),
        ({"noise": "grain"}, "noise"),
        ({"task": "upscale", "factor": 2, "noise": "impulse"}, "noise"),
        ({"preset": "instant"}, "preset"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**31}, "seed"),
        ({"seed": "x"}, "seed"),
        ({"share": "maybe"}, "share"),
        ({"picture": "x"}, "picture"),
        ({"task": "inpaint"}, "mask"),
        ({"mask": str(uuid.uuid4())}, "mask"),
        ({"colour": "red"}, "colour"),
        ({"name": "a\0b"}, "name"),
        ({"name": "\ud800"}, "name"),
        ({"preset": "\ud800"}, "preset"),
        ({"settings": {"\ud800": 1}}, "settings.\ud800"),
    ],
)
def test_what_is_wrong_is_named(
    alice: User, api: Callable[[User], Api], picture: Picture, change: dict[str, Any], field: str
) -> None:
    refused(api(alice)("POST", "jobs", order(picture) | change), 422, field)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (mask_file(32, 32), "32 x 32"),
        (encoded(np.full((48, 64), 255, np.uint8)), "none to be filled"),
        (encoded(np.zeros((48, 64), np.uint8)), "none as known"),
    ],
)
def test_a_mask_that_is_none_is_refused(
    alice: User, api: Callable[[User], Api], picture: Picture, data: bytes, word: str
) -> None:
    way = api(alice)
    mask = way.upload(data, "mask.png").json()["id"]
    told = refused(way("POST", "jobs", order(picture, task="inpaint", mask=mask)), 422, "mask")
    assert word in told["detail"]


def test_all_painted_is_refused(alice: User, api: Callable[[User], Api], picture: Picture) -> None:
    save_strokes(picture, [{"tool": "invert"}])
    refused(api(alice)("POST", "jobs", order(picture, task="inpaint")), 422, "mask")


def test_another_s_picture_can_t_be_restored(
    alice: User, bob: User, api: Callable[[User], Api], picture: Picture
) -> None:
    answer = refused(api(bob)("POST", "jobs", order(picture)), 404, "picture")
    nobody_s = refused(
        api(bob)("POST", "jobs", order(picture) | {"picture": str(uuid.uuid4())}), 404, "picture"
    )
    # Both say the same of an id: whether it exists can't be told from the answer.
    assert re.sub("[0-9a-f-]{36}", "", answer["detail"]) == re.sub("[0-9a-f-]{36}", "", nobody_s["detail"])


def test_a_mask_that_is_not_there(alice: User, api: Callable[[User], Api], picture: Picture) -> None:
    refused(api(alice)("POST", "jobs", order(picture, task="inpaint", mask=str(uuid.uuid4()))), 404, "mask")
    assert not Job.objects.exists()


def test_body_that_is_no_json(alice: User, api: Callable[[User], Api]) -> None:
    refused(api(alice)("POST", "jobs", b"{not json"), 400)
    refused(api(alice)("POST", "jobs", b"[]"), 422)


def test_a_body_without_end_is_413(alice: User, api: Callable[[User], Api], picture: Picture) -> None:
    body = b'{"strokes": [' + b'{"tool": "clear"},' * 600_000 + b'{"tool": "clear"}]}'
    refused(api(alice)("PUT", f"pictures/{picture.pk}/strokes", body), 413)


def test_an_upload_without_a_file_names_the_field(alice: User, api: Callable[[User], Api]) -> None:
    refused(api(alice).client.post("/api/v1/pictures", {"other": "x"}), 422, "file")


# --- once and only once ---


def test_a_repeated_request_names_the_same_job(
    alice: User, api: Callable[[User], Api], picture: Picture
) -> None:
    way = api(alice)
    key = {"Idempotency-Key": "k"}
    first, second = (way("POST", "jobs", order(picture), **key) for _ in range(2))
    assert first.status_code == second.status_code == 202
    assert first.json() == second.json()
    assert Job.objects.count() == 1
    assert way("POST", "jobs", order(picture)).json()["id"] != first.json()["id"]


def test_a_key_of_another_request_is_refused(
    alice: User, api: Callable[[User], Api], picture: Picture
) -> None:
    way = api(alice)
    assert way("POST", "jobs", order(picture), **{"Idempotency-Key": "k"}).status_code == 202
    for change in (
        {"seed": 4},
        {"preset": "balanced"},
        {"settings": SMALL | {"iterations": 11}},
        {"share": True},
    ):
        answer = way("POST", "jobs", order(picture) | change, **{"Idempotency-Key": "k"})
        refused(answer, 422, "Idempotency-Key")
    assert Job.objects.count() == 1


def test_a_key_is_one_s_own(alice: User, bob: User, api: Callable[[User], Api], picture: Picture) -> None:
    other = store_picture(bob, encoded(photograph()), "beach.png")
    one = api(alice)("POST", "jobs", order(picture), **{"Idempotency-Key": "k"}).json()
    two = api(bob)("POST", "jobs", order(other), **{"Idempotency-Key": "k"}).json()
    assert one["id"] != two["id"]


def test_unfinished_jobs_have_a_limit(
    alice: User, api: Callable[[User], Api], picture: Picture, settings: Any
) -> None:
    settings.UNFINISHED_JOBS = 2
    way = api(alice)
    ids = [way("POST", "jobs", order(picture)).json()["id"] for _ in range(2)]
    assert "2" in refused(way("POST", "jobs", order(picture)), 429)["detail"]
    assert way("POST", f"jobs/{ids[0]}/cancel").status_code == 200
    assert way("POST", "jobs", order(picture)).status_code == 202


# --- following and fetching ---


def test_events_come_in_pages_without_holes(alice: User, api: Callable[[User], Api], done_job: Job) -> None:
    way = api(alice)
    seen: list[dict[str, Any]] = []
    while page := way("GET", f"jobs/{done_job.pk}/events?after={len(seen)}").json()["events"]:
        assert len(page) <= events.PAGE
        seen += page
    assert [event["number"] for event in seen] == list(range(1, done_job.event_number + 1))
    assert seen[0]["kind"] == "queued" and seen[-1]["kind"] == "done"
    refused(way("GET", f"jobs/{done_job.pk}/events?after=-1"), 422, "after")


def test_the_result_carries_pixels_and_nothing_else(
    alice: User, bob: User, api: Callable[[User], Api], done_job: Job
) -> None:
    way = api(alice)
    first = way("GET", f"jobs/{done_job.pk}/result.png")
    assert first.status_code == 200 and first["Content-Type"] == "image/png"
    assert np.array_equal(decoded(first.content), photograph(seed=2))
    assert first["ETag"] == f'"{done_job.result_digest}"'
    assert (
        first["Content-Disposition"].startswith("attachment") and first["X-Content-Type-Options"] == "nosniff"
    )
    theirs = finish(queue(bob, store_picture(bob, encoded(photograph()), "other.png"), seed=9))
    second = api(bob)("GET", f"jobs/{theirs.pk}/result.png")
    assert second.content == first.content and second["ETag"] == first["ETag"]
    again = way("GET", f"jobs/{done_job.pk}/result.png", **{"If-None-Match": first["ETag"]})
    assert again.status_code == 304 and not again.content


def test_no_result_before_the_end(alice: User, api: Callable[[User], Api], job: Job) -> None:
    assert "queued" in refused(api(alice)("GET", f"jobs/{job.pk}/result.png"), 404)["detail"]


def test_a_finished_job_tells_its_run(alice: User, api: Callable[[User], Api], done_job: Job) -> None:
    told = api(alice)("GET", f"jobs/{done_job.pk}").json()
    assert told["state"] == "done" and told["run"]["best_genome"] == told["best_genome"]
    assert told["result_url"] == f"/api/v1/jobs/{done_job.pk}/result.png"
    assert told["started_at"] and told["finished_at"]


def test_the_list_is_one_s_own_and_can_be_filtered(
    alice: User, bob: User, api: Callable[[User], Api], done_job: Job
) -> None:
    waiting = queue(alice, done_job.picture, name="a quiet lake")
    way = api(alice)
    assert [job["id"] for job in way("GET", "jobs").json()["jobs"]] == [str(waiting.pk), str(done_job.pk)]
    assert [job["id"] for job in way("GET", "jobs?state=done").json()["jobs"]] == [str(done_job.pk)]
    assert [job["id"] for job in way("GET", "jobs?q=LAKE").json()["jobs"]] == [str(waiting.pk)]
    page = way("GET", "jobs?limit=1&offset=1").json()
    assert page["count"] == 2 and [job["id"] for job in page["jobs"]] == [str(done_job.pk)]
    assert api(bob)("GET", "jobs").json() == {"count": 0, "jobs": []}
    refused(way("GET", "jobs?state=asleep"), 422, "state")
    refused(way("GET", "jobs?q=%00"), 422, "q")


def test_a_snapshot_ends_where_the_tail_begins(alice: User, api: Callable[[User], Api], job: Job) -> None:
    told = api(alice)("GET", f"jobs/{job.pk}/snapshot").json()
    assert told["last_event"] == job.event_number and told["state"] == "queued" and told["curve"] == []


# --- steering ---


def test_pause_resume_cancel_delete(alice: User, api: Callable[[User], Api], job: Job) -> None:
    way = api(alice)
    assert way("POST", f"jobs/{job.pk}/pause").json()["state"] == "paused"
    assert way("POST", f"jobs/{job.pk}/pause").json()["state"] == "paused"
    assert way("POST", f"jobs/{job.pk}/resume").json()["state"] == "queued"
    refused(way("POST", f"jobs/{job.pk}/go-on-without"), 409)
    assert way("POST", f"jobs/{job.pk}/cancel").json()["state"] == "cancelled"
    refused(way("POST", f"jobs/{job.pk}/pause"), 409)
    assert way("DELETE", f"jobs/{job.pk}").status_code == 204
    refused(way("GET", f"jobs/{job.pk}"), 404)
    refused(way("DELETE", f"jobs/{job.pk}"), 404)


def test_a_picture_in_use_stays(alice: User, api: Callable[[User], Api], job: Job) -> None:
    way = api(alice)
    refused(way("DELETE", f"pictures/{job.picture_id}"), 409)
    unused = way.upload(encoded(photograph()), "unused.png").json()["id"]
    assert way("DELETE", f"pictures/{unused}").status_code == 204
    refused(way("GET", f"pictures/{unused}"), 404)
    assert way("GET", f"pictures/{job.picture_id}/image.png").status_code == 200


# --- samples ---


@pytest.mark.parametrize(("name", "factor"), [("denoise", 1), ("inpaint", 1), ("upscale", 4)])
def test_a_sample_is_ready_to_be_restored(
    alice: User, api: Callable[[User], Api], name: str, factor: int
) -> None:
    way = api(alice)
    taken = way("POST", f"samples/{name}")
    assert taken.status_code == 201
    told = taken.json()
    assert (told["task"], told["factor"]) == (name, factor)
    assert (told["share_to_fill"] is None) == (name != "inpaint")
    asked = {"picture": told["id"], "task": told["task"], "factor": told["factor"], "settings": SMALL}
    accepted = way("POST", "jobs", asked)
    assert accepted.status_code == 202
    assert accepted.json()["share_to_fill"] == told["share_to_fill"]
    refused(way("POST", "samples/holiday"), 404)


def test_pictures_are_listed_newest_first_and_ones_own(
    alice: User, bob: User, api: Callable[[User], Api]
) -> None:
    rows = [store_picture(alice, encoded(photograph(48, 40, seed)), f"{seed}.png") for seed in range(3)]
    store_picture(bob, encoded(photograph(48, 40, 9)), "bobs.png")
    way = api(alice)
    mask = way.upload(mask_file(), "mask.png", kind="mask").json()["id"]
    told = way("GET", "pictures").json()
    assert told["count"] == 4
    assert [row["id"] for row in told["pictures"]] == [mask, *(str(row.pk) for row in reversed(rows))]
    told = way("GET", "pictures?kind=picture&limit=1&offset=1").json()
    assert told["count"] == 3 and [row["name"] for row in told["pictures"]] == ["1.png"]
    refused(way("GET", "pictures?kind=poem"), 422, "kind")
