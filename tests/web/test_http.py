"""What only a real server shows: limits on bodies, large files in parts, a decoder that dies."""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User

from tests.waiting import wait_for
from tests.web.cast import decoded, encoded, photograph
from tests.web.drive import SMALL
from tests.web.site import Site
from webapp.accounts import tokens
from webapp.pictures import intake
from webapp.pictures.models import Picture
from webapp.restorations.models import Job

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def site(files: Any) -> Iterator[Site]:
    with Site() as running:
        yield running


def post(site: Site, user: User, data: bytes, name: str) -> tuple[int, dict[str, Any]]:
    """POST pictures as a script would."""
    mark = uuid.uuid4().hex
    head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    request = urllib.request.Request(
        f"{site.url}/api/v1/pictures",
        data=head.encode() + data + f"\r\n--{mark}--\r\n".encode(),
        headers={
            "Authorization": f"Bearer {tokens.issue(user, 'script')}",
            "Content-Type": f"multipart/form-data; boundary={mark}",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.status, json.load(error)


def test_a_huge_upload_is_told_413(site: Site, alice: User) -> None:
    status, told = post(site, alice, bytes(51_000_000), "huge.png")
    assert status == told["status"] == 413
    assert "50 MB" in told["detail"]
    assert not Picture.objects.exists()


def test_the_same_request_sent_at_once_by_many_makes_one_job(
    site: Site, alice: User, picture: Picture
) -> None:
    body = json.dumps({"picture": str(picture.pk), "task": "denoise", "settings": SMALL}).encode()
    headers = {
        "Authorization": f"Bearer {tokens.issue(alice, 'script')}",
        "Content-Type": "application/json",
        "Idempotency-Key": "once",
    }
    ready = threading.Barrier(6)

    def send() -> tuple[int, str]:
        ready.wait(10)
        request = urllib.request.Request(f"{site.url}/api/v1/jobs", data=body, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)["id"]

    with ThreadPoolExecutor(6) as pool:
        answers = {each.result() for each in [pool.submit(send) for _ in range(6)]}
    assert len(answers) == 1 and next(iter(answers))[0] == 202
    assert Job.objects.count() == 1


def test_a_large_picture_comes_whole_in_parts(site: Site, alice: User) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1500, 1200, 3), dtype=np.uint8)
    status, told = post(site, alice, encoded(noise), "noise.png")
    assert status == 201
    token = tokens.issue(alice, "reader")
    request = urllib.request.Request(
        site.url + told["image_url"], headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        content = answer.read()
        assert int(answer.headers["Content-Length"]) == len(content) > 5_000_000
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert np.array_equal(decoded(content), noise)


def test_a_decoder_that_was_killed_costs_nothing(site: Site, alice: User) -> None:
    assert post(site, alice, encoded(photograph()), "first.png")[0] == 201
    with intake.decoder() as host:
        killed = host.hello["pid"]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: not alive(killed), 10, "the decoder to be gone")
    status, told = post(site, alice, encoded(photograph()), "second.png")
    assert status == 201, told
    with intake.decoder() as host:
        assert host.hello["pid"] != killed


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def asked(site: Site, method: str, path: str, token: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(
        f"{site.url}/api/v1/{path}",
        method=method,
        headers={"Authorization": f"Bearer {token}"} if token else {},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def test_head_is_answered_as_get_without_the_body(site: Site, alice: User) -> None:
    status, told = post(site, alice, encoded(photograph(96, 64)), "boat.png")
    assert status == 201
    token = tokens.issue(alice, "head")
    for path in (f"pictures/{told['id']}/image.png", f"pictures/{told['id']}", "pictures", "presets"):
        whole, short = (asked(site, method, path, token) for method in ("GET", "HEAD"))
        assert (whole[0], short[0], short[2]) == (200, 200, b"") and whole[2]
        assert {name: short[1].get(name) for name in ("Content-Type", "Content-Length", "ETag")} == {
            name: whole[1].get(name) for name in ("Content-Type", "Content-Length", "ETag")
        }
    assert asked(site, "HEAD", "pictures", "")[::2] == (401, b"")
    assert asked(site, "HEAD", f"pictures/{uuid.uuid4()}", token)[::2] == (404, b"")
    assert asked(site, "HEAD", f"jobs/{uuid.uuid4()}/cancel", token)[0] == 405
