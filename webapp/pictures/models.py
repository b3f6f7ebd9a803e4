"""Rows of pictures; the bytes lie in content-addressed files (`storage.py`)."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

__all__ = ["MaskDrawing", "Picture", "PictureKind"]


class PictureKind(models.TextChoices):
    """What an upload is for."""

    PICTURE = "picture"
    MASK = "mask"


class Picture(models.Model):
    """A decoded upload.  `digest` names the stored input.png, `original_digest` the bytes as they came."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="pictures")
    name = models.CharField(max_length=255)
    kind = models.CharField(max_length=16, choices=PictureKind.choices, default=PictureKind.PICTURE)
    digest = models.CharField(max_length=64)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    notes = models.JSONField(default=list, blank=True)
    source_format = models.CharField(max_length=16, blank=True, default="")
    original_digest = models.CharField(max_length=64, blank=True, default="")
    thumbnail_digest = models.CharField(max_length=64, blank=True, default="")
    # Of the three files together, whoever else has the same: what counts of the owner's share (`quota.py`).
    stored_bytes = models.PositiveBigIntegerField(default=0)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]
        indexes = [models.Index(fields=["owner", "-created"], name="picture_of_owner")]
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=PictureKind.values), name="picture_kind"),
            # A picture without pixels can't be restored, so the row may not exist.
            models.CheckConstraint(condition=models.Q(width__gte=1, height__gte=1), name="picture_size"),
        ]

    def __str__(self) -> str:
        return f"picture {self.id}"


class MaskDrawing(models.Model):
    """The strokes that the owner drew on a picture, and the mask that the server drew from them."""

    picture = models.OneToOneField(Picture, on_delete=models.CASCADE, related_name="drawing")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    strokes = models.JSONField(default=list)
    mask_digest = models.CharField(max_length=64, blank=True, default="")
    share = models.FloatField(default=0.0)
    updated = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(share__gte=0, share__lte=1), name="drawing_share"),
        ]

    def __str__(self) -> str:
        return f"strokes on picture {self.picture_id}"
