"""The live half of an evaluation: what the evaluator sends becomes events with pictures."""

from __future__ import annotations

import base64
from types import SimpleNamespace

import pytest

from gpu_worker import preview
from gpu_worker.preview import Reporter
from nasdip_engine.picture import encode_png
from tests.worker.cast import picture_pixels, record, take_one
from webapp.restorations.models import Job
from webapp.restorations.states import ItemKind


def test_a_picture_that_comes_between_two_reports_is_told_with_the_next(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(preview, "time", SimpleNamespace(monotonic=lambda: now))
    record(take_one())  # opens the job
    lease = take_one()
    assert lease.kind is ItemKind.EVALUATE
    reporter = Reporter(lease)
    plain = {"iteration": 2, "of": 9, "loss": 0.1, "held_out_psnr": None, "preview": None}
    picture = base64.b64encode(encode_png(picture_pixels())).decode("ascii")
    reporter({**plain, "iteration": 1, "preview": picture})  # too soon to be told
    assert reporter.preview == ""
    now += preview.SECONDS_APART
    reporter(plain)
    job.refresh_from_db()
    assert job.preview_digest == reporter.preview != ""
