"""The cast of the web tests, pictures to upload, and jobs that are driven through the real functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.web.cast import Api, encoded, photograph
from tests.web.drive import finish, queue
from webapp.pictures.intake import store_picture
from webapp.pictures.models import Picture
from webapp.restorations.models import Job


@pytest.fixture(autouse=True)
def files(tmp_path: Path, settings: Any) -> Path:
    """Stored files of each test lie in a folder of its own."""
    settings.DATA_DIR = tmp_path / "data"
    settings.CHANNEL_LAYERS = {}
    settings.REDIS_URL = ""
    return tmp_path / "data"


def person(name: str, **more: Any) -> User:
    """A user with a password that nothing fits: hashing one takes longer than most of these tests."""
    return User.objects.create(username=name, password="no hash", **more)


@pytest.fixture
def alice(db: None) -> User:
    return person("alice")


@pytest.fixture
def bob(db: None) -> User:
    return person("bob")


@pytest.fixture
def reviewer(db: None) -> User:
    return person("reviewer", is_staff=True)


@pytest.fixture
def api() -> Callable[[User], Api]:
    return Api


@pytest.fixture
def picture(alice: User) -> Picture:
    """A picture of alice's."""
    return store_picture(alice, encoded(photograph()), "beach.png")


@pytest.fixture
def job(alice: User, picture: Picture) -> Job:
    """A queued job of alice's."""
    return queue(alice, picture)


@pytest.fixture
def done_job(job: Job) -> Job:
    """A job of alice's that went all the way through the real functions."""
    return finish(job)
