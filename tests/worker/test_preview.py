"""The live half of an evaluation: what the evaluator sends becomes events with pictures."""

from __future__ import annotations

import base64

from gpu_worker.preview import Reporter
from nasdip_engine.picture import encode_png
from tests.waiting import wait_for
from tests.worker.cast import picture_pixels, record, take_one
from webapp.restorations.models import Job
from webapp.restorations.states import ItemKind


def test_a_picture_that_comes_between_two_reports_is_told_with_the_next(job: Job) -> None:
    record(take_one())  # opens the job
    lease = take_one()
    assert lease.kind is ItemKind.EVALUATE
    reporter = Reporter(lease)
    plain = {"iteration": 2, "of": 9, "loss": 0.1, "held_out_psnr": None, "preview": None}
    picture = base64.b64encode(encode_png(picture_pixels())).decode("ascii")
    reporter({**plain, "iteration": 1, "preview": picture})  # too soon to be told
    assert reporter.preview == ""

    def told() -> bool:
        reporter(plain)
        job.refresh_from_db()
        return job.preview_digest != ""

    wait_for(told, 10, "the picture to be told with a later message")
    assert job.preview_digest == reporter.preview
