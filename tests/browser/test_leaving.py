"""Leaving a page and coming back to it: nothing painted is lost, nothing stays dead, what is gone is said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS, Complaints
from tests.browser.site import RunningSite, photograph
from tests.browser.steps import LONG, QUICK, cancel, finish, log_in, order, sign_up, token_of, upload
from tests.waiting import wait_for

SIDE = 96


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    """With the cache of pages for "Back" that people's browsers have and Playwright turns off."""
    off = ["--disable-back-forward-cache"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS, ignore_default_args=off)
        yield opened
        opened.close()


def kept(page: Page, site: RunningSite, picture: str) -> int:
    """How many strokes the server has."""
    return len(page.request.get(f"{site.url}/api/v1/pictures/{picture}/strokes").json()["strokes"])


def stroke(page: Page, x: int, y: int) -> None:
    box = page.get_by_test_id("stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.down()
    page.mouse.move(box["x"] + x + 40, box["y"] + y + 20, steps=4)
    page.mouse.up()


def test_back_from_a_job_another_can_be_started(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    upload(page, site, photograph(SIDE))
    page.evaluate("window.sameDocument = true")
    page.get_by_test_id("start").click()
    page.wait_for_url("**/jobs/*-*/")
    first = page.url
    page.go_back(wait_until="commit")
    start = page.get_by_test_id("start")
    expect(start).to_have_text("Restore")
    expect(start).to_be_enabled()
    assert page.evaluate("window.sameDocument"), "the page came from the cache, as it was left"
    start.click()
    page.wait_for_url(lambda address: "/jobs/" in address and address != first)
    for address in (first, page.url):
        cancel(page, site, address.rstrip("/").rsplit("/", 1)[-1])


def test_back_from_a_sample_another_can_be_taken(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    page.evaluate("window.sameDocument = true")
    page.get_by_test_id("sample-denoise").click()
    page.wait_for_url("**/new/*-*/*")
    page.go_back(wait_until="commit")
    expect(page.get_by_test_id("sample-denoise")).to_be_enabled()
    assert page.evaluate("window.sameDocument"), "the page came from the cache, as it was left"
    expect(page.get_by_test_id("sample-denoise")).not_to_have_attribute("aria-busy", "true")


@pytest.mark.parametrize("way", ["reload", "link", "while the one before is saved"])
def test_the_last_stroke_outlives_its_page(page: Page, site: RunningSite, way: str) -> None:
    sign_up(page, site)
    picture = upload(page, site, photograph(SIDE))
    page.get_by_test_id("task-inpaint").check()
    strokes = 1
    if way == "while the one before is saved":
        with page.expect_request("**/strokes"):  # half a second after the stroke
            stroke(page, 120, 120)
        stroke(page, 220, 220)
        strokes = 2
    else:
        stroke(page, 120, 120)
    if way == "link":
        page.goto(f"{site.url}/jobs/")
    else:
        page.reload()
    wait_for(lambda: kept(page, site, picture) == strokes, 10, "the strokes to be saved")


def test_a_refused_drawing_is_sent_once_and_again_with_the_next_stroke(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    upload(page, site, photograph(SIDE))
    page.get_by_test_id("task-inpaint").check()
    sent: list[str] = []

    def refuse(route: Route) -> None:
        if route.request.method != "PUT":
            route.fallback()
            return
        sent.append(route.request.url)
        route.fulfill(status=422, json={"detail": "These strokes can't be drawn."})

    page.route("**/strokes", refuse)
    page.clock.install()
    stroke(page, 120, 120)
    page.clock.run_for(600)
    saving = page.get_by_test_id("saving")
    expect(saving).to_have_text("not saved")
    expect(page.get_by_test_id("problems")).to_contain_text("These strokes can't be drawn.")
    page.clock.run_for(60_000)
    expect(saving).to_have_text("not saved")
    assert len(sent) == 1
    stroke(page, 220, 220)
    with page.expect_request("**/strokes"):
        page.clock.run_for(600)


def test_a_closed_field_that_is_refused_is_opened(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    upload(page, site, photograph(SIDE))
    page.get_by_test_id("advanced").click()
    generations = page.get_by_test_id("generations")
    generations.fill("1000")
    page.get_by_test_id("advanced").click()
    expect(generations).to_be_hidden()
    page.get_by_test_id("start").click()
    expect(generations).to_be_visible()
    expect(generations).to_be_focused()


def test_the_time_said_follows_the_settings(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    upload(page, site, photograph(SIDE))
    cost, about = page.locator('[data-cost="preview"]'), page.locator('[data-good-for="preview"]')
    expect(about).to_contain_text("networks tried")
    own, networks = cost.inner_text(), about.inner_text()
    page.get_by_test_id("advanced").click()
    page.get_by_test_id("generations").fill("90")
    page.get_by_test_id("iterations").fill("20000")
    page.get_by_test_id("iterations").blur()
    expect(cost).not_to_have_text(own)
    expect(cost).to_contain_text("hours")
    expect(about).not_to_have_text(networks)


GONE: dict[str, Any] = {"deleted": 404, "logged out": 401}


@pytest.mark.parametrize("what", GONE)
def test_without_sockets_what_is_gone_is_no_lost_connection(
    page: Page, context: BrowserContext, site: RunningSite, what: str
) -> None:
    page.route_web_socket("**/ws/**", lambda socket: socket.close(code=1011))
    name = sign_up(page, site)
    job = order(page, site, upload(page, site, photograph(SIDE)), LONG)
    page.goto(f"{site.url}/jobs/{job}/")
    expect(page.get_by_test_id("connection")).to_have_text("live, by polling", timeout=30_000)
    if what == "deleted":
        headers = token_of(page)
        assert page.request.post(f"{site.url}/api/v1/jobs/{job}/pause", headers=headers).ok
        expect(page.get_by_test_id("state")).to_have_text("paused", timeout=60_000)
        assert page.request.delete(f"{site.url}/api/v1/jobs/{job}", headers=headers).status == 204
        expect(page.get_by_test_id("error-page")).to_be_visible(timeout=30_000)
    else:
        context.clear_cookies()
        page.wait_for_url("**/accounts/login/**", timeout=30_000)
        log_in(page, site, name, f"/jobs/{job}/")
        cancel(page, site, job)


def test_a_job_that_ends_while_its_page_loads_shows_its_result(page: Page, site: RunningSite) -> None:
    """The page is the live one, the first look finds the job done."""
    sign_up(page, site)
    job = order(page, site, upload(page, site, photograph(SIDE)), QUICK)
    live: list[str] = []

    def late(route: Route) -> None:
        live.append(route.request.url)
        finish(page, site, job)
        route.continue_()

    # The page's patience stands still while it waits: the machine that tests may be slow.
    page.clock.install()
    page.clock.pause_at(datetime.now(UTC) + timedelta(minutes=1))
    page.route("**/snapshot", late, times=1)
    page.goto(f"{site.url}/jobs/{job}/")
    wait_for(lambda: page.title() is not None and live, 60, "the page to ask")
    page.clock.resume()
    expect(page.get_by_test_id("result")).to_be_visible(timeout=180_000)
    assert live


def test_without_javascript_deletion_asks_and_pages_say_what_they_need(
    browser: Browser, page: Page, site: RunningSite, complaints: Complaints
) -> None:
    sign_up(page, site)
    picture = upload(page, site, photograph(SIDE), "boat.png")
    job = order(page, site, picture, LONG)
    cancel(page, site, job)
    plain = browser.new_context(java_script_enabled=False, storage_state=page.context.storage_state())
    try:
        bare = plain.new_page()
        for address in ("/new/", f"/new/{picture}/"):
            bare.goto(site.url + address)
            # Playwright turns scripts off without telling the parser, which therefore shows no <noscript>.
            assert re.search("<noscript>.* with JavaScript", bare.content())
        bare.goto(f"{site.url}/jobs/")
        bare.get_by_test_id("delete").click()
        expect(bare.get_by_role("heading", name="Delete boat.png?")).to_be_visible()
        bare.get_by_role("link", name="Keep it").click()
        expect(bare.get_by_test_id("card")).to_have_count(1)
        bare.get_by_test_id("delete").click()
        bare.get_by_role("button", name="Delete").click()
        expect(bare.get_by_test_id("empty")).to_be_visible()
    finally:
        plain.close()
    assert not complaints
