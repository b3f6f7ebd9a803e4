"""What methods without a network made stands beside the result, also where one of them wins."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client
from PIL import Image

from tests.web.drive import FIGURES, finish, queue
from webapp.pictures.intake import save_strokes
from webapp.pictures.models import Picture
from webapp.restorations.models import Job

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def page_of(client: Client, job: Job) -> str:
    return client.get(f"/jobs/{job.pk}/").content.decode()


def table(page: str) -> list[tuple[str, str, bool]]:
    """(method, figure, marked as best) by row."""
    found = re.search(r'data-testid="figures">.*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    assert found
    return [
        (re.sub(r" <span.*", "", name), figure, "best" in attributes)
        for attributes, name, figure in re.findall(
            r'<tr([^>]*)>\s*<th scope="row">(.*?)</th>\s*<td class="number">(.*?)</td>', found[1]
        )
    ]


def verdict(page: str) -> str:
    found = re.search(r'data-testid="verdict">(.*?)</p>', page)
    assert found
    return found[1]


def test_every_reference_that_was_made_has_a_row_and_a_picture(client: Client, done_job: Job) -> None:
    page = page_of(client, done_job)
    assert table(page) == [
        ("this restoration", "25.00 dB", True),
        ("non-local means", "22.50 dB", False),
        ("Gaussian blur", "20.25 dB", False),
    ]
    assert verdict(page) == (
        "This restoration predicts the held-out pixels 2.50 dB better than non-local means, "
        "the best of 2 methods without a network."
    )
    assert 'data-testid="left-out">BM3D: the package bm3d is not installed.</p>' in page
    for slug, method in (("non-local-means", "non-local means"), ("gaussian-blur", "Gaussian blur")):
        address = f"/jobs/{done_job.pk}/baselines/{slug}.png"
        assert page.count(f'value="{address}"') == page.count(f'href="{address}"') == 1
        with Image.open(io.BytesIO(client.get(address).getvalue())) as picture:
            assert np.asarray(picture).max() == round(FIGURES[method])
    for slug in ("bm3d", "telea", "nothing"):
        assert client.get(f"/jobs/{done_job.pk}/baselines/{slug}.png").status_code == 404


def test_the_address_without_a_name_is_the_tasks_own(client: Client, done_job: Job) -> None:
    own = client.get(f"/jobs/{done_job.pk}/baseline.png")
    named = client.get(f"/jobs/{done_job.pk}/baselines/non-local-means.png")
    assert own.getvalue() == named.getvalue()


def test_a_reference_that_wins_is_said_to(client: Client, alice: User, picture: Picture) -> None:
    mask = save_strokes(picture, [{"tool": "brush", "size": 9, "points": [[20, 20]]}]).mask_digest
    job = finish(queue(alice, picture, task="inpaint", mask_digest=mask))
    page = page_of(client, job)
    assert [(name, best) for name, _, best in table(page)] == [
        ("this restoration", False),
        ("biharmonic", False),
        ("nearest pixel", False),
        ("harmonic", True),
        ("Telea", False),
    ]
    assert verdict(page) == "Harmonic predicts the held-out pixels 1.50 dB better than this restoration."
    assert "left-out" not in page


def test_methods_that_are_equally_good_are_both_marked(client: Client, alice: User, picture: Picture) -> None:
    job = finish(queue(alice, picture, noise="impulse"))
    page = page_of(client, job)
    assert {name for name, _, best in table(page) if best} == {"this restoration", "median filter, 5 x 5"}
    assert (
        verdict(page) == "This restoration and median filter, 5 x 5 predict the held-out pixels equally well."
    )


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"noise": "correlated"}, "Near pixels share their noise here"),
        ({"task": "upscale", "factor": 2}, "Held out are pixels of the small picture"),
    ],
)
def test_where_figures_tell_no_order_nobody_is_called_best(
    client: Client, alice: User, picture: Picture, asked: dict[str, Any], why: str
) -> None:
    """The figures stand there all the same, and the pictures to compare."""
    page = page_of(client, finish(queue(alice, picture, **asked)))
    rows = table(page)
    assert len(rows) >= 3 and all(figure.endswith(" dB") for _, figure, _ in rows)
    assert not any(best for _, _, best in rows)
    assert verdict(page).startswith(why) and verdict(page).endswith("Compare the pictures.")
    assert page.count("data-show-under") == len(rows) - 1


def test_a_result_of_an_older_version_has_its_one_reference(client: Client, done_job: Job) -> None:
    run: dict[str, Any] = done_job.run or {}
    del run["baselines"]
    Job.objects.filter(pk=done_job.pk).update(run=run)
    page = page_of(client, done_job)
    assert [name for name, _, _ in table(page)] == ["this restoration", "non-local means"]
    assert (
        verdict(page) == "This restoration predicts the held-out pixels 2.50 dB better than non-local means."
    )


def test_a_result_without_references_stands_alone(client: Client, done_job: Job) -> None:
    run: dict[str, Any] = done_job.run or {}
    Job.objects.filter(pk=done_job.pk).update(run=run | {"baselines": [], "baseline": None})
    page = page_of(client, done_job)
    assert table(page) == [("this restoration", "25.00 dB", False)]
    assert 'data-testid="verdict"' not in page
