"""Jobs driven from the queue to the result through the real functions, with outcomes instead of training."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from django.contrib.auth.models import User

from gpu_worker import opening
from nasdip_engine.baseline_names import BM3D, left_out_record
from nasdip_engine.picture import encode_png
from tests.web.cast import photograph
from webapp.pictures.models import Picture
from webapp.restorations import files, generations, leases, submission
from webapp.restorations.assignments import Lease
from webapp.restorations.models import Job
from webapp.restorations.states import ItemKind, JobState

FINGERPRINT = {"torch": "tests", "device": "cpu"}
LEFT_OUT = "BM3D: the package bm3d is not installed."
FIGURES = {
    "non-local means": 22.5,
    "Gaussian blur": 20.25,
    "biharmonic": 24.0,
    "nearest pixel": 19.5,
    "harmonic": 26.5,
    "Telea": 21.0,
    "bicubic": 23.0,
    "Lanczos": 26.0,
    "median filter, 5 x 5": 24.98,
}
"""Held-out PSNR in dB of the references; 20 of others. The restoration's own is 25: harmonic filling wins, the wide median
is as good."""
SMALL = {"population": 4, "generations": 2, "iterations": 10, "units": 2, "crop": 32}


def queue(owner: User, picture: Picture, **more: Any) -> Job:
    """A small de-noising job."""
    order: dict[str, Any] = {"mask_digest": None, "task": "denoise", "seed": 3, "overrides": SMALL} | more
    return submission.submit(owner, picture=picture, **order)


def open_outcome(lease: Lease) -> dict[str, Any]:
    """The frames of a job, kept as its files, as a worker makes them."""
    return opening.make_frames(lease)


def fit_outcome(lease: Lease) -> dict[str, Any]:
    """A fitness that depends on the genome alone."""
    fitness = int(hashlib.sha256(lease.genome.encode()).hexdigest()[:8], 16) / 2**33 + 0.25
    return {
        "fitness": fitness,
        "fitness_hex": fitness.hex(),
        "reason": None,
        "held_out_psnr": 20 + 10 * fitness,
        "iterations": 10,
        "best_iteration": 9,
        "still_falling": False,
        "curve": [[9, 20 + 10 * fitness]],
        "multiply_adds": 1000,
        "pixels": 1024,
        "seconds": 0.5,
    }


def reference_outcome(lease: Lease) -> dict[str, Any]:
    """A grey picture with the method's own figure; BM3D as where its package is not installed."""
    method = lease.request["method"]
    if method == BM3D:
        return left_out_record(BM3D, LEFT_OUT)
    picture = files.keep(
        lease.job_id, encode_png(np.full((48, 64, 3), round(FIGURES.get(method, 20.0)), np.uint8))
    )
    return {
        "method": method,
        "held_out_psnr": FIGURES.get(method, 20.0),
        "digest": "0" * 64,
        "picture": picture,
        "seconds": 0.1,
    }


def step(lease: Lease) -> None:
    """Do what a worker does with one lease."""
    job_id = lease.job_id
    if lease.kind is ItemKind.OPEN:
        assert generations.open_job(lease, open_outcome(lease))
        return
    outcome: dict[str, Any] = {}
    if lease.kind in (ItemKind.EVALUATE, ItemKind.FINISH):
        outcome = fit_outcome(lease)
    if lease.kind is ItemKind.FINISH:
        outcome["array"] = files.keep(job_id, b"array of " + lease.genome.encode())
    if lease.kind is ItemKind.BASELINE:
        outcome = reference_outcome(lease)
    if lease.kind is ItemKind.COMBINE:
        restored = encode_png(photograph(seed=2))
        outcome = {
            "choice": "mean",
            "held_out_psnr": 25.0,
            "digest": "1" * 64,
            "result": files.keep(job_id, restored),
        }
    assert generations.record(lease, outcome)


def finish(job: Job) -> Job:
    """Take and record until the job ends."""
    for _ in range(200):
        taken = leases.take("tests", FINGERPRINT, 8)
        for lease in taken:
            step(lease)
        job.refresh_from_db()
        if not taken:
            break
    assert job.state == JobState.DONE, (job.state, job.reason)
    return job


__all__ = ["FINGERPRINT", "SMALL", "finish", "open_outcome", "queue", "step"]
