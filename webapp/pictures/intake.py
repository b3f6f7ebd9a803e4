"""An upload becomes a stored picture: size limit, guarded decode, normal form, thumbnail, row.

What is decided here is decided by content, never by the name or the declared type.  Decoding happens in
a process that may die (`nasdip_engine.guard`), at most two at a time, so that no upload stops the site.
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
from numpy.typing import NDArray
from PIL import Image

from nasdip_engine import guard
from nasdip_engine.errors import PictureError
from nasdip_engine.picture import LIMIT_BYTES, decode, encode_mask, encode_png, read_mask
from webapp.pictures import storage
from webapp.pictures.models import MaskDrawing, Picture, PictureKind
from webapp.pictures.strokes import draw, parse_strokes

__all__ = [
    "TooLargeError",
    "decoder",
    "digest_of",
    "forget",
    "intake",
    "mask_of",
    "save_strokes",
    "store_picture",
]

THUMBNAIL_SIDE = 320
DECODES_AT_ONCE = 2
NAME_LENGTH = 255

Pixels = NDArray[np.uint8]
Known = NDArray[np.bool_]


class TooLargeError(PictureError):
    """The file is larger than this site takes."""


_turns = threading.BoundedSemaphore(DECODES_AT_ONCE)
_starting = threading.Lock()


@cache
def _host() -> guard.Host:
    host = guard.Host("decoder", limits=guard.Limits())
    atexit.register(host.close)
    return host


@contextmanager
def decoder() -> Iterator[guard.Host]:
    """This process's decoder, for the length of one picture."""
    with _turns:
        with _starting:
            host = _host()
        yield host


def clean_name(name: str | None) -> str:
    """The last part of a file's name without control characters: what may be shown and stored."""
    last = (name or "").replace("\\", "/").rsplit("/", 1)[-1]
    shown = "".join(c for c in last if c.isprintable()).strip()
    return shown[:NAME_LENGTH] or "picture"


def intake(owner: User, upload: UploadedFile, *, kind: str = PictureKind.PICTURE) -> Picture:
    """Take an uploaded file in.  Raises TooLargeError before reading it, else PictureError."""
    name = clean_name(upload.name)
    size = upload.size or 0
    if size > LIMIT_BYTES:
        raise TooLargeError(
            f"{name} has {size / 1e6:.1f} MB; up to {LIMIT_BYTES // 10**6} MB are taken: "
            "save it smaller, or as JPEG, and send it again"
        )
    return store_picture(owner, upload.read(), name, kind=kind)


def store_picture(owner: User, data: bytes, name: str, *, kind: str = PictureKind.PICTURE) -> Picture:
    """Decode and store the bytes of a picture file.  Raises PictureError with reason and remedy."""
    with decoder() as host:
        picture = decode(data, name, host)
    height, width = picture.pixels.shape[:2]
    normal = encode_png(picture.pixels, icc=picture.icc)
    small = encode_png(thumbnail(picture.pixels), icc=picture.icc)
    # The row first: who deletes the same bytes for another row then sees that they are referred to.
    row = Picture.objects.create(
        owner=owner,
        name=name,
        kind=kind,
        width=width,
        height=height,
        notes=list(picture.notes),
        source_format=picture.source_format.value,
        digest=digest_of(normal),
        original_digest=digest_of(data),
        thumbnail_digest=digest_of(small),
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


def thumbnail(pixels: Pixels) -> Pixels:
    """The picture reduced to THUMBNAIL_SIDE; uint8 (h, w, 3).  A smaller picture stays as it is."""
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.asarray(image)


def mask_of(picture: Picture, mask: Picture, *, invert: bool = False) -> Known:
    """An uploaded mask read for a picture: bool (height, width), True = known (grey value >= 128).

    invert: the file uses the other convention.  Raises MaskError for another size, all known, all hole.
    """
    data = storage.read(mask.original_digest)
    with decoder() as host:
        return read_mask(data, mask.name, (picture.width, picture.height), invert, host)


def save_strokes(picture: Picture, strokes: object) -> MaskDrawing:
    """Keep the strokes drawn on a picture and the mask that they paint.

    A drawing without a hole, or without a known pixel, is kept too: it is on its way.  Its `share` says so,
    and the restoration refuses it.  Raises MaskError naming the stroke that is not one.
    """
    parsed = parse_strokes(strokes)
    hole = draw(parsed, picture.width, picture.height)
    share = float(np.count_nonzero(hole)) / hole.size
    before = MaskDrawing.objects.filter(picture=picture).values_list("mask_digest", flat=True).first()
    content = encode_mask(~hole) if share else b""
    digest = digest_of(content) if share else ""
    drawing, _ = MaskDrawing.objects.update_or_create(
        picture=picture,
        defaults={
            "owner_id": picture.owner_id,
            "strokes": [stroke.to_json() for stroke in parsed],
            "mask_digest": digest,
            "share": share,
        },
    )
    if content:
        storage.put(content)
    if before and before != digest:
        storage.delete_unreferenced([before])
    return drawing


def forget(picture: Picture) -> None:
    """Delete a picture with its drawing and files.  Raises RestrictedError while a job restores it."""
    drawn = MaskDrawing.objects.filter(picture=picture).values_list("mask_digest", flat=True)
    digests = [picture.digest, picture.original_digest, picture.thumbnail_digest, *drawn]
    picture.delete()
    storage.delete_unreferenced(digests)
