"""Rows of worker processes: who is alive, with what numerics, and who took itself out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from webapp.restorations.models import Worker

__all__ = ["beat", "forget_old", "gone", "looked", "out_of_service"]

KEPT_DAYS = 1


def beat(
    name: str,
    *,
    pid: int,
    slots: int,
    fingerprint: Mapping[str, Any] | None,
    device: str,
    first: bool = False,
) -> None:
    """Write that the worker is alive, in database time."""
    fields: dict[str, Any] = {
        "heartbeat_at": Now(),
        "pid": pid,
        "slots": slots,
        "fingerprint": fingerprint,
        "device": device,
    }
    started = {"started_at": Now(), "out_of_service": ""}
    if first:
        fields |= started
    Worker.objects.update_or_create(name=name, defaults=fields, create_defaults=fields | started)


def looked(name: str) -> None:
    """The worker took a message that said look."""
    Worker.objects.filter(name=name).update(last_look_at=Now())


def out_of_service(name: str, reason: str) -> None:
    """The worker takes no more work, and says why."""
    Worker.objects.filter(name=name).update(out_of_service=reason)


def gone(name: str) -> None:
    """The worker ended in good order."""
    Worker.objects.filter(name=name).delete()


def forget_old() -> None:
    """Drop rows of workers that have not been heard of for a day."""
    Worker.objects.filter(heartbeat_at__lt=Now() - timedelta(days=KEPT_DAYS)).delete()
