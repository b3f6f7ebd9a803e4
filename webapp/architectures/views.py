"""The staff page of discovered architectures."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.db.models.functions import TruncSecond
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe

from nasdip_engine.errors import InvalidInput
from nasdip_engine.genome.diagram import architecture_svg
from nasdip_engine.genome.genome import Genome
from webapp.architectures.models import Discovery, Judgement
from webapp.architectures.review import NOTE_LENGTH, decide, discoveries, may_review
from webapp.pictures.serving import reduced_png_response, svg_response
from webapp.restorations.access import reviewable, shared_job_for
from webapp.restorations.views.files import INKS
from webapp.restorations.words import TASK_WORDS

__all__ = ["diagram", "picture", "review", "verdict"]

CARDS_PER_PAGE = 24
PICTURE_SIDE = 640
"""Of the pictures on a card: a page shows two dozen pairs, of up to 100 megapixels each."""
OPEN, EVERY = "open", ""
VERDICT_CHOICES = [
    (EVERY, "every verdict"),
    (OPEN, "not judged yet"),
    (Judgement.APPROVE.value, "approved"),
    (Judgement.REJECT.value, "rejected"),
]


@login_required
@require_safe
def review(request: HttpRequest) -> HttpResponse:
    """Discovered architectures, newest first; ?task=, ?verdict=, ?page=.

    Raises PermissionDenied for anybody but staff.
    """
    task = request.GET.get("task", "")
    wanted = request.GET.get("verdict", "")
    # The networks of one search are recorded within the same moment: the best of them first.
    newest = discoveries(request.user).order_by(TruncSecond("created").desc(), "-job_id", "rank")
    found = filtered(newest, task, wanted)
    page = Paginator(found, CARDS_PER_PAGE).get_page(request.GET.get("page"))
    job_ids = {row.job_id for row in page.object_list if row.job_id}
    shared = set(reviewable(request.user).filter(pk__in=job_ids, state="done").values_list("pk", flat=True))
    kept = {name: value for name, value in (("task", task), ("verdict", wanted)) if value}
    return render(
        request,
        "architectures/review.html",
        {
            "page": page,
            "cards": [card(row, row.job_id in shared) for row in page.object_list],
            "task": task,
            "verdict": wanted,
            "filtered": bool(kept),
            "query": f"{urlencode(kept)}&" if kept else "",
            "task_choices": [(str(value), words) for value, words in TASK_WORDS.items()],
            "verdict_choices": VERDICT_CHOICES,
            "note_length": NOTE_LENGTH,
        },
    )


def filtered(found: QuerySet[Discovery], task: str, verdict: str) -> QuerySet[Discovery]:
    """The discoveries of one task and one latest verdict; unknown values filter nothing."""
    if task in TASK_WORDS:
        found = found.filter(task=task)
    if verdict == OPEN:
        return found.filter(latest_verdict__isnull=True)  # type: ignore[misc]  # an annotation of `discoveries`
    if verdict in Judgement.values:
        return found.filter(latest_verdict=verdict)  # type: ignore[misc]
    return found


def card(row: Discovery, shared: bool) -> dict[str, Any]:
    """What a card shows; shared: whether the owner lets reviewers see the pictures."""
    return {
        "discovery": row,
        "shared": shared,
        "task_words": TASK_WORDS[row.task],
        "millions": row.multiply_adds / 1e6,
    }


@login_required
@require_POST
def verdict(request: HttpRequest, discovery_id: int) -> HttpResponse:
    """Record the reviewer's verdict and go back to where it was given."""
    if not may_review(request.user):
        raise PermissionDenied("Only staff review architectures.")
    row = get_object_or_404(Discovery, pk=discovery_id)
    try:
        reviewer = cast("User", request.user)  # may_review knows only signed-in people
        decide(row, reviewer, request.POST.get("verdict", ""), request.POST.get("note", ""))
    except InvalidInput as error:
        messages.error(request, str(error))
    back = request.POST.get("next", "")
    inside = url_has_allowed_host_and_scheme(back, {request.get_host()}, require_https=request.is_secure())
    return redirect(back if inside else "review")


@login_required
@require_safe
def diagram(request: HttpRequest, discovery_id: int) -> HttpResponseBase:
    """The diagram of a discovered network, for staff."""
    if not may_review(request.user):
        raise PermissionDenied("Only staff review architectures.")
    row = get_object_or_404(Discovery, pk=discovery_id)
    phenotype = Genome.parse(row.genome).phenotype()
    ink = INKS.get(request.GET.get("ink", ""), "currentColor")
    text = architecture_svg(phenotype, title=f"Network {row.genome}", ink=ink)
    return svg_response(text, "architecture.svg")


@login_required
@require_safe
def picture(request: HttpRequest, job_id: UUID, which: str) -> HttpResponseBase:
    """The upload or the result, reduced, of a job whose owner lets reviewers see them; for anybody else not there."""
    job = shared_job_for(request.user, job_id)
    digest = job.picture.digest if which == "input" else job.result_digest
    return reduced_png_response(request, digest, PICTURE_SIDE, f"{which}.png")
