"""The files of a restoration, each through the one door of access."""

from __future__ import annotations

from pathlib import PurePath
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from nasdip_engine.baseline_names import slug_of
from nasdip_engine.genome.diagram import architecture_svg
from nasdip_engine.genome.genome import Genome
from webapp.pictures.serving import (
    json_response,
    png_response,
    reduced_png_response,
    svg_response,
    webp_response,
)
from webapp.restorations.access import job_for
from webapp.restorations.models import Job, JobFile
from webapp.restorations.references import made_references
from webapp.restorations.states import JobState
from webapp.restorations.views.job import download_name

__all__ = [
    "INKS",
    "architecture",
    "baseline",
    "input_picture",
    "mask",
    "preview",
    "restored",
    "run",
    "seen",
    "still",
    "thumbnail",
]

THUMBNAIL_SIDE = 320
# An <img> does not inherit the page's colour, so pages ask for the ink of their ground.
INKS = {"dark": "#2b2b2b", "light": "#dcdcdc"}


def stem(job: Job) -> str:
    """The upload's name without its ending."""
    return PurePath(job.name).stem or "picture"


def done(job: Job) -> Job:
    """The job, if it has a result.  Raises Http404 otherwise."""
    if job.state != JobState.DONE:
        raise Http404(f"This restoration has no result: it is {job.state}.")
    return job


@login_required
@require_safe
def input_picture(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """The decoded upload."""
    job = job_for(request.user, job_id)
    return png_response(request, job.picture.digest, f"{stem(job)}.png")


@login_required
@require_safe
def mask(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """The mask of in-painting: white is known, black was filled."""
    job = job_for(request.user, job_id)
    return png_response(request, job.mask_digest, f"{stem(job)}_mask.png")


@login_required
@require_safe
def restored(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """The result as NAME_restored.png."""
    job = done(job_for(request.user, job_id))
    return png_response(request, job.result_digest, download_name(job))


@login_required
@require_safe
def baseline(request: HttpRequest, job_id: UUID, slug: str = "") -> HttpResponseBase:
    """What a method without a network made of the same picture; the task's own where no slug names one."""
    job = done(job_for(request.user, job_id))
    made = {slug_of(outcome["method"]): outcome["picture"] for outcome in made_references(job)}
    digest = made.get(slug, "") if slug else next(iter(made.values()), "")
    return png_response(request, digest, f"{stem(job)}_{slug or 'reference'}.png")


@login_required
@require_safe
def preview(request: HttpRequest, job_id: UUID, digest: str) -> HttpResponseBase:
    """A picture that a network of this job made on the way."""
    job = job_for(request.user, job_id)
    if not JobFile.objects.filter(job=job, digest=digest).exists():
        raise Http404("This preview is not there any more.")
    return png_response(request, digest, "preview.png")


@login_required
@require_safe
def still(request: HttpRequest, job_id: UUID, digest: str) -> HttpResponseBase:
    """What the network of this job's watched final fit showed after some iteration."""
    job = job_for(request.user, job_id)
    if not JobFile.objects.filter(job=job, digest=digest).exists():
        raise Http404("This picture is not there any more.")
    return webp_response(request, digest, "still.webp")


@login_required
@require_safe
def seen(request: HttpRequest, job_id: UUID, frame: str) -> HttpResponseBase:
    """The part of the input that the networks see, in the search or in the final fits."""
    job = job_for(request.user, job_id)
    frames = job.frames or {}
    if frame not in frames:
        raise Http404("The picture has not been opened by a worker yet.")
    return png_response(request, frames[frame]["picture"], f"{stem(job)}_{frame}.png")


@login_required
@require_safe
def thumbnail(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """The result, at most 320 pixels a side, made at the first request; its ETag follows the result."""
    job = done(job_for(request.user, job_id))
    return reduced_png_response(request, job.result_digest, THUMBNAIL_SIDE, f"{stem(job)}_small.png")


@login_required
@require_safe
def run(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """run.json: what is needed to repeat the run, and what it found and cost."""
    job = done(job_for(request.user, job_id))
    return json_response(job.run, "run.json")


@login_required
@require_safe
def architecture(request: HttpRequest, job_id: UUID) -> HttpResponseBase:
    """The diagram of the best network so far; ?ink=dark or ?ink=light as the page's ground needs."""
    job = job_for(request.user, job_id)
    if not job.best_genome:
        raise Http404("No network has been evaluated yet.")
    ink = INKS.get(request.GET.get("ink", ""), "currentColor")
    phenotype = Genome.parse(job.best_genome).phenotype()
    text = architecture_svg(phenotype, title=f"Best network of {job.name}", ink=ink)
    return svg_response(text, f"{stem(job)}_architecture.svg")
