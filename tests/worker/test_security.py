"""What every answer carries, and how large a request may be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from webapp.config.security import BodyLimit, ContentSecurityPolicy


def answer(request: HttpRequest) -> HttpResponse:
    return HttpResponse("page")


def test_the_policy_allows_nothing_inline_and_no_other_host() -> None:
    response = ContentSecurityPolicy(answer)(RequestFactory().get("/"))
    assert isinstance(response, HttpResponse)
    policy = response["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "ws://testserver" in policy


def test_https_pages_open_secure_sockets() -> None:
    response = ContentSecurityPolicy(answer)(RequestFactory().get("/", secure=True))
    assert isinstance(response, HttpResponse)
    assert "wss://testserver" in response["Content-Security-Policy"]


def test_a_stricter_policy_of_an_answer_stays() -> None:
    def sandboxed(request: HttpRequest) -> HttpResponse:
        return HttpResponse("file", headers={"Content-Security-Policy": "sandbox"})

    response = ContentSecurityPolicy(sandboxed)(RequestFactory().get("/"))
    assert isinstance(response, HttpResponse)
    assert response["Content-Security-Policy"] == "sandbox"


def test_a_refused_host_is_still_answered_with_a_policy() -> None:
    response = ContentSecurityPolicy(answer)(RequestFactory().get("/", HTTP_HOST="evil.example"))
    assert isinstance(response, HttpResponse)
    assert response["Content-Security-Policy"] == "default-src 'none'"


async def _reads_all(scope: Any, receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _nobody(_scope: Any) -> bool:
    return False


def status_of(bodies: list[bytes], declared: bytes | None, limit: int = 100) -> list[int]:
    """The statuses that a client sees for a request in those pieces."""
    sent: list[Any] = []
    pieces = [
        {"type": "http.request", "body": body, "more_body": number < len(bodies) - 1}
        for number, body in enumerate(bodies)
    ]

    async def receive() -> Any:
        return pieces.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [] if declared is None else [(b"content-length", declared)]
    asyncio.run(
        BodyLimit(_reads_all, limit, is_known=_nobody)({"type": "http", "headers": headers}, receive, send)
    )
    return [message["status"] for message in sent if message["type"] == "http.response.start"]


@pytest.mark.parametrize(
    ("bodies", "declared", "status"),
    [
        ([b"x" * 100], b"100", 200),
        ([b"x" * 101], b"101", 413),
        ([b"x" * 60, b"x" * 60], None, 413),
        ([b"x" * 60, b"x" * 40], None, 200),
    ],
    ids=["at the limit", "declared over it", "grows over it unannounced", "grows up to it"],
)
def test_a_body_is_counted_as_it_comes(bodies: list[bytes], declared: bytes | None, status: int) -> None:
    assert status_of(bodies, declared) == [status]
