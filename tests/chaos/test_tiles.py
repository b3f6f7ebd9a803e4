"""A worker killed in the middle of one tile costs that tile's fit and nothing else: the same picture to the bit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.instance import LONG, Instance, check_the_rows, is_gone, photograph, signature
from tests.waiting import wait_for
from webapp.restorations.models import Event, WorkItem
from webapp.restorations.states import ItemKind, ItemState, JobState

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

SETTINGS = {"population": 2, "generations": 1, "iterations": 4, "final_iterations": 25, "tile": 64}


def test_a_worker_killed_in_the_middle_of_a_tile(instance: Instance) -> None:
    asked: dict[str, Any] = {"pixels": photograph()[100:180, 200:300], "overrides": SETTINGS}
    job = instance.submit(**asked)
    doomed = instance.worker("doomed", slots=1, hook="sleep:0.03")
    tiles = WorkItem.objects.filter(job=job, kind=ItemKind.FINISH)

    def in_the_middle() -> bool:
        told = Event.objects.filter(job=job, kind="final_progress").order_by("-number").first()
        leased = tiles.filter(state=ItemState.LEASED).first()
        return bool(
            told and told.data["done"] >= 1 and leased and leased.key.endswith(f":{told.data['tile']}")
        )

    wait_for(in_the_middle, LONG, "a second tile under way", every=0.02)
    family = doomed.kill()
    wait_for(lambda: all(is_gone(process) for process in family), 10, "the evaluator to die with its worker")
    done = dict(tiles.filter(state=ItemState.DONE).values_list("key", "updated_at"))
    assert 1 <= len(done) < tiles.count() == 4
    instance.worker("heir", slots=1)
    instance.wait_until(job, JobState.DONE)
    check_the_rows(job)
    assert "worker_lost" in instance.faults(job)
    assert done.items() <= dict(tiles.values_list("key", "updated_at")).items(), "no tile was fitted twice"
    again = instance.submit(**asked)
    instance.wait_until(again, JobState.DONE)
    assert instance.faults(again) == []
    assert signature(job) == signature(again)
