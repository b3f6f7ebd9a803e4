"""Rows of discoveries and verdicts for operators; the review itself has a page of its own."""

from __future__ import annotations

from django.contrib import admin

from webapp.architectures.models import Discovery, Verdict
from webapp.restorations.admin import ReadOnly


@admin.register(Discovery)
class DiscoveryAdmin(ReadOnly):
    list_display = ("id", "task", "genome", "fitness", "gain_over_starter", "rank", "is_starter", "created")
    list_filter = ("task", "is_starter")
    search_fields = ("genome", "phenotype_digest")


@admin.register(Verdict)
class VerdictAdmin(ReadOnly):
    list_display = ("discovery_id", "verdict", "reviewer", "at")
    list_filter = ("verdict",)
    list_select_related = ("reviewer",)
