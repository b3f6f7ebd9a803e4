"""Pictures and masks: upload, look at, draw on."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from django.db.models import RestrictedError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import reverse
from ninja import File, Form, Query, Router, Status
from ninja.files import UploadedFile

from nasdip_engine.errors import PictureError
from webapp.api.problems import ProblemError
from webapp.api.schemas import (
    DrawingIn,
    DrawingOut,
    Number,
    PictureListOut,
    PictureOut,
    ProblemOut,
    StrokesOut,
)
from webapp.pictures.intake import TooLargeError, clean_name, forget, intake, save_strokes
from webapp.pictures.models import MaskDrawing, Picture, PictureKind
from webapp.pictures.serving import png_response
from webapp.restorations.access import picture_for, pictures_of

__all__ = ["CROWDED", "picture_json", "router"]

router = Router(tags=["pictures"])

# Too many of one's own wait already; the site is busy; no room on the disk, or in one's share of it.
CROWDED = {429: ProblemOut, 503: ProblemOut, 507: ProblemOut}


def picture_json(picture: Picture) -> dict[str, Any]:
    """PictureOut of a row."""
    here = {"picture_id": picture.pk}
    return {
        "id": picture.pk,
        "name": picture.name,
        "kind": picture.kind,
        "width": picture.width,
        "height": picture.height,
        "source_format": picture.source_format,
        "notes": picture.notes,
        "created": picture.created,
        "image_url": reverse("api:picture_image", kwargs=here),
        "thumbnail_url": reverse("api:picture_thumbnail", kwargs=here),
    }


def drawing_json(picture: Picture, drawing: MaskDrawing | None) -> dict[str, Any]:
    """DrawingOut of a picture's drawing, or of none."""
    digest = drawing.mask_digest if drawing else ""
    return {
        "saved": drawing is not None,
        "share_to_fill": drawing.share if drawing else 0.0,
        "mask": digest or None,
        "mask_url": reverse("api:drawn_mask", kwargs={"picture_id": picture.pk}) if digest else None,
    }


@router.post(
    "pictures",
    response={201: PictureOut, 413: ProblemOut, 422: ProblemOut} | CROWDED,
    url_name="upload_picture",
)
def upload_picture(
    request: HttpRequest,
    response: HttpResponse,
    file: File[UploadedFile],
    kind: Form[PictureKind] = PictureKind.PICTURE,
) -> Status[dict[str, Any]]:
    """Take in a picture: PNG, JPEG, WebP, BMP or TIFF, one frame, up to 50 MB and 40 megapixels.

    The answer's notes say what was done to it (turned upright, transparency kept, CMYK converted ...).
    Send one after the other: a third that would have to wait is told 429.
    """
    try:
        picture = intake(request.auth, file, kind=kind)
    except PictureError as error:
        status = 413 if isinstance(error, TooLargeError) else 422
        raise ProblemError(status, str(error), field="file", file=clean_name(file.name)) from error
    response["Location"] = reverse("api:get_picture", kwargs={"picture_id": picture.pk})
    return Status(201, picture_json(picture))


@router.get("pictures", response=PictureListOut, url_name="list_pictures")
def list_pictures(
    request: HttpRequest,
    kind: PictureKind | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Number = 0,
) -> dict[str, Any]:
    """Your pictures and masks, newest first."""
    rows = pictures_of(request.auth).order_by("-created", "-id")
    rows = rows if kind is None else rows.filter(kind=kind)
    return {"count": rows.count(), "pictures": [picture_json(row) for row in rows[offset : offset + limit]]}


@router.get("pictures/{uuid:picture_id}", response={200: PictureOut, 404: ProblemOut}, url_name="get_picture")
def get_picture(request: HttpRequest, picture_id: UUID) -> dict[str, Any]:
    """One of your pictures."""
    return picture_json(picture_for(request.auth, picture_id))


@router.delete(
    "pictures/{uuid:picture_id}",
    response={204: None, 404: ProblemOut, 409: ProblemOut},
    url_name="delete_picture",
)
def delete_picture(request: HttpRequest, picture_id: UUID) -> Status[None]:
    """Delete a picture or mask with its files; one that a job restores goes with its job."""
    picture = picture_for(request.auth, picture_id)
    try:
        forget(picture)
    except RestrictedError as error:
        raise ProblemError(409, "A job restores this picture: delete the job first.") from error
    return Status(204, None)


@router.get("pictures/{uuid:picture_id}/image.png", response={404: ProblemOut}, url_name="picture_image")
def picture_image(request: HttpRequest, picture_id: UUID) -> HttpResponseBase:
    """The picture as it was taken in (PNG, upright, in its own depth and with its transparency)."""
    picture = picture_for(request.auth, picture_id)
    return png_response(request, picture.digest, f"{picture.name}.png")


@router.get(
    "pictures/{uuid:picture_id}/thumbnail.png", response={404: ProblemOut}, url_name="picture_thumbnail"
)
def picture_thumbnail(request: HttpRequest, picture_id: UUID) -> HttpResponseBase:
    """The picture reduced to 320 pixels (PNG)."""
    picture = picture_for(request.auth, picture_id)
    return png_response(request, picture.thumbnail_digest, f"{picture.name}-small.png")


@router.put(
    "pictures/{uuid:picture_id}/strokes",
    response={200: DrawingOut, 404: ProblemOut, 422: ProblemOut} | CROWDED,
    url_name="put_strokes",
)
def put_strokes(request: HttpRequest, picture_id: UUID, drawing: DrawingIn) -> dict[str, Any]:
    """Replace the drawing on a picture; the mask is drawn from it on the server, pixel for pixel."""
    picture = picture_for(request.auth, picture_id)
    return drawing_json(picture, save_strokes(picture, drawing.strokes))


@router.get(
    "pictures/{uuid:picture_id}/strokes", response={200: StrokesOut, 404: ProblemOut}, url_name="get_strokes"
)
def get_strokes(request: HttpRequest, picture_id: UUID) -> dict[str, Any]:
    """The drawing on a picture; no strokes when nothing was drawn yet."""
    picture = picture_for(request.auth, picture_id)
    drawing = MaskDrawing.objects.filter(picture=picture).first()
    return {**drawing_json(picture, drawing), "strokes": drawing.strokes if drawing else []}


@router.get("pictures/{uuid:picture_id}/mask.png", response={404: ProblemOut}, url_name="drawn_mask")
def drawn_mask(request: HttpRequest, picture_id: UUID) -> HttpResponseBase:
    """The drawn mask at the picture's size: 255 known, 0 to be filled (PNG, grey)."""
    picture = picture_for(request.auth, picture_id)
    drawing = MaskDrawing.objects.filter(picture=picture).first()
    return png_response(request, drawing.mask_digest if drawing else "", f"{picture.name}-mask.png")
