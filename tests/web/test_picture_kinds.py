"""Every kind of picture from the upload to the downloaded result: all but the training, which is recorded."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from PIL import Image

from gpu_worker.finishing import clear, evaluator_request, keep_files, preview_of
from gpu_worker.opening import make_frames
from nasdip_engine.bit_depth import at_depth
from nasdip_engine.evaluation import evaluate
from nasdip_engine.picture import Picture as Decoded
from nasdip_engine.picture import encode_mask, on_white, pixel_digest, read_png
from tests.engine.picture_kinds import KINDS
from tests.engine.pictures import vips
from tests.web.cast import Api, decoded
from tests.web.drive import FINGERPRINT, fit_outcome
from webapp.pictures import storage
from webapp.pictures.models import Picture
from webapp.restorations import generations, leases
from webapp.restorations.assignments import Lease
from webapp.restorations.models import Job
from webapp.restorations.states import ItemKind, JobState

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

SMALL = {
    "population": 2,
    "generations": 1,
    "iterations": 2,
    "final_iterations": 2,
    "crop": 32,
    "finalists": 1,
    "refit": False,  # `work` makes up one picture a fit
}


def work(lease: Lease) -> None:
    """What a worker does; a fit's output is noise instead of a network's."""
    if lease.kind is ItemKind.OPEN:
        assert generations.open_job(lease, make_frames(lease))
        return
    if lease.kind in (ItemKind.BASELINE, ItemKind.COMBINE):
        outcome = evaluate(evaluator_request(lease), lambda _: None)
    else:
        outcome = fit_outcome(lease)
    if lease.kind is ItemKind.FINISH:
        height, width = (lease.request["task"]["factor"] * side for side in size_of(lease))
        noise = np.random.default_rng(3).random((height, width, 3), dtype=np.float32)
        np.save(lease.request["output"], noise)
    assert generations.record(lease, keep_files(lease, outcome))
    clear(lease)


def size_of(lease: Lease) -> tuple[int, int]:
    frame = (Job.objects.get(pk=lease.job_id).frames or {})["final"]
    return frame["height"], frame["width"]


def restored(way: Api, data: bytes, name: str, known: np.ndarray | None = None, **order: Any) -> Job:
    """Upload, submit, work, and the job that is done."""
    asked: dict[str, Any] = {"picture": way.upload(data, name).json()["id"], "seed": 3, "settings": SMALL}
    if known is not None:
        asked |= {
            "task": "inpaint",
            "mask": way.upload(encode_mask(known), "mask.png", kind="mask").json()["id"],
        }
    answer = way("POST", "jobs", asked | order)
    assert answer.status_code == 202, answer.content
    for _ in range(20):
        for lease in leases.take("tests", FINGERPRINT, 8):
            work(lease)
    job = Job.objects.get(pk=answer.json()["id"])
    assert job.state == JobState.DONE, job.reason
    return job


def result_of(way: Api, job: Job) -> Decoded:
    return read_png(way("GET", f"jobs/{job.pk}/result.png").content)


def hole(side: int) -> np.ndarray:
    known = np.ones((side, side), bool)
    known[20:32, 24:40] = False
    return known


@pytest.mark.parametrize("name", ["grey with its profile", "Display-P3 profile", "RGBA"])
def test_pictures_on_the_way_have_the_greys_and_colours_of_the_result(
    alice: User, api: Any, name: str
) -> None:
    kind, way = KINDS[name](), api(alice)
    upload = way.upload(kind.data, name).json()["id"]
    asked = {"picture": upload, "task": "denoise", "seed": 3, "settings": SMALL}
    job = Job.objects.get(pk=way("POST", "jobs", asked).json()["id"])
    previews, stills = [], []
    while leased := leases.take("tests", FINGERPRINT, 1):
        (lease,) = leased
        if lease.kind in (ItemKind.EVALUATE, ItemKind.FINISH):
            outcome = evaluate(evaluator_request(lease), lambda _: None)
            previews.append(preview_of(lease, outcome))
            outcome = keep_files(lease, outcome)
            stills += outcome.get("still_files", {}).values()
            assert generations.record(lease, outcome, previews[-1])
        else:
            work(lease)
    assert Job.objects.get(pk=job.pk).state == JobState.DONE
    shown = [read_png(storage.read(digest)) for digest in previews if digest]
    assert shown and stills
    assert {(one.grey, one.icc, one.alpha) for one in shown} == {(kind.grey, kind.icc, None)}
    for digest in stills:
        with Image.open(io.BytesIO(storage.read(digest))) as still:
            assert still.info.get("icc_profile") == (None if kind.grey else kind.icc)
            red, green, blue = still.convert("RGB").split()
            assert (red.tobytes() == green.tobytes() == blue.tobytes()) is kind.grey


@pytest.mark.parametrize("name", KINDS)
def test_a_result_keeps_what_the_upload_had(alice: User, api: Any, name: str) -> None:
    kind, way, known = KINDS[name](), api(alice), hole(64)
    job = restored(way, kind.data, name, known)
    assert kind.said in "; ".join(job.picture.notes)
    upload = read_png(storage.read(job.picture.digest))
    if kind.pixels is not None:
        assert np.array_equal(upload.pixels, kind.pixels)
    found = result_of(way, job)
    assert np.array_equal(found.pixels[known], upload.pixels[known])
    assert not np.array_equal(found.pixels[~known], upload.pixels[~known])
    assert (found.bit_depth, found.grey, found.icc) == (kind.bit_depth, kind.grey, kind.icc)
    assert (found.alpha is None) == (kind.alpha is None)
    if kind.alpha is not None:
        assert np.array_equal(found.alpha, kind.alpha)
    assert job.run is not None
    assert job.run["final"]["digest"] == pixel_digest(found.pixels)
    assert job.run["picture"]["result_bit_depth"] == kind.bit_depth


def test_65536_levels_survive(alice: User, api: Any) -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    ramps = np.dstack([levels, levels.T, levels[::-1, ::-1]])
    known = hole(256)
    way = api(alice)
    found = result_of(way, restored(way, vips(ramps, "rgb16", ".tif"), "ramp.tif", known))
    assert np.array_equal(found.pixels[known], ramps[known])
    assert len(np.unique(found.pixels[known])) == 65536


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", ["RGBA", "grey TIFF of 16 bits"])
def test_the_depth_of_the_result_can_be_asked(alice: User, api: Any, name: str, bits: int) -> None:
    kind, way, known = KINDS[name](), api(alice), hole(64)
    job = restored(way, kind.data, name, known, bit_depth=bits)
    assert way("GET", f"jobs/{job.pk}").json()["bit_depth"] == bits
    found = result_of(way, job)
    assert kind.pixels is not None
    assert np.array_equal(found.pixels[known], at_depth(kind.pixels, bits)[known])
    if kind.alpha is not None:
        assert np.array_equal(found.alpha, at_depth(kind.alpha, bits))


def test_other_depths_are_refused(alice: User, api: Any, picture: Picture) -> None:
    answer = api(alice)("POST", "jobs", {"picture": str(picture.pk), "task": "denoise", "bit_depth": 12})
    assert answer.status_code == 422
    assert answer.json()["field"] == "bit_depth"


def test_the_alpha_of_an_enlarged_upload_is_enlarged(alice: User, api: Any) -> None:
    way = api(alice)
    found = result_of(way, restored(way, KINDS["RGBA"]().data, "glass.png", task="upscale", factor=2))
    assert found.alpha is not None
    assert found.alpha.shape == found.pixels.shape[:2] == (128, 128)


def test_a_thumbnail_has_8_bits_and_lies_on_white(alice: User, api: Any) -> None:
    way = api(alice)
    for name, shape in (("RGBA of 16 bits", (64, 64, 3)), ("grey TIFF of 16 bits", (64, 64))):
        kind = KINDS[name]()
        told = way.upload(kind.data, name).json()
        small = decoded(way("GET", f"pictures/{told['id']}/thumbnail.png").content)
        assert (small.shape, small.dtype) == (shape, np.uint8)
        if kind.alpha is not None:
            assert (small[kind.alpha < 100] > 255 - 156).all()


@pytest.mark.parametrize(
    "name", ["RGB", "grey", "RGBA of 16 bits", "grey TIFF of 16 bits", "Display-P3 profile"]
)
def test_the_thumbnail_of_a_result_looks_like_it(alice: User, api: Any, name: str) -> None:
    kind, way, known = KINDS[name](), api(alice), hole(64)
    job = restored(way, kind.data, name, known)
    client = Client()
    client.force_login(alice)
    small = decoded(client.get(reverse("job_thumbnail", args=[job.pk])).content)
    assert kind.pixels is not None
    shown = at_depth(kind.pixels, 8)
    if kind.alpha is not None:
        shown = on_white(shown, at_depth(kind.alpha, 8))
    if small.ndim == 2:
        shown = shown[..., 0]
    assert small.dtype == np.uint8
    assert np.abs(small[known].astype(int) - shown[known]).max() <= 1


def test_a_job_that_an_older_version_opened_is_finished(alice: User, api: Any) -> None:
    """Its frames say nothing of depth, its settings nothing of tiles, its normal form is RGB of 8 bits."""
    way, kind = api(alice), KINDS["RGB"]()
    told = way.upload(kind.data, "old.png").json()
    answer = way("POST", "jobs", {"picture": told["id"], "task": "denoise", "seed": 3, "settings": SMALL})
    for _ in range(20):
        for lease in leases.take("tests", FINGERPRINT, 1):
            work(lease)
            for job in Job.objects.exclude(frames=None):
                kept = {
                    key: value
                    for key, value in job.frames.items()
                    if key not in ("bit_depth", "grey", "alpha_sha256")
                }
                younger = (
                    "fitness",
                    "tile",
                    "tile_finalists",
                    "first_rung",
                    "promoted_share",
                    "refit",
                    "hold_out_block",
                )
                older = {key: value for key, value in job.settings.items() if key not in younger}
                older["final_iterations"] = 700
                Job.objects.filter(pk=job.pk).update(frames=kept, settings=older)
    job = Job.objects.get(pk=answer.json()["id"])
    assert job.state == JobState.DONE, job.reason
    assert job.run is not None
    assert job.run["picture"]["result_bit_depth"] is None
    assert result_of(way, job).bit_depth == 8
