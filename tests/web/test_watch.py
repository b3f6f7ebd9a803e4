"""Watch it learn: what the result page shows of the final fit, to whom, and what older jobs show instead."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client
from PIL import Image

from webapp.restorations import files
from webapp.restorations.models import Job, WorkItem
from webapp.restorations.views.watch import refit_words, shown_words, stop_words, watch_of

pytestmark = pytest.mark.django_db

LEARNING = {
    "tile": None, "curve": [[25, 17.25], [50, 19.5], [75, 19.0]], "best_iteration": 50, "iterations": 75,
    "refit_iterations": 0,
}  # fmt: skip


def webp(level: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((48, 64, 3), level, np.uint8)).save(file, "WEBP")
    return file.getvalue()


def with_learning(job: Job, **changes: Any) -> Job:
    """As if its best network's final fit had been watched."""
    item = WorkItem.objects.filter(job=job, kind="finish").order_by("id").first()
    assert item and item.outcome
    stills = {str(at): files.keep(job.pk, webp(at)) for at in (1, 25, 50, 75)}
    WorkItem.objects.filter(pk=item.pk).update(outcome=item.outcome | {"still_files": stills})
    run = job.run or {}
    run["final"]["networks"][0]["learning"] = LEARNING | changes
    Job.objects.filter(pk=job.pk).update(run=run)
    job.refresh_from_db()
    return job


@pytest.fixture
def client(alice: User) -> Client:
    opened = Client()
    opened.force_login(alice)
    return opened


def section(client: Client, job: Job) -> str:
    page = client.get(f"/jobs/{job.pk}/").content.decode()
    found = re.search(r'<section[^>]*data-testid="watch".*?</section>', page, re.DOTALL)
    assert found, "the page has no such section"
    return found[0]


def test_the_stills_are_a_row_of_pictures_with_iteration_and_psnr(client: Client, done_job: Job) -> None:
    shown = section(client, with_learning(done_job))
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", shown)
    assert captions == [
        "iteration 1",
        "iteration 25, 17.25 dB",
        "iteration 50, 19.50 dB, best",
        "iteration 75, 19.00 dB",
    ]
    addresses = re.findall(r'<img src="(.*?)" alt="(.*?)"', shown)
    assert [words for _, words in addresses] == [
        "After 1 iteration", "After 25 iterations", "After 50 iterations", "After 75 iterations",
    ]  # fmt: skip
    for address, _ in addresses:
        answer = client.get(address)
        assert (answer.status_code, answer["Content-Type"]) == (200, "image/webp")
        assert answer["X-Content-Type-Options"] == "nosniff" and "attachment" in answer["Content-Disposition"]
    again = client.get(addresses[0][0], headers={"if-none-match": client.get(addresses[0][0])["ETag"]})
    assert again.status_code == 304
    assert re.findall(r'<td class="number">(.*?)</td>', shown) == [
        "25",
        "17.250",
        "50",
        "19.500",
        "75",
        "19.000",
    ]


def test_it_says_where_it_stopped(client: Client, done_job: Job) -> None:
    shown = section(client, with_learning(done_job))
    assert (
        "Held-out pixels were predicted best after iteration 50 (19.50 dB): that output was taken." in shown
    )
    assert "It went on to iteration 75 and did not get better." in shown
    assert "the result is the mean of this network and the others" in shown


def test_it_says_what_else_followed() -> None:
    assert "might have gone on learning" in stop_words(LEARNING | {"best_iteration": 75})
    assert stop_words(LEARNING | {"curve": []}).startswith("Nothing was held out")
    assert refit_words(LEARNING) == []
    assert refit_words(LEARNING | {"refit_iterations": 52}) == [
        "Then it was fitted again on everything, for 52 iterations; the result is made of second fits alone."
    ]
    assert "taken" in stop_words(LEARNING)
    assert "taken" not in stop_words(LEARNING | {"refit_iterations": 52})
    run = {
        "picture": {"width": 900, "height": 600, "tiles": [{}] * 6},
        "final": {"choice": "by tile", "networks": [{"genome": "a"}]},
    }
    assert shown_words(run, "a") == ["Shown is tile 1 of 6."]
    several = {"choice": "by tile", "networks": [{"genome": "a"}, {"genome": "b"}]}
    assert shown_words(run | {"final": several}, "a") == [
        "Shown is tile 1 of 6.",
        "Shown is the best network of the search; the result is the best network of each tile, or their mean.",
    ]
    part = {"width": 900, "height": 600, "final_frame": {"width": 400, "height": 300}}
    alone = {"choice": "a", "networks": [{"genome": "a"}, {"genome": "b"}]}
    assert shown_words({"picture": part, "final": alone}, "a") == [
        "Shown is the part of the picture that was fitted."
    ]
    whole = {"picture": part | {"final_frame": part}, "final": alone | {"choice": "b"}}
    assert "another network's" in shown_words(whole, "a")[0]


def test_stills_are_their_owners_alone(done_job: Job, alice: User, bob: User, reviewer: User) -> None:
    watch = watch_of(with_learning(done_job))
    assert watch is not None
    Job.objects.filter(pk=done_job.pk).update(share=True)
    seen = {}
    for user in (alice, bob, reviewer, None):
        opened = Client()
        if user:
            opened.force_login(user)
        seen[getattr(user, "username", "nobody")] = opened.get(watch.stills[0].url).status_code
    assert seen == {"alice": 200, "bob": 404, "reviewer": 404, "nobody": 302}


def test_a_job_of_an_older_version_shows_no_such_section(client: Client, done_job: Job) -> None:
    run = done_job.run or {}
    for network in run["final"]["networks"]:
        network.pop("learning")
    Job.objects.filter(pk=done_job.pk).update(run=run)
    page = client.get(f"/jobs/{done_job.pk}/")
    assert page.status_code == 200 and b"Watch it learn" not in page.content
    assert b"watch_page.js" not in page.content


def test_a_live_page_has_an_empty_section_to_fill(client: Client, job: Job) -> None:
    shown = section(client, job)
    assert re.search(r"<section[^>]* hidden>", shown)
    assert f"/jobs/{job.pk}/still/{'0' * 64}.webp" in shown and "<li" not in shown
