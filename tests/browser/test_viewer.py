"""The viewer of a result: zoom in whole steps, fingers and keys, narrow pictures, grounds, and what lies under the slider."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.browser.conftest import Complaints
from tests.browser.site import Pixels, RunningSite, photograph, png
from tests.browser.steps import QUICK, finish, order, sign_up, upload
from tests.waiting import wait_for

SIDE = 96
WIDE = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
TWO_PICTURES = re.compile(r"/jobs/[^/]+/(input|restored)\.png")
OTHER_METHODS = re.compile(r"/baselines/")


@dataclass(frozen=True)
class Finished:
    """A restoration that is done: its page, and the session of its owner."""

    address: str
    session: Any


@pytest.fixture(scope="module")
def finished(browser: Browser, site: RunningSite) -> Finished:
    context = browser.new_context(**WIDE)  # type: ignore[arg-type]  # a table of options
    context.set_default_timeout(20_000)
    page = context.new_page()
    sign_up(page, site)
    job = order(page, site, upload(page, site, photograph(SIDE)), QUICK)
    finish(page, site, job)
    session = context.storage_state()
    context.close()
    return Finished(f"{site.url}/jobs/{job}/", session)


@pytest.fixture
def screen() -> dict[str, Any]:
    """How the result is looked at; tests name another one by parametrize."""
    return WIDE


@pytest.fixture
def result(
    browser: Browser, finished: Finished, complaints: Complaints, screen: dict[str, Any]
) -> Iterator[Page]:
    context = browser.new_context(storage_state=finished.session, **screen)
    context.set_default_timeout(20_000)
    page = context.new_page()
    complaints.listen(page)
    see(page, finished)
    yield page
    context.close()


def on(screen: dict[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("screen", [screen])


def see(page: Page, finished: Finished, instead: Pixels | None = None) -> None:
    """Open the result; `instead` comes for both pictures, as of a restoration of that size."""
    if instead is not None:
        page.route(TWO_PICTURES, lambda route: route.fulfill(body=png(instead), content_type="image/png"))
    page.goto(finished.address)
    page.locator("[data-compare][data-zoom]").wait_for()
    for name in ("before", "after"):
        page.get_by_test_id(name).evaluate("image => image.decode()")


def choose(page: Page, *, mode: str | None = None, zoom: str | None = None) -> None:
    for name, value in (("mode", mode), ("zoom", zoom)):
        if value:
            page.locator(f'button[data-{name}="{value}"]').click()


def box_of(part: Locator) -> dict[str, float]:
    box = part.evaluate("part => part.getBoundingClientRect().toJSON()")
    assert box["width"] > 0
    return dict(box)


def frame_of(page: Page) -> Locator:
    return page.locator(".compare .frame")


def scrolled(page: Page) -> float:
    return float(frame_of(page).evaluate("frame => frame.scrollLeft"))


def test_zoom_is_in_whole_steps_in_every_way_of_comparing(result: Page, complaints: Complaints) -> None:
    for mode in ("slider", "side"):
        choose(result, mode=mode)
        for zoom in (1, 2, 4):
            choose(result, zoom=str(zoom))
            for name in ("before", "after"):
                box = box_of(result.get_by_test_id(name))
                sides = pytest.approx((SIDE * zoom, SIDE * zoom), abs=0.01)
                assert (box["width"], box["height"]) == sides, (mode, zoom, name)
    assert not complaints


@on({"viewport": {"width": 1440, "height": 1400}})
def test_a_picture_is_smoothed_where_it_is_made_smaller(result: Page, finished: Finished) -> None:
    see(result, finished, instead=photograph(700))
    choose(result, mode="side", zoom="fit")
    stage, after = box_of(result.get_by_test_id("compare")), result.get_by_test_id("after")
    assert stage["width"] > 700 * 1.5 and box_of(after)["width"] < 700, "two pictures, each made smaller"
    expect(after).to_have_css("image-rendering", "auto")
    choose(result, zoom="4")
    expect(after).to_have_css("image-rendering", "pixelated")


@on(PHONE)
@pytest.mark.parametrize("mode", ["slider", "side"])
def test_a_finger_moves_an_enlarged_picture(result: Page, mode: str) -> None:
    choose(result, mode=mode, zoom="4")
    frame = frame_of(result)
    frame.scroll_into_view_if_needed()
    box = box_of(frame)
    y = box["top"] + 60
    drag_by_finger(result, (box["right"] - 20, y), (box["right"] - 180, y))
    result.wait_for_function("() => document.querySelector('.compare .frame').scrollLeft > 0")
    expect(result.get_by_test_id("slider")).to_have_value("50")


@on(PHONE)
def test_on_an_enlarged_picture_a_finger_takes_the_divider_by_its_line(result: Page) -> None:
    choose(result, zoom="4")
    stage, slider = result.get_by_test_id("compare"), result.get_by_test_id("slider")
    stage.scroll_into_view_if_needed()
    box = box_of(stage)
    y, before = max(box["y"], 0) + 40, scrolled(result)
    stage.evaluate("stage => stage.addEventListener('pointerup', () => (stage.dataset.seen = 'pointerup'))")
    result.touchscreen.tap(box["x"] + box["width"] * 0.2, y)
    expect(stage).to_have_attribute("data-seen", "pointerup")
    expect(slider).to_have_value("50")
    drag_by_finger(result, (box["x"] + box["width"] / 2, y), (box["x"] + box["width"] * 0.3, y))
    result.wait_for_function("slider => Math.abs(slider.value - 30) < 1", arg=slider.element_handle())
    assert scrolled(result) == before
    # The mouse has a wheel and bars to scroll by: it drags anywhere.
    result.mouse.click(box["x"] + box["width"] * 0.6, y)
    assert float(slider.input_value()) == pytest.approx(60, abs=1)


def drag_by_finger(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    line = page.context.new_cdp_session(page)
    points = [start, *((start[0] + (end[0] - start[0]) * step / 8, end[1]) for step in range(1, 9))]
    for number, (x, y) in enumerate(points):
        kind = "touchMove" if number else "touchStart"
        line.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    line.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_side_by_side_the_pointer_leaves_the_slider_alone(result: Page) -> None:
    choose(result, mode="side")
    stage = result.get_by_test_id("compare")
    stage.click(position={"x": 30, "y": 30})
    choose(result, mode="slider")
    expect(result.get_by_test_id("slider")).to_have_value("50")


@on(PHONE)
@pytest.mark.parametrize("mode", ["slider", "side"])
def test_arrow_keys_move_an_enlarged_picture(result: Page, mode: str) -> None:
    frame = frame_of(result)
    choose(result, mode=mode, zoom="4")
    assert frame.evaluate("frame => frame.scrollWidth > frame.clientWidth")
    expect(frame).to_have_attribute("tabindex", "0")
    expect(frame).to_have_role("group")
    expect(frame).to_have_accessible_name("The pictures are larger than this frame: arrow keys move them")
    frame.focus()
    result.keyboard.press("ArrowRight")
    result.wait_for_function("() => document.querySelector('.compare .frame').scrollLeft > 0")
    expect(result.get_by_test_id("slider")).to_have_value("50")
    choose(result, zoom="1")  # all of it is seen: no stop for the keyboard
    for name in ("tabindex", "role", "aria-label"):
        expect(frame).not_to_have_attribute(name, re.compile(""))


def test_an_arrow_key_moves_the_divider_by_one_percent(result: Page, site: RunningSite) -> None:
    for address in (result.url, f"{site.url}/"):
        result.goto(address)
        slider = result.get_by_test_id("slider")
        slider.press("ArrowRight")
        expect(slider).to_have_value("51")
        slider.press("ArrowLeft")
        slider.press("ArrowLeft")
        expect(slider).to_have_value("49")
    box = box_of(result.locator(".stage"))
    values = set()
    for step in range(1, 6):
        result.mouse.click(box["x"] + box["width"] / 2 + step, box["y"] + 40)
        values.add(slider.input_value())
    assert len(values) == 5, "the pointer is as fine as the screen"


@pytest.mark.parametrize("mode", ["slider", "side"])
@pytest.mark.parametrize("zoom", ["fit", "1", "4"])
def test_beside_a_narrow_picture_labels_and_handle_stand_apart(
    result: Page, finished: Finished, mode: str, zoom: str, complaints: Complaints
) -> None:
    strip = np.random.default_rng(0).integers(0, 255, (2000, 32, 3), dtype=np.uint8)
    see(result, finished, instead=strip)
    choose(result, mode=mode, zoom=zoom)
    stage = result.get_by_test_id("compare")
    pictures, frame = box_of(stage), box_of(frame_of(result))
    before, after = (box_of(result.locator(f".label.of-{name}")) for name in ("before", "after"))
    if (mode, zoom) != ("side", "4"):
        assert pictures["width"] < 160
        assert before["bottom"] <= pictures["top"] and after["bottom"] <= pictures["top"]
        handle = float(stage.locator(".divider").evaluate(HANDLE_TOP)) if mode == "slider" else np.inf
        assert handle >= pictures["height"], "the handle lies below the pictures"
    assert before["right"] <= after["left"]
    assert before["left"] >= frame["left"] and after["right"] <= frame["right"]
    assert min(before["top"], after["top"]) >= frame["top"]
    for name in ("before", "after"):
        label = result.locator(f".label.of-{name}")
        assert label.evaluate("label => label.scrollWidth <= label.clientWidth"), "the whole word is seen"
    assert not complaints


HANDLE_TOP = """divider => {
  const style = getComputedStyle(divider, "::after");
  return parseFloat(style.top) - parseFloat(style.height) / 2;
}"""


def test_the_focus_ring_is_seen_on_either_ground(result: Page) -> None:
    switch = result.locator("[data-ground-switch]")
    for scheme in ("light", "dark"):
        result.emulate_media(color_scheme=scheme)
        for ground in ("dark", "light"):
            switch.click()
            expect(result.locator("[data-viewer]")).to_have_attribute("data-ground", ground)
            see_focus_rings(result)


def see_focus_rings(page: Page) -> None:
    """Those on the viewer's ground, and that of a segment, which lies within it: 3 to 1 at least."""
    under, segment = page.get_by_test_id("under"), page.locator('button[data-mode="slider"]')
    for part, key, ringed, behind in (
        (page.get_by_test_id("slider"), "ArrowRight", page.get_by_test_id("compare"), "[data-viewer]"),
        (under, "Home", under, "[data-viewer]"),
        (segment, "Shift", segment, 'button[data-mode="slider"]'),
    ):
        part.press(key)
        ground = page.locator(behind).evaluate("part => getComputedStyle(part).backgroundColor")
        assert contrast(ring_of(ringed), ground) >= 3, (behind, ground)


def ring_of(part: Locator) -> str:
    expect(part).to_have_css("outline-style", "solid")
    return str(part.evaluate("part => getComputedStyle(part).outlineColor"))


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.1 of two colours as CSS computes them."""
    low, high = sorted(luminance(colour) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    shares = [float(number) for number in re.findall(r"[\d.]+", colour)][:3]
    if colour.startswith("rgb"):
        shares = [share / 255 for share in shares]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


class Held:
    """The requests for pictures of the other methods, kept until they are let go."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.routes: list[Route] = []
        page.route(OTHER_METHODS, self.hold)

    def hold(self, route: Route) -> None:
        self.routes.append(route)

    def take(self) -> Route:
        # Playwright hands routes over while it works: any question to the page lets it.
        wait_for(lambda: self.page.title() is not None and self.routes, 30, "a request for a picture")
        return self.routes.pop(0)


def options_of(page: Page) -> list[str]:
    """The labels of what may lie under the slider, the input first."""
    labels = (
        page.get_by_test_id("under").locator("option").evaluate_all("all => all.map(o => o.dataset.label)")
    )
    assert len(labels) > 3
    return list(labels)


def expect_under(page: Page, label: str) -> None:
    """What is named is what is shown."""
    expect(page.locator(".label.of-before")).to_have_text(label)
    expect(page.get_by_test_id("before")).to_have_attribute("alt", label)
    address = page.get_by_test_id("under").locator(f'option[data-label="{label}"]').get_attribute("value")
    expect(page.get_by_test_id("before")).to_have_attribute("src", str(address))
    assert page.get_by_test_id("before").evaluate("image => image.naturalWidth") == SIDE


def test_a_picture_is_named_when_it_is_shown(result: Page, complaints: Complaints) -> None:
    held, (first, second, *_) = Held(result), options_of(result)
    under = result.get_by_test_id("under")
    under.select_option(index=1)
    route = held.take()
    expect_under(result, first)
    route.continue_()
    expect_under(result, second)
    expect(under.locator("option:checked")).to_have_attribute("data-label", second)
    assert not complaints


def test_a_picture_that_comes_late_does_not_undo_a_later_choice(result: Page, complaints: Complaints) -> None:
    held, labels = Held(result), options_of(result)
    under = result.get_by_test_id("under")
    result.get_by_test_id("before").evaluate(
        """image => {
          window.shown = [];
          new MutationObserver(() => window.shown.push(image.alt)).observe(image, { attributeFilter: ["src"] });
        }"""
    )
    under.select_option(index=1)
    late = held.take()
    under.select_option(index=2)
    held.take().continue_()
    expect_under(result, labels[2])
    with result.expect_event("requestfinished", lambda sent: sent.url == late.request.url):
        late.continue_()
    under.select_option(index=3)  # asked for after the late one came, so what it did is done by then
    held.take().continue_()
    expect_under(result, labels[3])
    assert result.evaluate("() => window.shown") == labels[2:4]
    assert not complaints


def test_where_a_picture_does_not_come_what_was_shown_stays(result: Page, complaints: Complaints) -> None:
    held, (first, second, *_) = Held(result), options_of(result)
    under, told = result.get_by_test_id("under"), result.get_by_test_id("notice")
    result.locator("a[data-show-under]").first.click()
    held.take().abort()
    expect(told).to_contain_text(f'The picture for "{second}" could not be loaded.')
    expect(told).to_contain_text(f'"{first}" is shown as before.')
    expect_under(result, first)
    expect(under.locator("option:checked")).to_have_attribute("data-label", first)
    assert [text for text in complaints if "ERR_FAILED" not in text] == []
    told.get_by_role("button", name="Try again").click()
    held.take().continue_()
    expect_under(result, second)
    expect(told).to_have_count(0)
    expect(under).to_be_focused()
    expect(under.locator("option:checked")).to_have_attribute("data-label", second)
