"""Pictures are worked on a few at a time; who must wait is answered within a bounded time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from tests.waiting import wait_for
from tests.web.cast import encoded, photograph
from tests.web.requests import order, refused
from webapp.pictures import intake, storage
from webapp.pictures.models import Picture
from webapp.pictures.turns import BusyError, TooManyWaitingError, Turns


@contextmanager
def all_taken() -> Iterator[None]:
    """Both turns at decoding are somebody else's."""
    with intake.decoder(), intake.decoder():
        yield


def test_turns_come_in_order_and_few_at_a_time() -> None:
    turns = Turns(1)
    done: list[int] = []
    at_work = threading.Semaphore(1)

    def work(owner: int) -> None:
        with turns.turn(owner):
            assert at_work.acquire(blocking=False)
            done.append(owner)
            at_work.release()

    threads = [threading.Thread(target=work, args=[owner]) for owner in range(5)]
    with turns.turn(None):
        for number, thread in enumerate(threads, 1):
            thread.start()
            wait_for(lambda count=number: len(turns._line) == count, 10, "the thread to wait")
        assert done == []
    for thread in threads:
        thread.join(10)
    assert done == [0, 1, 2, 3, 4]


def test_a_user_waits_with_two_at_most_and_others_are_not_in_the_way() -> None:
    turns = Turns(1)

    def wait(owner: int) -> None:
        with turns.turn(owner):
            pass

    threads = [threading.Thread(target=wait, args=[owner]) for owner in (1, 1, 2)]
    with turns.turn(1):
        for thread in threads:
            thread.start()
        wait_for(lambda: len(turns._line) == 3, 10, "three to wait")
        with pytest.raises(TooManyWaitingError), turns.turn(1):
            pass
    for thread in threads:
        thread.join(10)
    wait(1)


def test_nobody_waits_for_ever_and_who_gave_up_is_out_of_the_line(settings: Any) -> None:
    settings.PICTURE_WAIT_SECONDS = 0.05
    turns = Turns(1)
    with turns.turn(1):
        for _ in range(4):
            with pytest.raises(BusyError), turns.turn(2):
                pass
    with turns.turn(2):
        pass


@pytest.mark.django_db
def test_a_busy_site_says_when_to_come_back(alice: User, api: Any, picture: Picture, settings: Any) -> None:
    settings.PICTURE_WAIT_SECONDS = 0.05
    way = api(alice)
    mask = way.upload(encoded(photograph()), "mask.png", kind="mask").json()["id"]
    with all_taken():
        busy = way.upload(encoded(photograph()), "later.png")
        refused(busy, 503)
        assert int(busy["Retry-After"]) > 0
        refused(way("POST", "samples/denoise"), 503)
        refused(way("POST", "jobs", order(picture, task="inpaint", mask=mask)), 503)
        settings.PICTURES_WAITING_PER_USER = 0
        refused(way.upload(encoded(photograph()), "third.png"), 429)
    assert Picture.objects.count() == 2
    assert way.upload(encoded(photograph()), "later.png").status_code == 201


@pytest.mark.django_db
def test_an_upload_is_read_in_its_turn_and_stored_in_it(
    alice: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PICTURE_WAIT_SECONDS = 0.05
    upload = SimpleUploadedFile("beach.png", encoded(photograph()))
    with all_taken(), pytest.raises(BusyError):
        intake.intake(alice, upload)
    assert upload.tell() == 0
    free: list[int] = []
    put = storage.put

    def watched(data: bytes) -> str:
        free.append(intake._decodes._free)
        return put(data)

    monkeypatch.setattr(storage, "put", watched)
    intake.intake(alice, upload)
    assert free == [intake.DECODES_AT_ONCE - 1] * 3


@pytest.mark.django_db(transaction=True)
def test_who_waits_holds_no_connection_to_the_database(alice: User) -> None:
    assert User.objects.filter(pk=alice.pk).exists()
    with intake.decoder(alice.pk):
        assert connection.connection is None
    assert User.objects.filter(pk=alice.pk).exists()
