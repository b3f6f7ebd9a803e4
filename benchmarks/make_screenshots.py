"""The pages of a running site as pictures for the documentation.

    python -m benchmarks.make_screenshots --url http://127.0.0.1:8000/ --user NAME --password WORD
                                          [--out docs/screenshots] [--chromium FILE] [--minutes 20] [--iterations N]

Opens the in-painting sample as that user, draws some more of its mask, restores it with the preview preset, and
takes every page wide, on a phone and dark.  The user must be staff, for the review page.  Each file is a PNG under
300 kB: of 256 colours, and smaller where that is not enough.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

LARGEST_FILE = 300_000
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
LOOKS: dict[str, dict[str, Any]] = {
    "wide": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "color_scheme": "light",
        "has_touch": True,
        "device_scale_factor": 2,
    },
    "dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
}


@dataclass(frozen=True)
class Studio:
    """The site, the pages that show each look of it, and where the pictures go."""

    url: str
    pages: dict[str, Page]
    out: Path

    def take(self, name: str, path: str, ready: Callable[[Page], None]) -> None:
        """Open `path` in every look, wait until it is `ready`, and write NAME-LOOK.png."""
        for look, page in self.pages.items():
            page.goto(f"{self.url}{path}")
            ready(page)
            self.keep(name, look)

    def keep(self, name: str, look: str) -> None:
        page = self.pages[look]
        page.mouse.move(2, 2)
        page.evaluate("() => document.fonts.ready.then(() => new Promise(requestAnimationFrame))")
        content = small_png(page.screenshot())
        file = self.out / f"{name}-{look}.png"
        file.write_bytes(content)
        print(f"{file}: {len(content) / 1000:.0f} kB", flush=True)


def small_png(screenshot: bytes) -> bytes:
    """The screenshot with 256 colours, made smaller step by step until the file is small enough."""
    with Image.open(io.BytesIO(screenshot)) as opened:
        picture = opened.convert("RGB")
    size = picture.size
    share = 1.0
    while True:
        width, height = (round(length * share) for length in size)
        shown = picture if share == 1 else picture.resize((width, height), Image.Resampling.LANCZOS)
        file = io.BytesIO()
        shown.quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
        if file.tell() < LARGEST_FILE:
            return file.getvalue()
        share *= 0.9


def log_in(context: BrowserContext, url: str, user: str, password: str) -> None:
    page = context.new_page()
    page.goto(f"{url}accounts/login/")
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Log in").click()
    page.get_by_test_id("log-out").wait_for()
    page.close()


def loaded(page: Page) -> None:
    """All that the page shows at first is there."""
    page.wait_for_load_state("networkidle")
    page.evaluate(
        """() => Promise.all([...document.images].filter((image) => image.loading !== "lazy" && image.src)
          .map((image) => image.decode().catch(() => undefined)))"""
    )


def editor_ready(page: Page) -> None:
    page.locator("[data-stage][data-ready]").wait_for()
    loaded(page)


def draw(page: Page) -> None:
    """A stroke over the middle of the picture, as a person would draw it."""
    box = page.get_by_test_id("stage").bounding_box()
    if box is None:
        sys.exit("The mask editor is not on the page.")
    centre = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(centre[0] - 90, centre[1] - 60)
    page.mouse.down()
    for dx, dy in ((-30, -20), (30, 30), (90, 10)):
        page.mouse.move(centre[0] + dx, centre[1] + dy, steps=6)
    page.mouse.up()
    page.locator('[data-testid="saving"][data-saving="saved"]').wait_for()


def compose(studio: Studio, iterations: int | None) -> str:
    """Take the sample in, draw on it, take the page in every look; start the job.  Returns the job's path."""
    page = studio.pages["wide"]
    page.goto(f"{studio.url}new/")
    page.get_by_test_id("sample-inpaint").click()
    page.wait_for_url("**/new/*-*/*")
    path = page.url.removeprefix(studio.url)
    editor_ready(page)
    draw(page)
    studio.take("compose", path, editor_ready)
    if iterations is not None:
        page.get_by_test_id("advanced").click()
        page.get_by_test_id("iterations").fill(str(iterations))
    page.get_by_test_id("start").click()
    page.wait_for_url("**/jobs/*-*/")
    return page.url.removeprefix(studio.url)


def curve_begun(page: Page, seconds: float) -> None:
    """The live page shows a picture and two closed generations."""
    rows = page.get_by_test_id("curve-table").locator("tbody tr")
    deadline = time.monotonic() + seconds
    while rows.count() < 2 or not page.get_by_test_id("best-picture").is_visible():
        if page.get_by_test_id("result").count():
            sys.exit("The job was done before its live page could be taken; run it again on a quieter site.")
        if time.monotonic() > deadline:
            sys.exit(
                f"The search has not closed two generations within {seconds:.0f} s; is a worker running?"
            )
        page.wait_for_timeout(500)
    # Between two networks nothing is learning: what is there is taken then.
    with suppress(PlaywrightTimeout):
        page.get_by_test_id("current-picture").wait_for(timeout=5_000)


def open_pages(browser: Browser, url: str, user: str, password: str) -> dict[str, Page]:
    pages = {}
    for look, options in LOOKS.items():
        context = browser.new_context(**options, reduced_motion="reduce")
        context.set_default_timeout(30_000)
        log_in(context, url, user, password)
        pages[look] = context.new_page()
    return pages


def take_all(studio: Studio, seconds: float, iterations: int | None) -> None:
    studio.take("landing", "", loaded)
    studio.take("new", "new/", loaded)
    job = compose(studio, iterations)
    curve_begun(studio.pages["wide"], seconds)
    studio.take("live", job, lambda page: curve_begun(page, 300))
    studio.pages["wide"].goto(f"{studio.url}{job}")
    studio.pages["wide"].get_by_test_id("result").wait_for(timeout=seconds * 1000)
    studio.take("result", job, loaded)
    studio.take("history", "jobs/", loaded)
    studio.take("review", "review/", reviewed)


def reviewed(page: Page) -> None:
    if page.get_by_test_id("error-page").count():
        sys.exit("The review page is for staff: run this as a user who is one.")
    page.get_by_test_id("discovery").first.wait_for()
    loaded(page)


def main() -> None:
    """Read the command line and take every page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", required=True, help="address of the running site")
    parser.add_argument("--user", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the browser's file")
    parser.add_argument("--minutes", type=float, default=20, help="how long the restoration may take")
    parser.add_argument("--iterations", type=int, help="iterations a network, for a quicker restoration")
    asked = parser.parse_args()
    if not asked.chromium:
        parser.error("no Chromium is found: install it (apt-get install chromium) or name it with --chromium")
    asked.out.mkdir(parents=True, exist_ok=True)
    url = asked.url.rstrip("/") + "/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=asked.chromium, args=ARGUMENTS)
        try:
            pages = open_pages(browser, url, asked.user, asked.password)
            take_all(Studio(url, pages, asked.out), asked.minutes * 60, asked.iterations)
        finally:
            browser.close()


if __name__ == "__main__":
    main()
