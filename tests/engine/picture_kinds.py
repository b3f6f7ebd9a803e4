"""One small file of every kind that people have, with what must be found in it and come out again."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tests.engine import pictures
from tests.engine.pictures import Samples, photo, save, vips

__all__ = ["KINDS", "Kind"]

SIDE = 64


@dataclass(frozen=True)
class Kind:
    """A file and what it holds: pixels (64, 64, 3) or None where another program decides (CMYK), alpha, profile."""

    data: bytes
    pixels: Samples | None
    said: str = ""
    alpha: Samples | None = None
    grey: bool = False
    icc: bytes | None = None
    bit_depth: int = 8

    @property
    def bands(self) -> int:
        return (1 if self.grey else 3) + (self.alpha is not None)


def _wide(samples: Samples) -> Samples:
    """16 bits of which the lower 8 matter."""
    return samples.astype(np.uint16) * np.uint16(257) ^ np.uint16(0x5A)


def _many(channels: int) -> Samples:
    return photo(SIDE, SIDE, channels)


def _three(grey: Samples) -> Samples:
    return np.repeat(grey[..., :1], 3, axis=2)


def _rgb(profile: bytes | None = None) -> Kind:
    said = "colour profile kept" if profile else ""
    return Kind(vips(_many(3), "srgb", ".png", icc=profile), _many(3), said, icc=profile)


def _grey(suffix: str = ".png", profile: bytes | None = None) -> Kind:
    data = vips(_many(1), "b-w", suffix, icc=profile)
    return Kind(data, _three(_many(1)), "the result is grey too", grey=True, icc=profile)


def _grey_alpha() -> Kind:
    both = _many(2)
    return Kind(vips(both, "b-w", ".png"), _three(both), "transparency kept", both[..., 1], grey=True)


def _rgba(suffix: str = ".png") -> Kind:
    rgba = _many(4)
    return Kind(vips(rgba, "srgb", suffix), rgba[..., :3], "transparency kept", rgba[..., 3])


def _turned() -> Kind:
    upright = _wide(_many(4))
    data = vips(np.rot90(upright), "rgb16", ".png", orientation=6)
    said = "turned right, as its EXIF orientation says"
    return Kind(data, upright[..., :3], said, upright[..., 3], bit_depth=16)


def _palette(*, transparent: bool) -> Kind:
    indexed = Image.fromarray(_many(3)).quantize(32)
    options = {"transparency": bytes(range(0, 256, 8))} if transparent else {}
    data = save(indexed, "PNG", **options)
    seen = np.array(Image.open(io.BytesIO(data)).convert("RGBA"))
    alpha = seen[..., 3] if transparent else None
    return Kind(data, seen[..., :3], "palette picture taken in as RGB", alpha)


def _cmyk(suffix: str, *, wide: bool = False, profile: bytes | None = None) -> Kind:
    inks = np.asarray(Image.fromarray(_many(4)[:8, :8]).resize((SIDE, SIDE)), dtype=np.uint8)
    samples: Samples = _wide(inks) if wide else inks
    data = vips(samples, "cmyk", suffix, icc=profile)
    said = "CMYK converted to sRGB by " + ("its own profile" if profile else "a common profile")
    return Kind(data, None, said, bit_depth=16 if wide else 8)


def _wide_rgb(suffix: str, profile: bytes | None = None) -> Kind:
    pixels = _wide(_many(3))
    data = vips(pixels, "rgb16", suffix, icc=profile)
    return Kind(data, pixels, "16 bits a channel, kept", icc=profile, bit_depth=16)


def _wide_grey() -> Kind:
    pixels = _wide(_many(1))
    return Kind(vips(pixels, "grey16", ".tif"), _three(pixels), "16 bits", grey=True, bit_depth=16)


def _wide_rgba(suffix: str) -> Kind:
    rgba = _wide(_many(4))
    return Kind(vips(rgba, "rgb16", suffix), rgba[..., :3], "16 bits", rgba[..., 3], bit_depth=16)


def _cmyk_profile() -> bytes:
    import pyvips

    return bytes(pyvips.Image.profile_load("cmyk"))


KINDS: dict[str, Callable[[], Kind]] = {
    "RGB": _rgb,
    "grey": _grey,
    "grey TIFF": lambda: _grey(".tif"),
    "grey with its profile": lambda: _grey(profile=pictures.colour_profile(b"GRAY", 2.2)),
    "grey and alpha": _grey_alpha,
    "RGBA of 16 bits, turned by EXIF": _turned,
    "palette": lambda: _palette(transparent=False),
    "palette with transparency": lambda: _palette(transparent=True),
    "RGBA": _rgba,
    "RGBA TIFF": lambda: _rgba(".tif"),
    "CMYK JPEG": lambda: _cmyk(".jpg"),
    "CMYK TIFF with its profile": lambda: _cmyk(".tif", profile=_cmyk_profile()),
    "CMYK of 16 bits": lambda: _cmyk(".tif", wide=True),
    "RGB of 16 bits": lambda: _wide_rgb(".png"),
    "RGB TIFF of 16 bits, Display-P3": lambda: _wide_rgb(".tif", pictures.display_p3()),
    "grey TIFF of 16 bits": _wide_grey,
    "RGBA of 16 bits": lambda: _wide_rgba(".png"),
    "RGBA TIFF of 16 bits": lambda: _wide_rgba(".tif"),
    "sRGB profile": lambda: _rgb(pictures.srgb_profile()),
    "Adobe RGB profile": lambda: _rgb(pictures.colour_profile(b"RGB ", 2.2, pictures.ADOBE_RGB)),
    "Display-P3 profile": lambda: _rgb(pictures.display_p3()),
}
