"""What one caller can take from all: room on the disk, a core for minutes, bodies without end, jobs without end."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from nasdip_engine.errors import MaskError
from tests.web.cast import encoded, photograph
from tests.web.drive import SMALL
from tests.web.requests import order, refused
from tests.web.site import Site
from webapp.accounts import tokens
from webapp.config.security import LARGEST_BODY, LARGEST_UPLOAD, UPLOADS, BodyLimit
from webapp.pictures import storage
from webapp.pictures.intake import save_strokes
from webapp.pictures.models import MaskDrawing, Picture
from webapp.pictures.strokes import LIMIT_WORK, Effort, Stroke, Tool, draw
from webapp.restorations import control
from webapp.restorations.models import Job


def stored(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")}


# --- room ---


@pytest.mark.django_db
def test_a_full_disk_takes_nothing_in(alice: User, api: Any, picture: Picture, settings: Any) -> None:
    way, key = api(alice), {"Idempotency-Key": "k"}
    before = way("POST", "jobs", order(picture), **key).json()
    settings.LEAST_FREE_BYTES = 10**18
    assert "disk" in refused(way.upload(encoded(photograph()), "one.png"), 507)["detail"]
    refused(way("POST", "samples/denoise"), 507)
    assert "disk" in refused(way("POST", "jobs", order(picture)), 507)["detail"]
    again = way("POST", "jobs", order(picture), **key)
    assert (again.status_code, again.json()["id"]) == (202, before["id"]), "nothing new is taken in"
    assert Job.objects.count() == 1
    refused(way("PUT", f"pictures/{picture.pk}/strokes", {"strokes": [{"tool": "invert"}]}), 507)
    assert Picture.objects.count() == 1 and not MaskDrawing.objects.exists()


@pytest.mark.django_db
def test_a_user_has_a_share_of_the_disk(
    alice: User, bob: User, api: Any, picture: Picture, files: Path, settings: Any
) -> None:
    sizes = [storage.path(name).stat().st_size for name in stored(files / "files")]
    assert picture.stored_bytes == sum(sizes) > 0
    settings.PICTURE_BYTES_PER_USER = picture.stored_bytes + 100
    before = stored(files)
    way = api(alice)
    assert "GB" in refused(way.upload(encoded(photograph(seed=5)), "more.png"), 507)["detail"]
    assert Picture.objects.count() == 1 and stored(files) == before
    assert api(bob).upload(encoded(photograph()), "theirs.png").status_code == 201
    assert way("DELETE", f"pictures/{picture.pk}").status_code == 204
    assert way.upload(encoded(photograph()), "again.png").status_code == 201


# --- work ---


@pytest.mark.django_db
def test_the_thumbnail_of_a_result_is_made_once_and_goes_with_it(
    alice: User, done_job: Job, files: Path
) -> None:
    client = Client()
    client.force_login(alice)
    address = reverse("job_thumbnail", args=[done_job.pk])
    first = client.get(address)
    assert first.status_code == 200 and first["Content-Type"] == "image/png"
    result = storage.path(done_job.result_digest)
    content = result.read_bytes()
    result.write_bytes(b"not a picture any more")  # who reads it again stumbles
    assert client.get(address).content == first.content
    result.write_bytes(content)
    assert len(stored(files / "derived")) == 1
    control.delete(done_job)
    assert stored(files / "derived") == set()


def alternating(count: int, size: float, *ends: tuple[float, float]) -> list[Stroke]:
    """Strokes over each other, painted and erased in turn: none of them can be joined with the next."""
    return [Stroke((Tool.BRUSH, Tool.ERASER)[at % 2], size, ends) for at in range(count)]


def test_short_thin_strokes_on_a_wide_picture_cost_what_they_touch() -> None:
    effort = Effort()
    draw(alternating(500, 1.0, (8000.5, 100.5), (8040.5, 110.5)), 16000, 2500, effort)
    assert 0 < effort.spent < LIMIT_WORK // 20  # ten thousand of them are within the limit


def test_a_diagonal_costs_less_than_the_rectangle_around_it() -> None:
    effort = Effort()
    hole = draw([Stroke(Tool.BRUSH, 3.0, ((2.0, 2.0), (3998.0, 2998.0)))], 4000, 3000, effort)
    assert hole.any() and effort.spent < 4000 * 3000 // 2


def test_strokes_of_one_tool_are_painted_together() -> None:
    one, many = Effort(), Effort()
    stroke = Stroke(Tool.BRUSH, 1.0, ((5.5, 5.5), (900.5, 5.5)))
    draw([stroke], 1000, 1000, one)
    draw([stroke] * 1000, 1000, 1000, many)
    assert many.spent < 10 * one.spent


def test_inverting_costs_nothing() -> None:
    effort = Effort()
    hole = draw([Stroke(Tool.BRUSH, 1.0, ((5.5, 5.5),)), *[Stroke(Tool.INVERT)] * 9999], 400, 300, effort)
    assert np.count_nonzero(~hole) == 1 and effort.spent < 200_000


@pytest.mark.parametrize(
    "strokes",
    [
        alternating(10_000, 1.0, (5.5, 5.5), (15_990.5, 2490.5)),
        alternating(10_000, 1.0, (5.5, 5.5), (5.5, 2490.5)),
        alternating(10_000, 20_000.0, (8000.0, 1250.0)),
    ],
    ids=["diagonals", "verticals", "all of it"],
)
def test_what_would_take_minutes_is_refused_with_a_sentence(strokes: list[Stroke]) -> None:
    with pytest.raises(MaskError, match="clear it and paint with fewer"):
        draw(strokes, 16000, 2500)


def test_drawing_stops_at_its_limit_while_it_paints() -> None:
    strokes = alternating(200, 9.0, (20.5, 20.5), (980.5, 20.5))
    whole = Effort()
    draw(strokes, 1000, 50, whole)
    half = Effort(limit=whole.spent // 2)
    with pytest.raises(MaskError):
        draw(strokes, 1000, 50, half)
    assert half.spent < whole.spent * 0.6


# --- bodies ---


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("sent", [{}, {"Authorization": "Bearer nasdip_no"}, {"Cookie": "sessionid=none"}])
def test_a_large_body_of_a_stranger_is_not_kept(files: Path, sent: dict[str, str]) -> None:
    with Site() as site:
        large = bytes(LARGEST_BODY + 1)
        request = urllib.request.Request(f"{site.url}/api/v1/pictures", data=large, headers=sent)
        with pytest.raises(urllib.error.HTTPError) as told:
            urllib.request.urlopen(request, timeout=60)
        with told.value as answer:
            assert answer.code == 401
            assert "Sign in" in json.load(answer)["detail"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "pictures/{}/strokes", {"strokes": [0] * 50_000}),
        ("PUT", "pictures/{}/strokes", {"strokes": [{"tool": "x" * 100_000}]}),
        ("POST", "jobs", {"picture": "p" * 100_000, "task": "t" * 100_000, "preset": "x" * 100_000}),
        ("POST", "jobs", {f"unknown{number}": 0 for number in range(50_000)}),
    ],
)
def test_an_error_is_short_whatever_was_sent(
    alice: User, api: Any, picture: Picture, method: str, path: str, body: dict[str, Any]
) -> None:
    answer = api(alice)(method, path.format(picture.pk), body)
    told = refused(answer, 422)
    assert len(answer.content) < 50_000
    assert len(told["detail"]) < 2_000
    assert told["field"]


async def _reads_nothing(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _known(_scope: Any) -> bool:
    return True


def status_of(method: str, path: str, declared: int) -> int:
    """The status that a request with so long a body gets."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-length", str(declared).encode())]
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    asyncio.run(BodyLimit(_reads_nothing, is_known=_known)(scope, receive, send))
    return sent[0]["status"]


@pytest.mark.parametrize(
    ("prefix", "method", "path", "declared", "status"),
    [
        (None, "POST", "/api/v1/pictures", LARGEST_UPLOAD, 200),
        (None, "POST", "/api/v1/pictures", LARGEST_UPLOAD + 1, 413),
        (None, "PUT", "/api/v1/pictures", LARGEST_BODY + 1, 413),
        (None, "POST", "/api/v1/jobs", LARGEST_BODY, 200),
        (None, "POST", "/api/v1/jobs", LARGEST_BODY + 1, 413),
        (None, "POST", "/accounts/login/", LARGEST_BODY + 1, 413),
        (None, "POST", "/nowhere/api/v1/pictures", LARGEST_BODY + 1, 413),
        ("/under", "POST", "/under/api/v1/pictures", LARGEST_UPLOAD, 200),
        ("/under", "POST", "/under/api/v1/jobs", LARGEST_BODY + 1, 413),
    ],
)
def test_large_bodies_are_taken_where_pictures_are(
    settings: Any, prefix: str | None, method: str, path: str, declared: int, status: int
) -> None:
    settings.FORCE_SCRIPT_NAME = prefix
    assert status_of(method, path, declared) == status


def test_that_place_is_the_api_s() -> None:
    assert reverse("api:upload_picture") == UPLOADS


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("size", [51_000_000, 70_000_000])
def test_a_script_that_sends_too_much_is_told_so(files: Path, alice: User, size: int) -> None:
    head = b'--mark\r\nContent-Disposition: form-data; name="file"; filename="huge.png"\r\n\r\n'
    with Site() as site:
        request = urllib.request.Request(
            f"{site.url}/api/v1/pictures",
            data=head + bytes(size) + b"\r\n--mark--\r\n",
            headers={
                "Authorization": f"Bearer {tokens.issue(alice, 'script')}",
                "Content-Type": "multipart/form-data; boundary=mark",
            },
        )
        with pytest.raises(urllib.error.HTTPError) as told:
            urllib.request.urlopen(request, timeout=60)
        with told.value as answer:
            assert answer.status == 413
            assert answer.headers["Content-Type"] == "application/problem+json"
            problem = json.load(answer)
    assert problem["status"] == 413 and "50 MB" in problem["detail"]
    assert not Picture.objects.exists()


# --- many at once ---


@pytest.mark.django_db(transaction=True)
def test_the_limit_of_jobs_holds_for_requests_at_the_same_moment(
    alice: User, picture: Picture, settings: Any
) -> None:
    settings.UNFINISHED_JOBS = 2
    body = json.dumps({"picture": str(picture.pk), "task": "denoise", "settings": SMALL}).encode()
    headers = {
        "Authorization": f"Bearer {tokens.issue(alice, 'script')}",
        "Content-Type": "application/json",
    }
    ready = threading.Barrier(8)

    def send(site: Site) -> int:
        request = urllib.request.Request(f"{site.url}/api/v1/jobs", data=body, headers=headers)
        ready.wait(10)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    with Site() as site, ThreadPoolExecutor(8) as pool:
        statuses = [each.result() for each in [pool.submit(send, site) for _ in range(8)]]
    assert sorted(statuses) == [202] * 2 + [429] * 6
    assert Job.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_saves_at_the_same_moment_leave_no_mask_behind(picture: Picture, files: Path, settings: Any) -> None:
    settings.PICTURES_WAITING_PER_USER = 99
    kept = stored(files)
    ready = threading.Barrier(6)

    def save(start: int) -> None:
        try:
            ready.wait(10)
            for at in range(start, start + 5):
                save_strokes(picture, [{"tool": "brush", "size": 5, "points": [[at, 20]]}])
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        for each in [pool.submit(save, 8 * number) for number in range(6)]:
            each.result()
    assert stored(files) - kept == {MaskDrawing.objects.get().mask_digest}
