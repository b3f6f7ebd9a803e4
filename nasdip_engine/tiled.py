"""Several frames become one picture: the torch half of COMBINE and BASELINE for a picture that is fitted in parts.

Parts are read one at a time and the result is written band by band, so memory is bounded by a band and a part,
not by the picture.
"""

from __future__ import annotations

import io
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nasdip_engine.baselines import baseline, baseline_method, check_makeable
from nasdip_engine.bit_depth import bits_of, quantised, raw_bytes
from nasdip_engine.finals import BY_TILE
from nasdip_engine.framing import resized_floats
from nasdip_engine.outcome_files import write_whole
from nasdip_engine.picture import begun_digest, read_frame, read_frame_mask, read_masked_frame
from nasdip_engine.request import Part, Request
from nasdip_engine.restoration.degradation import degradation_for, held_out_set
from nasdip_engine.restoration.final import combine_finals
from nasdip_engine.restoration.fitness import held_out_psnr
from nasdip_engine.restoration.noise_level import corrected_psnr, noise_record
from nasdip_engine.task import Task
from nasdip_engine.tiling import Patch, bands, blend_rows, overlap_of
from nasdip_engine.windows import reduced_holes

__all__ = ["baseline_parts", "combine_parts"]

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
Alive = Callable[[], None]


def combine_parts(request: Request, alive: Alive) -> dict[str, Any]:
    """Blend the final fits of all parts, in each the network (or the mean of several) that its held-out set prefers.

    Returns `choice` ("by tile" where parts differ), the pooled `held_out_psnr` in dB, `noise`, `tiles`: choice and figure of
    each part, and the result's `digest`; the result itself is the request's output, an .npy file (H, W, 3).
    alive is called between the steps.  Raises SettingsError where files and parts do not belong together.
    """
    with _scratch(request.output or "") as folder:
        patches, tiles, errors, counts = [], [], [], []
        sigmas: list[float | None] = []
        for number, part in enumerate(request.parts):
            alive()
            pixels, mask = read_masked_frame(part.picture, part.mask)
            arrays = [np.load(path, mmap_mode="r", allow_pickle=False) for path in part.inputs]
            made = combine_finals(
                arrays,
                part.genomes,
                pixels=pixels,
                mask=mask,
                task=request.task,
                settings=request.settings,
                evaluation_seed=request.evaluation_seed,
            )
            one = part.genomes.index(made.choice) if made.choice in part.genomes else None
            if one is not None and part.scale == 1.0 and arrays[one].ndim == 3:
                source = part.inputs[one]
            else:  # also a file of two fits, of which one is shown (`combine_finals`)
                source = _stored(made.array, part, folder / f"{number}.npy")
            patches.append(_patch(part, source, request.task.factor))
            tiles.append({"choice": made.choice, "held_out_psnr": made.held_out_psnr})
            errors.append(made.error)
            counts.append(made.held_out)
            sigmas.append(noise_record(request.task, pixels, mask, None)["sigma"])
        digest = _write(request, patches, alive)
    decibels = _pooled(errors, counts)
    choices = {tile["choice"] for tile in tiles}
    return {
        "choice": choices.pop() if len(choices) == 1 else BY_TILE,
        "held_out_psnr": decibels,
        "noise": _noise(request.task, sigmas, counts, decibels),
        "tiles": tiles,
        "digest": digest,
    }


def baseline_parts(request: Request, alive: Alive) -> dict[str, Any]:
    """The training-free reference, part by part and blended like the restoration, on the same held-out observations.

    Where a hole decides between two methods, the largest one decides for all.  Writes as `combine_parts` and
    returns `method`, the pooled `held_out_psnr` in dB and the result's `digest`.  Raises as `check_makeable`.
    """
    with _scratch(request.output or "") as folder:
        patches, errors, counts = [], [], []
        to_fill = _most_to_fill(request, alive)
        method = request.method or baseline_method(request.task, to_fill)
        check_makeable(request.task, method, to_fill, math.prod(request.size or ()))
        for number, part in enumerate(request.parts):
            pixels, mask = read_masked_frame(part.picture, part.mask)
            made = baseline(
                request.task,
                pixels,
                mask,
                hold_out_share=request.settings.hold_out_share,
                hold_out_block=request.settings.hold_out_block,
                evaluation_seed=request.evaluation_seed,
                method=method,
                alive=alive,
            )
            source = _stored(made.array, part, folder / f"{number}.npy")
            patches.append(_patch(part, source, request.task.factor))
            errors.append(made.error)
            counts.append(made.held_out)
        digest = _write(request, patches, alive)
    return {"method": method, "held_out_psnr": _pooled(errors, counts), "digest": digest}


def _most_to_fill(request: Request, alive: Alive) -> int:
    """Most pixels that a reference of one part has to fill: its hole and the held-out ones."""
    most = 0
    for part in request.parts:
        alive()
        pixels, mask = read_masked_frame(part.picture, part.mask)
        if mask is None:
            continue
        degradation = degradation_for(request.task, pixels, mask)
        share, block = request.settings.hold_out_share, request.settings.hold_out_block
        held_out = held_out_set(degradation, request.task, share, request.evaluation_seed, block)
        most = max(most, int(np.count_nonzero(held_out.numpy() | ~mask)))
    return most


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
    np.save(path, resized_floats(array, width, height, Image.Resampling.BICUBIC), allow_pickle=False)
    return str(path)


def _patch(part: Part, source: str, factor: int) -> Patch:
    x, y, width, height = (value * factor for value in part.box)
    return Patch((x, y, width, height), source)


def _write(request: Request, patches: Sequence[Patch], alive: Alive) -> str:
    """Write the blended result and return its digest (`picture.pixel_digest`).

    Its depth is that of the frames where the request names none.
    """
    factor, tile = request.task.factor, request.settings.tile
    height, width = (side * factor for side in request.size or ())
    depth = request.bit_depth or bits_of(read_frame(Path(request.parts[0].picture)))
    pairs = list(zip(request.parts, patches, strict=True))
    full = [patch for part, patch in pairs if part.scale == 1.0]
    reduced = [patch for part, patch in pairs if part.scale != 1.0]
    labels = reduced_holes(read_frame_mask(Path(request.mask)), tile) if request.mask and reduced else None
    overlap = -(-overlap_of(tile) // factor) * factor
    digest = begun_digest(height, width, depth)

    def save(file: io.BufferedWriter) -> None:
        # By writing, not into a memory map: there a full disk is a bus error instead of an OSError.
        for first, end in bands(height, width):
            alive()
            rows = blend_rows(full, (height, width), overlap, first, end)
            for label, patch in enumerate(reduced, start=1):
                _lay_over(rows, patch, None if labels is None else labels[first:end] == label, first)
            made = np.ascontiguousarray(quantised(rows.astype(np.float32), depth))
            if first == 0:
                header = {
                    "descr": np.lib.format.dtype_to_descr(made.dtype),
                    "fortran_order": False,
                    "shape": (height, width, 3),
                }
                np.lib.format.write_array_header_1_0(file, header)
            digest.update(raw_bytes(made))
            file.write(made.data)

    write_whole(request.output or "", save)
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
