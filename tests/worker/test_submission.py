"""A request is refused whole, naming the field, or becomes one job."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User

from nasdip_engine.errors import InvalidInput
from nasdip_engine.picture import encode_mask
from tests.worker.cast import SETTINGS, queue
from webapp.pictures import storage
from webapp.pictures.models import Picture
from webapp.restorations import submission
from webapp.restorations.models import Job, WorkItem
from webapp.restorations.turns import place_in_queue


def mask(hole: slice) -> str:
    """Stored mask of 40 x 32 pixels with a hole of some rows."""
    known = np.ones((32, 40), bool)
    known[hole] = False
    return storage.put(encode_mask(known))


def test_a_job_holds_every_setting_and_seed(job: Job) -> None:
    assert job.settings.items() >= SETTINGS.items()
    assert job.settings["mutation_rate"] == 0.05
    assert set(job.seeds) == {"seed", "evaluation_seed", "evolution_seed"}
    assert [item.kind for item in WorkItem.objects.filter(job=job)] == ["open"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"seed": -1}, "seed"),
        ({"factor": 3}, "factor"),
        ({"task": "upscale", "factor": 9}, "factor"),
        ({"task": "sharpen"}, "task"),
        ({"preset": "instant"}, "preset"),
        ({"overrides": {"population": 1}}, "population"),
        ({"overrides": {"colour": 1}}, "colour"),
        ({"task": "inpaint"}, "mask"),
    ],
)
def test_what_is_out_of_range_is_refused_by_name(alice: User, change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        queue(alice, **change)
    assert refusal.value.field == field
    assert not Job.objects.exists()


@pytest.mark.parametrize("hole", [slice(0, 0), slice(0, 32)], ids=["all known", "all hole"])
def test_a_mask_without_hole_or_without_known_pixel_is_refused(alice: User, hole: slice) -> None:
    with pytest.raises(InvalidInput) as refusal:
        queue(alice, task="inpaint", mask_digest=mask(hole))
    assert refusal.value.field == "mask"


def test_the_share_to_fill_is_the_masks(alice: User) -> None:
    assert queue(alice, task="inpaint", mask_digest=mask(slice(0, 8))).share_to_fill == 0.25


def test_the_same_key_names_the_same_job_and_another_persons_key_another(alice: User, bob: User) -> None:
    first = queue(alice, idempotency_key="once")
    picture = Picture.objects.filter(owner=alice).first()
    assert picture is not None
    again = submission.submit(
        alice, picture=picture, mask_digest=None, task="denoise", idempotency_key="once"
    )
    assert again.pk == first.pk
    assert queue(bob, idempotency_key="once").pk != first.pk


def test_somebody_elses_picture_is_refused(alice: User, bob: User) -> None:
    queue(alice)
    picture = Picture.objects.get(owner=alice)
    with pytest.raises(InvalidInput) as refusal:
        submission.submit(bob, picture=picture, mask_digest=None, task="denoise")
    assert refusal.value.field == "picture"


def test_the_place_in_the_queue_counts_from_one(alice: User, bob: User) -> None:
    assert [place_in_queue(queue(person)) for person in (alice, bob, alice)] == [1, 2, 3]
