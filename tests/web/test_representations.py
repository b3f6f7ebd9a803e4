"""Any representation and the paper's preset through the API, and what the pages offer of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from nasdip_engine.evolution.settings import SearchSettings
from tests.web.cast import Api
from tests.web.drive import SMALL, finish, queue
from tests.web.requests import order
from webapp.pictures.models import Picture
from webapp.restorations.estimates import guess, seconds_left
from webapp.restorations.models import Job, Worker
from webapp.restorations.plan import Plan

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("representation", ["asym", "asymt", "sym"])
@pytest.mark.parametrize("preset", ["preview", "paper"])
def test_any_representation_may_be_asked_for_and_the_papers_preset(
    alice: User, api: Callable[[User], Api], picture: Picture, preset: str, representation: str
) -> None:
    asked = {"representation": representation, "units": 3}
    taken = api(alice)("POST", "jobs", order(picture, preset=preset, settings=asked))
    assert taken.status_code == 202
    job = Job.objects.get(pk=taken.json()["id"])
    assert (job.preset, job.settings["representation"], job.settings["units"]) == (preset, representation, 3)
    settings = SearchSettings.from_json(job.settings)
    task = Plan.of(job).task
    assert guess(settings, task, 256**2, 2) > guess(settings, task, 64**2, 2) > 0


@pytest.mark.parametrize(
    ("preset", "named", "kernel"),
    [("preview", {}, "bicubic"), ("paper", {}, "bilinear"), ("paper", {"kernel": "box"}, "box")],
)
def test_a_kernel_that_nobody_named_is_the_presets(
    alice: User,
    api: Callable[[User], Api],
    picture: Picture,
    preset: str,
    named: dict[str, Any],
    kernel: str,
) -> None:
    asked = order(picture, task="upscale", factor=2, preset=preset, settings=named)
    job = Job.objects.get(pk=api(alice)("POST", "jobs", asked).json()["id"])
    assert job.settings["kernel"] == Plan.of(job).task.kernel == kernel


def test_the_papers_preset_is_offered_only_beside_a_worker_with_a_gpu(
    alice: User, api: Callable[[User], Api], client: Client, picture: Picture
) -> None:
    def offered() -> tuple[list[str], bool]:
        told = api(alice)("GET", f"presets?picture={picture.pk}&task=upscale&factor=2").json()["presets"]
        page = client.get(reverse("compose", args=[picture.pk])).content
        return [preset["name"] for preset in told], b'data-testid="preset-paper"' in page

    client.force_login(alice)
    now = timezone.now()
    Worker.objects.create(name="w", heartbeat_at=now, started_at=now, slots=2)
    assert offered() == (["preview", "balanced", "thorough"], False)
    Worker.objects.create(name="g", heartbeat_at=now, started_at=now, slots=1, device="cuda")
    assert offered() == (["preview", "balanced", "thorough", "paper"], True)


def test_what_is_offered_because_a_gpu_is_up_is_asked_of_it(
    alice: User, api: Callable[[User], Api], client: Client, picture: Picture
) -> None:
    now = timezone.now()
    Worker.objects.create(name="g", heartbeat_at=now, started_at=now, slots=1, device="cuda")
    client.force_login(alice)
    page = client.get(reverse("compose", args=[picture.pk])).content.decode()
    assert re.findall(r'value="(\w+)" data-device="(\w+)"', page) == [
        ("preview", "cpu"), ("balanced", "cpu"), ("thorough", "cpu"), ("paper", "cuda"),
    ]  # fmt: skip
    told = api(alice)("GET", f"presets?picture={picture.pk}").json()["presets"]
    assert {preset["name"]: preset["device_class"] for preset in told}["paper"] == "cuda"
    # Nobody is up who computes the others.
    assert [preset["name"] for preset in told if preset["minutes"] is not None] == ["paper"]
    Worker.objects.create(name="w", heartbeat_at=now, started_at=now, slots=2)
    told = api(alice)("GET", f"presets?picture={picture.pk}").json()["presets"]
    assert all(preset["minutes"] is not None for preset in told)


def test_a_job_with_training_lengths_runs_to_its_account(
    alice: User, api: Callable[[User], Api], picture: Picture
) -> None:
    job = queue(alice, picture, overrides=SMALL | {"representation": "asymt"})
    assert seconds_left(job) is None
    finish(job)
    run = api(alice)("GET", f"jobs/{job.pk}").json()["run"]
    told = run["best_architecture"]
    assert run["best_genome"].startswith("asymt:2:")
    assert (told["representation"], told["units"]) == ("asymt", 2)
    assert told["epochs"] in (500, 1500, 3500)
