"""What a person does on the pages, as steps that several tests take."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.browser.site import PASSWORD, Pixels, RunningSite, png
from tests.waiting import wait_for

__all__ = [
    "cancel",
    "choose_small_job",
    "events_of",
    "finish",
    "held_back",
    "log_in",
    "make_staff",
    "order",
    "paint",
    "sign_up",
    "upload",
]

QUICK = {"population": 2, "generations": 1, "iterations": 10, "units": 2}
LONG = {"population": 6, "generations": 20, "iterations": 2000}


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


def order(page: Page, site: RunningSite, picture: str, settings: dict[str, int], **more: Any) -> str:
    """Start a job as the open page would; returns its id."""
    asked = {"picture": picture, "task": "denoise", "settings": settings} | more
    answer = page.request.post(f"{site.url}/api/v1/jobs", headers=token_of(page), data=asked)
    assert answer.status == 202, answer.text()
    return str(answer.json()["id"])


def token_of(page: Page) -> dict[str, str]:
    token = page.locator('meta[name="csrf-token"]').get_attribute("content")
    assert token
    return {"X-CSRFToken": token}


def finish(page: Page, site: RunningSite, job: str, seconds: float = 120) -> None:
    """Wait until the job is done."""
    deadline = time.monotonic() + seconds
    while True:
        told = page.request.get(f"{site.url}/api/v1/jobs/{job}").json()
        if told["state"] == "done":
            return
        assert told["state"] not in ("failed", "cancelled", "paused"), told
        assert time.monotonic() < deadline, f"waited {seconds} s for the job: {told}"
        page.wait_for_timeout(200)


def cancel(page: Page, site: RunningSite, job: str) -> None:
    answer = page.request.post(f"{site.url}/api/v1/jobs/{job}/cancel", headers=token_of(page))
    assert answer.ok, answer.text()


def make_staff(site: RunningSite) -> str:
    """A new member of the staff; returns the name."""
    name = f"reviewer-{uuid.uuid4().hex[:8]}"
    words = ["createsuperuser", "--noinput", "--username", name, "--email", ""]
    site.manage(*words, DJANGO_SUPERUSER_PASSWORD=PASSWORD)
    return name


def log_in(page: Page, site: RunningSite, name: str, then: str) -> None:
    """By the form, after logging out where somebody is logged in; ends on the page `then`."""
    if page.get_by_test_id("log-out").count():
        page.get_by_test_id("log-out").click()
        page.get_by_role("link", name="Log in").wait_for()
    page.goto(f"{site.url}/accounts/login/?next={then}")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"**{then}")


@contextmanager
def held_back(page: Page, address: re.Pattern[str], method: str = "GET") -> Iterator[Callable[[], None]]:
    """Within this the first such request is not sent before the function that is given is called; others are."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        if held or route.request.method != method:
            route.fallback()
        else:
            held.append(route)

    page.route(address, hold)

    def let_go() -> None:
        # Playwright hands routes over while it works: any question to the page lets it.
        wait_for(lambda: page.title() is not None and held, 30, f"the page's request for {address.pattern}")
        held[0].continue_()

    yield let_go
    page.unroute(address)
