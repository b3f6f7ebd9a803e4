"""The last steps of a job: files of final fits, the frame pasted into the upload, discoveries, tidying."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from django.db import InterfaceError, OperationalError

from gpu_worker.opening import read_known, read_pixels
from gpu_worker.stills import keep_stills
from nasdip_engine import outcome_files
from nasdip_engine.bit_depth import Samples, at_depth, quantised
from nasdip_engine.framing import Frame, paste, paste_whole
from nasdip_engine.picture import Form, pixel_digest, read_png
from nasdip_engine.task import Task
from webapp.architectures import discovery
from webapp.restorations import files, finals, generations
from webapp.restorations.leases import Lease
from webapp.restorations.states import ItemKind

__all__ = [
    "clear",
    "conclude",
    "drop_unused",
    "evaluator_request",
    "keep_files",
    "preview_of",
    "record_discoveries",
]

_unreadable: set[UUID] = set()
"""Jobs whose discoveries this process could not record: told once, not at every sweep."""

logger = logging.getLogger(__name__)


def evaluator_request(lease: Lease) -> dict[str, Any]:
    """The part of a lease's request that the evaluator is asked."""
    return {name: value for name, value in lease.request.items() if name != "paste"}


def preview_of(lease: Lease, outcome: dict[str, Any]) -> str:
    """Digest of a stored picture of the averaged output, where it is the best so far; "" otherwise.

    A short fit sends no preview while it runs, yet the page shows the best one.
    """
    if lease.kind is not ItemKind.EVALUATE or not generations.is_best(lease.job_id, outcome["fitness"]):
        return ""
    average = np.load(lease.request["output"], allow_pickle=False)
    pixels = quantised(average, 8)
    if lease.request["mask"] and Task.from_json(lease.request["task"]).keeps_known:
        known = read_known(lease.request["mask"])
        pixels[known] = at_depth(read_pixels(lease.request["picture"]), 8)[known]
    return files.keep(
        lease.job_id, outcome_files.preview_of(pixels, outcome_files.form_of_previews(lease.request))
    )


def keep_files(lease: Lease, outcome: dict[str, Any]) -> dict[str, Any]:
    """Store what the evaluator wrote; the outcome then names files by digest.

    Raises OSError when the disk is full, JobGone when the job was deleted.
    """
    output = lease.request["output"]
    if lease.kind is ItemKind.FINISH and outcome["reason"] is None:
        outcome = keep_stills(lease, outcome)
        return outcome | {"array": files.keep(lease.job_id, Path(output).read_bytes())}
    if lease.kind in (ItemKind.BASELINE, ItemKind.COMBINE) and not outcome.get("left_out"):
        pixels, form = _whole(lease, output)
        name = "result" if lease.kind is ItemKind.COMBINE else "picture"
        return outcome | {
            name: files.keep(lease.job_id, form.encode(pixels)),
            "digest": pixel_digest(pixels),
        }
    return outcome


def conclude(lease: Lease) -> None:
    """After an outcome that may have ended the job: record its best architectures, drop leftovers.

    Nothing of the result hangs on it: where a kill comes in between, the sweep records, float pictures go within the
    hour (`drop_unused`) and other files with the job.
    """
    if lease.kind not in (ItemKind.BASELINE, ItemKind.COMBINE):
        return
    try:
        record_discoveries()
        files.drop(lease.job_id, finals.leftovers(lease.job_id))
    except Exception:
        logger.exception("job %s: not concluded yet", lease.job_id)


def record_discoveries() -> None:
    """The best architectures of every finished search become rows, once.

    A job that can't be read keeps neither the others' waiting nor the sweep.  Raises the database's errors.
    """
    for job in finals.done_without_discoveries():
        if job.pk in _unreadable:
            continue
        try:
            discovery.record(job)
        except (OperationalError, InterfaceError):
            raise  # the database is away: not this job's fault
        except Exception:
            logger.exception("job %s: its discoveries can't be recorded", job.pk)
            _unreadable.add(job.pk)


def drop_unused() -> int:
    """Delete the float pictures of jobs that have ended; returns how many."""
    unused = finals.unused_arrays()
    for job_id, digests in unused.items():
        files.drop(job_id, digests)
    return sum(map(len, unused.values()))


def clear(lease: Lease) -> None:
    """Take away what the evaluator wrote for this lease."""
    if lease.kind is not ItemKind.OPEN and lease.request["output"]:
        Path(lease.request["output"]).unlink(missing_ok=True)
    if lease.request.get("stills"):
        shutil.rmtree(lease.request["stills"], ignore_errors=True)


def _whole(lease: Lease, output: str) -> tuple[Samples, Form]:
    """The whole picture, (H, W, 3) of the result's depth, from the restored frame or frames; and what it keeps of the upload."""
    asked = lease.request["paste"]
    upload = read_png(Path(asked["upload"]))
    form = upload.form()
    keeps_known = Task.from_json(lease.request["task"]).keeps_known
    known = read_known(asked["upload_mask"]) if keeps_known else None
    described = asked["frame"]
    if described is None:  # it was put together from several frames already
        return form.finished(paste_whole(upload.pixels, known, np.load(output, allow_pickle=False))), form
    restored = read_pixels(output)
    frame = Frame(read_pixels(lease.request["picture"]), None, tuple(described["box"]), described["scale"])
    return form.finished(paste(upload.pixels, known, frame, restored)), form
