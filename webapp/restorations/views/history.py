"""History: one's restorations with search, filters and pages in the address; deletion."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from webapp.restorations import control
from webapp.restorations.access import job_for, visible_to
from webapp.restorations.models import Job
from webapp.restorations.states import DELETABLE, ENDED, JobState
from webapp.restorations.words import TASK_WORDS, task_words

__all__ = ["delete", "history"]

CARDS_PER_PAGE = 24


@login_required
@require_safe
def history(request: HttpRequest) -> HttpResponse:
    """The user's restorations, newest first.

    ?q= looks in names; ?state=, ?task= and ?page= choose; unknown values filter nothing.
    """
    q = request.GET.get("q", "").replace("\x00", "").strip()  # PostgreSQL knows no NUL
    state = request.GET.get("state", "")
    task = request.GET.get("task", "")
    jobs = visible_to(request.user).select_related("picture").defer("run").order_by("-queued_at", "-id")
    if q:
        jobs = jobs.filter(name__icontains=q)
    if state in set(JobState):
        jobs = jobs.filter(state=state)
    if task in TASK_WORDS:
        jobs = jobs.filter(task=task)
    page = Paginator(jobs, CARDS_PER_PAGE).get_page(request.GET.get("page"))
    kept = {name: value for name, value in (("q", q), ("task", task), ("state", state)) if value}
    return render(
        request,
        "restorations/history.html",
        {
            "page": page,
            "cards": [card(row) for row in page.object_list],
            "q": q,
            "task": task,
            "state": state,
            "filtered": bool(kept),
            "query": f"{urlencode(kept)}&" if kept else "",
            "task_choices": [(str(value), words) for value, words in TASK_WORDS.items()],
            "state_choices": [str(value) for value in JobState],
        },
    )


def card(row: Job) -> dict[str, Any]:
    """What a card shows: the best picture that there is, and what may be done."""
    if row.state == JobState.DONE:
        thumbnail = reverse("job_thumbnail", args=[row.pk])
    elif row.preview_digest:
        thumbnail = reverse("job_preview", args=[row.pk, row.preview_digest])
    else:
        thumbnail = reverse("api:picture_thumbnail", args=[row.picture_id])
    return {
        "job": row,
        "thumbnail": thumbnail,
        "task_words": task_words(row),
        "moving": row.state not in ENDED,
        "deletable": row.state in DELETABLE,
    }


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """Ask (GET), then delete the restoration with its files (POST)."""
    row = job_for(request.user, job_id)
    if request.method != "POST":
        text = "The result and its files are deleted for good, and the upload too unless another restoration uses it."
        shown = {"name": row.name, "text": text, "back": reverse("history")}
        return render(request, "confirm_delete.html", shown)
    try:
        control.delete(row)
    except control.NotPossible as error:
        messages.error(request, str(error))
        return redirect("history")
    messages.success(request, f"{row.name} and its files are deleted.")
    return redirect("history")
