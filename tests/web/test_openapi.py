"""The API answers as its own document says, whatever it is sent."""

from __future__ import annotations

import re
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.test import Client
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from nasdip_engine.evolution.settings import SearchSettings
from tests.web.drive import finish, queue
from webapp.accounts import tokens
from webapp.api.api import api as site_api
from webapp.pictures.models import Picture

# Each request closes its connection, as in a real server; a test inside one transaction would lose it.
pytestmark = pytest.mark.django_db(transaction=True)

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def document(alice: User, picture: Picture) -> Any:
    """The served document, with alice's objects as the ids to try and her token."""
    finish(queue(alice, picture))
    ids = {"picture_id": str(picture.pk), "job_id": str(picture.jobs.get().pk)}
    raw = Client().get("/api/v1/openapi.json").json()
    for path in list(raw["paths"]):
        for operation in raw["paths"][path].values():
            for parameter in operation.get("parameters", []):
                if parameter["name"] in ids:
                    parameter["schema"] = {
                        "enum": [ids[parameter["name"]], "00000000-0000-0000-0000-000000000000"]
                    }
    schema = schemathesis.openapi.from_dict(raw)
    schema.app = WSGIHandler()
    return schema


def operations() -> list[tuple[str, str]]:
    paths = site_api.get_openapi_schema()["paths"]
    return [(method, path) for path, methods in paths.items() for method in methods]


@pytest.mark.parametrize(("method", "path"), operations())
def test_answers_as_documented(document: Any, alice: User, method: str, path: str) -> None:
    headers = {"Authorization": f"Bearer {tokens.issue(alice, 'schema')}"}

    @given(case=document[path][method].as_strategy())
    @settings(
        max_examples=40,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def answers(case: Any) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    answers()


def test_every_operation_documents_its_errors_as_problems() -> None:
    document = site_api.get_openapi_schema()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], (method, path)
            errors = {code: each for code, each in operation["responses"].items() if code >= "400"}
            assert "401" in errors and "default" in errors
            for response in errors.values():
                assert list(response["content"]) == ["application/problem+json"], (method, path)


def test_the_document_names_what_a_search_may_be_told() -> None:
    fields = site_api.get_openapi_schema()["components"]["schemas"]["JobIn"]["properties"]
    told = fields["settings"]["description"]
    settable = set(SearchSettings.__dataclass_fields__) - {"preset"}
    assert settable == set(re.findall(r"(\w+): ", told.partition(": ")[2]))
    for part in (
        "representation: asym, asymt or sym",
        "units: 1 to ",
        "tile: 64 to 1024",
        "redraw: true or false",
    ):
        assert part in told
    assert {"noise", "bit_depth"} <= fields.keys()
