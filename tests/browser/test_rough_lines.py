"""Requests that fail, hang or overtake each other, and several tabs: nothing is lost, and what is said is true."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Dialog, Page, Route, expect

from tests.browser.site import RunningSite, photograph, png
from tests.browser.steps import (
    LONG,
    QUICK,
    cancel,
    finish,
    held_back,
    log_in,
    make_staff,
    order,
    paint,
    sign_up,
    token_of,
    upload,
)

EVENTS = re.compile(r"/events\?after=")
PATIENCE = 31_000  # ms: an answer that takes longer does not come


def open_to_paint(page: Page, site: RunningSite, picture: str) -> None:
    page.goto(f"{site.url}/new/{picture}/?task=inpaint")
    page.locator("[data-stage][data-ready]").wait_for()


def choose(page: Page, name: str, content: bytes) -> None:
    page.get_by_test_id("file").set_input_files({"name": name, "mimeType": "image/png", "buffer": content})


def test_what_is_filled_is_what_the_tab_shows(page: Page, context: BrowserContext, site: RunningSite) -> None:
    sign_up(page, site)
    picture = upload(page, site, photograph(96))
    other = context.new_page()
    for tab in (page, other):
        open_to_paint(tab, site, picture)
    paint(page, [(200, 200), (240, 240)])
    shown = page.get_by_test_id("share").inner_text()
    paint(other, [(100, 100), (400, 300), (100, 300)])
    assert other.get_by_test_id("share").inner_text() != shown
    page.get_by_test_id("start").click()
    page.wait_for_url("**/jobs/*-*/")
    job = page.url.rstrip("/").rsplit("/", 1)[-1]
    filled = 100 * page.request.get(f"{site.url}/api/v1/jobs/{job}").json()["share_to_fill"]
    assert shown.startswith(f"{filled:.2f} %")
    cancel(page, site, job)


def test_files_chosen_while_another_is_sent_are_all_taken_in(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    pictures = re.compile("/api/v1/pictures$")
    with held_back(page, pictures, "POST") as let_go:
        page.goto(f"{site.url}/new/")
        choose(page, "one.png", png(photograph(48)))
        expect(page.get_by_test_id("upload")).to_have_count(1)
        choose(page, "two.png", png(photograph(50)))
        expect(page.get_by_test_id("upload").last).to_contain_text("taken in")
        let_go()
        expect(page.get_by_test_id("upload").first).to_contain_text("taken in")
    with held_back(page, pictures, "POST") as let_go:
        choose(page, "bad.png", b"no picture")
        choose(page, "three.png", png(photograph(52)))
        expect(page.get_by_test_id("upload").last).to_contain_text("taken in")
        let_go()
        expect(page.get_by_test_id("notice")).to_contain_text("bad.png")
    assert page.url.endswith("/new/")
    kept = page.request.get(f"{site.url}/api/v1/pictures").json()["pictures"]
    assert sorted(one["name"] for one in kept) == ["one.png", "three.png", "two.png"]


def test_logging_in_again_elsewhere_leaves_a_tab_at_work(
    page: Page, context: BrowserContext, site: RunningSite, complaints: list[str]
) -> None:
    name = sign_up(page, site)
    open_to_paint(page, site, upload(page, site, photograph(96)))
    other = context.new_page()
    other.goto(f"{site.url}/new/")
    log_in(other, site, name, "/new/")
    paint(page, [(200, 200), (240, 240)])  # until it is saved
    assert not complaints


def test_leaving_asks_where_strokes_would_be_lost(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    open_to_paint(page, site, upload(page, site, photograph(96)))
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.route("**/strokes", lambda route: route.abort())
    box = page.get_by_test_id("stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 260, box["y"] + 260, steps=3)
    page.mouse.up()
    saving = page.get_by_test_id("saving")
    expect(saving).to_have_attribute("data-saving", "not saved")
    page.get_by_role("link", name="History").click(no_wait_after=True)
    expect(saving).to_be_visible()
    assert asked == ["beforeunload"]
    page.unroute("**/strokes")
    expect(saving).to_have_attribute("data-saving", "saved", timeout=30_000)
    page.get_by_role("link", name="History").click()
    page.wait_for_url("**/jobs/")
    assert asked == ["beforeunload"]


def test_a_request_that_never_answers_stops_nothing(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    job = order(page, site, upload(page, site, photograph(48)), LONG)
    page.clock.install()
    # The first asks for what happened before, the second for what was missed.
    asked: list[Route] = []

    def hold_the_second(route: Route) -> None:
        asked.append(route)
        if len(asked) != 2:
            route.continue_()

    page.route(EVENTS, hold_the_second)
    page.goto(f"{site.url}/jobs/{job}/")
    state = page.get_by_test_id("state")
    expect(state).to_be_visible()
    cancel(page, site, job)
    assert len(asked) >= 2
    expect(state).not_to_have_text("cancelled")
    page.clock.fast_forward(PATIENCE)
    page.clock.fast_forward(PATIENCE)
    expect(state).to_have_text("cancelled", timeout=30_000)


def test_live_is_said_where_the_site_is_reached_alone(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    job = order(page, site, upload(page, site, photograph(48)), LONG)
    page.clock.install()
    page.route(EVENTS, lambda route: route.abort())
    page.goto(f"{site.url}/jobs/{job}/")
    connection = page.get_by_test_id("connection")
    expect(connection).to_have_text("offline")
    assert page.get_by_test_id("log").locator("li").count() == 0
    page.unroute(EVENTS)
    page.clock.fast_forward(16_000)
    expect(connection).to_have_text("live", timeout=30_000)
    expect(page.get_by_test_id("log").locator("li").last).to_contain_text(
        "Queued"
    )  # the earlier ones came, too
    cancel(page, site, job)


def test_a_picture_that_did_not_come_is_asked_for_again(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    job = order(page, site, upload(page, site, photograph(48)), LONG | {"iterations": 100})
    lost: list[str] = []

    def lose(route: Route) -> None:
        lost.append(route.request.url)
        route.abort()

    page.route(re.compile("/seen"), lose, times=1)
    page.goto(f"{site.url}/jobs/{job}/")
    before = page.locator("[data-compare] img.before")
    expect(page.get_by_test_id("best-picture")).to_be_visible(timeout=120_000)
    expect(before).to_be_visible(timeout=60_000)
    assert lost and before.evaluate("image => image.naturalWidth") > 0
    cancel(page, site, job)


def test_a_card_of_the_history_is_renewed_alone(page: Page, site: RunningSite, complaints: list[str]) -> None:
    sign_up(page, site)
    boat = upload(page, site, photograph(48), "boat.png")
    done, stopped = order(page, site, boat, QUICK), order(page, site, boat, LONG)
    page.goto(f"{site.url}/jobs/")
    search = page.get_by_test_id("search")
    search.press_sequentially("vacation")
    page.evaluate("window.sameDocument = true")
    finish(page, site, done)
    cancel(page, site, stopped)
    for job, word in ((done, "done"), (stopped, "cancelled")):
        card = page.locator(f'[data-job="{job}"]')
        expect(card.locator("[data-state-word]")).to_have_text(word, timeout=30_000)
        expect(card.get_by_test_id("delete")).to_have_count(1)
    assert page.evaluate("window.sameDocument")
    expect(search).to_have_value("vacation")
    expect(search).to_be_focused()
    card = page.locator(f'[data-job="{done}"]')
    expect(card.locator("img")).to_have_attribute("src", re.compile(f"/jobs/{done}/thumbnail.png"))
    page.on("dialog", lambda dialog: dialog.accept())
    card.hover()
    card.get_by_test_id("delete").click()
    expect(page.get_by_test_id("card")).to_have_count(1)
    # A preview of the running job may be gone before its picture is asked for.
    assert not [said for said in complaints if "404" not in said]


def test_the_history_of_who_is_logged_out_leads_to_the_login(
    page: Page, context: BrowserContext, site: RunningSite
) -> None:
    name = sign_up(page, site)
    job = order(page, site, upload(page, site, photograph(48)), LONG)
    page.goto(f"{site.url}/jobs/")
    context.clear_cookies()
    page.wait_for_url("**/accounts/login/**", timeout=30_000)
    log_in(page, site, name, "/jobs/")
    cancel(page, site, job)


def test_arrow_keys_go_through_a_filter_before_it_applies(
    page: Page, site: RunningSite, complaints: list[str]
) -> None:
    sign_up(page, site)
    boat = upload(page, site, photograph(48), "boat.png")
    job = order(page, site, boat, LONG)
    page.goto(f"{site.url}/jobs/")
    task = page.get_by_test_id("filter-task")
    page.evaluate("window.sameDocument = true")
    task.focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(task).to_have_value("upscale")
    expect(task).to_be_focused()
    assert page.evaluate("window.sameDocument")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("nothing-found")).to_be_visible()
    page.get_by_test_id("filter-task").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Tab")
    expect(page.get_by_test_id("card")).to_have_attribute("data-job", job)
    assert not complaints


def test_a_note_outlives_the_verdict_on_another_card(
    page: Page, site: RunningSite, complaints: list[str]
) -> None:
    sign_up(page, site)
    finish(page, site, order(page, site, upload(page, site, photograph(48)), QUICK | {"population": 3}))
    log_in(page, site, make_staff(site), "/review/")
    cards = page.get_by_test_id("discovery")
    cards.nth(1).get_by_test_id("note").fill("too many skips")
    cards.first.get_by_test_id("approve").click()
    expect(page.get_by_test_id("verdict").first).to_have_text("Approved")
    note = cards.nth(1).get_by_test_id("note")
    expect(note).to_have_value("too many skips")
    cards.nth(1).get_by_test_id("reject").click()
    expect(cards.nth(1)).to_contain_text('reject, "too many skips"')
    expect(note).to_have_value("")
    assert not complaints


@pytest.mark.parametrize("answer", ["no JSON", "broken off"])
def test_what_another_than_the_site_answers_is_no_answer(page: Page, site: RunningSite, answer: str) -> None:
    sign_up(page, site)
    job = order(page, site, upload(page, site, photograph(48)), LONG)
    body = "<html>Welcome to the hotel</html>" if answer == "no JSON" else '{"state": '
    page.route("**/snapshot", lambda route: route.fulfill(body=body, content_type="text/html"), times=1)
    page.goto(f"{site.url}/jobs/{job}/")
    expect(page.get_by_test_id("notice")).to_contain_text("The site can't be reached.")
    assert page.request.post(f"{site.url}/api/v1/jobs/{job}/cancel", headers=token_of(page)).ok
