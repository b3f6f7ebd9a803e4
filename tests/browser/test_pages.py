"""Every page on a wide screen and on a phone, light and dark: nothing blocked, nothing wider than the screen."""

from __future__ import annotations

import uuid

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Complaints
from tests.browser.site import PASSWORD, RunningSite, photograph
from tests.browser.steps import (
    LONG,
    QUICK,
    cancel,
    choose_small_job,
    finish,
    log_in,
    make_staff,
    order,
    sign_up,
    upload,
)

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
        picture = upload(page, site, photograph(64), "a_very_long_name_without_a_break_" * 5 + ".png")
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
        see_jobs_fit(page, site, picture)
        log_in(page, site, make_staff(site), "/review/")
        expect(page.get_by_test_id("discovery")).not_to_have_count(0)
        page.wait_for_load_state("networkidle")
        assert_fits(page)
        assert not complaints and not foreign
        page.goto(f"{site.url}/no/such/page/")
        expect(page.get_by_test_id("error-page")).to_contain_text("There is nothing at this address.")
        assert_fits(page)
    finally:
        context.close()


def see_jobs_fit(page: Page, site: RunningSite, picture: str) -> None:
    """The result, the history with a card, and the live page in the middle of a search."""
    done = order(page, site, picture, QUICK, share=True)
    finish(page, site, done)
    page.goto(f"{site.url}/jobs/{done}/")
    page.get_by_test_id("result").wait_for()
    page.wait_for_load_state("networkidle")
    assert page.get_by_test_id("diagram").evaluate("image => image.naturalWidth") > 0
    assert_fits(page)
    running = order(page, site, picture, LONG)
    page.goto(f"{site.url}/jobs/{running}/")
    expect(page.get_by_test_id("state")).to_have_text("running", timeout=60_000)
    expect(page.get_by_test_id("iteration")).to_contain_text("iteration", timeout=60_000)
    expect(page.get_by_test_id("current-picture")).to_be_visible(timeout=30_000)
    expect(page.get_by_test_id("left")).to_contain_text("left")
    assert_fits(page)
    cancel(page, site, running)
    page.goto(f"{site.url}/jobs/")
    expect(page.get_by_test_id("card")).to_have_count(2)
    page.wait_for_load_state("networkidle")
    assert_fits(page)


def assert_fits(page: Page) -> None:
    """Nothing is wider than the screen, and no panel than the room that the page gives it."""
    width = page.evaluate("() => document.documentElement.scrollWidth")
    viewport = page.viewport_size
    assert viewport is not None and width <= viewport["width"], page.url
    wide = page.evaluate(
        """() => {
          const main = document.querySelector("main");
          const box = main.getBoundingClientRect();
          const room = box.right - parseFloat(getComputedStyle(main).paddingRight) + 0.5;
          return [...main.querySelectorAll(".panel, .editor, .viewer, .card, .choice, .button, .notice, table")]
            .filter((part) => part.getBoundingClientRect().right > room)
            .filter((part) => getComputedStyle(part.parentElement).position !== "fixed")
            .map((part) => `${part.tagName} ${part.className}`);
        }"""
    )
    assert wide == [], page.url


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


@pytest.mark.parametrize(
    ("task", "rival"), [("denoise", "BM3D"), ("inpaint", "biharmonic"), ("upscale", "Lanczos")]
)
def test_one_click_opens_a_sample(
    page: Page, site: RunningSite, task: str, rival: str, complaints: list[str]
) -> None:
    sign_up(page, site)
    page.get_by_test_id(f"sample-{task}").click()
    page.locator("[data-stage][data-ready]").wait_for()
    expect(page.get_by_test_id(f"task-{task}")).to_be_checked()
    expect(page.get_by_test_id("start")).to_be_enabled()
    expect(page.locator('[data-good-for="preview"]')).to_contain_text(rival)
    if task == "inpaint":
        expect(page.get_by_test_id("share")).to_contain_text("will be filled")
    if task == "upscale":
        expect(page.get_by_test_id("factor")).to_have_value("4")
    assert not complaints


def test_another_answer_about_the_noise_asks_for_the_costs_again(
    page: Page, site: RunningSite, complaints: list[str]
) -> None:
    sign_up(page, site)
    upload(page, site, photograph(600))
    page.goto(f"{page.url}?task=denoise")
    page.locator("[data-stage][data-ready]").wait_for()
    with page.expect_response(lambda answer: "noise=impulse" in answer.url) as told:
        page.get_by_test_id("noise-denoise").select_option("impulse")
    assert told.value.ok
    page.get_by_test_id("task-inpaint").check()
    expect(page.get_by_test_id("noise-inpaint").locator("option[value=none]")).to_be_enabled()
    expect(page.get_by_test_id("noise-inpaint").locator("option[value=impulse]")).to_be_disabled()
    expect(page.get_by_test_id("about-noisy-rest")).to_contain_text("the hole alone is filled")
    assert not complaints


def test_staff_judge_what_was_found_and_others_may_not(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    answer = page.goto(f"{site.url}/review/")
    assert answer is not None and answer.status == 403
    expect(page.get_by_test_id("error-page")).to_contain_text("not for this account")
    finish(page, site, order(page, site, upload(page, site, photograph(48)), QUICK))
    log_in(page, site, make_staff(site), "/review/")
    cards, verdicts = page.get_by_test_id("discovery"), page.get_by_test_id("verdict")
    expect(verdicts.first).to_have_text("Not judged yet")
    cards.first.focus()
    page.keyboard.press("a")
    expect(verdicts.first).to_have_text("Approved")
    cards.first.get_by_test_id("note").fill("fewer skips")
    cards.first.get_by_test_id("reject").click()
    expect(verdicts.first).to_have_text("Rejected")
    expect(cards.first).to_contain_text('reject, "fewer skips"')
    expect(cards.first.locator(".trail li")).to_have_count(2)
    # The owner kept the pictures to themselves.
    expect(cards.first).to_contain_text("The owner keeps the pictures to themselves.")
    expect(cards.first.locator(".pictures img")).to_have_count(0)


def test_sharing_is_off_until_it_is_ticked(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    name = f"shared-{uuid.uuid4().hex[:8]}.png"
    picture = upload(page, site, photograph(48), name)
    box = page.get_by_test_id("share-for-review")
    expect(box).not_to_be_checked()
    shared = []
    for ticked in (False, True):
        page.goto(f"{site.url}/new/{picture}/")
        page.locator("[data-stage][data-ready]").wait_for()
        box.set_checked(ticked)
        choose_small_job(page, population=2, generations=1, iterations=10)
        page.get_by_test_id("start").click()
        page.get_by_test_id("result").wait_for(timeout=120_000)
        job = page.url.rstrip("/").rsplit("/", 1)[-1]
        shared.append(page.request.get(f"{site.url}/api/v1/jobs/{job}").json()["share"])
    assert shared == [False, True]
    log_in(page, site, make_staff(site), "/review/")
    newest = page.get_by_test_id("discovery").first
    expect(newest.locator(".pictures img")).to_have_count(2)
    for image in newest.locator(".pictures img").all():
        expect(image).to_have_js_property("complete", True)
        assert image.evaluate("image => image.naturalWidth") > 0


def test_the_page_says_in_how_many_tiles_a_large_picture_is_restored(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    upload(page, site, photograph(600))
    expect(page.get_by_test_id("task-denoise")).to_be_checked()
    notes = page.get_by_test_id("layout-notes")
    expect(notes).to_contain_text("overlapping tiles of")
    expect(notes).to_contain_text("at full size")
    expect(notes).to_contain_text("Networks are compared on a part of 128 x 128 pixels")
    page.get_by_test_id("task-inpaint").check()
    expect(notes).not_to_contain_text("tiles")


def test_a_password_is_changed_from_the_head_of_the_page(page: Page, site: RunningSite) -> None:
    sign_up(page, site)
    page.get_by_test_id("change-password").click()
    page.get_by_label("Current Password").fill(PASSWORD)
    page.get_by_label("New Password", exact=True).fill("another-horse-9")
    page.get_by_label("New Password (again)").fill("another-horse-9")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("status")).to_contain_text("changed")
    page.goto(f"{site.url}/jobs/")
    expect(page.get_by_test_id("empty")).to_be_visible()
