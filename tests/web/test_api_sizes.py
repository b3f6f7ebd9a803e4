"""Pictures larger than a tile through the API: what presets say of them, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from nasdip_engine.framing import Window, final_windows
from tests.web.cast import Api, encoded, photograph
from tests.web.drive import SMALL
from tests.web.requests import order, refused
from webapp.pictures import layout
from webapp.pictures.intake import save_strokes, store_picture
from webapp.restorations.models import Worker

pytestmark = pytest.mark.django_db


def test_a_larger_picture_is_restored_in_tiles_and_its_presets_say_so(
    alice: User, api: Callable[[User], Api]
) -> None:
    large = store_picture(alice, encoded(photograph(1100, 600)), "large.png")
    way = api(alice)
    now = timezone.now()
    Worker.objects.create(name="w", heartbeat_at=now, started_at=now, slots=2)
    told = way("GET", f"presets?picture={large.pk}&task=denoise").json()
    assert told["tiles"] == 6
    assert told["notes"] == [
        "The picture is restored in 6 overlapping tiles of 410 x 332 pixels, at full size.",
        "Networks are compared on a part of 128 x 128 pixels; the result is made at full size.",
    ]
    assert all(preset["estimate"].startswith("6 tiles, about ") for preset in told["presets"])
    assert way("GET", f"presets?picture={large.pk}&task=inpaint").json()["tiles"] == 1, (
        "no hole is painted yet"
    )
    assert way("POST", "jobs", order(large)).status_code == 202


def test_the_painted_holes_say_in_how_many_windows_they_are_filled(
    alice: User, api: Callable[[User], Api]
) -> None:
    large = store_picture(alice, encoded(photograph(2000, 700)), "large.png")
    way = api(alice)
    dots = [{"tool": "brush", "size": 20, "points": [[x, 300]]} for x in (50, 1900)]
    save_strokes(large, dots)
    told = way("GET", f"presets?picture={large.pk}&task=inpaint").json()
    assert told["tiles"] == 2
    assert told["notes"][0] == (
        "The holes are filled in 2 windows around them of 512 x 512 pixels, at full size."
    )
    save_strokes(large, [{"tool": "brush", "size": 300, "points": [[500, 350], [1400, 350]]}])
    told = way("GET", f"presets?picture={large.pk}&task=inpaint").json()
    assert "fitted at 28 % of their size" in told["notes"][0]


@pytest.mark.parametrize("painted", [False, True])
def test_a_noisy_hole_in_a_larger_picture_is_refused_before_the_start(
    alice: User, api: Callable[[User], Api], painted: bool
) -> None:
    large = store_picture(alice, encoded(photograph(600, 300)), "large.png")
    way = api(alice)
    if painted:
        save_strokes(large, [{"tool": "brush", "size": 20, "points": [[50, 100]]}])
        refused(way("POST", "jobs", order(large, task="inpaint", noise="correlated")), 422, "noise")
    asked = f"presets?picture={large.pk}&task=inpaint"
    told = refused(way("GET", f"{asked}&noise=correlated"), 422, "noise")
    assert "over 512 pixels a side only the hole can be filled" in told["detail"]
    assert way("GET", f"{asked}&noise=none").status_code == way("GET", asked).status_code == 200
    refused(way("GET", "presets?task=denoise&noise=none"), 422, "noise")


def test_a_mask_is_looked_at_once_and_not_while_the_database_is_held(
    alice: User, api: Callable[[User], Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[bool] = []

    def counted(*asked: Any) -> tuple[Window, ...]:
        looked.append(len(connection.savepoint_ids) > outside)
        return final_windows(*asked)

    outside = len(connection.savepoint_ids)  # the test's own transaction
    monkeypatch.setattr(layout, "final_windows", counted)
    large = store_picture(alice, encoded(photograph(600, 300)), "large.png")
    save_strokes(large, [{"tool": "brush", "size": 20, "points": [[51, 101]]}])
    way = api(alice)
    assert way("GET", f"presets?picture={large.pk}&task=inpaint").status_code == 200
    assert way("POST", "jobs", order(large, task="inpaint")).status_code == 202
    assert looked == [False]
    assert (
        way("POST", "jobs", order(large, task="inpaint", settings=SMALL | {"tile": 256})).status_code == 202
    )
    assert looked == [False, False]


def test_a_result_over_100_megapixels_is_refused(alice: User, api: Callable[[User], Api]) -> None:
    large = store_picture(alice, encoded(photograph(1400, 1300)), "large.png")
    way = api(alice)
    told = refused(way("POST", "jobs", order(large, task="upscale", factor=8)), 422, "factor")
    assert "11200 x 10400, 116.5 megapixels; a result has up to 100" in told["detail"]
    refused(way("GET", f"presets?picture={large.pk}&task=upscale&factor=8"), 422, "factor")
