"""Every kind of picture file in, and the file that is written of it: nothing lost but what is said."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from nasdip_engine.bit_depth import at_depth
from nasdip_engine.framing import Frame, paste
from nasdip_engine.guard import Host
from nasdip_engine.picture import Picture, decode, read_png
from tests.engine.picture_kinds import KINDS, Kind
from tests.engine.pictures import colour_profile, photo, save, srgb_profile


@pytest.fixture(scope="module")
def decoder() -> Iterator[Host]:
    with Host("decoder") as host:
        yield host


def same(found: Picture, kind: Kind) -> None:
    if kind.pixels is not None:
        assert np.array_equal(found.pixels, kind.pixels)
    assert found.pixels.dtype == (np.uint8 if kind.bit_depth == 8 else np.uint16)
    assert (found.alpha is None) == (kind.alpha is None)
    if kind.alpha is not None:
        assert np.array_equal(found.alpha, kind.alpha)
    assert (found.grey, found.icc, found.bit_depth) == (kind.grey, kind.icc, kind.bit_depth)


@pytest.mark.parametrize("name", KINDS)
def test_it_is_decoded_and_said(name: str, decoder: Host) -> None:
    kind = KINDS[name]()
    picture = decode(kind.data, name, decoder)
    same(picture, kind)
    assert kind.said in "; ".join(picture.notes)


@pytest.mark.parametrize("name", KINDS)
def test_what_is_written_of_it_is_the_same_picture(name: str, decoder: Host) -> None:
    """The normal form, read unguarded by the product and guarded by whoever verifies a run."""
    picture = decode(KINDS[name]().data, name, decoder)
    data = picture.form().encode(picture.pixels)
    assert data == picture.form().encode(picture.pixels.copy(order="F"))
    for again in (read_png(data), decode(data, "again.png", decoder)):
        assert np.array_equal(again.pixels, picture.pixels)
        assert (again.alpha is None) == (picture.alpha is None)
        if picture.alpha is not None:
            assert np.array_equal(again.alpha, picture.alpha)
        assert (again.grey, again.icc, again.bit_depth) == (picture.grey, picture.icc, picture.bit_depth)


@pytest.mark.parametrize("name", ["RGB", "grey", "grey and alpha", "RGBA", "palette with transparency"])
def test_another_program_reads_what_is_written(name: str, decoder: Host) -> None:
    picture = decode(KINDS[name]().data, name, decoder)
    with Image.open(io.BytesIO(picture.form().encode(picture.pixels))) as file:
        assert file.mode == {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[KINDS[name]().bands]
        seen = np.array(file.convert("RGBA"))
    assert np.array_equal(seen[..., :3], picture.pixels)
    if picture.alpha is not None:
        assert np.array_equal(seen[..., 3], picture.alpha)


def test_cmyk_of_16_bits_has_more_levels_than_of_8(decoder: Host) -> None:
    pixels = decode(KINDS["CMYK of 16 bits"]().data, "print.tif", decoder).pixels
    assert np.any(pixels % 257)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", ["RGBA", "RGBA of 16 bits", "grey TIFF of 16 bits", "RGB"])
def test_the_result_has_the_depth_that_was_asked(name: str, bits: int, decoder: Host) -> None:
    """Known pixels and alpha: to the bit at their own depth, exactly widened or rounded at the other."""
    picture = decode(KINDS[name]().data, name, decoder)
    known = np.ones((64, 64), bool)
    known[20:40, 10:30] = False
    restored = at_depth(photo(64, 64), bits)
    form = picture.form(bits)
    result = form.finished(
        paste(picture.pixels, known, Frame(picture.pixels, known, (0, 0, 64, 64)), restored)
    )
    found = read_png(form.encode(result))
    assert found.bit_depth == bits
    assert np.array_equal(found.pixels[known], at_depth(picture.pixels, bits)[known])
    if picture.alpha is not None:
        assert np.array_equal(found.alpha, at_depth(picture.alpha, bits))
    if picture.grey:
        mean = restored.astype(np.float64).mean(axis=2)
        assert np.abs(found.pixels[..., 0].astype(np.float64) - mean)[~known].max() <= 0.5
    else:
        assert np.array_equal(found.pixels[~known], restored[~known])


@pytest.mark.parametrize("name", ["RGBA", "RGBA of 16 bits"])
def test_the_alpha_of_an_enlarged_picture_is_enlarged_bicubically(name: str, decoder: Host) -> None:
    picture = decode(KINDS[name]().data, name, decoder)
    assert picture.alpha is not None
    large = np.repeat(np.repeat(picture.pixels, 3, axis=0), 3, axis=1)
    found = read_png(picture.form().encode(large)).alpha
    assert found is not None and found.shape == (192, 192)
    plane = Image.fromarray(picture.alpha.astype(np.float32)).resize((192, 192), Image.Resampling.BICUBIC)
    expected = np.clip(np.asarray(plane), 0, 255 if picture.bit_depth == 8 else 65535)
    assert np.abs(found - expected).max() <= 0.51


def test_profiles_of_another_kind_than_the_picture_are_left_out(decoder: Host) -> None:
    of_grey, of_colour = colour_profile(b"GRAY", 2.2), srgb_profile()
    grey, colour = Image.fromarray(photo(channels=1)[..., 0]), Image.fromarray(photo())
    for image, profile in ((grey, of_colour), (colour, of_grey)):
        picture = decode(save(image, "TIFF", icc_profile=profile), "odd.tif", decoder)
        assert picture.icc is None
        assert "colour profile of another kind than the picture left out" in picture.notes
