"""What pages and the API say of presets before the start: what they cost, and what they were worth."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from nasdip_engine.evolution.presets import worth
from tests.web.cast import Api
from tests.web.requests import refused
from webapp.pictures.models import Picture
from webapp.restorations.models import Worker

pytestmark = pytest.mark.django_db


def test_presets_tell_their_cost(alice: User, api: Callable[[User], Api], picture: Picture) -> None:
    way = api(alice)
    told = way("GET", f"presets?picture={picture.pk}&task=upscale&factor=2").json()["presets"]
    assert [preset["name"] for preset in told] == ["preview", "balanced", "thorough"]
    assert [preset["minutes"] for preset in told] == [None, None, None]
    costs = [preset["iterations"] for preset in told]
    assert costs == sorted(costs) and all(preset["good_for"] and preset["evaluations"] for preset in told)
    now = timezone.now()
    Worker.objects.create(name="w", heartbeat_at=now, started_at=now, slots=2)
    told = way("GET", f"presets?picture={picture.pk}&task=denoise").json()["presets"]
    assert all(preset["minutes"] > 0 and preset["estimate"].startswith("about") for preset in told)
    refused(way("GET", f"presets?picture={uuid.uuid4()}"), 404)
    refused(way("GET", "presets?task=sharpen"), 422, "task")


def test_presets_tell_the_cost_of_settings_that_are_set_by_hand(
    alice: User, api: Callable[[User], Api]
) -> None:
    way, now = api(alice), timezone.now()
    Worker.objects.create(name="w", heartbeat_at=now, started_at=now, slots=2)
    (own, *_) = way("GET", "presets?task=denoise").json()["presets"]
    (more, *_) = way("GET", "presets?task=denoise&population=100&generations=20&iterations=2000").json()[
        "presets"
    ]
    assert more["minutes"] > 50 * own["minutes"] and more["evaluations"] > 10 * own["evaluations"]
    assert own["worth"] and not more["worth"], "what the preset was worth says nothing of other settings"
    refused(way("GET", "presets?task=denoise&population=1"), 422, "population")


@pytest.mark.parametrize(
    ("task", "rival"), [("denoise", "BM3D"), ("inpaint", "biharmonic"), ("upscale", "Lanczos")]
)
def test_presets_say_what_they_were_worth_for_the_task(
    alice: User, api: Callable[[User], Api], task: str, rival: str
) -> None:
    presets = api(alice)("GET", f"presets?task={task}").json()["presets"]
    told = {preset["name"]: preset["worth"] for preset in presets}
    assert told == {name: worth(name, task) for name in ("preview", "balanced", "thorough")}
    assert rival in told["preview"] and not told["thorough"], "thorough was not measured"
