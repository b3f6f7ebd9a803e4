"""The decoding host: `python -m nasdip_engine.decoder FD`, started by `guard.Host("decoder")`.

A picture from outside is attacker data, and decoders are written in C. So each one is decoded in a child of
its own that has little memory, little time, no files to write and nothing to steal, and that may die. The
loader is named by the bytes' magic number, never guessed. Size and frames are looked at before pixels.

pyvips is imported after the fork: its threads must not exist in a process that forks.
"""

from __future__ import annotations

import base64
import io
import re
import resource
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nasdip_engine import guard_host
from nasdip_engine.errors import PictureError
from nasdip_engine.formats import PictureFormat, is_animated_png, is_camera_raw, is_palette
from nasdip_engine.guard_child import Program, Send
from nasdip_engine.guard_wire import Message
from nasdip_engine.png import libvips, write_samples

__all__ = ["ADDRESS_SPACE", "CPU_SECONDS", "LIMIT_PROFILE"]

# Bytes of address space. Measured at 40 megapixels: 16-bit RGBA, 320 MB of samples, fits into 0.8 GiB as it
# lies and into 1 GiB where it is turned, as 16-bit CMYK does; WebP, whose decoder holds the whole picture
# several times, needs the most, 1.02 GB.
ADDRESS_SPACE = 3 * 2**29
CPU_SECONDS = 30  # a 40 megapixel picture takes 1 to 4 s, CMYK of 16 bits about 12
LIMIT_PROFILE = 10**6  # bytes of an ICC profile; usual ones have 0.5 to 600 kB
_OPEN_FILES = 64

_ORIENTED = {
    2: "mirrored", 3: "turned by 180 degrees", 4: "mirrored upside down", 5: "mirrored and turned left",
    6: "turned right", 7: "mirrored and turned right", 8: "turned left",
}  # fmt: skip


_GREY = "grey picture: the result is grey too"
_PALETTE = "palette picture taken in as RGB"
_SIXTEEN = "16 bits a channel, kept"
_OPAQUE = "an alpha channel without transparency left out"
_ALPHA = (
    "transparency kept: it is put back into the result, enlarged bicubically where the picture is enlarged, "
    "and networks see the colours stored under it"
)


@dataclass
class _Decoding:
    """One picture on its way from a file to samples. `notes` says in words what was done to it."""

    data: bytes
    format: PictureFormat
    limit_pixels: int
    minimum_side: int
    bit_depth: int = 8
    icc: bytes = b""
    opaque: bool = False
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

    def say_alpha(self, opaque: bool) -> None:
        """opaque: nowhere transparent, so that nothing is lost without the channel."""
        self.opaque = opaque
        self.notes.append(_OPAQUE if opaque else _ALPHA)


def _work(request: Message, data: bytes, _send: Send) -> tuple[Mapping[str, Any], bytes]:
    """The samples, row by row, 1 to 4 bands of 8 or 16 bits in this machine's order; or {"refused": sentence}."""
    decoding = _Decoding(
        data, PictureFormat(request["format"]), int(request["limit_pixels"]), int(request["minimum_side"])
    )
    read = _read_bmp if decoding.format is PictureFormat.BMP else _read_with_vips
    try:
        width, height, bands, samples = read(decoding)
    except PictureError as error:
        return {"refused": str(error)}, b""
    value = {
        "width": width,
        "height": height,
        "bands": bands,
        "bit_depth": decoding.bit_depth,
        "opaque": decoding.opaque,
        "notes": decoding.notes,
        "icc": base64.b64encode(decoding.icc).decode(),
    }
    return value, samples


def _read_bmp(decoding: _Decoding) -> tuple[int, int, int, bytes]:
    import warnings

    from PIL import Image

    warnings.simplefilter(
        "ignore", Image.DecompressionBombWarning
    )  # the size is checked here, below its line
    try:
        with Image.open(io.BytesIO(decoding.data), formats=("BMP",)) as picture:
            decoding.check_size(*picture.size)
            if picture.mode in ("1", "L"):
                decoding.notes.append(_GREY)
                return (*picture.size, 1, picture.convert("L").tobytes())
            if picture.mode in ("RGBA", "LA"):
                rgba = picture.convert("RGBA")
                samples = rgba.tobytes()
                decoding.say_alpha(_is_opaque(samples, 4, 8))
                return (*picture.size, 4, samples)
            if picture.mode == "P":
                decoding.notes.append(_PALETTE)
            return (*picture.size, 3, picture.convert("RGB").tobytes())
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _damaged(decoding.format, error) from error


_UNREAD = re.compile(r"out of range|labq|supported|unknown|not configured|not implemented", re.IGNORECASE)


def _damaged(kind: PictureFormat, error: Exception) -> PictureError:
    # libvips says in `detail` what was wrong ("VipsJpeg: premature end of JPEG image").
    reason = str(getattr(error, "detail", error)).strip().splitlines()
    said = f" ({reason[0].partition(': ')[2][:160] or reason[0][:160]})" if reason else ""
    if _UNREAD.search(said):
        return PictureError(
            f"is a {kind} of a kind that is not read{said}; save it as RGB, grey or CMYK with 8 or 16 bits a channel"
        )
    return PictureError(
        f"is a damaged or cut off {kind}{said}; copy it again from where it came, or save it anew as PNG"
    )


def _read_with_vips(decoding: _Decoding) -> tuple[int, int, int, bytes]:
    pyvips = libvips()
    _check_container(decoding)
    try:
        picture = _open(decoding)
        decoding.check_size(picture.width, picture.height)
        _check_frames(decoding, picture)
        _check_samples(picture)
        _say_kind(decoding, picture)
        picture = _upright(decoding, _to_colours(decoding, picture))
        # No copy of it anywhere here: at 40 megapixels of 16 bits each one has 320 MB.
        samples = picture.write_to_memory()
        if picture.bands in (2, 4):
            decoding.say_alpha(_is_opaque(samples, picture.bands, decoding.bit_depth))
        return picture.width, picture.height, picture.bands, samples
    except pyvips.Error as error:
        if re.search("out of memory|insufficient memory", str(error), re.IGNORECASE):
            raise MemoryError(str(error)) from error
        raise _damaged(decoding.format, error) from error


def _open(decoding: _Decoding) -> Any:
    """The header; pixels come later, row by row. Damage is an error at once, never a grey half."""
    pyvips = libvips()
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


_SAMPLES = {
    "float": "32-bit float", "double": "64-bit float", "uint": "32-bit whole number", "int": "signed 32-bit",
    "short": "signed 16-bit", "char": "signed 8-bit", "complex": "complex", "dpcomplex": "complex",
}  # fmt: skip


def _check_samples(picture: Any) -> None:
    if picture.format not in ("uchar", "ushort"):
        kind = _SAMPLES.get(picture.format, picture.format)
        raise PictureError(f"has {kind} samples; save it with 8 or 16 bits a channel")
    known = ("b-w", "grey16", "rgb", "srgb", "rgb16", "cmyk")
    if picture.interpretation not in known or picture.bands > (5 if picture.interpretation == "cmyk" else 4):
        raise PictureError(
            f"has {picture.bands} channels of the kind {picture.interpretation}; save it as RGB, grey or CMYK"
        )


def _say_kind(decoding: _Decoding, picture: Any) -> None:
    if is_palette(decoding.data, decoding.format):
        decoding.notes.append(_PALETTE)
    if picture.format == "ushort":
        decoding.bit_depth = 16
        decoding.notes.append(_SIXTEEN)


def _to_colours(decoding: _Decoding, picture: Any) -> Any:
    """RGB and grey keep their values and their profile; CMYK becomes sRGB, by its own profile if it serves."""
    profile = _profile(decoding, picture)
    if picture.interpretation == "cmyk":
        return _from_cmyk(decoding, picture.copy_memory(), profile)
    space = b"GRAY" if picture.bands < 3 else b"RGB "
    if picture.bands < 3:
        decoding.notes.append(_GREY)
    if profile[16:20] == space:
        decoding.icc = profile
        decoding.notes.append("colour profile kept")
    elif profile:
        decoding.notes.append("colour profile of another kind than the picture left out")
    return picture


def _profile(decoding: _Decoding, picture: Any) -> bytes:
    if not picture.get_typeof("icc-profile-data"):
        return b""
    profile = bytes(picture.get("icc-profile-data"))
    if len(profile) > LIMIT_PROFILE:
        decoding.notes.append("colour profile over 1 MB left out")
        return b""
    if len(profile) < 128 or profile[36:40] != b"acsp" or not _can_be_kept(profile):
        decoding.notes.append("unreadable colour profile left out")
        return b""
    return profile


def _can_be_kept(profile: bytes) -> bool:
    """Whether a PNG takes the profile: one that is cut short or padded would make the result unwritable."""
    if profile[16:20] not in (b"GRAY", b"RGB "):
        return True  # it is used here and not kept
    bands = 1 if profile[16:20] == b"GRAY" else 3
    try:
        write_samples(np.zeros((1, 1, bands), np.uint8), profile)
    except libvips().Error:
        return False
    return True


def _from_cmyk(decoding: _Decoding, picture: Any, profile: bytes) -> Any:
    pyvips = libvips()
    if profile[16:20] == b"CMYK":
        try:
            converted = picture.icc_transform("srgb", embedded=True, depth=decoding.bit_depth).copy_memory()
            decoding.notes.append("CMYK converted to sRGB by its own profile")
            return converted
        except pyvips.Error:
            pass  # a broken profile: the built-in one below
    decoding.notes.append(
        "CMYK converted to sRGB by a common profile, since it has none of its own that serves"
    )
    return picture.icc_transform("srgb", input_profile="cmyk", depth=decoding.bit_depth)


def _is_opaque(samples: Any, bands: int, bit_depth: int) -> bool:
    alpha = np.frombuffer(samples, np.uint8 if bit_depth == 8 else np.uint16)[bands - 1 :: bands]
    return int(alpha.min()) == (1 << bit_depth) - 1


def _upright(decoding: _Decoding, picture: Any) -> Any:
    orientation = int(picture.get("orientation")) if picture.get_typeof("orientation") else 1
    if orientation not in _ORIENTED:
        return picture
    decoding.notes.append(f"{_ORIENTED[orientation]}, as its EXIF orientation says")
    return picture.copy_memory().autorot()


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
    guard_host.main(lambda: Program({}, _work, _confine))
