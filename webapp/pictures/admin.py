"""Rows of pictures for operators: sizes and names of formats, never the pictures, names or strokes."""

from __future__ import annotations

from django.contrib import admin

from webapp.pictures.models import MaskDrawing, Picture
from webapp.restorations.admin import ReadOnly


@admin.register(Picture)
class PictureAdmin(ReadOnly):
    list_display = ("id", "owner", "kind", "width", "height", "source_format", "created")
    list_filter = ("kind", "source_format")
    search_fields = ("id", "owner__username")
    list_select_related = ("owner",)
    fields = ("id", "owner", "kind", "width", "height", "source_format", "notes", "created")


@admin.register(MaskDrawing)
class MaskDrawingAdmin(ReadOnly):
    list_display = ("picture_id", "owner", "share", "updated")
    list_select_related = ("owner",)
    fields = ("picture", "owner", "share", "updated")
