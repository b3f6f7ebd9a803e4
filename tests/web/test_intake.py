"""Uploads: what is taken in, as what it is stored, and what is refused with reason and remedy."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from PIL import Image

from nasdip_engine.picture import LIMIT_BYTES
from tests.web.cast import decoded, encoded, photograph
from webapp.pictures import storage
from webapp.pictures.intake import THUMBNAIL_SIDE, drawn_mask, save_strokes
from webapp.pictures.models import MaskDrawing, Picture

pytestmark = pytest.mark.django_db


def stored_files(folder: Any) -> list[Any]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]


@pytest.mark.parametrize(
    ("form", "name"),
    [("PNG", "a.png"), ("JPEG", "a.jpg"), ("WEBP", "a.webp"), ("BMP", "a.bmp"), ("TIFF", "a.tif")],
)
def test_five_formats_are_taken_in_whatever_their_name(alice: User, api: Any, form: str, name: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    answer = api(alice).upload(encoded(photograph(), form, **options), "holiday.xyz")
    assert answer.status_code == 201, answer.content
    told = answer.json()
    assert (told["width"], told["height"], told["name"]) == (64, 48, "holiday.xyz")
    assert answer["Location"].endswith(f"/pictures/{told['id']}")
    row = Picture.objects.get(pk=told["id"])
    kept = decoded(storage.read(row.digest))
    if form != "JPEG":
        assert np.array_equal(kept, photograph())
    assert storage.read(row.original_digest) == encoded(photograph(), form, **options)
    assert max(decoded(storage.read(row.thumbnail_digest)).shape) <= THUMBNAIL_SIDE


def test_a_turned_photograph_is_stored_upright_and_the_answer_says_so(alice: User, api: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    told = api(alice).upload(encoded(photograph(), "JPEG", exif=exif), "phone.jpg").json()
    assert (told["width"], told["height"]) == (48, 64)
    assert told["notes"]


def test_a_large_picture_has_a_small_thumbnail(alice: User, api: Any) -> None:
    answer = api(alice)
    told = answer.upload(encoded(photograph(900, 700)), "large.png").json()
    small = answer("GET", f"pictures/{told['id']}/thumbnail.png").content
    assert decoded(small).shape == (249, 320, 3)


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims a size without having the pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 64))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "name", "word"),
    [
        (b"hello, this is text", "notes.png", "notes.png"),
        (b"", "empty.png", "empty.png"),
        (encoded(photograph())[:200], "cut.png", "cut.png"),
        (bomb(8000, 6000), "bomb.png", "bomb.png"),
        (encoded(photograph(), "GIF"), "moving.gif", "moving.gif"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "logo.svg", "logo.svg"),
        (encoded(photograph(20, 20)), "tiny.png", "tiny.png"),
    ],
)
def test_a_refusal_names_the_file_and_leaves_nothing(
    alice: User, api: Any, files: Any, data: bytes, name: str, word: str
) -> None:
    answer = api(alice).upload(data, name)
    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert word in told["detail"] and told["field"] == "file" and told["file"] == name
    assert not Picture.objects.exists()
    assert stored_files(files) == []


def test_over_forty_megapixels_says_so(alice: User, api: Any) -> None:
    answer = api(alice).upload(bomb(8000, 6000), "bomb.png")
    assert answer.status_code == 422
    assert "40" in answer.json()["detail"] and "48" in answer.json()["detail"]


def test_over_fifty_megabytes_is_413_before_it_is_decoded(alice: User, api: Any) -> None:
    answer = api(alice).upload(bytes(LIMIT_BYTES + 1), "huge.png")
    assert answer.status_code == 413
    assert answer["Content-Type"] == "application/problem+json"
    assert "50 MB" in answer.json()["detail"] and "huge.png" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\beach.png", "beach.png"),
        ("a\tb.png", "ab.png"),
        ("x" * 300, None),
    ],
)
def test_a_name_is_cleaned(alice: User, sent: str, kept: str | None) -> None:
    from webapp.pictures.intake import clean_name

    assert clean_name(sent) == (kept or "x" * 255)
    assert clean_name("") == "picture"


def test_a_picture_goes_out_inert(alice: User, api: Any, picture: Picture) -> None:
    answer = api(alice)("GET", f"pictures/{picture.pk}/image.png")
    assert answer["Content-Type"] == "image/png"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer["Content-Disposition"].startswith("attachment")
    again = api(alice)("GET", f"pictures/{picture.pk}/image.png", **{"if-none-match": answer["ETag"]})
    assert again.status_code == 304


def test_strokes_are_kept_and_their_mask_is_drawn(alice: User, api: Any, picture: Picture) -> None:
    way = api(alice)
    before = way("GET", f"pictures/{picture.pk}/strokes").json()
    assert before == {"saved": False, "share_to_fill": 0.0, "mask": None, "mask_url": None, "strokes": []}
    strokes = [{"tool": "brush", "size": 10.0, "points": [[5.5, 5.5], [30.5, 20.5]]}]
    told = way("PUT", f"pictures/{picture.pk}/strokes", {"strokes": strokes}).json()
    assert told["saved"] and 0 < told["share_to_fill"] < 1
    png = way("GET", f"pictures/{picture.pk}/mask.png").content
    mask = decoded(png)
    assert mask.shape == (48, 64) and set(np.unique(mask)) == {0, 255}
    assert np.mean(mask == 0) == pytest.approx(told["share_to_fill"])
    assert way("GET", f"pictures/{picture.pk}/strokes").json()["strokes"] == strokes


def test_the_mask_of_replaced_strokes_goes(picture: Picture, files: Any) -> None:
    first = save_strokes(picture, [{"tool": "brush", "size": 9, "points": [[9, 9]]}]).mask_digest
    assert storage.exists(first)
    second = save_strokes(picture, [{"tool": "brush", "size": 9, "points": [[20, 20]]}]).mask_digest
    assert storage.exists(second) and not storage.exists(first)
    assert save_strokes(picture, []).mask_digest == ""
    assert not storage.exists(second)
    assert MaskDrawing.objects.count() == 1


def test_a_drawing_whose_file_is_still_to_come_is_drawn_anew(picture: Picture, files: Any) -> None:
    drawing = save_strokes(picture, [{"tool": "brush", "size": 9, "points": [[9, 9]]}])
    stored = drawn_mask(drawing)
    storage.path(drawing.mask_digest).unlink()
    assert drawn_mask(MaskDrawing.objects.get(picture=picture)) == stored


def test_a_stroke_that_is_none_is_named(alice: User, api: Any, picture: Picture) -> None:
    answer = api(alice)(
        "PUT", f"pictures/{picture.pk}/strokes", {"strokes": [{"tool": "brush", "points": []}]}
    )
    assert answer.status_code == 422
    assert answer.json()["field"] == "strokes[0].size"
