"""Several frames become one picture: the torch half of COMBINE and BASELINE for a picture that is fitted in parts.

Parts are read one at a time and the result is written band by band, so memory is bounded by a band and a part,
not by the picture.
"""

from __future__ import annotations

import hashlib
import io
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nasdip_engine.baselines import baseline, baseline_method
from nasdip_engine.bit_depth import Samples, bits_of, quantised, raw_bytes
from nasdip_engine.errors import SettingsError
from nasdip_engine.evolution.settings import SearchSettings
from nasdip_engine.finals import BY_TILE, Part
from nasdip_engine.picture import read_frame_mask
from nasdip_engine.restoration.degradation import degradation_for, held_out_set
from nasdip_engine.restoration.final import combine_finals
from nasdip_engine.restoration.fitness import held_out_psnr
from nasdip_engine.restoration.noise_level import corrected_psnr, noise_record
from nasdip_engine.task import Task
from nasdip_engine.tiling import Patch, bands, blend_rows, overlap_of
from nasdip_engine.windows import reduced_holes

if TYPE_CHECKING:
    from nasdip_engine.evaluation import Request

__all__ = ["Whole", "baseline_parts", "combine_parts"]

Pixels = Samples
Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
Write = Callable[[str, Callable[[io.BufferedWriter], None]], None]


@dataclass(frozen=True, eq=False, kw_only=True)
class Whole:
    """A picture in parts.

    size: (height, width) of the upload.  mask: bool of that size, True = known, or None.  output: the .npy file of the
    whole result, (H, W, 3) of bit_depth; scratch files lie beside it.  read: frame and mask of a part.  write: writes a
    file whole or not at all.  alive: called between the steps.
    """

    parts: Sequence[Part]
    size: tuple[int, int]
    mask: Mask | None
    task: Task
    settings: SearchSettings
    evaluation_seed: int
    output: str
    bit_depth: int
    read: Callable[[Part], tuple[Pixels, Mask | None]]
    write: Write
    alive: Callable[[], None]

    @classmethod
    def of(
        cls,
        request: Request,
        *,
        read: Callable[[Part], tuple[Pixels, Mask | None]],
        write: Write,
        alive: Callable[[], None],
    ) -> Whole:
        """What a request to COMBINE or BASELINE of parts asks; the depth is the frames' own unless it names one."""
        if request.size is None:
            raise SettingsError(f"a request to {request.kind} of parts needs size", field="size")
        return cls(
            parts=request.parts,
            size=request.size,
            mask=None if request.mask is None else read_frame_mask(Path(request.mask)),
            task=request.task,
            settings=request.settings,
            evaluation_seed=request.evaluation_seed,
            output=request.output or "",
            bit_depth=request.bit_depth or bits_of(read(request.parts[0])[0]),
            read=read,
            write=write,
            alive=alive,
        )


def combine_parts(whole: Whole) -> dict[str, Any]:
    """Blend the final fits of all parts, in each the network (or the mean of several) that its held-out set prefers.

    Returns `choice` ("by tile" where parts differ), the pooled `held_out_psnr` in dB, `noise`, `tiles`: choice and figure of
    each part, and the result's `digest`.  Raises SettingsError where files and parts do not belong together.
    """
    with _scratch(whole.output) as folder:
        patches, tiles, errors, counts = [], [], [], []
        sigmas: list[float | None] = []
        for number, part in enumerate(whole.parts):
            whole.alive()
            pixels, mask = whole.read(part)
            arrays = [np.load(path, mmap_mode="r", allow_pickle=False) for path in part.inputs]
            made = combine_finals(
                arrays,
                part.genomes,
                pixels=pixels,
                mask=mask,
                task=whole.task,
                settings=whole.settings,
                evaluation_seed=whole.evaluation_seed,
            )
            one = part.genomes.index(made.choice) if made.choice in part.genomes else None
            if one is not None and part.scale == 1.0 and arrays[one].ndim == 3:
                source = part.inputs[one]
            else:  # also a file of two fits, of which one is shown (`combine_finals`)
                source = _stored(made.array, part, folder / f"{number}.npy")
            patches.append(_patch(part, source, whole.task.factor))
            tiles.append({"choice": made.choice, "held_out_psnr": made.held_out_psnr})
            errors.append(made.error)
            counts.append(made.held_out)
            sigmas.append(noise_record(whole.task, pixels, mask, None)["sigma"])
        digest = _write(whole, patches)
    decibels = _pooled(errors, counts)
    choices = {tile["choice"] for tile in tiles}
    return {
        "choice": choices.pop() if len(choices) == 1 else BY_TILE,
        "held_out_psnr": decibels,
        "noise": _noise(whole.task, sigmas, counts, decibels),
        "tiles": tiles,
        "digest": digest,
    }


def baseline_parts(whole: Whole, method: str | None) -> dict[str, Any]:
    """The training-free reference, part by part and blended like the restoration, on the same held-out observations.

    Where a hole decides between two methods, the largest one decides for all.  Returns `method`, the pooled
    `held_out_psnr` in dB and the result's `digest`.  Raises SettingsError for a method that is not of this task.
    """
    with _scratch(whole.output) as folder:
        patches, errors, counts = [], [], []
        method = method or baseline_method(whole.task, max(_to_fill(whole, part) for part in whole.parts))
        for number, part in enumerate(whole.parts):
            pixels, mask = whole.read(part)
            made = baseline(
                whole.task,
                pixels,
                mask,
                hold_out_share=whole.settings.hold_out_share,
                evaluation_seed=whole.evaluation_seed,
                method=method,
                alive=whole.alive,
            )
            source = _stored(made.array, part, folder / f"{number}.npy")
            patches.append(_patch(part, source, whole.task.factor))
            errors.append(made.error)
            counts.append(made.held_out)
        digest = _write(whole, patches)
    return {"method": method, "held_out_psnr": _pooled(errors, counts), "digest": digest}


def _to_fill(whole: Whole, part: Part) -> int:
    """Pixels that a reference of this part has to fill: its hole and the held-out ones."""
    whole.alive()
    pixels, mask = whole.read(part)
    if mask is None:
        return 0
    degradation = degradation_for(whole.task, pixels, mask)
    held_out = held_out_set(degradation, whole.task, whole.settings.hold_out_share, whole.evaluation_seed)
    return int(np.count_nonzero(held_out.numpy() | ~mask))


def _pooled(errors: Sequence[float], counts: Sequence[int]) -> float | None:
    """PSNR in dB over the held-out observations of all parts; None where none are held out."""
    if not sum(counts):
        return None
    return held_out_psnr(
        sum(error * count for error, count in zip(errors, counts, strict=True)) / sum(counts)
    )


def _noise(
    task: Task, sigmas: Sequence[float | None], counts: Sequence[int], decibels: float | None
) -> dict[str, Any]:
    """As `noise_record`, with the noise of all parts as one: the variances' mean by held-out observations."""
    known = [sigma for sigma in sigmas if sigma is not None]
    if decibels is None or len(known) < len(sigmas):
        return {"assumed": task.noise, "sigma": None, "corrected_psnr": None}
    variance = sum(sigma**2 * count for sigma, count in zip(known, counts, strict=True)) / sum(counts)
    sigma = math.sqrt(variance)
    return {"assumed": task.noise, "sigma": sigma, "corrected_psnr": corrected_psnr(decibels, sigma)}


@contextmanager
def _scratch(output: str) -> Iterator[Path]:
    """A folder beside the output that goes with the step, or with the folder of scratch files after a kill."""
    with tempfile.TemporaryDirectory(prefix=Path(output).name + ".", dir=Path(output).parent) as folder:
        yield Path(folder)


def _stored(array: Floats, part: Part, path: Path) -> str:
    """A part's restoration as a file, a reduced one enlarged to its place in the upload."""
    if part.scale == 1.0:
        np.save(path, array, allow_pickle=False)
        return str(path)
    _, _, width, height = part.box
    planes = [Image.fromarray(np.ascontiguousarray(array[..., channel]), mode="F") for channel in range(3)]
    enlarged = np.empty((height, width, 3), np.float32)
    for channel, plane in enumerate(planes):
        enlarged[..., channel] = np.asarray(plane.resize((width, height), Image.Resampling.BICUBIC))
    np.save(path, enlarged, allow_pickle=False)
    return str(path)


def _patch(part: Part, source: str, factor: int) -> Patch:
    x, y, width, height = (value * factor for value in part.box)
    return Patch((x, y, width, height), source)


def _write(whole: Whole, patches: Sequence[Patch]) -> str:
    """Write the blended result and return its digest (`evaluation.pixel_digest`)."""
    factor = whole.task.factor
    height, width = (side * factor for side in whole.size)
    pairs = list(zip(whole.parts, patches, strict=True))
    full = [patch for part, patch in pairs if part.scale == 1.0]
    reduced = [patch for part, patch in pairs if part.scale != 1.0]
    labels = None if whole.mask is None or not reduced else reduced_holes(whole.mask, whole.settings.tile)
    deep = "" if whole.bit_depth == 8 else f"x{whole.bit_depth}bit"
    overlap = -(-overlap_of(whole.settings.tile) // factor) * factor
    digest = hashlib.sha256(f"{height}x{width}x3{deep}:".encode())

    def save(file: io.BufferedWriter) -> None:
        # By writing, not into a memory map: there a full disk is a bus error instead of an OSError.
        for first, end in bands(height, width):
            whole.alive()
            rows = blend_rows(full, (height, width), overlap, first, end)
            for label, patch in enumerate(reduced, start=1):
                _lay_over(rows, patch, None if labels is None else labels[first:end] == label, first)
            made = np.ascontiguousarray(quantised(rows.astype(np.float32), whole.bit_depth))
            if first == 0:
                header = {
                    "descr": np.lib.format.dtype_to_descr(made.dtype),
                    "fortran_order": False,
                    "shape": (height, width, 3),
                }
                np.lib.format.write_array_header_1_0(file, header)
            digest.update(raw_bytes(made))
            file.write(made.data)

    whole.write(whole.output, save)
    return digest.hexdigest()


def _lay_over(rows: NDArray[np.float64], patch: Patch, own: Mask | None, first: int) -> None:
    """Put the pixels `own` of a band that begins at row `first` from a reduced window."""
    if own is None or not own.any():
        return
    x, y, width, height = patch.box
    top, bottom = max(y, first), min(y + height, first + rows.shape[0])
    if top >= bottom:
        return
    place = (slice(top - first, bottom - first), slice(x, x + width))
    rows[place][own[place]] = patch.array[top - y : bottom - y][own[place]]
