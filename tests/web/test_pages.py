"""What pages say beforehand: the limits, and which tasks a picture of that size can have."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from nasdip_engine.evolution.settings import TILE
from nasdip_engine.framing import LARGEST_RESULT_PIXELS, SMALLEST_SIDE
from nasdip_engine.task import NOISES
from tests.web.cast import encoded, photograph
from tests.web.drive import SMALL, finish, queue
from webapp.pictures.intake import store_picture
from webapp.pictures.models import Picture
from webapp.restorations import control
from webapp.restorations.models import Job, WorkItem
from webapp.restorations.views.job import facts

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(alice: User) -> Client:
    opened = Client()
    opened.force_login(alice)
    return opened


def composed(client: Client, owner: User, width: int, height: int, query: str = "") -> str:
    row = store_picture(owner, encoded(photograph(width, height)), "beach.png")
    return client.get(f"/new/{row.pk}/{query}").content.decode()


def offered(page: str, task: str) -> bool:
    """Whether the page lets one choose the task."""
    found = re.search(rf'<input type="radio" name="task" value="{task}"[^>]*>', page)
    assert found
    return "disabled" not in found[0]


def chosen(page: str) -> list[str]:
    return re.findall(r'<input type="radio" name="task" value="(\w+)" checked', page)


def factors(page: str) -> dict[int, bool]:
    found = re.findall(r'<option value="(\d)"([^>]*)>\d times', page)
    return {int(value): "disabled" not in rest for value, rest in found}


def test_the_upload_page_says_the_limits(client: Client) -> None:
    page = client.get("/new/").content.decode()
    assert "Up to 50 MB and 40 megapixels" in page
    assert f"at least {SMALLEST_SIDE} pixels a side" in page
    assert f"up to {TILE} px a side as a whole, larger ones in overlapping tiles" in page
    assert f"A result has up to {LARGEST_RESULT_PIXELS // 10**6} megapixels" in page


def test_a_picture_larger_than_a_tile_may_have_everything(client: Client, alice: User) -> None:
    page = composed(client, alice, TILE + 88, 400, "?task=denoise")
    assert all(offered(page, task) for task in ("denoise", "inpaint", "upscale"))
    assert chosen(page) == ["denoise"]
    assert all(factors(page).values())


def test_factors_whose_result_has_too_many_megapixels_are_not_offered(client: Client, alice: User) -> None:
    page = composed(client, alice, 1800, 1200, "?task=upscale&factor=8")
    assert factors(page) == {
        factor: 1800 * 1200 * factor**2 <= LARGEST_RESULT_PIXELS for factor in range(2, 9)
    }
    assert '<option value="6" selected>' in page  # the nearest below what was asked for


def test_a_result_says_what_was_held_out_and_by_how_much_it_won(client: Client, done_job: Job) -> None:
    page = client.get(f"/jobs/{done_job.pk}/").content.decode()
    assert "25.00 dB" in page and "22.50 dB" in page
    assert "predicts the held-out pixels 2.50 dB better than non-local means" in page
    assert "Held-out pixels are pixels of your picture that no method was shown" in page


@pytest.mark.parametrize("refit", [True, False])
def test_a_result_says_where_its_figure_is_of_another_fit(client: Client, done_job: Job, refit: bool) -> None:
    Job.objects.filter(pk=done_job.pk).update(settings=done_job.settings | {"refit": refit})
    page = client.get(f"/jobs/{done_job.pk}/").content.decode()
    assert ("the picture is of a second one that did" in page) is refit


def test_a_result_of_a_search_that_held_nothing_out_has_no_figures(client: Client, done_job: Job) -> None:
    run = done_job.run
    assert run
    run["final"]["held_out_psnr"] = None
    for record in run["baselines"]:
        record["held_out_psnr"] = None
    Job.objects.filter(pk=done_job.pk).update(run=run)
    page = client.get(f"/jobs/{done_job.pk}/").content.decode()
    assert page.count("not measured") == 3 and " dB" not in page
    assert "Nothing was held out" in page and 'data-testid="verdict"' not in page


def test_networks_are_counted_once_however_often_a_race_trains_them(alice: User, picture: Picture) -> None:
    raced = {"population": 8, "iterations": 100, "first_rung": 0.25}
    job = finish(queue(alice, picture, overrides=SMALL | raced))
    run = job.run or {}
    trained = WorkItem.objects.filter(job=job, kind="evaluate")
    networks = trained.values("genome").distinct().count()
    assert networks < trained.count() == sum(one["evaluations"] for one in run["generations"])
    assert dict(facts(job, run))["Networks tried"] == f"{networks} in 2 generations"


def test_without_a_race_every_fit_is_another_network(done_job: Job) -> None:
    trained = WorkItem.objects.filter(job=done_job, kind="evaluate").count()
    assert dict(facts(done_job, done_job.run or {}))["Networks tried"] == f"{trained} in 2 generations"


# ------------------------------------------------------------------------------------------------------- noise


def noises(page: str, task: str) -> tuple[list[str], list[str]]:
    """(what may be assumed of the noise, what is chosen) for a task."""
    found = re.search(rf'<select id="noise-{task}".*?</select>', page, re.DOTALL)
    assert found
    options = re.findall(r'<option value="(\w+)"( selected)?>', found[0])
    return [value for value, _ in options], [value for value, selected in options if selected]


def test_each_task_offers_what_it_may_assume_of_the_noise(client: Client, alice: User) -> None:
    page = composed(client, alice, 64, 48, "?noise=correlated")
    for task, allowed in NOISES.items():
        assert noises(page, task) == (list(allowed), ["correlated"])
    plain = composed(client, alice, 64, 48, "?noise=none")
    assert [noises(plain, task)[1] for task in NOISES] == [["independent"], ["none"], ["none"]]
    assert "Specks (salt and pepper)" in plain and "Clean: it stays exactly as it is" in plain


def test_a_larger_picture_is_offered_a_clean_rest_alone(client: Client, alice: User) -> None:
    page = composed(client, alice, TILE + 88, 400, "?task=inpaint&noise=correlated")
    found = re.search(r'<select id="noise-inpaint".*?</select>', page, re.DOTALL)
    assert found
    assert re.findall(r'<option value="(\w+)" disabled>', found[0]) == [
        "independent",
        "correlated",
        "impulse",
    ]
    assert '<option value="none" selected>' in found[0]
    assert f"of up to {TILE} px a side; in a larger one, like this, the hole alone is filled" in page
    small = composed(client, alice, 64, 48, "?task=inpaint")
    assert "A noisy rest is restored together with the hole." in small and " disabled>Noisy" not in small


@pytest.mark.parametrize(
    ("noise", "told", "link"),
    [
        ("", "The noise was taken to be fine grain or JPEG.", "?task=denoise"),
        (
            "correlated",
            "The noise was taken to be camera noise (blotches).",
            "?task=denoise&amp;noise=correlated",
        ),
        ("impulse", "Their error is measured by the absolute difference", "?task=denoise&amp;noise=impulse"),
    ],
)
def test_the_result_says_what_was_assumed(
    client: Client, alice: User, picture: Picture, noise: str, told: str, link: str
) -> None:
    job = finish(queue(alice, picture, noise=noise))
    page = client.get(f"/jobs/{job.pk}/").content.decode()
    assert told in page and link in page


def test_the_estimate_of_the_noise_stands_beside_the_figures_of_a_run(done_job: Job) -> None:
    run = done_job.run or {}
    assert dict(facts(done_job, run))["Noise assumed"] == "fine grain or JPEG"
    run["final"]["noise"] = {"assumed": "independent", "sigma": 0.1, "corrected_psnr": 27.06}
    told = dict(facts(done_job, run))
    assert told["Noise estimated"] == "standard deviation 25.5 of 255"
    assert told["Error without the noise"] == "about 27.1 dB"
    del run["final"]["noise"]  # a run of an older version
    assert "Noise estimated" not in dict(facts(done_job, run))


def test_what_ended_without_a_result_can_be_started_again_as_it_was(
    client: Client, alice: User, picture: Picture
) -> None:
    job = queue(alice, picture, task="upscale", factor=2, noise="correlated")
    control.cancel(job.pk, alice)
    client.force_login(alice)
    page = client.get(f"/jobs/{job.pk}/").content.decode()
    assert "?task=upscale&amp;factor=2&amp;noise=correlated" in page


def test_a_search_for_what_no_name_has_finds_nothing(client: Client, alice: User, picture: Picture) -> None:
    job = queue(alice, picture, name="   ")
    assert job.name == picture.name, "a name of blanks could not be seen"
    client.force_login(alice)
    assert job.name in client.get("/jobs/?q=%00").content.decode()
    assert job.name not in client.get("/jobs/?q=zebra%00").content.decode()


def test_older_pictures_are_found_and_unused_ones_can_go(client: Client, alice: User) -> None:
    rows = [store_picture(alice, encoded(photograph(48, 40, seed)), f"{seed}.png") for seed in range(10)]
    queue(alice, rows[-1])
    first, second = (client.get(f"/new/?page={number}").content.decode() for number in (1, 2))
    names = [re.findall(r'<span class="name">([^<]+)', page) for page in (first, second)]
    assert names == [[f"{seed}.png" for seed in range(9, 1, -1)], ["1.png", "0.png"]]
    assert first.count('data-testid="delete-picture"') == 7, "a picture that a restoration uses stays"
    assert f"/new/{rows[-1].pk}/delete/" not in first
    address = f"/new/{rows[0].pk}/delete/"
    assert address in second
    asked = client.get(address).content.decode()
    assert "Delete 0.png?" in asked and Picture.objects.filter(pk=rows[0].pk).exists()
    assert "0.png is deleted." in client.post(address, follow=True).content.decode()
    assert not Picture.objects.filter(pk=rows[0].pk).exists()
    answer = client.post(f"/new/{rows[-1].pk}/delete/", follow=True).content.decode()
    assert "A restoration uses 9.png: delete it in the history" in answer
    assert Picture.objects.filter(pk=rows[-1].pk).exists()
