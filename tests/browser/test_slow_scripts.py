"""Pages whose scripts come late, as on a slow line: what was done before they came is not lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Page, Route, expect

from tests.browser.site import RunningSite, photograph, png
from tests.browser.steps import LONG, cancel, order, sign_up, upload
from tests.waiting import wait_for


@contextmanager
def held_back(page: Page, script: str) -> Iterator[Callable[[], None]]:
    """Within this the script does not arrive before the function that is given is called."""
    address = re.compile(rf"/js/{script}(\.[0-9a-f]+)?\.js")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(address, hold)

    def let_go() -> None:
        # Playwright hands routes over while it works: any question to the page lets it.
        wait_for(lambda: page.title() is not None and held, 30, f"the page's request for {script}.js")
        held.pop().continue_()
        page.unroute(address)

    yield let_go


def test_a_filter_chosen_before_its_script_came_applies(
    page: Page, site: RunningSite, complaints: list[str]
) -> None:
    sign_up(page, site)
    boat = upload(page, site, photograph(48), "boat.png")
    jobs = [order(page, site, boat, LONG), order(page, site, boat, LONG, task="upscale", factor=2)]
    cards = page.get_by_test_id("card")
    with held_back(page, "history") as let_go:
        page.goto(f"{site.url}/jobs/", wait_until="commit")
        page.get_by_test_id("filter-task").select_option("upscale")
        expect(cards).to_have_count(2)
        let_go()
        expect(cards).to_have_count(1)
        expect(cards).to_have_attribute("data-job", jobs[1])
    with held_back(page, "history") as let_go:
        page.reload(wait_until="commit")
        page.get_by_test_id("filter-task").select_option("")
        let_go()
        expect(cards).to_have_count(2)
    for job in jobs:
        cancel(page, site, job)
    assert not complaints


def test_a_file_chosen_before_its_script_came_is_taken(
    page: Page, site: RunningSite, complaints: list[str]
) -> None:
    sign_up(page, site)
    with held_back(page, "upload") as let_go:
        page.goto(f"{site.url}/new/", wait_until="commit")
        content = png(photograph(48))
        page.get_by_test_id("file").set_input_files(
            {"name": "boat.png", "mimeType": "image/png", "buffer": content}
        )
        let_go()
        page.wait_for_url("**/new/*-*/")
    assert not complaints


def test_nothing_is_started_before_the_editor_is_ready(
    page: Page, site: RunningSite, complaints: list[str]
) -> None:
    sign_up(page, site)
    picture = upload(page, site, photograph(48))
    with held_back(page, "compose") as let_go:
        page.goto(f"{site.url}/new/{picture}/", wait_until="commit")
        start = page.get_by_test_id("start")
        expect(start).to_be_disabled()
        page.get_by_test_id("task-upscale").check()
        let_go()
        expect(start).to_be_enabled()
        expect(page.get_by_test_id("task-upscale")).to_be_checked()
    assert not complaints
