"""Every page on a wide screen and on a phone, light and dark: nothing blocked, nothing wider than the screen."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Complaints
from tests.browser.site import PASSWORD, RunningSite, photograph
from tests.browser.steps import sign_up, upload

SCREENS = {
    "wide": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "phone, dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True},
}


@pytest.mark.parametrize("screen", list(SCREENS))
def test_pages_fit_and_load_nothing_that_is_refused(browser: Browser, site: RunningSite, screen: str) -> None:
    context = browser.new_context(**SCREENS[screen])  # type: ignore[arg-type]  # a table of options
    complaints = Complaints()
    page = context.new_page()
    complaints.listen(page)
    foreign: list[str] = []
    page.on(
        "request",
        lambda sent: None if sent.url.startswith((site.url, "data:", "blob:")) else foreign.append(sent.url),
    )
    try:
        addresses = ["/", "/accounts/login/", "/accounts/signup/"]
        for address in addresses:
            page.goto(site.url + address)
            assert_fits(page)
        sign_up(page, site)
        picture = upload(page, site, photograph(64), "a very long name of a picture " * 6 + ".png")
        for address in [
            "/",
            "/new/",
            f"/new/{picture}/",
            f"/new/{picture}/?task=inpaint",
            "/jobs/",
            "/jobs/?q=nothing",
        ]:
            page.goto(site.url + address)
            page.wait_for_load_state("networkidle")
            assert_fits(page)
        assert not complaints and not foreign
        page.goto(f"{site.url}/no/such/page/")
        expect(page.get_by_test_id("error-page")).to_contain_text("There is nothing at this address.")
        assert_fits(page)
    finally:
        context.close()


def assert_fits(page: Page) -> None:
    width = page.evaluate("() => document.documentElement.scrollWidth")
    viewport = page.viewport_size
    assert viewport is not None and width <= viewport["width"], page.url


def test_refusals_name_file_reason_and_remedy(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    expect(page.get_by_test_id("limits")).to_contain_text(
        "50 MB and 40 megapixels, at least 32 pixels a side"
    )
    text = {"name": "letter.png", "mimeType": "image/png", "buffer": b"Dear Sir or Madam"}
    page.get_by_test_id("file").set_input_files(text)  # type: ignore[arg-type]
    expect(page.get_by_test_id("notice")).to_contain_text("letter.png")
    page.goto(f"{site.url}/new/")
    page.evaluate(
        """() => {
          const given = new DataTransfer();
          given.items.add(new File([new Uint8Array(50 * 1024 * 1024 + 1)], "huge.png", { type: "image/png" }));
          document.dispatchEvent(new DragEvent("drop", { dataTransfer: given, bubbles: true, cancelable: true }));
        }"""
    )
    expect(page.get_by_test_id("notice")).to_contain_text(
        "huge.png has 52.4 MB; this site takes up to 50 MB."
    )
    expect(page.get_by_test_id("notice")).to_contain_text("Nothing was sent.")
    assert page.url == f"{site.url}/new/"


def test_a_dropped_and_a_pasted_picture_are_taken_in(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    for event in ("drop", "paste"):
        page.goto(f"{site.url}/new/")
        page.evaluate(
            """async (kind) => {
              const canvas = document.createElement("canvas");
              canvas.width = 48;
              canvas.height = 40;
              canvas.getContext("2d").fillRect(5, 5, 20, 20);
              const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
              const given = new DataTransfer();
              given.items.add(new File([blob], "drawn.png", { type: "image/png" }));
              const told = { bubbles: true, cancelable: true };
              document.dispatchEvent(kind === "drop"
                ? new DragEvent("drop", { ...told, dataTransfer: given })
                : new ClipboardEvent("paste", { ...told, clipboardData: given }));
            }""",
            event,
        )
        page.wait_for_url("**/new/*-*/")
        expect(page.get_by_text("48 x 40 px")).to_be_visible()


@pytest.mark.parametrize("task", ["denoise", "inpaint", "upscale"])
def test_one_click_opens_a_sample(page: Page, site: RunningSite, task: str, complaints: list[str]) -> None:
    sign_up(page, site)
    page.get_by_test_id(f"sample-{task}").click()
    page.locator("[data-stage][data-ready]").wait_for()
    expect(page.get_by_test_id(f"task-{task}")).to_be_checked()
    expect(page.get_by_test_id("start")).to_be_enabled()
    if task == "inpaint":
        expect(page.get_by_test_id("share")).to_contain_text("will be filled")
    if task == "upscale":
        expect(page.get_by_test_id("factor")).to_have_value("4")
    assert not complaints


def test_staff_see_the_review_page_and_others_do_not(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    answer = page.goto(f"{site.url}/review/")
    assert answer is not None and answer.status == 403
    expect(page.get_by_test_id("error-page")).to_contain_text("not for this account")
    page.get_by_test_id("log-out").click()
    name = "reviewer"
    site.manage(
        "createsuperuser", "--noinput", "--username", name, "--email", "", DJANGO_SUPERUSER_PASSWORD=PASSWORD
    )
    page.goto(f"{site.url}/accounts/login/?next=/review/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/review/")
    cards = page.get_by_test_id("discovery")
    if cards.count() == 0:
        expect(page.get_by_test_id("empty")).to_be_visible()
        return
    cards.first.focus()
    page.keyboard.press("a")
    expect(page.get_by_test_id("verdict").first).to_have_text("Approved")
