"""What a command or a call asks, checked whole before anything is written or trained: the edge of the engine.

Everything past this module may rely on the values being right. Bytes are read by the guarded decoder, the same one that
reads uploads.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasdip_engine.bit_depth import DEPTHS, Samples, bits_of, raw_bytes
from nasdip_engine.errors import GenomeError, InvalidInput, MaskError, PictureError, SettingsError
from nasdip_engine.evolution.settings import SMALLEST_OBSERVED, SearchSettings, settings_for, task_for
from nasdip_engine.finals import frames_record, layout_words, search_words
from nasdip_engine.framing import Frame, final_frames, search_frame, searched_frame
from nasdip_engine.genome.genome import REPRESENTATIONS, Genome
from nasdip_engine.guard import Host
from nasdip_engine.picture import (
    LIMIT_BYTES,
    LIMIT_RESULT_BYTES,
    MINIMUM_SIDE,
    Form,
    Picture,
    decode,
    decode_result,
    read_mask,
    share_to_fill,
)
from nasdip_engine.runfile import load_run
from nasdip_engine.seeding import Seeds
from nasdip_engine.task import CORRELATED, FACTORS, NOISES, Task, TaskKind

__all__ = [
    "Question",
    "check_genome_belongs",
    "check_reference",
    "from_arguments",
    "from_pixels",
    "from_run",
    "read_mask_file",
    "read_picture",
    "read_reference",
]

_SETTINGS = (
    "representation",
    "units",
    "population",
    "generations",
    "iterations",
    "final_iterations",
    "finalists",
    "refit",
    "tile",
    "tile_finalists",
    "first_rung",
    "promoted_share",
    "threads",
    "precision",
)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Question:
    """One picture and what is to be done with it.

    upload: uint8 or uint16 (h, w, 3), as decoded.  form: what else of it the result keeps, and the result's depth.
    mask: bool (h, w), True = known, or None.  notes: sentences for the user.
    final: the frames of the final fit, one where the picture is fitted whole.  search: the crop of the search.
    excluded: evaluation keys of genomes that the owner took out of the search; their fitness is 0.
    """

    upload: Samples
    form: Form
    mask: Mask | None
    task: Task
    settings: SearchSettings
    seeds: Seeds
    notes: tuple[str, ...]
    final: tuple[Frame, ...]
    search: Frame
    excluded: frozenset[str] = frozenset()

    @property
    def largest_final(self) -> tuple[int, int]:
        """(height, width) in output pixels of the largest final fit."""
        sizes = [frame.size for frame in self.final]
        factor = self.task.factor
        return max(size[0] for size in sizes) * factor, max(size[1] for size in sizes) * factor

    @property
    def result_size(self) -> tuple[int, int]:
        """(width, height) of the restored picture."""
        height, width = self.upload.shape[:2]
        return width * self.task.factor, height * self.task.factor

    def picture_record(self) -> dict[str, Any]:
        """What `run.json` says of the picture: sizes, depths, digests and frames; no name and no date."""
        height, width = self.upload.shape[:2]
        return {
            "width": width,
            "height": height,
            "bit_depth": bits_of(self.upload),
            "result_bit_depth": self.form.bit_depth,
            "grey": self.form.grey,
            "input_sha256": hashlib.sha256(raw_bytes(self.upload)).hexdigest(),
            "alpha_sha256": None
            if self.form.alpha is None
            else hashlib.sha256(raw_bytes(self.form.alpha)).hexdigest(),
            "mask_sha256": None
            if self.mask is None
            else hashlib.sha256(np.packbits(self.mask).tobytes()).hexdigest(),
            "share_to_fill": None if self.mask is None else share_to_fill(self.mask),
            **frames_record([frame.to_json() for frame in self.final]),
            "search_frame": self.search.to_json(),
        }


def _read(path: Path, most: int = LIMIT_BYTES) -> bytes:
    """most: bytes; of a larger file no more is read.  Raises PictureError."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        raise PictureError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise PictureError(f"{path}: this is a folder; name a picture file") from None
    except OSError as problem:
        raise PictureError(f"{path}: cannot be read: {problem.strerror}") from None
    if len(data) > most:
        raise PictureError(f"{path} has more than the {most // 10**6} MB that are taken: make it smaller")
    return data


def _task(arguments: argparse.Namespace) -> Task:
    kind, noise = TaskKind(arguments.task), arguments.noise or ""
    if arguments.noise == "":  # an empty variable of a script, not a wish for the default
        raise SettingsError(
            f"--noise is empty; allowed for {kind} are {', '.join(NOISES[kind])}", field="noise"
        )
    if kind is TaskKind.UPSCALE:
        if arguments.factor is None:
            raise SettingsError(f"upscale needs --factor, {FACTORS[0]} to {FACTORS[-1]}", field="factor")
        return Task(kind, arguments.factor, noise=noise)
    if arguments.factor is not None:
        raise SettingsError(
            f"--factor belongs to upscale (allowed {FACTORS[0]} to {FACTORS[-1]}); the task is {kind}",
            field="factor",
        )
    return Task(kind, noise=noise)


def _mask_of(arguments: argparse.Namespace, task: Task, size: tuple[int, int], host: Host) -> Mask | None:
    if task.kind is TaskKind.INPAINT:
        if arguments.mask is None:
            raise MaskError(
                "inpaint needs --mask MASK: a picture of the same size, grey >= 128 known, below to be filled"
            )
        return read_mask(_read(arguments.mask), str(arguments.mask), size, arguments.invert_mask, host)
    if arguments.mask is not None or arguments.invert_mask:
        raise MaskError(f"--mask and --invert-mask belong to inpaint; the task is {task.kind}")
    return None


def _framed(
    upload: Samples,
    form: Form,
    mask: Mask | None,
    task: Task,
    settings: SearchSettings,
    seeds: Seeds,
    notes: tuple[str, ...],
) -> Question:
    final = final_frames(upload, mask, task, settings.tile)
    _check_observed(final, task, settings)
    if mask is not None:
        notes = (*notes, f"{100 * share_to_fill(mask):.2f} % of the picture will be filled")
        if not task.keeps_known:
            notes = (*notes, f"known pixels are restored too: their noise is taken to be {task.noise}")
    layout = [(frame.box, frame.scale) for frame in final]
    notes = (*notes, *layout_words(layout, task.factor, holes=mask is not None))
    search = search_frame(searched_frame(upload, final), task, settings)
    for frame in (*final, search):
        _check_holdable(frame, task, settings)
    rows, columns = (side * task.factor for side in search.size)
    height, width = (side * task.factor for side in upload.shape[:2])
    notes = (*notes, *search_words((rows, columns), (height, width)))
    return Question(upload, form, mask, task, settings, seeds, notes, final, search)


def _check_observed(final: Sequence[Frame], task: Task, settings: SearchSettings) -> None:
    """Refuse frames that the fitness can't look at, before a search is paid for that no final fit could follow."""
    least = min(min(frame.size) for frame in final)
    if settings.fitness != "lpips-observed" or least >= SMALLEST_OBSERVED:
        return
    of_what, instead = ("the picture", "a larger picture")
    if len(final) > 1:
        of_what, instead = ("a tile", "a larger tile" + (" or a smaller factor" if task.factor > 1 else ""))
    raise PictureError(
        f"{of_what} has {least} pixels on its shorter side; fitness 'lpips-observed' compares {SMALLEST_OBSERVED} "
        f"observed pixels a side at least: choose {instead}, or another preset"
    )


def _check_holdable(frame: Frame, task: Task, settings: SearchSettings) -> None:
    """Refuse masks that leave too little known to hold a part of it out and learn from the rest."""
    side = settings.hold_out_block if task.noise == CORRELATED else 1
    if frame.mask is None or np.count_nonzero(frame.mask) > side**2:  # more than one block has
        return
    if len(np.unique(np.argwhere(frame.mask) // side, axis=0)) < 2:
        what = "pixels" if side == 1 else f"blocks of {side} x {side} pixels"
        raise MaskError(f"too little is known: at least 2 {what} are needed; fill less", field="mask")


def _overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    """Settings that a command line names; a genome that is to be evaluated brings its representation and units."""
    given = {name: getattr(arguments, name) for name in _SETTINGS if getattr(arguments, name) is not None}
    if arguments.device is not None:
        given["device_class"] = arguments.device
    if getattr(arguments, "genome", None) is None:
        return given
    genome = Genome.parse(arguments.genome)
    return {"representation": genome.representation, "units": genome.units} | given


def from_arguments(arguments: argparse.Namespace) -> Question:
    """Read and check everything that a command line names.  Raises InvalidInput, one sentence, before any work."""
    preset = "preview" if arguments.preset is None else arguments.preset
    task = task_for(preset, _task(arguments))
    settings = settings_for(preset, task, _overrides(arguments))
    seeds = Seeds.from_seed(0 if arguments.seed is None else arguments.seed)
    with Host("decoder") as host:
        picture = read_picture(arguments.picture, host, task)
        height, width = picture.pixels.shape[:2]
        mask = _mask_of(arguments, task, (width, height), host)
    form = picture.form(arguments.bit_depth)
    notes = (*_with_depth(picture, arguments.bit_depth), *_length_notes(arguments, settings))
    notes = (*notes, *_race_notes(arguments, settings))
    try:
        asked = _framed(picture.pixels, form, mask, task, settings, seeds, notes)
    except PictureError as problem:
        raise PictureError(f"{arguments.picture}: {problem}") from None
    return replace(asked, notes=(*asked.notes, *_finalists_notes(arguments, len(asked.final))))


def _length_notes(arguments: argparse.Namespace, settings: SearchSettings) -> tuple[str, ...]:
    """Says so where genomes decide what the command line was asked to."""
    lengths = REPRESENTATIONS[settings.representation].lengths
    asked = [name for name in ("iterations", "final_iterations") if getattr(arguments, name) is not None]
    if not lengths or not asked:
        return ()
    options = " and ".join(f"--{name.replace('_', '-')}" for name in asked)
    told = ", ".join(map(str, lengths[:-1])) + f" or {lengths[-1]}"
    return (f"{options} not used: each {settings.representation} genome says how long it is trained, {told}",)


def _race_notes(arguments: argparse.Namespace, settings: SearchSettings) -> tuple[str, ...]:
    """Says so where nothing is raced although the command line asks for it."""
    if settings.race.last or (arguments.first_rung in (None, 1.0) and arguments.promoted_share is None):
        return ()
    if settings.first_rung == 1:
        return (
            "--promoted-share not used: without --first-rung under 1 every network is trained to the end",
        )
    return (f"--first-rung not used: {settings.iterations} iterations are too few for a rung of 25 and more",)


def _finalists_notes(arguments: argparse.Namespace, frames: int) -> tuple[str, ...]:
    """Says so where the layout of the picture leaves out the number of finalists that was asked."""
    if frames > 1 and arguments.finalists is not None:
        return ("--finalists not used: the picture is fitted in parts, and --tile-finalists is for those",)
    if frames == 1 and arguments.tile_finalists is not None:
        return ("--tile-finalists not used: the picture is fitted in one part, and --finalists is for that",)
    return ()


def _with_depth(picture: Picture, asked: int | None) -> tuple[str, ...]:
    if asked is None or asked == picture.bit_depth:
        return picture.notes
    return (*picture.notes, f"the result has {asked} bits a channel, the picture {picture.bit_depth}")


def from_pixels(
    pixels: Samples,
    task: Task,
    settings: SearchSettings,
    seeds: Seeds,
    *,
    mask: Mask | None = None,
    form: Form | None = None,
) -> Question:
    """The question about a picture in memory.

    pixels: uint8 or uint16 (h, w, 3).  mask: bool (h, w), True = known; INPAINT only.  form: what the result keeps
    of a file (`Picture.form`); by default the depth of the pixels.  Raises InvalidInput, one sentence.
    """
    if mask is None and task.kind is TaskKind.INPAINT:
        raise MaskError("inpaint needs a mask: bool (h, w), True = known", field="mask")
    kept = form or Form(bit_depth=bits_of(pixels))
    return _framed(pixels, kept, mask, task, settings, seeds, ())


def read_picture(path: Path, host: Host, task: Task) -> Picture:
    """Decode a picture file in the guarded decoder; one that is enlarged may be as small as its result may not.

    Raises PictureError naming the file.
    """
    return decode(_read(path), str(path), host, minimum_side=-(-MINIMUM_SIDE // task.factor))


def read_mask_file(path: Path, size: tuple[int, int], host: Host, *, invert: bool = False) -> Mask:
    """Read a mask file, bool (h, w), True = known; size: (width, height).  Raises MaskError, PictureError."""
    return read_mask(_read(path), str(path), size, invert, host)


def from_run(folder: Path) -> Question:
    """The question that a run answered, from its folder alone.

    Raises InvalidInput where a file is missing or is not the one that the run was made from.
    """
    run = load_run(folder)
    try:
        task, settings = Task.from_json(run["task"]), SearchSettings.from_json(run["settings"])
        seeds = Seeds.from_json(run["seeds"])
        excluded = frozenset(entry["key"] for entry in run["excluded"])
    except (KeyError, TypeError, AttributeError) as problem:
        raise InvalidInput(f"{folder / 'run.json'} is no whole run: {problem!r}") from None
    with Host("decoder") as host:
        picture = read_picture(folder / "input.png", host, task)
        height, width = picture.pixels.shape[:2]
        mask = None
        if task.kind is TaskKind.INPAINT:
            file = folder / "mask.png"
            mask = read_mask(_read(file), str(file), (width, height), invert=False, host=host)
    form = picture.form(_result_depth(run["picture"], folder))
    asked = _framed(picture.pixels, form, mask, task, settings, seeds, ())
    _same_picture(asked.picture_record(), run["picture"], folder)
    frame = run["picture"].get("search_frame")
    if isinstance(frame, dict) and frame.get("digest") not in (None, asked.search.digest):
        other = "the version that made this run compared networks on another part of the picture: fitness may differ"
        asked = replace(asked, notes=(*asked.notes, other))
    return replace(asked, excluded=excluded)


def _result_depth(recorded: Mapping[str, Any], folder: Path) -> int | None:
    """None where an older version recorded none: it made 8 bits of everything, also of its input.png."""
    depth = recorded.get("result_bit_depth")
    if depth not in (None, *DEPTHS):
        raise InvalidInput(f"{folder / 'run.json'} has result_bit_depth {depth!r}; allowed are 8 and 16")
    return depth


def _same_picture(found: Mapping[str, Any], recorded: Mapping[str, Any], folder: Path) -> None:
    files = {"input_sha256": "input.png", "alpha_sha256": "input.png", "mask_sha256": "mask.png"}
    for field, file in files.items():
        if found[field] != recorded.get(field):
            raise InvalidInput(
                f"{folder / file} is not the file that this run was made from: its pixels have another digest"
            )


def read_reference(path: Path | None, asked: Question) -> Samples | None:
    """The clean picture, (H, W, 3) of the result's size, or None.  Raises PictureError naming both sizes."""
    if path is None:
        return None
    with Host("decoder") as host:
        pixels = decode_result(_read(path, LIMIT_RESULT_BYTES), str(path), host).pixels
    check_reference(pixels, asked, f"{path}: the reference")
    return pixels


def check_reference(pixels: Samples, asked: Question, said: str = "the reference") -> None:
    """Raises PictureError, which begins with `said`, where a clean picture has not the result's size."""
    size = (pixels.shape[1], pixels.shape[0])
    if size != asked.result_size:
        raise PictureError(
            f"{said} has {size[0]} x {size[1]} pixels, the result {asked.result_size[0]} x {asked.result_size[1]}"
        )


def check_genome_belongs(text: str, asked: Question) -> None:
    """Raises GenomeError for a genome of another representation or number of units than the question has."""
    genome, settings = Genome.parse(text), asked.settings
    if (genome.representation, genome.units) != (settings.representation, settings.units):
        raise GenomeError(
            f"genome {text[:80]} is {genome.representation} of {genome.units} units; "
            f"this search has {settings.representation} genomes of {settings.units} units"
        )
