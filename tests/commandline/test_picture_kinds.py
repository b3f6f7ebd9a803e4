"""`nasdip restore` of the kinds of pictures that people have: what comes in comes out, at the depth that was asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasdip_engine.bit_depth import at_depth
from nasdip_engine.picture import Picture, encode_mask, pixel_digest, read_png
from tests.commandline.conftest import nasdip
from tests.engine.picture_kinds import KINDS
from tests.engine.pictures import vips

pytestmark = pytest.mark.slow

QUICK = ["--population", "2", "--generations", "1", "--iterations", "2", "--final-iterations", "2"]


@dataclass(frozen=True)
class Made:
    folder: Path
    known: np.ndarray[Any, Any]
    said: str

    def picture(self, name: str) -> Picture:
        return read_png(self.folder / name)

    @property
    def run(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text())


Filled = Callable[..., Made]


@pytest.fixture
def filled(tmp_path: Path) -> Filled:
    """Fill a hole in a picture file through the real command line."""

    def fill(data: bytes, side: int, *more: str) -> Made:
        known = np.ones((side, side), bool)
        known[20:32, 24:40] = False
        (tmp_path / "upload").write_bytes(data)
        (tmp_path / "mask.png").write_bytes(encode_mask(known))
        asked = ["--task", "inpaint", "--mask", tmp_path / "mask.png", *QUICK, *more]
        ended = nasdip("restore", tmp_path / "upload", *asked, "--out", tmp_path / "run")
        assert ended.code == 0, ended.err
        return Made(tmp_path / "run", known, ended.err)

    return fill


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("RGBA of 16 bits, turned by EXIF", None),
        ("RGB TIFF of 16 bits, Display-P3", 8),
        ("grey with its profile", None),
        ("palette with transparency", None),
        ("CMYK JPEG", None),
    ],
)
def test_a_result_keeps_what_the_picture_had(filled: Filled, name: str, bits: int | None) -> None:
    kind = KINDS[name]()
    made = filled(kind.data, 64, *([] if bits is None else ["--bit-depth", str(bits)]))
    assert kind.said in made.said
    upload, result, reference = (made.picture(f"{name}.png") for name in ("input", "restored", "baseline"))
    depth = bits or kind.bit_depth
    assert upload.bit_depth == kind.bit_depth
    if kind.pixels is not None:
        assert np.array_equal(upload.pixels, kind.pixels)
    for found in (result, reference):
        assert np.array_equal(found.pixels[made.known], at_depth(upload.pixels, depth)[made.known])
        assert (found.bit_depth, found.grey, found.icc) == (depth, kind.grey, kind.icc)
        assert (found.alpha is None) == (kind.alpha is None)
        if kind.alpha is not None:
            assert np.array_equal(found.alpha, at_depth(kind.alpha, depth))
    stills = [read_png(file) for file in (made.folder / "stills").iterdir()]
    assert stills and all(
        (still.grey, still.icc, still.alpha) == (kind.grey, kind.icc, None) for still in stills
    )
    assert not np.array_equal(result.pixels[~made.known], at_depth(upload.pixels, depth)[~made.known])
    assert made.run["picture"]["bit_depth"] == kind.bit_depth
    assert made.run["picture"]["result_bit_depth"] == depth
    assert made.run["final"]["digest"] == pixel_digest(result.pixels)
    if bits is not None:
        assert f"the result has {bits} bits a channel, the picture {kind.bit_depth}" in made.said


def test_a_run_is_verified_at_the_depth_that_was_asked(filled: Filled) -> None:
    made = filled(KINDS["grey and alpha"]().data, 64, "--bit-depth", "16")
    assert made.picture("restored.png").bit_depth == 16
    assert "equal: the final fit repeated" in nasdip("verify", made.folder).out


def test_65536_levels_survive(filled: Filled) -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    ramps = np.dstack([levels, levels.T, levels[::-1, ::-1]])
    made = filled(vips(ramps, "rgb16", ".tif"), 256)
    found = made.picture("restored.png").pixels
    assert np.array_equal(found[made.known], ramps[made.known])
    assert len(np.unique(found[made.known])) == 65536


def test_other_depths_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    ended = nasdip(
        "restore", tmp_path / "none.png", "--task", "denoise", "--bit-depth", "12", "--out", tmp_path / "run"
    )
    assert ended.code == 2
    assert "--bit-depth" in ended.line and "8, 16" in ended.line
    assert not (tmp_path / "run").exists()
