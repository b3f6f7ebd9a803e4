"""Who may do what: every address of the site, as nobody, as its owner, as another user and as staff.

The table below is compared with the URL configuration: an address without a row fails, so that nobody adds one
without saying who may see it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.contrib.admindocs.views import simplify_regex
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern

from tests.web.cast import encoded, photograph
from tests.web.drive import SMALL, queue
from webapp.api.api import api as site_api
from webapp.architectures import discovery
from webapp.pictures.intake import save_strokes, store_picture
from webapp.restorations import files
from webapp.restorations.models import Job, JobFile

pytestmark = pytest.mark.django_db


class Row(NamedTuple):
    """Status for nobody, the owner, another user, staff.  `queued`: the object is a job that waits."""

    nobody: int
    owner: int
    other: int
    staff: int
    body: dict[str, Any] | None = None
    queued: bool = False


TO_LOGIN = 302
OPEN = Row(200, 200, 200, 200)
SIGNED_IN = Row(TO_LOGIN, 200, 200, 200)
OWN_PAGE = Row(TO_LOGIN, 200, 404, 404)
STAFF_PAGE = Row(TO_LOGIN, 403, 403, 200)
API = Row(401, 200, 200, 200)
OWN = Row(401, 200, 404, 404)

STROKES = {"strokes": [{"tool": "brush", "size": 9, "points": [[9, 9]]}]}

ROUTES = {
    "GET /": OPEN,
    "GET /new/": SIGNED_IN,
    "GET /new/{picture_id}/": OWN_PAGE,
    "GET /new/{picture_id}/delete/": OWN_PAGE,
    "POST /new/{picture_id}/delete/": Row(TO_LOGIN, 302, 404, 404),
    "GET /jobs/": SIGNED_IN,
    "GET /jobs/{job_id}/": OWN_PAGE,
    "GET /jobs/{job_id}/delete/": OWN_PAGE,
    "POST /jobs/{job_id}/delete/": Row(TO_LOGIN, 302, 404, 404),
    "GET /jobs/{job_id}/input.png": OWN_PAGE,
    "GET /jobs/{job_id}/mask.png": Row(TO_LOGIN, 404, 404, 404),  # this job has none
    "GET /jobs/{job_id}/restored.png": OWN_PAGE,
    "GET /jobs/{job_id}/thumbnail.png": OWN_PAGE,
    "GET /jobs/{job_id}/baseline.png": OWN_PAGE,
    "GET /jobs/{job_id}/baselines/{slug}.png": OWN_PAGE,
    "GET /jobs/{job_id}/run.json": OWN_PAGE,
    "GET /jobs/{job_id}/architecture.svg": OWN_PAGE,
    "GET /jobs/{job_id}/preview/{digest}.png": OWN_PAGE,
    "GET /jobs/{job_id}/still/{digest}.webp": OWN_PAGE,
    "GET /jobs/{job_id}/seen/{frame}.png": OWN_PAGE,
    "GET /review/": STAFF_PAGE,
    "POST /review/{discovery_id}/verdict/": Row(TO_LOGIN, 403, 403, 302, {"verdict": "approve"}),
    "GET /review/{discovery_id}/architecture.svg": STAFF_PAGE,
    "GET /review/jobs/{job_id}/{which}.png": Row(TO_LOGIN, 404, 404, 404),  # not shared; see below
    "GET /accounts/login/": Row(200, 302, 302, 302),
    "GET /accounts/logout/": Row(302, 200, 200, 200),
    "GET /accounts/signup/": Row(200, 302, 302, 302),
    "GET /accounts/inactive/": OPEN,
    "GET /accounts/password/change/": SIGNED_IN,
    "GET /healthz": OPEN,
    "GET /api/v1/docs": OPEN,
    "GET /api/v1/openapi.json": OPEN,
    "GET /api/v1/": Row(404, 404, 404, 404),
    "GET /api/v1/nothing-here": Row(404, 404, 404, 404),
    "POST /api/v1/pictures": Row(401, 422, 422, 422),  # nothing is attached
    "GET /api/v1/pictures": API,
    "GET /api/v1/pictures/{picture_id}": OWN,
    "DELETE /api/v1/pictures/{picture_id}": Row(401, 409, 404, 404),  # a job restores it
    "GET /api/v1/pictures/{picture_id}/image.png": OWN,
    "GET /api/v1/pictures/{picture_id}/thumbnail.png": OWN,
    "PUT /api/v1/pictures/{picture_id}/strokes": OWN._replace(body=STROKES),
    "GET /api/v1/pictures/{picture_id}/strokes": OWN,
    "GET /api/v1/pictures/{picture_id}/mask.png": OWN,
    "POST /api/v1/samples/{name}": Row(401, 201, 201, 201),
    "GET /api/v1/presets": API,
    "POST /api/v1/jobs": Row(
        401, 202, 404, 404, {"picture": "{picture_id}", "task": "denoise", "settings": SMALL}
    ),
    "GET /api/v1/jobs": API,
    "GET /api/v1/jobs/{job_id}": OWN,
    "DELETE /api/v1/jobs/{job_id}": Row(401, 204, 404, 404),
    "POST /api/v1/jobs/{job_id}/pause": OWN._replace(queued=True),
    "POST /api/v1/jobs/{job_id}/resume": OWN._replace(queued=True),
    "POST /api/v1/jobs/{job_id}/cancel": OWN._replace(queued=True),
    "POST /api/v1/jobs/{job_id}/go-on-without": Row(401, 409, 404, 404, queued=True),
    "POST /api/v1/jobs/{job_id}/go-on-here": Row(401, 409, 404, 404, queued=True),
    "GET /api/v1/jobs/{job_id}/snapshot": OWN,
    "GET /api/v1/jobs/{job_id}/events": OWN,
    "GET /api/v1/jobs/{job_id}/result.png": OWN,
}
# Pages of Django's admin: their own rules, tested by their own project.
FOREIGN = {"/admin/"}


def shown(pattern: URLPattern | URLResolver) -> str:
    """A route as the table writes it: /jobs/{job_id}/."""
    if isinstance(pattern.pattern, RegexPattern):
        text = simplify_regex(str(pattern.pattern)).lstrip("/").replace("\\", "")
    else:
        text = str(pattern.pattern)
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", text)


def page_routes(patterns: list[Any], prefix: str) -> Iterator[str]:
    for pattern in patterns:
        route = prefix + shown(pattern)
        if isinstance(pattern, URLPattern):
            yield prefix + pattern.name if pattern.name == "nothing-here" else route
        elif route not in FOREIGN:
            yield from page_routes(pattern.url_patterns, route)


def test_every_address_has_a_row() -> None:
    listed = {route.split()[1] for route in ROUTES}
    found = set(page_routes(get_resolver().url_patterns, "/"))
    assert found - listed == set(), "these addresses say nowhere who may see them"
    assert listed - found == set(), "these addresses are gone"


def test_every_operation_of_the_api_has_a_row() -> None:
    paths = site_api.get_openapi_schema()["paths"]
    found = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    unlisted = {"/api/v1/docs", "/api/v1/openapi.json", "/api/v1/", "/api/v1/nothing-here"}
    listed = {
        route for route in ROUTES if route.split()[1].startswith("/api/") and route.split()[1] not in unlisted
    }
    assert found == listed


def browser(user: User | None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


@pytest.fixture
def places(alice: User, done_job: Job) -> dict[str, str]:
    """What stands in the braces: alice's objects."""
    save_strokes(done_job.picture, STROKES["strokes"])
    preview = files.keep(done_job.pk, b"a preview")
    found = discovery.record(done_job)
    return {
        "job_id": str(done_job.pk),
        "picture_id": str(done_job.picture_id),
        "discovery_id": str(found[0].pk),
        "digest": preview,
        "frame": "search",
        "slug": "gaussian-blur",
        "which": "restored",
        "name": "upscale",
    }


def ask(route: str, places: dict[str, str], user: User | None, body: dict[str, Any] | None) -> int:
    method, path = route.split()
    for name, value in places.items():
        path = path.replace(f"{{{name}}}", value)
        body = body and {key: value if content == f"{{{name}}}" else content for key, content in body.items()}
    more: dict[str, Any] = {}
    if body is not None:
        more = {"data": body} | ({"content_type": "application/json"} if "/api/" in path else {})
    return getattr(browser(user), method.lower())(path, **more).status_code


@pytest.mark.parametrize("route", ROUTES)
def test_row(
    route: str, places: dict[str, str], done_job: Job, alice: User, bob: User, reviewer: User
) -> None:
    row = ROUTES[route]
    if row.queued:
        places["job_id"] = str(queue(alice, done_job.picture).pk)
    # The owner comes last: what the others did must have changed nothing.
    people = {"nobody": None, "other": bob, "staff": reviewer, "owner": alice}
    seen = {name: ask(route, places, user, row.body) for name, user in people.items()}
    assert seen == {name: getattr(row, name) for name in people}


@pytest.mark.parametrize(
    "path",
    [
        "",
        "email/",
        "confirm-email/",
        "password/reset/",
        "password/reset/done/",
        "password/set/",
        "login/code/",
    ],
)
def test_pages_that_would_write_letters_are_not_there(path: str, alice: User) -> None:
    for user in (None, alice):
        assert browser(user).get(f"/accounts/{path}").status_code == 404


def test_a_password_is_changed_by_who_knows_the_old_one(alice: User) -> None:
    alice.set_password("correct-horse-7")
    alice.save()
    here, elsewhere = browser(alice), browser(alice)
    new = {"password1": "battery-staple-8", "password2": "battery-staple-8"}
    wrong = here.post("/accounts/password/change/", {"oldpassword": "guess", **new})
    assert wrong.status_code == 200 and b"field-error" in wrong.content
    right = here.post("/accounts/password/change/", {"oldpassword": "correct-horse-7", **new})
    assert right.status_code == 302
    assert here.get("/jobs/").status_code == 200
    assert elsewhere.get("/jobs/").status_code == TO_LOGIN
    alice.refresh_from_db()
    assert alice.check_password("battery-staple-8")


def test_an_admin_is_staff_and_sees_no_more_of_others(places: dict[str, str], db: None) -> None:
    root = User.objects.create_superuser("root")
    for route, row in ROUTES.items():
        if row in (OWN, OWN_PAGE):
            assert ask(route, places, root, row.body) == 404, route


def test_a_deactivated_owner_sees_nothing(places: dict[str, str], alice: User) -> None:
    client = browser(alice)
    alice.is_active = False
    alice.save()
    assert client.get(f"/api/v1/jobs/{places['job_id']}").status_code == 401
    assert client.get(f"/jobs/{places['job_id']}/").status_code == TO_LOGIN


@pytest.mark.parametrize("which", ["input", "restored"])
def test_staff_see_pictures_where_the_owner_agreed(
    places: dict[str, str], done_job: Job, alice: User, bob: User, reviewer: User, which: str
) -> None:
    route, places["which"] = "GET /review/jobs/{job_id}/{which}.png", which
    assert ask(route, places, reviewer, None) == 404
    Job.objects.filter(pk=done_job.pk).update(share=True)
    assert ask(route, places, reviewer, None) == 200
    assert [ask(route, places, user, None) for user in (alice, bob, None)] == [404, 404, TO_LOGIN]
    # Agreeing to review opens the review's pictures and nothing else.
    assert ask("GET /jobs/{job_id}/restored.png", places, reviewer, None) == 404


def test_a_preview_of_another_job_is_not_there(places: dict[str, str], bob: User, done_job: Job) -> None:
    """A digest that is guessed right still opens nothing but one's own job's files."""
    theirs = queue(bob, store_picture(bob, encoded(photograph(seed=5)), "b.png"))
    assert JobFile.objects.filter(job=done_job, digest=places["digest"]).exists()
    places["job_id"] = str(theirs.pk)
    assert ask("GET /jobs/{job_id}/preview/{digest}.png", places, bob, None) == 404
