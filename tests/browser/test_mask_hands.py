"""Keys and pointers of the mask editor at once: what is seen is what is painted, kept and started."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.site import RunningSite, photograph
from tests.browser.steps import cancel, paint, sign_up, upload
from tests.waiting import wait_for

SIDE = 96


def editor(page: Page, site: RunningSite) -> str:
    """The page of a new picture whose hole is to be painted; returns the picture's id."""
    sign_up(page, site)
    picture = upload(page, site, photograph(SIDE))
    page.get_by_test_id("task-inpaint").check()
    return picture


def strokes(page: Page, site: RunningSite, picture: str) -> list[dict[str, Any]]:
    answer = page.request.get(f"{site.url}/api/v1/pictures/{picture}/strokes")
    found: list[dict[str, Any]] = answer.json()["strokes"]
    return found


def saved(page: Page) -> None:
    expect(page.get_by_test_id("saving")).to_have_attribute("data-saving", "saved")


def corner(page: Page) -> tuple[float, float]:
    box = page.get_by_test_id("stage").bounding_box()
    assert box is not None
    return box["x"], box["y"]


def test_space_moves_the_picture_though_a_button_has_the_focus(page: Page, site: RunningSite) -> None:
    picture = editor(page, site)
    paint(page, [(200, 200), (240, 240)])
    page.get_by_role("button", name="Invert").click()
    inverted = page.get_by_test_id("share").inner_text()
    stage = page.get_by_test_id("stage")
    left = float(stage.get_attribute("data-left") or "nan")
    x, y = corner(page)
    page.mouse.move(x + 300, y + 300)
    page.keyboard.down("Space")
    page.mouse.down()
    page.mouse.move(x + 340, y + 300, steps=3)
    page.mouse.up()
    page.keyboard.up("Space")
    wait_for(lambda: float(stage.get_attribute("data-left") or "nan") != left, 20, "the picture to move")
    assert page.get_by_test_id("share").inner_text() == inverted
    saved(page)
    assert [one["tool"] for one in strokes(page, site, picture)] == ["brush", "invert"]
    page.mouse.move(2, 2)  # away from the picture the button is pressed, as anywhere
    page.get_by_role("button", name="Invert").press("Space")
    expect(page.get_by_test_id("share")).not_to_have_text(inverted)


def test_the_slider_of_the_brush_follows_its_keys(page: Page, site: RunningSite) -> None:
    editor(page, site)
    size, shown = page.get_by_test_id("size"), page.get_by_test_id("size-text")
    size.focus()
    page.keyboard.press("ArrowRight")
    for _ in range(15):
        page.keyboard.press("]")
    large = int(shown.inner_text().split()[0])
    page.keyboard.press("ArrowRight")
    assert int(shown.inner_text().split()[0]) >= large


def test_a_straight_line_starts_where_what_is_seen_ends(page: Page, site: RunningSite) -> None:
    picture = editor(page, site)
    paint(page, [(100, 100), (120, 120)])
    paint(page, [(300, 300), (320, 320)])
    page.keyboard.press("Control+z")
    x, y = corner(page)
    page.keyboard.down("Shift")
    page.mouse.click(x + 400, y + 120)
    page.keyboard.up("Shift")
    saved(page)
    first, line = strokes(page, site, picture)
    assert line["points"][0] == first["points"][-1]


def test_the_key_that_starts_takes_the_stroke_along(page: Page, site: RunningSite) -> None:
    editor(page, site)
    paint(page, [(100, 100), (120, 120)])
    x, y = corner(page)
    page.mouse.move(x + 200, y + 200)
    page.mouse.down()
    page.mouse.move(x + 400, y + 400, steps=6)
    shown = page.get_by_test_id("share").inner_text()
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/jobs/*-*/")
    job = page.url.rstrip("/").rsplit("/", 1)[-1]
    filled = 100 * page.request.get(f"{site.url}/api/v1/jobs/{job}").json()["share_to_fill"]
    assert shown.startswith(f"{filled:.2f} %")
    page.mouse.up()
    cancel(page, site, job)


def test_a_resize_moves_nothing_under_a_stroke(page: Page, site: RunningSite) -> None:
    picture = editor(page, site)
    stage = page.get_by_test_id("stage")
    before = stage.get_attribute("data-scale")
    x, y = corner(page)
    page.mouse.move(x + 200, y + 200)
    page.mouse.down()
    page.mouse.move(x + 204, y + 200, steps=2)
    page.set_viewport_size({"width": 1280, "height": 640})
    wait_for(lambda: stage.evaluate("stage => stage.clientHeight") < 500, 20, "the smaller stage")
    page.mouse.move(x + 208, y + 200, steps=2)
    assert stage.get_attribute("data-scale") == before
    page.mouse.up()
    expect(stage).not_to_have_attribute("data-scale", before or "")  # fitted again, late
    saved(page)
    [stroke] = strokes(page, site, picture)
    heights = {round(point[1], 1) for point in stroke["points"]}
    assert max(heights) - min(heights) < 0.5
