"""What a client sends to the API, and the shape of every refusal."""

from __future__ import annotations

from typing import Any

from tests.web.drive import SMALL
from webapp.pictures.models import Picture


def order(picture: Picture, **more: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {"picture": str(picture.pk), "task": "denoise", "preset": "preview", "seed": 3}
    return asked | {"settings": SMALL} | more


def refused(answer: Any, status: int, field: str | None = None) -> dict[str, Any]:
    """The problem that an answer is; checks the members of RFC 9457."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status and told["title"] and told["type"] and told["detail"]
    if field is not None:
        assert told["field"] == field
        assert told["errors"][0]["field"] == field
    return told
