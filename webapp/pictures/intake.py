"""An upload becomes a stored picture: size limit, guarded decode, normal form, thumbnail, row.

What is decided here is decided by content, never by the name or the declared type.  Decoding happens in
a process that may die (`nasdip_engine.guard`).  From reading to storing, at most two pictures are in work at a
time (`turns.py`), so that no number of uploads takes the machine.
"""

from __future__ import annotations

import atexit
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
from django.contrib.auth.models import User
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import F
from django.http import Http404
from PIL import Image

from nasdip_engine import guard
from nasdip_engine.bit_depth import Samples, at_depth
from nasdip_engine.errors import PictureError
from nasdip_engine.picture import LIMIT_BYTES, decode, encode_mask, encode_png, on_white, read_mask
from nasdip_engine.picture import Picture as Decoded
from webapp.pictures import quota, storage
from webapp.pictures.models import MaskDrawing, Picture, PictureKind
from webapp.pictures.strokes import Stroke, draw, parse_strokes
from webapp.pictures.turns import Turns

__all__ = [
    "TooLargeError",
    "decoder",
    "digest_of",
    "drawn_mask",
    "forget",
    "intake",
    "mask_file",
    "save_strokes",
    "store_picture",
]

THUMBNAIL_SIDE = 320
DECODES_AT_ONCE = 2
DRAWINGS_AT_ONCE = 2
NAME_LENGTH = 255


class TooLargeError(PictureError):
    """The file is larger than this site takes."""


_decodes = Turns(DECODES_AT_ONCE)
_drawings = Turns(DRAWINGS_AT_ONCE)  # of their own: strokes are saved while somebody else uploads
_starting = threading.Lock()


@cache
def _host() -> guard.Host:
    host = guard.Host("decoder", limits=guard.Limits())
    atexit.register(host.close)
    return host


@contextmanager
def decoder(owner_id: int | None = None) -> Iterator[guard.Host]:
    """This process's decoder, for the length of one picture of this user (None: of nobody's).

    All that is done with the picture's pixels is done within.  Raises `turns.BusyError`.
    """
    with _decodes.turn(owner_id):
        with _starting:
            host = _host()
        yield host


def clean_name(name: str | None) -> str:
    """The last part of a file's name without control characters: what may be shown and stored."""
    last = (name or "").replace("\\", "/").rsplit("/", 1)[-1]
    shown = "".join(c for c in last if c.isprintable()).strip()
    return shown[:NAME_LENGTH] or "picture"


def intake(owner: User, upload: UploadedFile, *, kind: str = PictureKind.PICTURE) -> Picture:
    """Take an uploaded file in.  Raises TooLargeError before reading it, else what `store_picture` raises."""
    name = clean_name(upload.name)
    size = upload.size or 0
    if size > LIMIT_BYTES:
        raise TooLargeError(
            f"{name} has {size / 1e6:.1f} MB; up to {LIMIT_BYTES // 10**6} MB are taken: "
            "save it smaller, or as JPEG, and send it again"
        )
    quota.check_disk()
    with decoder(owner.pk) as host:
        return _store(owner, upload.read(), name, kind, host)


def store_picture(owner: User, data: bytes, name: str, *, kind: str = PictureKind.PICTURE) -> Picture:
    """Decode and store the bytes of a picture file.

    Raises PictureError with reason and remedy, `quota.NoRoomError`, and `turns.BusyError`.
    """
    with decoder(owner.pk) as host:
        return _store(owner, data, name, kind, host)


def _store(owner: User, data: bytes, name: str, kind: str, host: guard.Host) -> Picture:
    quota.check_disk()
    quota.check_share(owner)
    decoded = decode(data, name, host)
    normal = decoded.form().encode(decoded.pixels)
    small = thumbnail(decoded)
    stored = sum(map(len, {normal, data, small}))  # a small PNG may be its own thumbnail
    # The row first: who deletes the same bytes for another row then sees that they are referred to.
    with transaction.atomic():
        quota.hold(owner)
        quota.check_share(owner, stored)
        row = Picture.objects.create(
            owner=owner,
            name=name,
            kind=kind,
            width=decoded.width,
            height=decoded.height,
            notes=list(decoded.notes),
            source_format=decoded.source_format.value,
            digest=digest_of(normal),
            original_digest=digest_of(data),
            thumbnail_digest=digest_of(small),
            stored_bytes=stored,
        )
    try:
        for content in (normal, data, small):
            storage.put(content)
    except OSError:
        row.delete()
        storage.delete_unreferenced([row.digest, row.original_digest, row.thumbnail_digest])
        raise
    return row


def digest_of(content: bytes) -> str:
    """The name that storage gives these bytes."""
    return hashlib.sha256(content).hexdigest()


def thumbnail(decoded: Decoded) -> bytes:
    """An 8-bit PNG of the picture, laid on white and reduced to THUMBNAIL_SIDE; a smaller one keeps its size."""
    shown: Samples = at_depth(decoded.pixels, 8)
    if decoded.alpha is not None:
        shown = on_white(shown, at_depth(decoded.alpha, 8))
    image = Image.fromarray(shown)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return encode_png(np.asarray(image), decoded.icc, grey=decoded.grey)


def mask_file(picture: Picture, mask: Picture, *, invert: bool = False) -> bytes:
    """An uploaded mask read for a picture, as the PNG that jobs store (grey value >= 128: known).

    invert: the file uses the other convention.  Raises MaskError for another size, all known, all hole, and
    `turns.BusyError`.
    """
    size = (picture.width, picture.height)
    with decoder(picture.owner_id) as host:
        return encode_mask(read_mask(storage.read(mask.original_digest), mask.name, size, invert, host))


def save_strokes(picture: Picture, strokes: object) -> MaskDrawing:
    """Keep the strokes drawn on a picture and the mask that they paint.

    A drawing without a hole, or without a known pixel, is kept too: it is on its way.  Its `share` says so,
    and the restoration refuses it.  Raises MaskError naming the stroke that is not one.
    """
    quota.check_disk()
    parsed = parse_strokes(strokes)
    with _drawings.turn(picture.owner_id):
        hole = draw(parsed, picture.width, picture.height)
        share = float(np.count_nonzero(hole)) / hole.size
        content = encode_mask(~hole) if share else b""
    drawing, before = _keep_strokes(picture, parsed, digest_of(content) if share else "", share)
    try:
        if content:
            storage.put(content)
    except OSError:
        # The strokes stay, and the next save draws them again; until then nothing is painted.
        MaskDrawing.objects.filter(picture=picture, mask_digest=drawing.mask_digest).update(
            mask_digest="", share=0.0
        )
        raise
    finally:
        # Of two saves at once the other one may have replaced this drawing before its mask was put.
        storage.delete_unreferenced([before, drawing.mask_digest])
    return drawing


def drawn_mask(drawing: MaskDrawing) -> bytes:
    """The PNG of the mask that a drawing with a hole paints (grey value >= 128: known).

    Raises `turns.BusyError`, only where it has to be drawn anew.
    """
    try:
        return storage.read(drawing.mask_digest)
    except FileNotFoundError:
        # The drawing is being saved at this moment: its row comes before its file.
        picture = drawing.picture
        with _drawings.turn(picture.owner_id):
            return encode_mask(~draw(parse_strokes(drawing.strokes), picture.width, picture.height))


def _keep_strokes(
    picture: Picture, strokes: tuple[Stroke, ...], mask_digest: str, share: float
) -> tuple[MaskDrawing, str]:
    """The drawing's row, and the mask that it had before ("" = none)."""
    with transaction.atomic():
        # A write to the picture's row is the lock: two saves at once must not replace the same mask.
        if not Picture.objects.filter(pk=picture.pk).update(width=F("width")):
            raise Http404("The picture was deleted at this moment.")
        before = MaskDrawing.objects.filter(picture=picture).values_list("mask_digest", flat=True).first()
        drawing, _ = MaskDrawing.objects.update_or_create(
            picture=picture,
            defaults={
                "owner_id": picture.owner_id,
                "strokes": [stroke.to_json() for stroke in strokes],
                "mask_digest": mask_digest,
                "share": share,
            },
        )
    return drawing, before or ""


def forget(picture: Picture) -> None:
    """Delete a picture with its drawing and files.  Raises RestrictedError while a job restores it, Http404."""
    with transaction.atomic():
        quota.hold(picture.owner)  # a job that is submitted at this moment comes before or after
        if not Picture.objects.filter(pk=picture.pk).update(width=F("width")):
            raise Http404("The picture was deleted at this moment.")
        drawn = MaskDrawing.objects.filter(picture=picture).values_list("mask_digest", flat=True)
        digests = [picture.digest, picture.original_digest, picture.thumbnail_digest, *drawn]
        picture.delete()
    storage.delete_unreferenced(digests)
