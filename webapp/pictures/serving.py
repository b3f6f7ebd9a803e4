"""Stored files and JSON as answers: a content type that is fixed here, and headers that make them inert.

Everything goes out with `nosniff`, a policy under which nothing runs, and an attachment disposition: an
<img> shows it all the same, and opened by its address it is saved instead of rendered.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, BinaryIO
from urllib.parse import quote

from django.core.handlers.asgi import ASGIRequest
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotModified,
    StreamingHttpResponse,
)

from nasdip_engine.picture import encode_thumbnail
from webapp.pictures import storage

__all__ = ["json_response", "png_response", "reduced_png_response", "svg_response", "webp_response"]

INERT = "default-src 'none'; sandbox"
# Bytes up to which a file is answered in one piece, and of a part of a larger one.
WHOLE = 4 << 20
PART = 256 << 10
PRIVATE = "private, max-age=0, must-revalidate"


def _sealed(response: HttpResponseBase, filename: str, etag: str | None = None) -> HttpResponseBase:
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._- ()") else "_" for c in filename)
    disposition = f'attachment; filename="{plain}"'
    if plain != filename:
        disposition += f"; filename*=UTF-8''{quote(filename, safe='')}"
    response["Content-Disposition"] = disposition
    response["Content-Security-Policy"] = INERT
    response["X-Content-Type-Options"] = "nosniff"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    response["Cache-Control"] = PRIVATE
    if etag:
        response["ETag"] = f'"{etag}"'
    return response


def _has(request: HttpRequest, digest: str) -> bool:
    sent = request.headers.get("If-None-Match", "")
    tags = {tag.strip().removeprefix("W/") for tag in sent.split(",")}
    return f'"{digest}"' in tags or "*" in tags


def png_response(request: HttpRequest, digest: str, filename: str) -> HttpResponseBase:
    """A stored PNG; its digest is the ETag.  Raises Http404 when there is no such file."""
    return _stored(request, digest, filename, "image/png")


def webp_response(request: HttpRequest, digest: str, filename: str) -> HttpResponseBase:
    """A stored WebP, as `png_response` answers a PNG."""
    return _stored(request, digest, filename, "image/webp")


def _stored(request: HttpRequest, digest: str, filename: str, content_type: str) -> HttpResponseBase:
    if not digest:
        raise Http404("This picture is not there yet.")
    if _has(request, digest):
        return _sealed(HttpResponseNotModified(), filename, digest)
    try:
        response = _content(request, storage.open_file(digest), content_type)
    except FileNotFoundError:
        raise Http404("This picture's file is gone.") from None
    return _sealed(response, filename, digest)


def reduced_png_response(request: HttpRequest, digest: str, side: int, filename: str) -> HttpResponseBase:
    """A stored PNG of at most `side` pixels a side, made at the first request.  Raises Http404 as `png_response`."""
    if not digest:
        raise Http404("This picture is not there yet.")
    etag = f"{digest}-{side}"
    if _has(request, etag):
        return _sealed(HttpResponseNotModified(), filename, etag)
    try:
        content = storage.derived(digest, f"thumbnail-{side}", partial(encode_thumbnail, side=side))
    except FileNotFoundError:
        raise Http404("This picture's file is gone.") from None
    return _sealed(HttpResponse(content, content_type="image/png"), filename, etag)


def _content(request: HttpRequest, stream: BinaryIO, content_type: str) -> HttpResponseBase:
    """A small file as it is; a large one in parts, which Django can do for an async server only."""
    size = os.fstat(stream.fileno()).st_size
    if size <= WHOLE or not isinstance(request, ASGIRequest):
        with stream:
            return HttpResponse(stream.read(), content_type=content_type)
    response = StreamingHttpResponse(_parts(stream), content_type=content_type)
    response["Content-Length"] = str(size)
    return response


async def _parts(stream: BinaryIO) -> AsyncIterator[bytes]:
    with stream:
        while part := await asyncio.to_thread(stream.read, PART):
            yield part


def json_response(value: Any, filename: str) -> HttpResponseBase:
    """A JSON document to be saved."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return _sealed(HttpResponse(text, content_type="application/json; charset=utf-8"), filename)


def svg_response(text: str, filename: str) -> HttpResponseBase:
    """A diagram made by this site, to be shown in an <img> or saved."""
    return _sealed(HttpResponse(text, content_type="image/svg+xml; charset=utf-8"), filename)
