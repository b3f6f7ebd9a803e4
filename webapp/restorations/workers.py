"""Rows of worker processes: who is alive, with what numerics, and who took itself out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet, Sum
from django.db.models.functions import Now

from nasdip_engine.devices import fingerprint_for, lacking
from webapp.restorations.models import Job, Worker
from webapp.restorations.states import ENDED, JobState

__all__ = [
    "ALIVE_SECONDS",
    "alive",
    "alive_on",
    "beat",
    "forget_old",
    "gone",
    "looked",
    "nobody_can",
    "out_of_service",
    "slots",
    "stranded",
    "waits_for",
]

ALIVE_SECONDS = 30
"""A worker whose heartbeat is older counts as gone."""
KEPT_DAYS = 1


def beat(
    name: str,
    *,
    pid: int,
    slots: int,
    fingerprint: Mapping[str, Any] | None,
    device: str,
    abilities: Mapping[str, Any] | None = None,
    first: bool = False,
) -> None:
    """Write that the worker is alive, in database time."""
    fields: dict[str, Any] = {
        "heartbeat_at": Now(),
        "pid": pid,
        "slots": slots,
        "fingerprint": fingerprint,
        "device": device,
        "abilities": abilities,
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
    """The worker ended; the row of one that took itself out stays for a day, with its reason."""
    Worker.objects.filter(name=name, out_of_service="").delete()


def alive() -> QuerySet[Worker]:
    """Workers that have been heard of just now and take work."""
    since = Now() - timedelta(seconds=ALIVE_SECONDS)
    return Worker.objects.filter(heartbeat_at__gt=since, out_of_service="")


def slots(device_class: str | None = None) -> int:
    """Evaluations at once on the workers that are up, of one device or of any (None); 1 where none is."""
    up = alive() if device_class is None else alive().filter(device=device_class)
    return up.aggregate(total=Sum("slots"))["total"] or 1


def alive_on(host: str) -> bool:
    """Whether one of them runs on the machine of that name: workers are named after theirs, HOST-..."""
    return alive().filter(name__startswith=f"{host}-").exists()


def waits_for(job: Job) -> str:
    """Why no worker that is up can serve the job, as a sentence; "" when one can or need not."""
    if job.state in ENDED or job.state == JobState.PAUSED:
        return ""
    if not alive().exists():
        return "No worker is running; the job goes on as soon as one is."
    lacks = nobody_can(job)
    if lacks:
        return lacks
    if stranded(job):
        began = job.fingerprint or {}
        kind = f"{began.get('cpu_model', 'another processor')}, torch {began.get('torch', '?')}"
        return (
            f"It began on {kind}, and only such a worker gives the same bits; none is running. "
            "It can go on with those that are there, which run.json will record."
        )
    return ""


def stranded(job: Job) -> bool:
    """Whether workers are up that can do what the job asks for, yet none with the numerics that it began on.

    One that still starts may have them.
    """
    if job.fingerprint is None or nobody_can(job):
        return False
    found = list(alive().values_list("fingerprint", flat=True))
    threads = job.settings.get("threads", 1)
    return (
        bool(found)
        and None not in found
        and job.fingerprint not in [fingerprint_for(one, threads) for one in found]
    )


def nobody_can(job: Job) -> str:
    """What the job asks for that no worker has that is up, as a sentence; "" when one has it or is still starting."""
    up = list(alive().values_list("device", "abilities"))
    if not up:
        return ""
    here = [abilities for device, abilities in up if device == job.device_class]
    if not here:
        there = ", ".join(sorted({device for device, _ in up}))
        return (
            f"It asks for the device {job.device_class}, and the workers that are running compute on {there}; "
            f"it goes on as soon as one with NASDIP_DEVICE={job.device_class} is running."
        )
    reasons = ["" if abilities is None else lacking(job.settings, abilities) for abilities in here]
    return f"No worker that is running can serve it: {reasons[0]}." if all(reasons) else ""


def forget_old() -> None:
    """Drop rows of workers that have not been heard of for a day."""
    Worker.objects.filter(heartbeat_at__lt=Now() - timedelta(days=KEPT_DAYS)).delete()
