"""Every error of the API as problem+json (RFC 9457).

    {"type": "about:blank", "title": "Unprocessable Content", "status": 422,
     "detail": "population 1 is outside 2 to 1000.", "field": "settings.population",
     "errors": [{"field": "settings.population", "message": "..."}]}

`field` and `errors` are there where a part of the request was wrong; a field is named by its place in
the request's body or query, with dots.
"""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from nasdip_engine.errors import InvalidInput, NasDipError
from webapp.pictures.quota import NoRoomError
from webapp.pictures.turns import BusyError, TooManyWaitingError

__all__ = ["CONTENT_TYPE", "ProblemError", "install", "problem_body", "problem_response"]

logger = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
# The names of RFC 9110; Python 3.11's HTTPStatus still has the older ones.
MOST_ERRORS = 20
MOST_CHARACTERS = 1000
"""Of one message: what was sent may stand in it, and that may be a megabyte."""
TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}


class ProblemError(Exception):
    """An answer that is an error: raised by an operation, rendered by `install`."""

    def __init__(self, status: int, detail: str, *, field: str | None = None, **more: str) -> None:
        """more: members beside those of RFC 9457, such as file="beach.png"."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.more = more


def problem_body(
    status: int, detail: str, errors: Sequence[dict[str, str]] = (), **more: str
) -> dict[str, Any]:
    """The members of RFC 9457, and which fields were wrong.  errors: {"field", "message"} each; the first few stay."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": TITLES.get(status) or HTTPStatus(status).phrase,
        "status": status,
        "detail": _shortened(detail),
        **more,
    }
    if errors:
        told = [{name: _shortened(text) for name, text in error.items()} for error in errors[:MOST_ERRORS]]
        body |= {"field": told[0]["field"], "errors": told}
    return body


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]} ..."


def problem_response(
    status: int, detail: str, errors: Sequence[dict[str, str]] = (), **more: str
) -> HttpResponse:
    """An answer with such a body."""
    body = json.dumps(problem_body(status, detail, errors, **more))
    response = HttpResponse(body, status=status, content_type=CONTENT_TYPE)
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = "Bearer"
    return response


def _problem(_request: HttpRequest, exc: ProblemError) -> HttpResponse:
    errors = [{"field": exc.field, "message": exc.detail}] if exc.field else []
    return problem_response(exc.status, exc.detail, errors, **exc.more)


def _invalid_input(_request: HttpRequest, exc: InvalidInput) -> HttpResponse:
    field = getattr(exc, "field", None)
    errors = [{"field": field, "message": str(exc)}] if field else []
    return problem_response(422, str(exc), errors)


def _http_error(_request: HttpRequest, exc: HttpError) -> HttpResponse:
    sentences = {
        401: "Sign in, or send a token of your account: Authorization: Bearer TOKEN.",
        400: "The body of the request is not JSON.",
        403: "The form's security token is missing or old: reload the page, or send a bearer token.",
    }
    return problem_response(exc.status_code, sentences.get(exc.status_code, str(exc)))


def _validation(_request: HttpRequest, exc: ValidationError) -> HttpResponse:
    errors = []
    for error in exc.errors[:MOST_ERRORS]:
        # ("body", <parameter of the function>, "settings", "population") -> settings.population
        place = [str(part) for part in error["loc"]]
        place = place[2:] if place[0] == "body" and len(place) > 2 else place[1:]
        errors.append({"field": ".".join(place) or "body", "message": str(error["msg"])})
    detail = "; ".join(f"{error['field']}: {error['message']}" for error in errors)
    if len(exc.errors) > MOST_ERRORS:
        detail = f"{len(exc.errors)} fields are wrong, the first of them: {detail}"
    return problem_response(422, detail, errors)


def _not_found(_request: HttpRequest, _exc: Exception) -> HttpResponse:
    return problem_response(404, "There is nothing here, or it is not yours.")


def _too_large(_request: HttpRequest, _exc: Exception) -> HttpResponse:
    return problem_response(413, "The body of the request is larger than this site takes.")


def _bad_request(_request: HttpRequest, exc: Exception) -> HttpResponse:
    return problem_response(400, f"The request cannot be read: {exc}")


def _engine_failed(request: HttpRequest, exc: NasDipError) -> HttpResponse:
    logger.error("%s %s failed", request.method, request.path, exc_info=exc)
    return problem_response(503, f"{exc}. Nothing was stored; try again in a minute.")


def _busy(_request: HttpRequest, exc: BusyError) -> HttpResponse:
    response = problem_response(429 if isinstance(exc, TooManyWaitingError) else 503, str(exc))
    response["Retry-After"] = str(exc.retry_after)
    return response


def _no_room(_request: HttpRequest, exc: NoRoomError) -> HttpResponse:
    return problem_response(507, str(exc))


def _system_failed(request: HttpRequest, exc: OSError) -> HttpResponse:
    if exc.errno != errno.ENOSPC:
        return _unexpected(request, exc)
    logger.error("%s %s failed: the disk is full", request.method, request.path)
    return problem_response(507, "The disk of this site is full: nothing was stored. Tell its operator.")


def _unexpected(request: HttpRequest, exc: Exception) -> HttpResponse:
    logger.error("%s %s failed", request.method, request.path, exc_info=exc)
    return problem_response(500, "Something went wrong on this site; the operator's log says what.")


def install(api: NinjaAPI) -> None:
    """Let this API answer every error as a problem."""
    api.add_exception_handler(Exception, _unexpected)
    api.add_exception_handler(ProblemError, _problem)
    api.add_exception_handler(NasDipError, _engine_failed)
    api.add_exception_handler(BusyError, _busy)
    api.add_exception_handler(NoRoomError, _no_room)
    api.add_exception_handler(OSError, _system_failed)
    api.add_exception_handler(InvalidInput, _invalid_input)
    api.add_exception_handler(HttpError, _http_error)
    api.add_exception_handler(AuthenticationError, _http_error)
    api.add_exception_handler(ValidationError, _validation)
    api.add_exception_handler(Http404, _not_found)
    api.add_exception_handler(SuspiciousOperation, _bad_request)
    api.add_exception_handler(MultiPartParserError, _bad_request)
    api.add_exception_handler(RequestDataTooBig, _too_large)
