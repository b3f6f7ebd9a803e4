"""From the stills that the evaluator leaves to files of the job and events about them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from uuid import UUID

from PIL import Image

from nasdip_engine.stills import read_learning, still_file
from webapp.restorations import files, learning
from webapp.restorations.leases import Lease

__all__ = ["Watcher", "keep_stills"]

QUALITY = 85  # of WebP: twelve stills of 256 px full of noise stay under a megabyte


class Watcher:
    """Follows one leased fit from the folder in which it leaves its stills."""

    def __init__(self, lease: Lease, folder: Path) -> None:
        self._lease, self._folder = lease, folder
        self._looks: set[int] = set()
        self._stored: dict[int, str] = {}
        self._stopped = False

    def look(self) -> None:
        """Tell what is new, if anything is.  Raises the database's errors, OSError and JobGone."""
        told = read_learning(self._folder)
        if told is None or self._stopped:
            return
        stopped = told["best_iteration"] is not None
        fresh = [number for number in told["stills"] if number not in self._stored]
        looks = [look for look in told["curve"] if stopped or look[0] not in self._looks]
        if not (fresh or looks or stopped):
            return
        stored = {number: _keep(self._lease.job_id, self._folder, number) for number in fresh}
        shown = self._stored | stored if stopped else stored
        if learning.tell(self._lease, {**told, "curve": looks}, shown):
            # Only now: what could not be told is told the next time.
            self._stored |= stored
            self._looks.update(look[0] for look in looks)
            self._stopped = stopped


def keep_stills(lease: Lease, outcome: dict[str, Any]) -> dict[str, Any]:
    """Store the stills of a fit that has ended; its outcome then names them by digest.  Raises OSError and JobGone."""
    if not outcome.get("stills"):
        return outcome
    folder = Path(lease.request["stills"])
    kept = {str(number): _keep(lease.job_id, folder, number) for number in outcome["stills"]}
    return outcome | {"still_files": kept}


def _keep(job_id: UUID, folder: Path, iteration: int) -> str:
    file = io.BytesIO()
    with Image.open(still_file(folder, iteration)) as still:
        # WebP has no grey, and a profile of grey must not stand in a file of RGB.
        icc = None if still.mode == "L" else still.info.get("icc_profile")
        still.save(file, "WEBP", quality=QUALITY, method=4, icc_profile=icc)
    return files.keep(job_id, file.getvalue())
