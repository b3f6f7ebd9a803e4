"""One request, the whole way down: genome, network, fit, score. What the evaluator's child runs.

A request and its outcome are JSON values; pictures travel as files. But for `seconds` an outcome is a
function of the request and the kind of machine alone, so it may be made anywhere, in any order, twice.

Torch is imported inside the functions, so that whoever only writes requests loads none of it.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nasdip_engine.bit_depth import DEPTHS, Samples, bits_of, raw_bytes
from nasdip_engine.errors import DivergedError, InvalidPhenotype, SettingsError
from nasdip_engine.finals import Part
from nasdip_engine.genome.cost import cost
from nasdip_engine.genome.genome import Genome
from nasdip_engine.genome.phenotype import Phenotype
from nasdip_engine.outcome import without_fitness
from nasdip_engine.picture import encode_png, read_frame, read_frame_mask
from nasdip_engine.search.settings import SearchSettings
from nasdip_engine.seeding import generator
from nasdip_engine.task import Task
from nasdip_engine.tiling import bands

if TYPE_CHECKING:
    from nasdip_engine.restoration.degradation import Degradation
    from nasdip_engine.restoration.fit import Fit, Step
    from nasdip_engine.tiled import Whole

__all__ = ["Kind", "Progress", "Request", "evaluate", "pixel_digest"]

Pixels = Samples

_PREVIEW_SECONDS = 1.0  # wall time between previews; nothing else here looks at a clock but `seconds`
_PREVIEW_SIDE = 256


class Kind(StrEnum):
    """EVALUATE a search fit, FINISH a final fit, BASELINE a training-free reference, COMBINE final fits."""

    EVALUATE = "evaluate"
    FINISH = "finish"
    BASELINE = "baseline"
    COMBINE = "combine"


class Progress(TypedDict):
    """Sent once an iteration: the heartbeat. loss is null where nothing is trained; held_out_psnr is the last
    one looked at, in dB; preview is a PNG in base64, 256 px at most, about once a second, else null."""

    iteration: int
    of: int
    loss: float | None
    held_out_psnr: float | None
    preview: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to compute. Paths are of PNG files; picture is the frame to fit, mask grey >= 128 = known.

    output: where the float32 .npy (H, W, 3) of a fit goes (EVALUATE only if given), or the PNG of BASELINE
    and COMBINE.  inputs, genomes: COMBINE's .npy files and the networks that made them.  method: BASELINE's,
    the task's own if None.  bit_depth: of that PNG, the frame's own if None.  hook: a fault to inject, for tests of the guard.
    parts: the frames of a picture fitted in several; size and mask are then the upload's, output the whole's .npy.
    """

    kind: Kind
    task: Task
    settings: SearchSettings
    evaluation_seed: int
    picture: str
    mask: str | None = None
    genome: str | None = None
    output: str | None = None
    method: str | None = None
    inputs: tuple[str, ...] = ()
    genomes: tuple[str, ...] = ()
    bit_depth: int | None = None
    hook: str | None = None
    parts: tuple[Part, ...] = ()
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        needed = {
            Kind.EVALUATE: ("genome",),
            Kind.FINISH: ("genome", "output"),
            Kind.BASELINE: ("output",),
            Kind.COMBINE: ("output", "size") if self.parts else ("inputs", "genomes", "output"),
        }
        for name in needed[self.kind]:
            if not getattr(self, name):
                raise SettingsError(f"a request to {self.kind} needs {name}", field=name)
        if self.bit_depth not in (None, *DEPTHS):
            raise SettingsError(f"bit_depth is {self.bit_depth!r}; allowed are 8 and 16", field="bit_depth")

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "task": self.task.to_json(),
            "settings": self.settings.to_json(),
            "evaluation_seed": self.evaluation_seed,
            "picture": self.picture,
            "mask": self.mask,
            "genome": self.genome,
            "output": self.output,
            "method": self.method,
            "inputs": list(self.inputs),
            "genomes": list(self.genomes),
            "bit_depth": self.bit_depth,
            "hook": self.hook,
            "parts": [part.to_json() for part in self.parts],
            "size": self.size,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Request:
        """Optional fields may be missing. Raises SettingsError for an unknown or incomplete request."""
        try:
            kind = Kind(value.get("kind", ""))
        except ValueError:
            raise SettingsError(
                f"kind is {value.get('kind')!r}; allowed are {', '.join(Kind)}", field="kind"
            ) from None
        return cls(
            kind=kind,
            task=Task.from_json(value["task"]),
            settings=SearchSettings.from_json(value["settings"]),
            evaluation_seed=value["evaluation_seed"],
            picture=value["picture"],
            mask=value.get("mask"),
            genome=value.get("genome"),
            output=value.get("output"),
            method=value.get("method"),
            inputs=tuple(value.get("inputs") or ()),
            genomes=tuple(value.get("genomes") or ()),
            bit_depth=value.get("bit_depth"),
            hook=value.get("hook"),
            parts=tuple(Part.from_json(part) for part in value.get("parts") or ()),
            size=tuple(value["size"]) if value.get("size") else None,
        )


def evaluate(request: Request | Mapping[str, Any], progress: Callable[[Progress], None]) -> dict[str, Any]:
    """The outcome of a request, a JSON value; `progress` is called each iteration, or between steps.

    A genome without a network and a fit that diverges are outcomes, fitness 0 with a reason, not errors.
    Raises InvalidInput for a picture, mask, genome or setting that cannot be used; OSError for a file.
    """
    from nasdip_engine.numerics import use_one_thread

    asked = request if isinstance(request, Request) else Request.from_json(request)
    use_one_thread()
    began = time.monotonic()
    outcome = _STEPS[asked.kind](asked, progress)
    outcome["seconds"] = time.monotonic() - began
    if asked.hook:
        outcome["hook"] = asked.hook
    return outcome


def pixel_digest(pixels: Pixels) -> str:
    """sha256, in hex, of a picture's shape, depth and RGB samples: equal for equal ones, whatever the file."""
    height, width, channels = pixels.shape
    bits = bits_of(pixels)
    shape = f"{height}x{width}x{channels}" + ("" if bits == 8 else f"x{bits}bit")
    digest = hashlib.sha256(f"{shape}:".encode())
    for first, end in bands(height, width):  # no second copy of a large picture
        digest.update(raw_bytes(pixels[first:end]))
    return digest.hexdigest()


def _fit_genome(request: Request, progress: Callable[[Progress], None]) -> dict[str, Any]:
    pixels, mask = _read_frame(request)
    settings = request.settings
    height, width = (side * request.task.factor for side in pixels.shape[:2])
    outcome = without_fitness(None, height * width)
    try:
        phenotype = Genome.parse(request.genome or "").phenotype()
    except InvalidPhenotype as problem:
        return outcome | {"reason": f"invalid: {problem}"}
    iterations = phenotype.iterations(
        settings.iterations if request.kind is Kind.EVALUATE else settings.final_iterations
    )
    from nasdip_engine.restoration.degradation import degradation_for
    from nasdip_engine.restoration.fitness import held_out_psnr, score

    degradation = degradation_for(request.task, pixels, mask)
    reporter = _Reporter(progress, iterations, degradation)
    price = cost(phenotype, height, width, settings.input_channels).multiply_adds
    try:
        fitted = _fit(request, phenotype, degradation, iterations, reporter)
        array, spent_iterations = fitted.average, fitted.iterations
        if request.kind is Kind.FINISH and degradation.refits and fitted.held_out_mse is not None:
            # Again with all observations, as long as the held-out ones said: both go to COMBINE, one to choose by.
            reporter.begin_again(fitted.iterations, fitted.best_iteration)
            whole = _fit(request, phenotype, degradation, fitted.best_iteration, reporter, share=0)
            array, spent_iterations = np.stack([array, whole.average]), spent_iterations + whole.iterations
    except DivergedError as problem:
        spent = {"iterations": reporter.iteration, "multiply_adds": price * reporter.iteration}
        return outcome | spent | {"reason": f"diverged: {problem}"}
    if request.output:
        _write(request.output, lambda file: np.save(file, array, allow_pickle=False))
    error = fitted.held_out_mse
    fitness = score(settings.fitness, degradation, fitted.average, error)
    return outcome | {
        "fitness": fitness,
        "fitness_hex": fitness.hex(),
        "held_out_psnr": None if error is None else held_out_psnr(error),
        "iterations": spent_iterations,
        "best_iteration": fitted.best_iteration,
        "still_falling": fitted.still_falling,
        "curve": [[iteration, decibels] for iteration, decibels in fitted.curve],
        "multiply_adds": price * spent_iterations,
    }


def _fit(
    request: Request,
    phenotype: Phenotype,
    degradation: Degradation,
    iterations: int,
    reporter: _Reporter,
    share: float | None = None,
) -> Fit:
    """Every random array of a fit: input and held-out set without the genome, first weights with it.

    share: of the observations held out; the settings' own without it.
    """
    from nasdip_engine.restoration.degradation import held_out_set
    from nasdip_engine.restoration.fit import FitSettings, fit, noise_input
    from nasdip_engine.restoration.network import build

    settings, seed = request.settings, request.evaluation_seed
    height, width = degradation.output_size
    channels = settings.input_channels
    network = build(phenotype, height, width, channels, generator(seed, "weights", phenotype.digest))
    if request.hook and _hook_hits(request.hook, "nan", phenotype):
        network.poison()
    return fit(
        network,
        noise_input(channels, height, width, generator(seed, "input", channels, height, width)),
        degradation,
        held_out_set(degradation, request.task, settings.hold_out_share if share is None else share, seed),
        FitSettings(
            iterations,
            settings.learning_rate,
            settings.loss,
            settings.average_decay,
            settings.jitter,
            to_the_end=phenotype.epochs is not None,
        ),
        jitter_rng=generator(seed, "jitter", channels, height, width),
        report=reporter.step,
    )


def _whole(request: Request, progress: Callable[[Progress], None]) -> Whole:
    from nasdip_engine.tiled import Whole

    sign = Progress(iteration=0, of=1, loss=None, held_out_psnr=None, preview=None)
    return Whole.of(request, read=_read_frame, write=_write, alive=lambda: progress(sign))


def _baseline(request: Request, progress: Callable[[Progress], None]) -> dict[str, Any]:
    from nasdip_engine.baselines import baseline
    from nasdip_engine.tiled import baseline_parts

    if request.parts:
        return baseline_parts(_whole(request, progress), request.method)
    pixels, mask = _read_frame(request)
    made = baseline(
        request.task,
        pixels,
        mask,
        hold_out_share=request.settings.hold_out_share,
        evaluation_seed=request.evaluation_seed,
        method=request.method,
        bit_depth=request.bit_depth,
        alive=lambda: progress(Progress(iteration=0, of=1, loss=None, held_out_psnr=None, preview=None)),
    )
    _write_png(request.output, made.picture)
    return {"method": made.method, "held_out_psnr": made.held_out_psnr, "digest": pixel_digest(made.picture)}


def _combine(request: Request, progress: Callable[[Progress], None]) -> dict[str, Any]:
    from nasdip_engine.restoration.final import combine_finals
    from nasdip_engine.restoration.noise_level import noise_record

    if request.parts:
        from nasdip_engine.tiled import combine_parts

        return combine_parts(_whole(request, progress))
    pixels, mask = _read_frame(request)
    arrays = [np.load(path, allow_pickle=False) for path in request.inputs]
    progress(Progress(iteration=0, of=1, loss=None, held_out_psnr=None, preview=None))
    made = combine_finals(
        arrays,
        request.genomes,
        pixels=pixels,
        mask=mask,
        task=request.task,
        settings=request.settings,
        evaluation_seed=request.evaluation_seed,
        bit_depth=request.bit_depth,
    )
    _write_png(request.output, made.picture)
    return {
        "choice": made.choice,
        "held_out_psnr": made.held_out_psnr,
        "singles": list(made.singles),
        "noise": noise_record(request.task, pixels, mask, made.held_out_psnr),
        "digest": pixel_digest(made.picture),
    }


_STEPS: Mapping[Kind, Callable[[Request, Callable[[Progress], None]], dict[str, Any]]] = {
    Kind.EVALUATE: _fit_genome,
    Kind.FINISH: _fit_genome,
    Kind.BASELINE: _baseline,
    Kind.COMBINE: _combine,
}


class _Reporter:
    """Turns steps of a fit into progress; the clock decides on previews and on nothing else."""

    def __init__(self, progress: Callable[[Progress], None], of: int, degradation: Degradation) -> None:
        self._progress, self._of, self._degradation = progress, of, degradation
        self._next_preview = time.monotonic() + _PREVIEW_SECONDS
        self._seen: float | None = None
        self._before = 0
        self.iteration = 0

    def begin_again(self, before: int, more: int) -> None:
        """A second fit follows the first: its iterations count on from those done."""
        self._before, self._of = before, before + more

    def step(self, step: Step) -> None:
        self.iteration = self._before + step.iteration
        self._seen = step.held_out_psnr if step.held_out_psnr is not None else self._seen
        preview = None
        if time.monotonic() >= self._next_preview:
            preview = _preview(self._degradation.compose(step.average(), 8))
            self._next_preview = time.monotonic() + _PREVIEW_SECONDS
        self._progress(
            Progress(
                iteration=self.iteration,
                of=self._of,
                loss=step.loss,
                held_out_psnr=self._seen,
                preview=preview,
            )
        )


def _hook_hits(hook: str, fault: str, phenotype: Phenotype) -> bool:
    name, _, prefix = hook.partition(":")
    return name == fault and phenotype.digest.startswith(prefix)


def _read_frame(asked: Request | Part) -> tuple[Pixels, NDArray[np.bool_] | None]:
    return read_frame(Path(asked.picture)), None if asked.mask is None else read_frame_mask(Path(asked.mask))


def _preview(pixels: Pixels) -> str:
    picture = Image.fromarray(pixels)
    picture.thumbnail((_PREVIEW_SIDE, _PREVIEW_SIDE), Image.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, format="PNG", compress_level=1)
    return base64.b64encode(file.getvalue()).decode("ascii")


def _write_png(path: str | None, pixels: Pixels) -> None:
    data = encode_png(pixels)
    _write(path or "", lambda file: file.write(data))


def _write(path: str, save: Callable[[io.BufferedWriter], object]) -> None:
    """Whole or not at all: a child that is killed while it writes leaves no half file under the name."""
    partial = Path(f"{path}.{os.getpid()}.partial")
    with partial.open("wb") as file:
        save(file)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
