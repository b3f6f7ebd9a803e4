"""The API as one object: its operations, who may call them, and problem+json for every error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern, re_path
from ninja import NinjaAPI

from nasdip_engine.version import VERSION
from webapp.api import jobs, pictures, presets, samples
from webapp.api.auth import BearerToken, BrowserSession
from webapp.api.openapi import complete
from webapp.api.problems import install, problem_response

__all__ = ["api"]


class StudioApi(NinjaAPI):
    """ninja answers a wrong method and an unknown address with an empty page; here these are problems too."""

    def get_openapi_schema(self, **options: Any) -> Any:
        """The OpenAPI document with what ninja leaves out."""
        return complete(super().get_openapi_schema(**options))

    def _get_urls(self) -> list[Any]:
        patterns = [_with_problems(pattern) for pattern in super()._get_urls()]
        return [*patterns, re_path(r"^.*$", _nothing_here, name="nothing-here")]


def _with_problems(pattern: URLPattern) -> URLPattern:
    view: Callable[..., HttpResponse] = pattern.callback

    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response = view(request, *args, **kwargs)
        except Http404:  # the API's own root has nothing to show
            return _nothing_here(request)
        if isinstance(response, HttpResponseNotAllowed):
            allowed = response["Allow"]
            response = problem_response(405, f"{request.method} does nothing here; allowed: {allowed}.")
            response["Allow"] = allowed
        return response

    answer.csrf_exempt = True  # the session's own check is in auth.py
    pattern.callback = answer
    return pattern


def _nothing_here(_request: HttpRequest) -> HttpResponse:
    return problem_response(404, "There is no such address in this API; /api/v1/docs lists them.")


_nothing_here.csrf_exempt = True

api = StudioApi(
    title="NAS-DIP Studio",
    version=VERSION,
    description=(
        "Restore pictures by a search for a network that fits them. Send `Authorization: Bearer TOKEN`; "
        "errors are problem+json (RFC 9457) and name the field at fault."
    ),
    urls_namespace="api",
    auth=[BearerToken(), BrowserSession()],
)
install(api)
api.add_router("", pictures.router)
api.add_router("", samples.router)
api.add_router("", presets.router)
api.add_router("", jobs.router)
