"""What the web tests share: pictures to upload, and a user's way into the API."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
from django.contrib.auth.models import User
from django.test import Client
from PIL import Image

from webapp.accounts import tokens


class Api:
    """A user's way into the API: a bearer token and JSON."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.client = Client(headers={"authorization": f"Bearer {tokens.issue(user, 'tests')}"})

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.generic(method, f"/api/v1/{path}", data, "application/json", headers=headers)

    def upload(self, data: bytes, name: str = "picture.png", **form: str) -> Any:
        file = io.BytesIO(data)
        file.name = name
        return self.client.post("/api/v1/pictures", {"file": file, **form})


def photograph(width: int = 64, height: int = 48, seed: int = 1) -> np.ndarray:
    """Smooth colours with some detail: uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def encoded(pixels: np.ndarray, form: str = "PNG", **options: Any) -> bytes:
    """A picture file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    """The pixels of a picture file as they are stored."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)
