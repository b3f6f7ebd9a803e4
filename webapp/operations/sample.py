"""The first restoration of an empty instance: a shipped sample, asked for through the site's own API.

So the first page that is seen shows a network learning, and the person at the terminal sees that the whole
way works on this machine. It goes on over restarts: `DATA/sample.json` remembers the job until its result has
been told.
"""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from webapp.operations.access import Access
from webapp.operations.here import open_here

__all__ = ["start"]

SAMPLE = "denoise"
SEED = 1
ASK_EVERY_S = 2.0
ENDS = frozenset({"done", "failed", "cancelled"})


class _Site:
    """The API as any client sees it."""

    def __init__(self, access: Access, origin: str) -> None:
        self._root = f"{origin}/api/v1/"
        self._token = access.token

    def call(self, method: str, path: str, body: object = None, **headers: str) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the site that this process has just started
            self._root + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json", **headers},
        )
        with open_here(request, timeout=60) as answer:
            data: dict[str, Any] = json.load(answer)
            return data


def start(folder: Path, access: Access, origin: str, say: Callable[[str], None]) -> threading.Thread:
    """Restore the sample in the background, if this instance has had no job yet; say in one line how it went.

    origin: the site's address without a slash at the end, path prefix included.
    """
    thread = threading.Thread(target=_watch, args=(folder, access, origin, say), name="sample", daemon=True)
    thread.start()
    return thread


def _watch(folder: Path, access: Access, origin: str, say: Callable[[str], None]) -> None:
    memory = folder / "sample.json"
    site = _Site(access, origin)
    try:
        job = _submitted(site, memory)
        if job is None:
            return
        say(f"A sample picture is being restored meanwhile: {_page(origin, job)}")
        told = _end_of(site, job)
    except urllib.error.HTTPError as refusal:
        if refusal.code != 404:  # 404: the owner has deleted the job meanwhile, which needs no comment
            say(f"The sample could not be restored: the site answered {refusal.code} ({_detail(refusal)}).")
        memory.write_text(json.dumps({"told": True}), encoding="utf-8")
        return
    except (OSError, ValueError, KeyError) as error:
        say(f"The sample could not be restored: {error!r}; it is tried again at the next start.")
        return
    memory.write_text(json.dumps({"job": job, "told": True}), encoding="utf-8")
    say(_sentence(told, origin))


def _detail(refusal: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(refusal)["detail"])
    except (OSError, ValueError, KeyError, TypeError):
        return refusal.reason


def _submitted(site: _Site, memory: Path) -> str | None:
    """The sample's job: the one that is under way, or a new one; None when there is nothing to restore."""
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = None
    if known is not None:
        return None if known.get("told") else str(known["job"])
    if site.call("GET", "jobs")["jobs"]:
        return None
    picture = site.call("POST", f"samples/{SAMPLE}")
    asked = {
        "picture": picture["id"],
        "task": SAMPLE,
        "preset": "preview",
        "seed": SEED,
        "name": "Sample: remove noise",
    }
    job = str(site.call("POST", "jobs", asked, **{"Idempotency-Key": "shipped-sample"})["id"])
    memory.write_text(json.dumps({"job": job}), encoding="utf-8")
    return job


def _end_of(site: _Site, job: str) -> dict[str, Any]:
    """Ask until the job has ended;

    the web process may be started again meanwhile, so lost connections are asked again.
    """
    while True:
        try:
            told = site.call("GET", f"jobs/{job}")
        except urllib.error.HTTPError as refusal:
            if refusal.code < 500:
                raise
        except OSError:
            pass
        else:
            if told["state"] in ENDS:
                return told
        time.sleep(ASK_EVERY_S)


def _page(origin: str, job: str) -> str:
    return f"{origin}/jobs/{job}/"


def _sentence(told: dict[str, Any], origin: str) -> str:
    page = _page(origin, told["id"])
    if told["state"] != "done":
        return f"The sample ended as {told['state']}: {told['reason'] or 'no reason given'}. {page}"
    seconds = _seconds(told["started_at"], told["finished_at"]) - float(told["seconds_paused"])
    best = "" if told["best_fitness"] is None else f", best fitness {told['best_fitness']:.4f}"
    return f"The sample is restored in {seconds:.0f} s{best}. Before and after: {page}"


def _seconds(start: str, end: str) -> float:
    begun, ended = (datetime.fromisoformat(text) for text in (start, end))
    return (ended - begun).total_seconds()
