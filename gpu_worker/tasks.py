"""The one Celery task.  A message carries nothing; which work there is stands in the rows."""

from __future__ import annotations

from gpu_worker.app import app
from gpu_worker.batch import running
from webapp.config.broker import LOOK

__all__ = ["run_batch"]


@app.task(name=LOOK)
def run_batch() -> None:
    """Wake a slot that waits for work; quietly nothing when all are busy already."""
    running().look()
