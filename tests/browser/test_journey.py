"""A picture from the upload to the download, through the real site; with the line cut and the page reloaded midway."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.site import RunningSite, photograph, pixels_of
from tests.browser.steps import choose_small_job, events_of, paint, sign_up, upload

SIDE = 96
FINISH = 240_000

pytestmark = pytest.mark.slow


class Line:
    """The page's websockets, with a hand on the wire: messages can be dropped, the line can be cut."""

    def __init__(self, page: Page) -> None:
        self.opened = 0
        self.dropped: list[int] = []
        self.told: list[dict[str, Any]] = []
        self.drop_one = False
        self._open: list[WebSocketRoute] = []
        page.route_web_socket(re.compile("/ws/jobs/"), self._connect)

    def _connect(self, route: WebSocketRoute) -> None:
        self.opened += 1
        self._open.append(route)
        server = route.connect_to_server()

        def forward(message: str | bytes) -> None:
            events = json.loads(message)["events"]
            if self.drop_one:
                self.drop_one = False
                self.dropped += [event["number"] for event in events]
                return
            self.told += events
            route.send(message)

        server.on_message(forward)

    def cut(self) -> None:
        self._open[-1].close(code=1012, reason="cut by the test")


def rows_of(page: Page) -> list[list[str]]:
    """The curve's figures as the table says them."""
    return (
        page.get_by_test_id("curve-table")
        .locator("tbody tr")
        .evaluate_all("rows => rows.map(row => [...row.cells].map(cell => cell.textContent))")
    )


def story_of(page: Page) -> list[str]:
    """What happened, oldest first, without the times of day."""
    lines = (
        page.get_by_test_id("log")
        .locator("li")
        .evaluate_all("all => all.map(li => li.lastChild.textContent)")
    )
    return list(reversed(lines))


def told_rows(events: list[dict[str, Any]]) -> list[list[str]]:
    closed = [event for event in events if event["kind"] == "generation_closed"]
    return [
        [str(event["generation"]), *(f"{event[name]:.3f}" for name in ("best", "mean", "worst"))]
        for event in closed
    ]


def test_a_picture_restored_end_to_end(page: Page, site: RunningSite, complaints: list[str]) -> None:
    line = Line(page)
    original = photograph(SIDE)
    sign_up(page, site)
    picture = upload(page, site, original)
    page.get_by_test_id("task-inpaint").check()
    paint(page, [(380, 250), (460, 330), (430, 380)])
    mask = pixels_of(page.request.get(f"{site.url}/api/v1/pictures/{picture}/mask.png").body(), "L") < 128
    choose_small_job(page, population=4, generations=3, iterations=40)
    page.get_by_test_id("start").click()
    page.wait_for_url("**/jobs/*/")

    see_the_curve_grow(page, line)
    cut_and_reload(page, line)

    page.get_by_test_id("result").wait_for(timeout=FINISH)
    events = events_of(page, site)
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    assert {event["kind"] for event in events} >= {
        "queued",
        "started",
        "best",
        "finishing",
        "baseline",
        "done",
    }
    assert page.get_by_test_id("generations").locator("tbody tr").count() == len(told_rows(events))

    drag_the_slider(page)
    see_every_reference(page, [event for event in events if event["kind"] == "baseline"])
    with page.expect_download() as download:
        page.get_by_test_id("download").click()
    assert download.value.suggested_filename == "astronaut_restored.png"
    restored = pixels_of(download.value.path().read_bytes())
    assert restored.shape == original.shape
    assert np.array_equal(restored[~mask], original[~mask])
    assert np.any(restored[mask] != original[mask])
    assert not [text for text in complaints if "WebSocket" not in text]


def see_the_curve_grow(page: Page, line: Line) -> None:
    """Rows come in one after the other, and each was carried by the websocket."""
    table = page.get_by_test_id("curve-table").locator("tbody tr")
    expect(page.get_by_test_id("connection")).to_have_text("live", timeout=30_000)
    expect(table).to_have_count(1, timeout=120_000)
    assert told_rows(line.told)[:1] == rows_of(page)[:1]
    expect(page.get_by_test_id("chart").locator("canvas")).to_be_visible()
    expect(page.get_by_test_id("best-picture")).to_have_js_property("complete", True)
    expect(page.get_by_test_id("best")).to_contain_text("dB on held-out pixels")


def cut_and_reload(page: Page, line: Line) -> None:
    """A message gets lost, the line is cut, the page is reloaded: the same history every time."""
    line.drop_one = True
    live = page.get_by_test_id("live")
    until(page, lambda: bool(line.dropped), "a message to drop")
    lost = max(line.dropped)
    expect_seen(page, lost)

    sockets = line.opened
    line.cut()
    until(page, lambda: line.opened > sockets, "a new socket")
    expect(page.get_by_test_id("connection")).to_have_text("live", timeout=30_000)
    before, story = rows_of(page), story_of(page)
    last = int(live.get_attribute("data-last") or 0)
    page.reload()
    expect_seen(page, last)
    assert page.get_by_test_id("live").count(), "the job ended before the page was reloaded: make it longer"
    assert rows_of(page)[: len(before)] == before
    expect(page.get_by_test_id("log").locator("li")).not_to_have_count(0)
    assert story_of(page)[: len(story)] == story
    assert sum(text.startswith("Generation 0 opened") for text in story) == 1


def expect_seen(page: Page, number: int) -> None:
    """Wait until the page has taken the event of that number."""
    live = page.get_by_test_id("live")
    until(page, lambda: int(live.get_attribute("data-last") or 0) >= number, f"event {number}")


def until(page: Page, condition: Callable[[], bool], what: str) -> None:
    """Let the page work until the condition holds, 30 s at most."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"waited 30 s for {what}"
        page.wait_for_timeout(50)


def see_every_reference(page: Page, told: list[dict[str, Any]]) -> None:
    """A row each, the best marked; by the list or the row's link any of them lies under the slider."""
    rows = page.get_by_test_id("figures").locator("tbody tr")
    ours, *others = rows.locator("th").evaluate_all("all => all.map(th => th.firstChild.textContent.trim())")
    assert ours == "this restoration"
    assert others == ["biharmonic", "nearest pixel", "harmonic", "Telea"]
    assert sorted(others) == sorted(event["method"] for event in told)
    figures = [
        float(text.removesuffix(" dB")) for text in rows.locator("td:nth-child(2)").all_text_contents()
    ]
    marked = [bool(row.locator(".won").count()) for row in rows.all()]
    assert any(marked) and max(figures) == max(
        figure for figure, best in zip(figures, marked, strict=True) if best
    )
    before, under = page.get_by_test_id("before"), page.get_by_test_id("under")
    under.focus()
    page.keyboard.press("ArrowDown")  # a list is worked by keys alone
    expect(before).to_have_attribute("src", re.compile("baselines/biharmonic.png"))
    link = rows.nth(4).get_by_role("link")
    link.click()
    expect(before).to_have_attribute("src", re.compile("baselines/telea.png"))
    expect(before).to_have_attribute("alt", "Telea")
    expect(page.locator(".label.of-before")).to_have_text("Telea")
    expect(under.locator("option:checked")).to_have_text("Telea")
    expect(link).to_have_attribute("aria-current", "true")
    assert before.evaluate("image => image.decode().then(() => image.naturalWidth)") == SIDE
    under.select_option(index=0)
    expect(before).to_have_attribute("src", re.compile("input.png"))
    expect(link).to_have_attribute("aria-current", "false")


def drag_the_slider(page: Page) -> None:
    stage = page.get_by_test_id("compare")
    slider = page.get_by_test_id("slider")
    assert slider.input_value() == "50"
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 3, steps=5)
    page.mouse.up()
    assert float(slider.input_value()) == pytest.approx(80, abs=1)
    clipped = page.get_by_test_id("after").evaluate("image => getComputedStyle(image).clipPath")
    assert float(re.findall(r"([\d.]+)%", clipped)[-1]) == pytest.approx(80, abs=1)
    slider.press("Home")
    assert slider.input_value() == "0"


def test_where_websockets_are_blocked_the_page_asks(page: Page, site: RunningSite) -> None:
    refused: list[WebSocketRoute] = []

    def refuse(route: WebSocketRoute) -> None:
        refused.append(route)
        route.close(code=1011, reason="blocked by the test")

    page.route_web_socket(re.compile("/ws/jobs/"), refuse)
    sign_up(page, site)
    upload(page, site, photograph(48))
    choose_small_job(page, population=4, generations=3, iterations=40)
    page.get_by_test_id("start").click()
    page.wait_for_url("**/jobs/*/")
    expect(page.get_by_test_id("connection")).to_have_text("live, by polling", timeout=30_000)
    assert len(refused) >= 3
    page.get_by_test_id("result").wait_for(timeout=FINISH)
    assert told_rows(events_of(page, site))
    expect(page.get_by_test_id("verdict")).to_contain_text("held-out pixels")


def test_pause_go_on_and_cancel(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    upload(page, site, photograph(64))
    choose_small_job(page, population=6, generations=20, iterations=2000)
    page.get_by_test_id("start").click()
    page.wait_for_url("**/jobs/*/")
    state = page.get_by_test_id("state")
    expect(state).to_have_text("running", timeout=60_000)
    expect(page.get_by_test_id("iteration")).to_contain_text("iteration", timeout=30_000)
    page.get_by_test_id("pause").click()
    expect(state).to_have_text("paused", timeout=15_000)
    expect(page.get_by_test_id("now")).to_contain_text("Everything so far is kept")
    page.get_by_test_id("resume").click()
    expect(state).to_have_text("running", timeout=60_000)
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_test_id("cancel").click()
    expect(state).to_have_text("cancelled", timeout=15_000)
    expect(page.get_by_test_id("connection")).to_be_hidden()
    page.reload()
    expect(state).to_have_text("cancelled")
    expect(page.get_by_role("link", name="Start it again")).to_be_visible()
    expect(page.get_by_test_id("connection")).to_be_hidden()
    page.goto(f"{site.url}/jobs/")
    page.get_by_test_id("card").hover()
    page.get_by_test_id("delete").click()
    expect(page.get_by_test_id("empty")).to_be_visible()
