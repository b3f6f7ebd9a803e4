"""The history: every restoration with its picture and state, found again by name, state and task."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.site import RunningSite, photograph
from tests.browser.steps import QUICK, finish, order, sign_up, upload


def names(page: Page) -> list[str]:
    return page.get_by_test_id("card").locator(".name").all_inner_texts()


def test_a_restoration_is_found_again(page: Page, site: RunningSite, complaints: list[str]) -> None:
    sign_up(page, site)
    boat = upload(page, site, photograph(48), "boat.png")
    noise = order(page, site, boat, QUICK)
    larger = order(page, site, boat, QUICK, task="upscale", factor=2)
    harbour = upload(page, site, photograph(64), "harbour.png")
    stopped = order(page, site, harbour, QUICK | {"iterations": 2000, "generations": 20})
    finish(page, site, noise)
    finish(page, site, larger)
    page.goto(f"{site.url}/jobs/{stopped}/")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_test_id("cancel").click()
    expect(page.get_by_test_id("state")).to_have_text("cancelled", timeout=30_000)

    page.goto(f"{site.url}/jobs/")
    assert names(page) == ["harbour.png", "boat.png", "boat.png"]
    cards = page.get_by_test_id("card")
    assert cards.locator(".state").all_inner_texts() == ["cancelled", "done", "done"]
    expect(cards.nth(2).locator("img")).to_have_attribute("src", re.compile(f"/jobs/{noise}/thumbnail.png"))
    for image in cards.locator("img").all():
        image.scroll_into_view_if_needed()
        expect(image).to_have_js_property("complete", True)
        assert image.evaluate("image => image.naturalWidth") > 0
    expect(cards.nth(1)).to_contain_text("enlarge 2 times")
    expect(cards.nth(1)).to_contain_text(re.compile(r"fitness 0\.\d{3}"))

    page.get_by_test_id("filter-state").select_option("done")
    expect(cards).to_have_count(2)
    assert names(page) == ["boat.png", "boat.png"]
    page.get_by_test_id("filter-task").select_option("upscale")
    expect(cards).to_have_count(1)
    expect(cards).to_have_attribute("data-job", larger)
    page.get_by_role("link", name="Show all").click()
    expect(cards).to_have_count(3)
    page.get_by_test_id("search").fill("HARB")
    page.get_by_test_id("search").press("Enter")
    expect(cards).to_have_count(1)
    assert names(page) == ["harbour.png"]
    page.get_by_test_id("search").fill("no such boat")
    page.get_by_test_id("search").press("Enter")
    expect(page.get_by_test_id("nothing-found")).to_be_visible()
    page.go_back()
    expect(cards).to_have_attribute("data-job", stopped)
    assert not complaints
