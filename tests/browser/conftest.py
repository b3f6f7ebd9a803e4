"""Chromium, the real site as processes, and a bare server for the modules alone.

Playwright's loop runs in this thread while a browser is open, so nothing here touches Django's database: users,
pictures and jobs are made as a person makes them, through the site.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.site import ROOT, RunningSite
from tests.servers import RedisServer

ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MODULE_PAGE = b"<!doctype html><html lang=en><title>modules</title><body></body></html>"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def site(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    redis_server.start()
    running = RunningSite(tmp_path_factory.mktemp("site"), redis_server.url)
    try:
        running.start()
        yield running
    finally:
        running.stop()


class Complaints(list[str]):
    """What the browser complained of; 404s that a test provokes are taken off by the test."""

    def listen(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.append(f"error: {error}"))
        page.on("console", lambda said: self.append(said.text) if said.type == "error" else None)


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context(viewport={"width": 1280, "height": 900})
    opened.set_default_timeout(20_000)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext, complaints: Complaints) -> Page:
    opened = context.new_page()
    complaints.listen(opened)
    return opened


class ModuleHandler(SimpleHTTPRequestHandler):
    """static/ of the repository, and an empty page to import its modules into."""

    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}

    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(MODULE_PAGE)))
        self.end_headers()
        self.wfile.write(MODULE_PAGE)

    def log_message(self, *arguments: Any) -> None:
        """Tests are quiet."""


@pytest.fixture(scope="module")
def module_server() -> Iterator[str]:
    handler = partial(ModuleHandler, directory=str(ROOT / "static"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture
def modules(page: Page, module_server: str) -> Page:
    """A page in which tests import the site's modules: evaluate("async () => (await import('/js/...'))...")."""
    page.goto(module_server)
    return page
