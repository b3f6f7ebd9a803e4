"""What leaves and enters the site whatever the page: a strict content policy, a limit on bodies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.http.response import HttpResponseBase

__all__ = ["LARGEST_BODY", "LARGEST_UPLOAD", "UPLOADS", "BodyLimit", "ContentSecurityPolicy", "policy"]

LARGEST_UPLOAD = 64 * 1024 * 1024
"""Bytes of a request that uploads: the 50 MB that a picture may have, with room for its multipart frame."""
LARGEST_BODY = 9 * 1024 * 1024
"""Bytes of any other: the 8 MiB that Django reads of a body (DATA_UPLOAD_MAX_MEMORY_SIZE), and some room."""
UPLOADS = "/api/v1/pictures"
"""The one address, under the path prefix, where pictures are sent to."""

_MOST_DRAINED = 4
_TOO_LARGE = (
    b'{"type":"about:blank","title":"Content Too Large","status":413,'
    b'"detail":"The request is over %d MB; pictures may have up to 50 MB, all else is smaller."}'
)
_STRANGER = (
    b'{"type":"about:blank","title":"Unauthorized","status":401,'
    b'"detail":"Sign in, or send a token of your account: Authorization: Bearer TOKEN."}'
)

Message = MutableMapping[str, Any]


def policy(request: HttpRequest) -> str:
    """The Content-Security-Policy of every page: own scripts and styles only, nothing inline, no frames."""
    host = request.get_host()
    scheme = "wss" if request.is_secure() else "ws"
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob: data:",
            # 'self' covers the websocket in current browsers only; older ones need the address.
            f"connect-src 'self' {scheme}://{host}",
            "font-src 'self'",
            "manifest-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


class ContentSecurityPolicy:
    """Adds the policy to each answer that has none of its own (served files carry a stricter one)."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if iscoroutinefunction(self.get_response):
            return self._answer_async(request)
        return self._with_policy(request, self.get_response(request))

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        return self._with_policy(request, await self.get_response(request))

    @staticmethod
    def _with_policy(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if "Content-Security-Policy" not in response:
            try:
                response["Content-Security-Policy"] = policy(request)
            except DisallowedHost:  # the answer is an error about that very header; it loads nothing
                response["Content-Security-Policy"] = "default-src 'none'"
        response.headers.setdefault("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
        return response


class BodyLimit:
    """ASGI middleware that ends a request whose body grows over a limit, before Django spools it to disk.

    It stands before authentication, so what a stranger may send is small, also to where pictures are taken in.
    """

    def __init__(
        self,
        app: Callable[..., Awaitable[None]],
        limit: int | None = None,
        *,
        is_known: Callable[[MutableMapping[str, Any]], Awaitable[bool]],
    ) -> None:
        """limit: bytes for every address (None: LARGEST_UPLOAD for uploads, else LARGEST_BODY).

        is_known: whether a request's sender is somebody of this site, who may upload.
        """
        self.app = app
        self.limit = limit
        self.is_known = is_known

    async def _limit(self, scope: MutableMapping[str, Any]) -> tuple[int, bytes]:
        """Bytes that the body may have, and the answer to one that has more."""
        if self.limit is not None:
            return self.limit, _TOO_LARGE % (self.limit >> 20)
        uploads = f"{settings.FORCE_SCRIPT_NAME or ''}{UPLOADS}"
        if (scope["method"], scope["path"]) != ("POST", uploads):
            return LARGEST_BODY, _TOO_LARGE % (LARGEST_BODY >> 20)
        if await self.is_known(scope):
            return LARGEST_UPLOAD, _TOO_LARGE % (LARGEST_UPLOAD >> 20)
        return LARGEST_BODY, _STRANGER

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit, answer = await self._limit(scope)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            await self._drain(receive, limit)
            await self._refuse(send, answer)
            return
        seen = 0
        refused = False

        async def counted_receive() -> Message:
            nonlocal seen, refused
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit and not refused:
                    refused = True
                    await self._refuse(send, answer)
                    return {"type": "http.disconnect"}
            return message

        async def guarded_send(message: Message) -> None:
            if not refused:  # after the refusal the application has nobody left to answer
                await send(message)

        await self.app(scope, counted_receive, guarded_send)

    async def _drain(self, receive: Callable[[], Awaitable[Message]], limit: int) -> None:
        """Read away a body of a few times the limit: many clients look for the answer only when all is sent."""
        seen = 0
        while seen < _MOST_DRAINED * limit:
            message = await receive()
            seen += len(message.get("body", b""))
            if message["type"] != "http.request" or not message.get("more_body"):
                return

    async def _refuse(self, send: Callable[[Message], Awaitable[None]], body: bytes) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": 401 if body == _STRANGER else 413,
                "headers": [
                    (b"content-type", b"application/problem+json"),
                    (b"content-length", str(len(body)).encode()),
                    (b"connection", b"close"),
                ],
            }
        )
        await send({"type": "http.response.body", "body": body})
