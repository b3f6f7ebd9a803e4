"""What ninja's OpenAPI document leaves out: the content type of errors and of pictures."""

from __future__ import annotations

from typing import Any

from webapp.api.problems import CONTENT_TYPE

__all__ = ["complete"]

PROBLEM = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemOut"}}}
PNG = {"image/png": {"schema": {"type": "string", "format": "binary"}}}


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """The document with every error as problem+json, 401 for all operations, and PNG answers as PNG."""
    for path, methods in document["paths"].items():
        for operation in methods.values():
            responses = {str(code): response for code, response in operation["responses"].items()}
            for code, response in responses.items():
                if code >= "400":
                    response["content"] = PROBLEM
            if path.endswith(".png"):
                responses["200"] = {"description": "The picture", "content": PNG}
                responses["304"] = {"description": "The picture that the caller has (If-None-Match)"}
            responses["401"] = {"description": "Not signed in, or a wrong token", "content": PROBLEM}
            responses["default"] = {"description": "Any other error", "content": PROBLEM}
            operation["responses"] = responses
    return document
