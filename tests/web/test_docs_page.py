"""The OpenAPI page is served by this site alone and renders under its strict policy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import sync_playwright

from tests.web.site import Site


@pytest.mark.django_db
def test_the_page_names_no_other_host_and_has_no_inline_script() -> None:
    page = Client().get("/api/v1/docs")
    text = page.content.decode()
    policy = page["Content-Security-Policy"]
    assert "unsafe" not in policy and "script-src 'self'" in policy
    assert not re.search(r"(src|href)=\"(https?:)?//", text)
    for script in re.findall(r"<script\b([^>]*)>", text):
        assert "src=" in script or 'type="application/json"' in script


# WhiteNoise hands files to Django as synchronous iterators; served all the same, with a warning.
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous:Warning")
@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_the_page_shows_the_operations_without_a_violation(chromium: Path, files: Any) -> None:
    with Site() as site, sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        page = running.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{site.url}/api/v1/docs")
        page.get_by_text("/api/v1/jobs/{job_id}/events").wait_for(timeout=20_000)
        page.get_by_text("/api/v1/jobs/{job_id}/events").click()
        page.get_by_text("Events after a number").first.wait_for(timeout=10_000)
        running.close()
    assert all(url.startswith((site.url, "data:", "blob:")) for url in asked), asked
    assert [text for text in said if "Content Security Policy" in text] == []
