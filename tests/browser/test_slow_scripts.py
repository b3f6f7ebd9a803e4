"""Pages whose scripts come late, as on a slow line: what was done before they came is not lost."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import RunningSite, photograph, png
from tests.browser.steps import LONG, cancel, held_back, order, sign_up, token_of, upload


def script(name: str) -> re.Pattern[str]:
    return re.compile(rf"/js/{name}(\.[0-9a-f]+)?\.js")


def test_a_filter_chosen_before_its_script_came_applies(
    page: Page, site: RunningSite, complaints: list[str]
) -> None:
    sign_up(page, site)
    boat = upload(page, site, photograph(48), "boat.png")
    jobs = [order(page, site, boat, LONG), order(page, site, boat, LONG, task="upscale", factor=2)]
    cards = page.get_by_test_id("card")
    with held_back(page, script("history")) as let_go:
        page.goto(f"{site.url}/jobs/", wait_until="commit")
        page.get_by_test_id("filter-task").select_option("upscale")
        expect(cards).to_have_count(2)
        let_go()
        expect(cards).to_have_count(1)
        expect(cards).to_have_attribute("data-job", jobs[1])
    with held_back(page, script("history")) as let_go:
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
    with held_back(page, script("upload")) as let_go:
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
    with held_back(page, script("compose")) as let_go:
        page.goto(f"{site.url}/new/{picture}/", wait_until="commit")
        start = page.get_by_test_id("start")
        expect(start).to_be_disabled()
        page.get_by_test_id("task-upscale").check()
        let_go()
        expect(start).to_be_enabled()
        expect(page.get_by_test_id("task-upscale")).to_be_checked()
    assert not complaints


def test_a_sample_can_be_taken_once_its_script_is_there(
    page: Page, site: RunningSite, complaints: list[str]
) -> None:
    sign_up(page, site)
    with held_back(page, script("samples")) as let_go:
        page.goto(f"{site.url}/new/", wait_until="commit")
        sample = page.get_by_test_id("sample-denoise")
        expect(sample).to_be_disabled()
        let_go()
        expect(sample).to_be_enabled()
    assert not complaints


def test_a_task_chosen_before_the_strokes_came_stays(
    page: Page, site: RunningSite, complaints: list[str]
) -> None:
    sign_up(page, site)
    picture = upload(page, site, photograph(48))
    strokes = {"strokes": [{"tool": "brush", "size": 8, "points": [[10, 10], [30, 30]]}]}
    address = f"{site.url}/api/v1/pictures/{picture}/strokes"
    assert page.request.put(address, headers=token_of(page), data=strokes).ok
    with held_back(page, re.compile("/strokes$")) as let_go:
        page.goto(f"{site.url}/new/{picture}/")
        expect(page.get_by_text("The picture is loading ...")).to_be_visible()
        page.get_by_test_id("task-upscale").check()
        let_go()
        page.locator("[data-stage][data-ready]").wait_for()
    expect(page.get_by_test_id("task-upscale")).to_be_checked()
    expect(page.get_by_text("The picture is loading ...")).to_have_count(0)
    page.reload()
    expect(
        page.get_by_test_id("task-inpaint")
    ).to_be_checked()  # else what was painted is what one goes on with
    assert not complaints


@pytest.mark.parametrize(
    ("page_of", "missing"), [("/new/", "upload"), ("/new/", "http"), ("/jobs/", "deletion")]
)
def test_a_script_that_does_not_come_is_told(
    page: Page, site: RunningSite, page_of: str, missing: str
) -> None:
    sign_up(page, site)
    page.route(script(missing), lambda route: route.abort())
    page.goto(f"{site.url}{page_of}")
    expect(page.get_by_test_id("notice").first).to_contain_text("A part of this page could not be loaded.")
    page.unroute(script(missing))
    page.reload()
    expect(page.get_by_test_id("notice")).to_have_count(0)
