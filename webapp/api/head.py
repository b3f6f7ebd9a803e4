"""HEAD on the API: what GET answers, without its body (RFC 9110, section 9.3.2)."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

__all__ = ["HeadAsGet"]


class HeadAsGet:
    """Shows the API's router, which knows methods by name, a HEAD as the GET that it is; the web server drops the body."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.method == "HEAD" and request.path_info.startswith("/api/"):
            request.method = "GET"
        return self.get_response(request)
