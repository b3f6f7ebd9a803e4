"""Rows of restorations for operators: to be read, never changed by hand, and without pictures."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from webapp.restorations.models import Event, Generation, Job, Turn, Worker, WorkItem

__all__ = ["ReadOnly"]


class ReadOnly(admin.ModelAdmin):
    """States change by `control` and `leases` only; a hand in the rows would break their promises."""

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002
        return False


@admin.register(Job)
class JobAdmin(ReadOnly):
    list_display = ("id", "owner", "task", "preset", "state", "generation", "best_fitness", "queued_at")
    list_filter = ("state", "task", "preset")
    search_fields = ("id", "owner__username")
    date_hierarchy = "queued_at"
    list_select_related = ("owner",)
    # A name may say what is in the picture; the frames and the account of a run name its files.
    exclude = ("name", "frames", "run")


@admin.register(Generation)
class GenerationAdmin(ReadOnly):
    list_display = ("job_id", "number", "state", "best", "mean", "worst", "evaluations", "invalid", "failed")
    list_filter = ("state",)
    search_fields = ("job__id",)


@admin.register(WorkItem)
class WorkItemAdmin(ReadOnly):
    list_display = (
        "id",
        "job_id",
        "kind",
        "generation",
        "state",
        "attempts",
        "losses",
        "fault_class",
        "worker",
    )
    list_filter = ("state", "kind", "fault_class")
    search_fields = ("job__id", "genome", "worker")


@admin.register(Event)
class EventAdmin(ReadOnly):
    list_display = ("job_id", "number", "kind", "at")
    list_filter = ("kind",)
    search_fields = ("job__id",)


@admin.register(Worker)
class WorkerAdmin(ReadOnly):
    list_display = ("name", "device", "slots", "heartbeat_at", "last_look_at", "out_of_service")


@admin.register(Turn)
class TurnAdmin(ReadOnly):
    list_display = ("name", "until")
