"""The engine from Python: `restore` and `search` on a picture in memory or in a file.

The same search, evaluator processes and final fits as the command line's; a picture, genome or digest that
one of them gives the other gives too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasdip_engine.bit_depth import Samples, bits_of
from nasdip_engine.errors import InvalidInput, MaskError, PictureError, SettingsError
from nasdip_engine.evolution.search import Ranked, best_of
from nasdip_engine.evolution.settings import settings_for, task_for
from nasdip_engine.guard import Host
from nasdip_engine.local import LocalSearch
from nasdip_engine.local_evaluations import CannotGoOn
from nasdip_engine.local_run import restore_question
from nasdip_engine.picture import Form
from nasdip_engine.question import (
    Question,
    check_reference,
    from_pixels,
    read_mask_file,
    read_picture,
    read_reference,
)
from nasdip_engine.run_folder import check_output_folder, write_run
from nasdip_engine.seeding import Seeds
from nasdip_engine.task import FACTORS, Task, TaskKind

__all__ = ["Restoration", "SearchResult", "restore", "search"]

Say = Callable[[str], None]
PictureLike = NDArray[Any] | str | Path
MaskLike = NDArray[np.bool_] | str | Path


@dataclass(frozen=True, eq=False)
class SearchResult:
    """What a search found.

    ranked: every distinct network that has a fitness, best first.  generations: one record a generation, as
    in `run.json`: `best, mean, worst` fitness in [0, 1], counts, genomes.  question: what was asked.
    """

    ranked: tuple[Ranked, ...]
    generations: tuple[dict[str, Any], ...]
    question: Question

    @property
    def genome(self) -> str:
        """The text of the best genome.  Raises InvalidInput where no network has a fitness."""
        if not self.ranked:
            raise InvalidInput("no network of this search has a fitness; raise the population or generations")
        return self.ranked[0].genome


@dataclass(frozen=True, eq=False)
class Restoration:
    """A restored picture with all that is known of it.

    picture: (H, W, 3), uint8 or uint16 as the upload.  baselines: the training-free references of the task by
    name, in the same form.  run: what `run.json` holds: settings, seeds, generations, fitness, cost, digests, and
    with a reference PSNR in dB, SSIM and LPIPS.  stills: uint8 (h, w, 3), at most 256 px a side: what the best network
    showed on the way, by the iteration of its final fit.
    """

    picture: Samples
    baselines: Mapping[str, Samples]
    run: dict[str, Any]
    question: Question
    stills: Mapping[int, Samples]

    @property
    def baseline(self) -> Samples:
        """The task's own reference, the first of `baselines`.  Raises CannotGoOn where none could be made."""
        if not self.run["baseline"]:
            raise CannotGoOn("no reference method gave a picture here; run['baselines'] says why")
        return self.baselines[self.run["baseline"]["method"]]

    @property
    def genome(self) -> str:
        """The text of the best genome."""
        return str(self.run["best_genome"])

    @property
    def fitness(self) -> float:
        """The fitness of the best genome, in [0, 1]."""
        return float(self.run["best_fitness"])

    def save(self, folder: str | Path) -> None:
        """Write what `nasdip restore --out` writes; `nasdip verify` repeats it from there.

        Raises InvalidInput where the folder is not empty, CannotGoOn where it can't be written.
        """
        check_output_folder(Path(folder))
        write_run(self.question, Path(folder), self.run, self.picture, self.baselines, self.stills)


def search(
    picture: PictureLike,
    task: str | Task = "denoise",
    *,
    mask: MaskLike | None = None,
    factor: int | None = None,
    preset: str = "preview",
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    workers: int | None = None,
    say: Say = lambda _: None,
) -> SearchResult:
    """Search the networks for one picture (paper, sec. 3.2) without the final fit.

    picture: a file, or an array (h, w, 3) or (h, w), uint8 or uint16, sRGB.  task: "denoise", "inpaint",
    "upscale" or a Task, which also says what its noise is like: Task("denoise", noise="correlated").
    mask: a file (grey >= 128 = known) or bool (h, w), True = known; "inpaint" only.
    factor: 2 to 8, "upscale" only.  preset, settings: a preset's numbers, some of them set by hand
    (`SearchSettings`).  seed: decides every random choice.  workers: evaluations at once, by default as
    many as leave each thread of theirs a core of its own.  say: gets one line at a time: how the picture is
    fitted, then progress.
    Raises InvalidInput, one sentence, before any work; CannotGoOn when the machine fails repeatedly.
    """
    workers = _plain(workers)
    _check_workers(workers)
    asked = _question(picture, task, mask, factor, preset, seed, settings)
    _tell(asked, say)
    with LocalSearch(asked, workers=workers, say=say) as running:
        history, records = running.search()
    return SearchResult(tuple(best_of(history, asked.settings)), tuple(records), asked)


def restore(
    picture: PictureLike,
    task: str | Task = "denoise",
    *,
    mask: MaskLike | None = None,
    factor: int | None = None,
    reference: PictureLike | None = None,
    preset: str = "preview",
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    workers: int | None = None,
    say: Say = lambda _: None,
) -> Restoration:
    """Search the network for one picture and restore the picture with it (paper, sec. 3; eq. 3-6).

    reference: the clean picture, of the result's size, for figures only: no part of the search sees it.
    The other arguments and what is raised: see `search`; CannotGoOn also where no network has a fitness.
    """
    workers = _plain(workers)
    _check_workers(workers)
    asked = _question(picture, task, mask, factor, preset, seed, settings)
    clean = _clean(reference, asked)
    _tell(asked, say)
    run, restored, rivals, stills = restore_question(asked, reference=clean, workers=workers, say=say)
    return Restoration(restored, rivals, run, asked, stills)


def _question(
    picture: PictureLike,
    task: str | Task,
    mask: MaskLike | None,
    factor: int | None,
    preset: str,
    seed: int,
    settings: Mapping[str, Any] | None,
) -> Question:
    factor, seed = _plain(factor), _plain(seed)
    if isinstance(task, Task):
        if factor is not None and factor != task.factor:
            raise SettingsError(
                f"factor is {factor}, the task has {task.factor}; give it once", field="factor"
            )
        wanted = task
    else:
        kind = _kind(task)
        if kind is TaskKind.UPSCALE and factor is None:
            raise SettingsError(f"upscale needs a factor, {FACTORS[0]} to {FACTORS[-1]}", field="factor")
        wanted = Task(kind, 1 if factor is None else factor)
    given = {name: _plain(value) for name, value in (settings or {}).items()}
    wanted = task_for(preset, wanted, wanted.kernel if isinstance(task, Task) else given.get("kernel"))
    chosen = settings_for(preset, wanted, given)
    with Host("decoder") as host:  # a process that starts with its first file
        pixels, form = _pixels(picture, host, wanted)
        size = (pixels.shape[1], pixels.shape[0])
        known = _mask(mask, size, host)
    return from_pixels(pixels, wanted, chosen, Seeds.from_seed(seed), mask=known, form=form)


def _plain(value: Any) -> Any:
    """Python's own number for one of NumPy's, as loops over arrays give them; anything else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def _check_workers(workers: int | None) -> None:
    if workers is not None and (type(workers) is not int or workers < 1):
        raise SettingsError(
            f"workers is {workers!r}; it must be a whole number, 1 or more, or None for the cores",
            field="workers",
        )


def _kind(task: str) -> TaskKind:
    try:
        return TaskKind(task)
    except ValueError:
        raise SettingsError(f"task is {task!r}; allowed are {', '.join(TaskKind)}", field="task") from None


def _pixels(given: PictureLike, host: Host, task: Task) -> tuple[Samples, Form]:
    """The pixels (h, w, 3) of a file or an array, and what a result keeps of it."""
    if isinstance(given, str | Path):
        picture = read_picture(Path(given), host, task)
        return picture.pixels, picture.form()
    return _of_array(given, "picture")


def _of_array(given: NDArray[Any], name: str) -> tuple[Samples, Form]:
    array = np.asarray(given)
    grey = array.ndim == 2
    if grey:
        array = np.repeat(array[..., None], 3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise PictureError(
            f"the {name} is {array.dtype} {array.shape}; it must be uint8 or uint16, (height, width, 3) or (height, width)"
        )
    # A copy: what the caller writes into theirs later must not change what was asked.
    array = np.array(array, dtype=array.dtype.newbyteorder("="), order="C")
    return array, Form(grey=grey, bit_depth=bits_of(array))


def _mask(given: MaskLike | None, size: tuple[int, int], host: Host) -> NDArray[np.bool_] | None:
    if given is None:
        return None
    if isinstance(given, str | Path):
        return read_mask_file(Path(given), size, host)
    array = np.array(given)  # a copy, as of the picture
    if array.dtype != np.bool_ or array.ndim != 2:
        raise MaskError(
            f"the mask is {array.dtype} {array.shape}; it must be bool (height, width), True = known",
            field="mask",
        )
    return array


def _clean(reference: PictureLike | None, asked: Question) -> Samples | None:
    if reference is None:
        return None
    if isinstance(reference, str | Path):
        return read_reference(Path(reference), asked)
    pixels, _ = _of_array(reference, "reference")
    check_reference(pixels, asked)
    return pixels


def _tell(asked: Question, say: Say) -> None:
    """What the command line says before it begins: in how many parts, and at which size, a picture is fitted."""
    for line in asked.notes:
        say(line)
