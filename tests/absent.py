"""What happens to a test whose program is not on this machine:

a skip with the remedy at home, a failure in CI.
"""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def absent(program: str, remedy: str) -> NoReturn:
    """End the test at hand because `program` is missing; `remedy` is the command that installs it."""
    message = f"{program} is not installed; to run this test: {remedy}"
    if in_ci():
        pytest.fail(message, pytrace=False)
    pytest.skip(message)
