"""The decoding host: `python -m nasdip_engine.decoder FD`, started by `guard.Host("decoder")`.

A picture from outside is attacker data, and decoders are written in C. So each one is decoded in a child of
its own that has little memory, little time, no files to write and nothing to steal, and that may die. The
loader is named by the bytes' magic number, never guessed. Size and frames are looked at before pixels.

pyvips is imported after the fork: its threads must not exist in a process that forks.
"""

from __future__ import annotations

import io
import os
import re
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nasdip_engine import guard_host
from nasdip_engine.errors import PictureError
from nasdip_engine.formats import PictureFormat, is_animated_png, is_camera_raw, png_header
from nasdip_engine.guard_child import Program, Send
from nasdip_engine.guard_wire import Message

__all__ = ["ADDRESS_SPACE", "CPU_SECONDS", "LIMIT_PROFILE"]

# Bytes of address space. Measured at 40 megapixels: PNG, TIFF and JPEG take 0.5 to 0.65 GB, WebP, whose
# decoder holds the whole picture several times, 1.02 GB: 1 GiB would refuse large but good WebP files.
ADDRESS_SPACE = 3 * 2**29
CPU_SECONDS = 30  # a 40 megapixel picture takes 1 to 4 s
LIMIT_PROFILE = 10**6  # bytes of an ICC profile; usual ones have 0.5 to 600 kB
_OPEN_FILES = 64

_ORIENTED = {
    2: "mirrored", 3: "turned by 180 degrees", 4: "mirrored upside down", 5: "mirrored and turned left",
    6: "turned right", 7: "mirrored and turned right", 8: "turned left",
}  # fmt: skip


@dataclass
class _Decoding:
    """One picture on its way from a file to 8-bit RGB. `notes` says in words what was done to it."""

    data: bytes
    format: PictureFormat
    limit_pixels: int
    minimum_side: int
    bit_depth: int = 8
    icc: bytes = b""
    notes: list[str] = field(default_factory=list)

    def check_size(self, width: int, height: int) -> None:
        """From the header alone, before a pixel is decoded."""
        if width * height > self.limit_pixels:
            raise PictureError(
                f"is {width} x {height} px, {width * height / 1e6:.1f} megapixels; up to "
                f"{self.limit_pixels / 1e6:g} megapixels are taken: make it smaller"
            )
        if min(width, height) < self.minimum_side:
            raise PictureError(
                f"is {width} x {height} px; each side needs {self.minimum_side} px at least: "
                "take a larger picture"
            )


def _work(request: Message, data: bytes, _send: Send) -> tuple[Mapping[str, Any], bytes]:
    """The picture as bytes of 8-bit RGB followed by its ICC profile; or {"refused": sentence}."""
    decoding = _Decoding(
        data, PictureFormat(request["format"]), int(request["limit_pixels"]), int(request["minimum_side"])
    )
    read = _read_bmp if decoding.format is PictureFormat.BMP else _read_with_vips
    try:
        width, height, pixels = read(decoding)
    except PictureError as error:
        return {"refused": str(error)}, b""
    value = {
        "width": width,
        "height": height,
        "bit_depth": decoding.bit_depth,
        "notes": decoding.notes,
        "profile_bytes": len(decoding.icc),
    }
    return value, pixels + decoding.icc if decoding.icc else pixels


def _read_bmp(decoding: _Decoding) -> tuple[int, int, bytes]:
    import warnings

    from PIL import Image

    warnings.simplefilter(
        "ignore", Image.DecompressionBombWarning
    )  # the size is checked here, below its line
    try:
        with Image.open(io.BytesIO(decoding.data), formats=("BMP",)) as picture:
            decoding.check_size(*picture.size)
            if picture.mode in ("RGBA", "LA"):
                decoding.notes.append("transparency laid on white")
                ground = Image.new("RGBA", picture.size, "white")
                ground.alpha_composite(picture.convert("RGBA"))
                return (*picture.size, ground.convert("RGB").tobytes())
            if picture.mode != "RGB":
                kind = "palette" if picture.mode == "P" else "grey"
                decoding.notes.append(f"{kind} picture taken in as RGB")
            return (*picture.size, picture.convert("RGB").tobytes())
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _damaged(decoding.format, error) from error


def _damaged(kind: PictureFormat, error: Exception) -> PictureError:
    # libvips says in `detail` what was wrong ("VipsJpeg: premature end of JPEG image").
    reason = str(getattr(error, "detail", error)).strip().splitlines()
    said = f" ({reason[0].partition(': ')[2][:160] or reason[0][:160]})" if reason else ""
    return PictureError(
        f"is a damaged or cut off {kind}{said}; copy it again from where it came, or save it anew as PNG"
    )


def _vips() -> Any:
    """pyvips, set up before its library starts: no unsafe loaders, one worker, no temporary files on disk."""
    os.environ |= {"VIPS_BLOCK_UNTRUSTED": "1", "VIPS_CONCURRENCY": "1", "VIPS_DISC_THRESHOLD": "16g"}
    import pyvips

    return pyvips


def _read_with_vips(decoding: _Decoding) -> tuple[int, int, bytes]:
    pyvips = _vips()
    _check_container(decoding)
    try:
        picture = _open(decoding)
        decoding.check_size(picture.width, picture.height)
        _check_frames(decoding, picture)
        _check_samples(picture)
        _say_palette(decoding, picture)
        picture = _to_eight_bits(decoding, picture).copy_memory()
        for step in (_to_rgb, _without_alpha, _upright):
            picture = step(decoding, picture)
        return picture.width, picture.height, bytes(picture.write_to_memory())
    except pyvips.Error as error:
        if re.search("out of memory|insufficient memory", str(error), re.IGNORECASE):
            raise MemoryError(str(error)) from error
        raise _damaged(decoding.format, error) from error


def _open(decoding: _Decoding) -> Any:
    """The header; pixels come later, row by row. Damage is an error at once, never a grey half."""
    pyvips = _vips()
    options: dict[str, Any] = {"access": "sequential", "fail_on": "error"}
    load: Mapping[PictureFormat, Callable[..., Any]] = {
        PictureFormat.PNG: pyvips.Image.pngload_buffer,
        PictureFormat.JPEG: pyvips.Image.jpegload_buffer,
        PictureFormat.WEBP: pyvips.Image.webpload_buffer,
        PictureFormat.TIFF: pyvips.Image.tiffload_buffer,
    }
    return load[decoding.format](decoding.data, **options)


def _check_container(decoding: _Decoding) -> None:
    """What the first bytes tell and a decoder would pass over in silence."""
    if decoding.format is PictureFormat.TIFF and is_camera_raw(decoding.data):
        raise PictureError("is a camera's raw photo; develop it and save the result as TIFF or PNG")
    if decoding.format is PictureFormat.PNG and is_animated_png(decoding.data):
        raise PictureError("is an animated PNG; save the frame to restore as PNG")


def _check_frames(decoding: _Decoding, picture: Any) -> None:
    pages = picture.get("n-pages") if picture.get_typeof("n-pages") else 1
    if pages > 1 and decoding.format is PictureFormat.TIFF:
        raise PictureError(f"is a TIFF of {pages} pages; save the page to restore as a file of its own")
    if pages > 1:
        raise PictureError(
            f"is an animated {decoding.format} of {pages} frames; save the frame to restore as PNG"
        )
    if decoding.format is PictureFormat.JPEG and b"MPF\x00" in decoding.data[: 2**16]:
        decoding.notes.append("the file holds several pictures; the first is used")


def _check_samples(picture: Any) -> None:
    if picture.format not in ("uchar", "ushort"):
        kind = {"float": "32-bit float", "double": "64-bit float"}.get(picture.format, picture.format)
        raise PictureError(f"has {kind} samples; save it with 8 or 16 bits a channel")
    known = ("b-w", "grey16", "rgb", "srgb", "rgb16", "cmyk")
    if picture.interpretation not in known or picture.bands > (5 if picture.interpretation == "cmyk" else 4):
        raise PictureError(
            f"has {picture.bands} channels of the kind {picture.interpretation}; save it as RGB, grey or CMYK"
        )


def _say_palette(decoding: _Decoding, picture: Any) -> None:
    palette = bool(picture.get_typeof("palette")) and bool(picture.get("palette"))
    if decoding.format is PictureFormat.PNG:
        palette = png_header(decoding.data)[1] == 3
    if palette:
        decoding.notes.append("palette picture taken in as RGB")


def _to_eight_bits(decoding: _Decoding, picture: Any) -> Any:
    if picture.format == "uchar":
        return picture
    decoding.bit_depth = 16
    decoding.notes.append("16 bits a channel; restored as 8-bit for now")
    # Nearest of the 256 levels that stand for 257 values each; 8 bits widened to 16 come back exactly.
    reduced = picture.linear(1 / 257, 0.5, uchar=True)
    kinds = {"grey16": "b-w", "rgb16": "srgb"}
    return reduced.copy(interpretation=kinds.get(picture.interpretation, picture.interpretation))


def _to_rgb(decoding: _Decoding, picture: Any) -> Any:
    """RGB keeps its values and its profile; grey and CMYK become sRGB, by their own profile if it serves."""
    profile = _profile(decoding, picture)
    if picture.interpretation == "cmyk":
        decoding.notes.append("CMYK converted to sRGB")
        return _converted(picture, profile, b"CMYK")
    if picture.bands < 3:
        decoding.notes.append("grey picture taken in as RGB")
        if profile[16:20] == b"GRAY":
            return _converted(picture, profile, b"GRAY")
        alpha = picture[1] if picture.bands == 2 else None
        picture = picture[0].bandjoin([picture[0], picture[0]]).copy(interpretation="srgb")
        return picture if alpha is None else picture.bandjoin(alpha)
    if profile[16:20] == b"RGB ":
        decoding.icc = profile
        decoding.notes.append("colour profile kept")
    return picture


def _profile(decoding: _Decoding, picture: Any) -> bytes:
    if not picture.get_typeof("icc-profile-data"):
        return b""
    profile = bytes(picture.get("icc-profile-data"))
    if len(profile) > LIMIT_PROFILE:
        decoding.notes.append("colour profile over 1 MB left out")
        return b""
    if len(profile) < 128 or profile[36:40] != b"acsp":
        decoding.notes.append("unreadable colour profile left out")
        return b""
    return profile


def _converted(picture: Any, profile: bytes, space: bytes) -> Any:
    pyvips = _vips()
    if profile[16:20] == space:
        try:
            return picture.icc_transform("srgb", embedded=True).copy_memory()
        except pyvips.Error:
            pass  # a broken profile: the built-in one below
    return picture.colourspace("srgb")


def _without_alpha(decoding: _Decoding, picture: Any) -> Any:
    if picture.bands == 3:
        return picture
    if picture[3].min() == 255:
        decoding.notes.append("an alpha channel without transparency left out")
    else:
        decoding.notes.append("transparency laid on white")
        return picture.flatten(background=[255, 255, 255]).cast("uchar")
    return picture[0:3]


def _upright(decoding: _Decoding, picture: Any) -> Any:
    orientation = int(picture.get("orientation")) if picture.get_typeof("orientation") else 1
    if orientation not in _ORIENTED:
        return picture
    decoding.notes.append(f"{_ORIENTED[orientation]}, as its EXIF orientation says")
    return picture.autorot()


def _confine(memory_limit: int | None) -> None:
    """Less than any attack needs. `memory_limit` tightens the address space."""
    space = min(ADDRESS_SPACE, memory_limit or ADDRESS_SPACE)
    for kind, limit in (
        (resource.RLIMIT_AS, space),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        try:
            resource.setrlimit(kind, (limit, limit))
        except ValueError:
            # macOS refuses every limit on the address space; there the size in the header, the time and the
            # missing files bound what a picture can do.
            if sys.platform != "darwin" or kind != resource.RLIMIT_AS:
                raise


if __name__ == "__main__":
    guard_host.main(lambda: Program("decoder", {}, _work, _confine))
