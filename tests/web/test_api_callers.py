"""Who calls the API: a token, a browser's session, or a stranger; and addresses that are none."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.web.cast import Api
from tests.web.requests import order, refused
from webapp.accounts import tokens
from webapp.pictures.models import Picture

pytestmark = pytest.mark.django_db


def test_a_stranger_is_told_to_sign_in(db: None) -> None:
    for method in ("get", "post"):
        answer = getattr(Client(), method)("/api/v1/jobs")
        refused(answer, 401)
        assert answer["WWW-Authenticate"] == "Bearer"


def test_a_wrong_or_revoked_token_does_not_fall_back_to_the_session(alice: User) -> None:
    browser = Client()
    browser.force_login(alice)
    text = tokens.issue(alice, "old")
    assert browser.get("/api/v1/jobs", headers={"authorization": f"Bearer {text}"}).status_code == 200
    tokens.revoke(alice, "old")
    for wrong in (f"Bearer {text}", "Bearer x", "Bearer"):
        refused(browser.get("/api/v1/jobs", headers={"authorization": wrong}), 401)


def test_a_proxy_s_own_password_leaves_the_session_as_it_is(alice: User) -> None:
    browser = Client()
    browser.force_login(alice)
    fenced = {"authorization": "Basic YTpi"}
    assert browser.get("/api/v1/jobs", headers=fenced).status_code == 200
    refused(Client().get("/api/v1/jobs", headers=fenced), 401)


def test_a_browser_needs_its_csrf_token_to_change_something(alice: User, picture: Picture) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(alice)
    assert browser.get("/api/v1/jobs").status_code == 200
    refused(browser.post("/api/v1/jobs", order(picture), content_type="application/json"), 403)
    browser.get("/api/v1/docs")
    token = browser.cookies["csrftoken"].value
    answer = browser.post(
        "/api/v1/jobs", order(picture), content_type="application/json", headers={"X-CSRFToken": token}
    )
    assert answer.status_code == 202


def test_wrong_methods_and_addresses_are_problems(alice: User, api: Callable[[User], Api]) -> None:
    way = api(alice)
    answer = way("PATCH", "jobs")
    refused(answer, 405)
    assert set(answer["Allow"].split(", ")) == {"GET", "POST"}
    for nowhere in ("nothing", "jobs/1", f"jobs/{uuid.uuid4()}/", "pictures/x/strokes", ""):
        refused(way("GET", nowhere), 404)
