"""What a person does on the pages, as steps that several tests take."""

from __future__ import annotations

import uuid

from playwright.sync_api import Page, expect

from tests.browser.site import PASSWORD, Pixels, RunningSite, png

__all__ = ["choose_small_job", "events_of", "paint", "sign_up", "upload"]


def sign_up(page: Page, site: RunningSite) -> str:
    """A new user by the form; ends on the page that takes pictures in."""
    name = f"alice-{uuid.uuid4().hex[:8]}"
    page.goto(f"{site.url}/accounts/signup/?next=/new/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password (again)").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    page.wait_for_url("**/new/")
    return name


def upload(page: Page, site: RunningSite, pixels: Pixels, name: str = "astronaut.png") -> str:
    """Choose a file; ends on the composing page with its editor ready.  Returns the picture's id."""
    page.goto(f"{site.url}/new/")
    content = {"name": name, "mimeType": "image/png", "buffer": png(pixels)}
    page.get_by_test_id("file").set_input_files(content)  # type: ignore[arg-type]  # a FilePayload
    page.wait_for_url("**/new/*-*/")
    page.locator("[data-stage][data-ready]").wait_for()
    return page.url.rstrip("/").rsplit("/", 1)[-1]


def paint(page: Page, points: list[tuple[float, float]], steps: int = 4) -> None:
    """Draw with the mouse through points given in CSS pixels from the stage's corner; wait until it is saved."""
    box = page.get_by_test_id("stage").bounding_box()
    assert box is not None
    (x, y), *rest = points
    page.mouse.move(box["x"] + x, box["y"] + y)
    page.mouse.down()
    for x, y in rest:
        page.mouse.move(box["x"] + x, box["y"] + y, steps=steps)
    page.mouse.up()
    expect(page.get_by_test_id("saving")).to_have_attribute("data-saving", "saved")


def choose_small_job(page: Page, population: int, generations: int, iterations: int) -> None:
    page.get_by_test_id("advanced").click()
    for name, value in (("population", population), ("generations", generations), ("iterations", iterations)):
        page.get_by_test_id(name).fill(str(value))


def events_of(page: Page, site: RunningSite) -> list[dict[str, object]]:
    """Every event of the job whose page is open, from the API."""
    job = page.url.rstrip("/").rsplit("/", 1)[-1]
    found: list[dict[str, object]] = []
    while True:
        answer = page.request.get(f"{site.url}/api/v1/jobs/{job}/events?after={len(found)}")
        events = answer.json()["events"]
        if not events:
            return found
        found += events
