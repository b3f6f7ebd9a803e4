"""What the live page says when something is missing: the worker, or the site itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.site import RunningSite, photograph
from tests.browser.steps import LONG, cancel, order, sign_up, upload
from tests.browser.test_pages import assert_fits
from tests.servers import RedisServer


@pytest.fixture(scope="module")
def idle_site(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    """A site of its own without a worker, whose web server tests may stop."""
    redis_server.start()
    running = RunningSite(tmp_path_factory.mktemp("idle"), redis_server.url, worker=False)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def test_without_a_worker_the_page_says_so(page: Page, idle_site: RunningSite) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    sign_up(page, idle_site)
    picture = upload(page, idle_site, photograph(48))
    expect(page.locator('[data-cost="preview"]')).to_contain_text("no worker")
    assert_fits(page)
    first, second = (order(page, idle_site, picture, LONG) for _ in range(2))
    now = page.get_by_test_id("now")
    page.goto(f"{idle_site.url}/jobs/{first}/")
    expect(now).to_have_text("No worker is running; the job goes on as soon as one is.")
    expect(page.get_by_test_id("left")).to_have_text("")
    assert_fits(page)
    page.goto(f"{idle_site.url}/jobs/{second}/")
    expect(now).to_have_text("No worker is running; the job goes on as soon as one is. Place 2 in the queue.")


def test_a_site_that_is_gone_is_offline_and_catches_up(page: Page, idle_site: RunningSite) -> None:
    sign_up(page, idle_site)
    job = order(page, idle_site, upload(page, idle_site, photograph(48)), LONG)
    page.goto(f"{idle_site.url}/jobs/{job}/")
    connection, state = page.get_by_test_id("connection"), page.get_by_test_id("state")
    expect(connection).to_have_text("live", timeout=30_000)
    expect(state).to_have_text("queued")
    idle_site.stop_web()
    expect(connection).to_have_text("catching up", timeout=10_000)
    expect(connection).to_have_text("offline", timeout=60_000)
    expect(connection).to_have_attribute(
        "title", "The site can't be reached. The restoration goes on; this page catches up by itself."
    )
    expect(state).to_have_text("queued")  # what is known stays on the page
    idle_site.start_web()
    cancel(page, idle_site, job)
    expect(state).to_have_text("cancelled", timeout=60_000)
    assert story(page) == ["Queued.", "Cancelled."]


def story(page: Page) -> list[str]:
    """What happened, oldest first, without the times of day."""
    lines = page.get_by_test_id("log").locator("li")
    return list(reversed(lines.evaluate_all("all => all.map(li => li.lastChild.textContent)")))


def test_a_job_that_only_another_worker_can_serve_says_which(page: Page, idle_site: RunningSite) -> None:
    """The page takes it over at a look at the rows, and forgets it when such a worker is up."""
    sign_up(page, idle_site)
    job = order(page, idle_site, upload(page, idle_site, photograph(48)), LONG)
    worker_beats(idle_site, "newer", "a new processor")
    idle_site.manage(
        "shell",
        "--command",
        "from webapp.restorations.models import Job\n"
        f"Job.objects.exclude(pk='{job}').delete()\n"
        f"Job.objects.filter(pk='{job}').update(fingerprint={fingerprint('an old processor')!r})",
    )
    page.goto(f"{idle_site.url}/jobs/{job}/")
    now = page.get_by_test_id("now")
    expect(now).to_contain_text("It began on an old processor")
    expect(now).to_contain_text("only such a worker gives the same bits")
    worker_beats(idle_site, "older", "an old processor")
    expect(now).to_have_text("Next in the queue.", timeout=30_000)


def test_the_time_left_counts_down_while_looks_bring_the_same_estimate(
    page: Page, idle_site: RunningSite
) -> None:
    """The page looks every 20 s; the clock and the estimate are the test's, all else is the site's."""
    sign_up(page, idle_site)
    job = order(page, idle_site, upload(page, idle_site, photograph(48)), LONG)
    told = {"state": "finishing", "waits_for": "", "seconds_left": 600.0}
    looks: list[str] = []

    def answer(route: Route) -> None:
        looks.append(route.request.url)
        route.fulfill(json={**route.fetch().json(), **told})

    page.route("**/snapshot", answer)
    page.clock.install()
    page.goto(f"{idle_site.url}/jobs/{job}/")
    left = page.get_by_test_id("left")
    expect(left).to_have_text("about 10 min left")
    for _ in range(9):
        with page.expect_response("**/snapshot"):
            page.clock.run_for(21_000)
    assert len(looks) > 9
    expect(left).to_have_text("about 7 min left")
    told["seconds_left"] = 240.0
    with page.expect_response("**/snapshot"):
        page.clock.run_for(21_000)
    expect(left).to_have_text("about 4 min left")
    page.reload()
    expect(page.get_by_test_id("connection")).to_have_text("live")
    told["seconds_left"] = 120.0
    # The page has just looked, and while the clock stands its next look does not come nearer.
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 1)
    idle_site.manage(
        "shell",
        "--command",
        "from django.db import transaction\n"
        "from webapp.restorations import events\n"
        "with transaction.atomic():\n"
        f"    events.append('{job}', 'baseline', {{'method': 'Lanczos', 'held_out_psnr': 20.0}})",
    )
    page.clock.resume()
    expect(left).to_have_text("about 2 min left", timeout=10_000)


def worker_beats(site: RunningSite, name: str, cpu_model: str) -> None:
    """What a worker of that machine writes when it starts."""
    site.manage(
        "shell",
        "--command",
        "from webapp.restorations import workers\n"
        f"workers.beat({name!r}, pid=1, slots=1, fingerprint={fingerprint(cpu_model)!r}, device='cpu', first=True)",
    )


def fingerprint(cpu_model: str) -> dict[str, str]:
    return {"cpu_model": cpu_model, "torch": "2.0", "device": "cpu"}


def test_the_clock_of_a_paused_job_stands_whoevers_clock_is_wrong(page: Page, idle_site: RunningSite) -> None:
    """Paused while an older look is under way; the visitor's clock is ten minutes fast."""
    sign_up(page, idle_site)
    job = order(page, idle_site, upload(page, idle_site, photograph(48)), LONG)
    idle_site.manage(
        "shell",
        "--command",
        "from datetime import timedelta\n"
        "from django.utils import timezone\n"
        "from webapp.restorations.models import Job\n"
        f"Job.objects.filter(pk='{job}').update(started_at=timezone.now() - timedelta(seconds=50))",
    )
    page.clock.install(time=time.time() + 600)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.goto(f"{idle_site.url}/jobs/{job}/")
    clock = page.locator("[data-clock]")
    expect(clock).to_contain_text(re.compile(r"^[01]:\d\d$"))
    page.route("**/snapshot", hold, times=1)
    page.clock.run_for(11_000)
    wait_for_pages(page, lambda: held)
    page.get_by_test_id("pause").focus()
    page.get_by_test_id("pause").press("Enter")
    expect(page.get_by_test_id("state")).to_have_text("paused")
    held[0].continue_()
    expect(page.get_by_test_id("resume")).to_be_focused()
    page.wait_for_load_state("networkidle")
    page.clock.run_for(2_000)
    stood = clock.inner_text()
    page.clock.run_for(30_000)
    expect(clock).to_have_text(stood)
    cancel(page, idle_site, job)


def wait_for_pages(page: Page, done: Callable[[], object]) -> None:
    """Until `done`, letting the page's requests through meanwhile."""
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)
