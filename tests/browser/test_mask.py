"""The mask on the server equals the pixels that were painted, at every zoom."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from tests.browser.site import Pixels, RunningSite, photograph, pixels_of
from tests.browser.steps import paint, sign_up, upload
from tests.waiting import wait_for

Mask = NDArray[np.bool_]
SIDE = 200
EDGE = 8


def painted_by_rule(strokes: list[dict[str, object]], side: int) -> Mask:
    """The rule of the editor, pixel by pixel: within size / 2 of the polyline from the pixel's centre."""
    rows, columns = np.mgrid[0:side, 0:side] + 0.5
    hole = np.zeros((side, side), dtype=bool)
    for stroke in strokes:
        points = np.asarray(stroke["points"], dtype=float)
        near = np.zeros_like(hole)
        for a, b in pairwise(points) if len(points) > 1 else [(points[0], points[0])]:
            d = b - a
            length = float(d @ d)
            t = ((columns - a[0]) * d[0] + (rows - a[1]) * d[1]) / length if length else np.zeros_like(rows)
            t = np.clip(t, 0, 1)
            ex, ey = columns - (a[0] + t * d[0]), rows - (a[1] + t * d[1])
            near |= ex * ex + ey * ey <= (float(stroke["size"]) / 2) ** 2  # type: ignore[arg-type]
        hole[near] = stroke["tool"] == "brush"
    return hole


def viewport(page: Page) -> tuple[float, float, float]:
    stage = page.get_by_test_id("stage")
    scale, left, top = (
        float(stage.get_attribute(f"data-{name}") or "nan") for name in ("scale", "left", "top")
    )
    return scale, left, top


def screen(page: Page) -> Pixels:
    """The stage as it is seen, with the cursor's circle out of the way; uint8 (h, w, 3), CSS pixels."""
    page.mouse.move(2, 2)
    expect(page.locator("[data-cursor]")).to_be_hidden()
    return pixels_of(page.get_by_test_id("canvas").screenshot())


def zoom_to(page: Page, zoom: float) -> None:
    page.get_by_test_id("actual-size").click()
    box = page.get_by_test_id("stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    if zoom != 1:
        page.mouse.wheel(0, -math.log(zoom) / 0.0018)
    label = f"{round(zoom * 100)} %"
    expect(page.get_by_test_id("zoom")).to_have_text(label)
    assert viewport(page)[0] == pytest.approx(zoom, rel=0.01)


@pytest.mark.parametrize("zoom", [0.5, 1, 4])
def test_the_mask_is_what_was_painted(
    page: Page, site: RunningSite, zoom: float, complaints: list[str]
) -> None:
    sign_up(page, site)
    picture = upload(page, site, photograph(SIDE))
    page.get_by_test_id("task-inpaint").check()
    zoom_to(page, zoom)
    before = screen(page)
    scale, left, top = viewport(page)

    def at(x: float, y: float) -> tuple[float, float]:
        return round(left + x * scale), round(top + y * scale)

    middle = SIDE / 2
    reach = 20 if zoom == 4 else 60
    path = [
        at(middle - reach, middle - reach / 2),
        at(middle + reach / 3, middle),
        at(middle, middle + reach),
    ]
    paint(page, path)
    page.keyboard.press("e")
    paint(page, [at(middle - reach / 2, middle - reach / 2), at(middle - reach / 2, middle + 10)])

    kept = page.request.get(f"{site.url}/api/v1/pictures/{picture}/strokes").json()
    mask = pixels_of(page.request.get(f"{site.url}/api/v1/pictures/{picture}/mask.png").body(), "L")
    hole: Mask = mask < 128
    assert [stroke["tool"] for stroke in kept["strokes"]] == ["brush", "eraser"]
    for corner in path:
        # Every corner that the mouse went through is a point of the stroke, in picture pixels.
        place = ((corner[0] - left) / scale, (corner[1] - top) / scale)
        nearest = min(math.dist(place, point) for point in kept["strokes"][0]["points"])
        assert nearest <= max(0.25, kept["strokes"][0]["size"] / 24) + 0.01
    assert np.array_equal(hole, painted_by_rule(kept["strokes"], SIDE))
    assert 0 < hole.sum() < hole.size
    assert kept["share_to_fill"] == pytest.approx(hole.mean())
    expect(page.get_by_test_id("share")).to_contain_text("will be filled")

    assert_seen(before, screen(page), hole, (scale, left, top))
    assert not complaints


def assert_seen(before: Pixels, after: Pixels, hole: Mask, view: tuple[float, float, float]) -> None:
    """On the screen exactly the mask's pixels changed; at half size, where all four or none of a pixel's did."""
    scale, left, top = view
    changed = np.any(before != after, axis=2)
    seen = 0
    for j, i in np.ndindex(hole.shape):
        x, y = int(left + (i + 0.5) * scale), int(top + (j + 0.5) * scale)
        if not (EDGE <= x < changed.shape[1] - EDGE and EDGE <= y < changed.shape[0] - EDGE):
            continue  # outside the view, or under the ring that shows the focus
        around = hole[max(0, j - 3) : j + 4, max(0, i - 3) : i + 4]
        if scale < 1 and around.any() != around.all():
            continue
        assert changed[y, x] == hole[j, i], (i, j)
        seen += 1
    assert seen > 1000


def test_undo_redo_and_reload_keep_the_drawing(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    picture = upload(page, site, photograph(SIDE))
    page.get_by_test_id("task-inpaint").check()
    share = page.get_by_test_id("share")
    expect(page.get_by_test_id("start")).to_be_disabled()
    paint(page, [(300, 200), (350, 260)])
    one = share.inner_text()
    paint(page, [(420, 300), (420, 330)])
    two = share.inner_text()
    assert one != two

    page.keyboard.press("Control+z")
    expect(share).to_have_text(one)
    page.keyboard.press("Control+Shift+z")
    expect(share).to_have_text(two)
    page.keyboard.press("Control+z")
    expect(page.get_by_test_id("saving")).to_have_attribute("data-saving", "saved")
    page.reload()
    page.locator("[data-stage][data-ready]").wait_for()
    expect(page.get_by_test_id("task-inpaint")).to_be_checked()
    expect(share).to_have_text(one)
    page.keyboard.press("Control+z")
    expect(share).to_contain_text("Nothing is painted")
    expect(page.get_by_test_id("saving")).to_have_attribute("data-saving", "saved")
    answer = page.request.get(f"{site.url}/api/v1/pictures/{picture}/strokes").json()
    assert (answer["strokes"], answer["share_to_fill"]) == ([], 0)


def test_clear_and_redo_by_button(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    picture = upload(page, site, photograph(SIDE))
    page.get_by_test_id("task-inpaint").check()
    share, saving = page.get_by_test_id("share"), page.get_by_test_id("saving")
    buttons = {name: page.get_by_test_id(name) for name in ("undo", "redo", "clear")}
    for button in buttons.values():
        expect(button).to_be_disabled()
    paint(page, [(300, 200), (350, 260)])
    painted = share.inner_text()
    buttons["clear"].click()
    expect(share).to_contain_text("Nothing is painted")
    expect(buttons["clear"]).to_be_disabled()
    expect(page.get_by_test_id("start")).to_be_disabled()
    expect(saving).to_have_attribute("data-saving", "saved")
    assert kept(page, site, picture) == (["brush", "clear"], 0)

    buttons["undo"].click()
    expect(share).to_have_text(painted)
    buttons["redo"].click()
    expect(share).to_contain_text("Nothing is painted")
    buttons["undo"].click()
    buttons["undo"].press("Enter")
    expect(share).to_contain_text("Nothing is painted")
    expect(buttons["undo"]).to_be_disabled()
    expect(buttons["undo"]).to_be_focused()  # nothing more to undo, and the keyboard is still there
    buttons["redo"].click()
    expect(share).to_have_text(painted)
    expect(page.get_by_test_id("start")).to_be_enabled()
    expect(saving).to_have_attribute("data-saving", "saved")
    tools, left = kept(page, site, picture)
    assert tools == ["brush"] and left > 0
    # What is painted now takes the place of what was undone.
    paint(page, [(420, 300), (420, 330)])
    expect(buttons["redo"]).to_be_disabled()


def kept(page: Page, site: RunningSite, picture: str) -> tuple[list[str], float]:
    """The tools of the strokes that the server has, and the share that they leave to fill."""
    told = page.request.get(f"{site.url}/api/v1/pictures/{picture}/strokes").json()
    return [stroke["tool"] for stroke in told["strokes"]], told["share_to_fill"]


def test_zoom_buttons_hold_the_middle(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    upload(page, site, photograph(SIDE))
    page.get_by_test_id("task-inpaint").check()
    stage = page.get_by_test_id("stage")
    page.get_by_test_id("actual-size").click()
    expect(stage).to_have_attribute("data-scale", "1")
    expect(page.get_by_test_id("zoom")).to_have_text("100 %")
    page.get_by_role("button", name="Fit").click()
    expect(stage).not_to_have_attribute("data-scale", "1")
    fitted = viewport(page)
    # Not the fitted view's centre, so that a zoom at a wrong point shows.
    drag(page, (37, -21), button="middle")
    wait_for_view(page, (fitted[0], fitted[1] + 37, fitted[2] - 21))
    centre = middle_of(page)
    for name, factor in (("Zoom in", 1.5), ("Zoom out", 1), ("Zoom out", 1 / 1.5)):
        page.get_by_role("button", name=name).click()
        wait_for(lambda: viewport(page)[0] == pytest.approx(fitted[0] * factor), 20, name)  # noqa: B023
        assert middle_of(page) == pytest.approx(centre, abs=0.01)
        expect(page.get_by_test_id("zoom")).to_have_text(f"{round(fitted[0] * factor * 100)} %")
    page.get_by_role("button", name="Fit").click()
    wait_for_view(page, fitted)


def middle_of(page: Page) -> tuple[float, float]:
    """The point of the picture in the middle of the view."""
    scale, left, top = viewport(page)
    width, height = page.get_by_test_id("stage").evaluate("stage => [stage.clientWidth, stage.clientHeight]")
    return (width / 2 - left) / scale, (height / 2 - top) / scale


def wait_for_view(page: Page, wanted: tuple[float, float, float]) -> None:
    """Wait until the frame with this scale, left and top is painted."""
    near = pytest.approx(wanted, abs=0.01)
    wait_for(lambda: viewport(page) == near, 20, f"the view {wanted}")


def test_hand_and_space_move_the_picture_and_paint_nothing(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    picture = upload(page, site, photograph(SIDE))
    page.get_by_test_id("task-inpaint").check()
    page.get_by_test_id("actual-size").click()
    stage = page.get_by_test_id("stage")
    expect(stage).to_have_attribute("data-scale", "1")
    scale, left, top = viewport(page)

    page.get_by_test_id("tool-hand").click()
    expect(stage).to_have_attribute("data-tool", "hand")
    drag(page, (40, 25))
    wait_for_view(page, (scale, left + 40, top + 25))
    page.keyboard.press("b")
    expect(stage).to_have_attribute("data-tool", "brush")
    page.keyboard.down("Space")
    expect(stage).to_have_attribute("data-tool", "hand")
    drag(page, (-60, 10))
    page.keyboard.up("Space")
    wait_for_view(page, (scale, left - 20, top + 35))
    expect(stage).to_have_attribute("data-tool", "brush")
    assert kept(page, site, picture) == ([], 0)
    expect(page.get_by_test_id("share")).to_contain_text("Nothing is painted")
    paint(page, [(300, 200), (350, 260)])
    assert kept(page, site, picture)[0] == ["brush"]


def drag(page: Page, by: tuple[float, float], button: Literal["left", "middle", "right"] = "left") -> None:
    box = page.get_by_test_id("stage").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down(button=button)
    page.mouse.move(x + by[0], y + by[1], steps=3)
    page.mouse.up(button=button)


def test_the_cursor_circle_is_what_a_click_paints(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    upload(page, site, photograph(SIDE))
    page.get_by_test_id("task-inpaint").check()
    zoom_to(page, 4)
    for _ in range(3):
        page.keyboard.press("]")
    box = page.get_by_test_id("stage").bounding_box()
    assert box is not None
    before = screen(page)
    page.mouse.move(box["x"] + 301, box["y"] + 222)
    circle = page.locator("[data-cursor]").bounding_box()
    assert circle is not None
    page.mouse.down()
    page.mouse.up()
    expect(page.get_by_test_id("saving")).to_have_attribute("data-saving", "saved")
    changed = np.any(before != screen(page), axis=2)
    changed[:EDGE] = changed[-EDGE:] = False
    changed[:, :EDGE] = changed[:, -EDGE:] = False
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    # A painted pixel of the picture is four CSS pixels wide: the edges agree to within one of them.
    assert abs(columns[0] + box["x"] - circle["x"]) <= 4
    assert abs(columns[-1] + 1 + box["x"] - circle["x"] - circle["width"]) <= 4
    assert abs(rows[0] + box["y"] - circle["y"]) <= 4
    assert abs(rows[-1] + 1 + box["y"] - circle["y"] - circle["height"]) <= 4


def test_a_finger_paints_and_two_fingers_zoom(browser: object, site: RunningSite) -> None:
    opened = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)  # type: ignore[attr-defined]
    try:
        page = opened.new_page()
        sign_up(page, site)
        picture = upload(page, site, photograph(SIDE))
        page.get_by_test_id("task-inpaint").check()
        page.get_by_test_id("stage").scroll_into_view_if_needed()
        box = page.get_by_test_id("stage").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        touch = opened.new_cdp_session(page)

        def fingers(kind: str, *points: tuple[float, float]) -> None:
            named = [{"x": x + dx, "y": y + dy, "id": number} for number, (dx, dy) in enumerate(points)]
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": named})

        fingers("touchStart", (-30, 0))
        fingers("touchMove", (30, 10))
        fingers("touchEnd")
        expect(page.get_by_test_id("saving")).to_have_attribute("data-saving", "saved")
        scale = viewport(page)[0]
        share = page.get_by_test_id("share").inner_text()
        fingers("touchStart", (-20, 0))
        fingers("touchStart", (-20, 0), (20, 0))
        fingers("touchMove", (-60, 0), (60, 0))
        fingers("touchEnd")
        expect(page.get_by_test_id("share")).to_have_text(share)
        assert viewport(page)[0] == pytest.approx(3 * scale, rel=0.05)
        strokes = page.request.get(f"{site.url}/api/v1/pictures/{picture}/strokes").json()["strokes"]
        assert [stroke["tool"] for stroke in strokes] == ["brush"]
    finally:
        opened.close()


def test_keys_rest_while_the_help_is_open(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    upload(page, site, photograph(SIDE))
    page.get_by_test_id("task-inpaint").check()
    paint(page, [(300, 200), (350, 260)])
    share = page.get_by_test_id("share").inner_text()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    for keys in ("Control+Backspace", "Control+i", "Control+z", "Control+Enter"):
        page.keyboard.press(keys)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_test_id("share")).to_have_text(share)
    page.keyboard.press("Control+z")
    expect(page.get_by_test_id("share")).to_contain_text("Nothing is painted")
