"""Static files from the web process itself: whitenoise finds them and says the headers, Django sends them whole."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

__all__ = ["StaticFiles"]


class StaticFiles(WhiteNoiseMiddleware):
    """Whitenoise with plain answers.

    Its own stream through an iterator that an async server can only read to the end first, with a warning each.
    """

    @staticmethod
    def serve(static_file: StaticFile, request: HttpRequest) -> HttpResponse:
        """The file, a part of it, or that it has not changed, as the request's headers ask."""
        found = static_file.get_response(request.method, request.META)
        content = b""
        if found.file is not None:
            with found.file:
                content = found.file.read()
        answer = HttpResponse(content, status=int(found.status))
        del answer["Content-Type"]  # whitenoise names it, where there is one
        for name, value in found.headers:
            answer[name] = value
        return answer
