"""One request, the whole way down: genome, network, fit, score. What the evaluator's child runs.

A request and its outcome are JSON values; pictures travel as files. But for `seconds` an outcome is a
function of the request and the kind of machine alone, so it may be made anywhere, in any order, twice.

Torch is imported inside the functions, so that whoever only writes requests loads none of it.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nasdip_engine.baseline_names import left_out_record
from nasdip_engine.errors import DivergedError, InvalidPhenotype, LeftOutError
from nasdip_engine.genome.cost import cost
from nasdip_engine.genome.genome import Genome
from nasdip_engine.genome.phenotype import Phenotype
from nasdip_engine.outcome import without_fitness
from nasdip_engine.outcome_files import form_of_previews, preview_of, write_png, write_whole
from nasdip_engine.picture import pixel_digest, read_frame, read_masked_frame
from nasdip_engine.request import Kind, Progress, Request
from nasdip_engine.seeding import generator

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from nasdip_engine.restoration.degradation import Degradation
    from nasdip_engine.restoration.fit import Fit, Step
    from nasdip_engine.restoration.true_error import TrueError
    from nasdip_engine.stills import Recorder

__all__ = ["evaluate"]

_Preview: TypeAlias = "Callable[[NDArray[np.float32]], bytes]"

_ALIVE = Progress(iteration=0, of=1, loss=None, held_out_psnr=None, preview=None)
_PREVIEW_SECONDS = 1.0  # wall time between previews; nothing else here looks at a clock but `seconds`


def evaluate(request: Request | Mapping[str, Any], progress: Callable[[Progress], None]) -> dict[str, Any]:
    """The outcome of a request, a JSON value; `progress` is called each iteration, or between steps.

    request: a `Request` or its JSON; it names a PNG, a task, settings and seed, and to EVALUATE a genome, whose
    outcome has `fitness` in [0, 1] and `held_out_psnr` in dB (of the observations that the loss of eq. 3 to 5 left out).
    A genome without a network and a fit that diverges are outcomes, fitness 0 with a reason, not errors.
    Raises InvalidInput for a picture, mask, genome or setting that cannot be used, such as a device or a number
    of threads that this machine has not; OSError for a file.
    """
    from nasdip_engine.numerics import prepare

    asked = request if isinstance(request, Request) else Request.from_json(request)
    prepare(asked.settings)
    began = time.monotonic()
    outcome = _STEPS[asked.kind](asked, progress)
    outcome["seconds"] = time.monotonic() - began
    if asked.hook:
        outcome["hook"] = asked.hook
    return outcome


def _fit_genome(request: Request, progress: Callable[[Progress], None]) -> dict[str, Any]:
    pixels, mask = read_masked_frame(request.picture, request.mask)
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
    iterations = min(iterations, request.stop or iterations)
    from nasdip_engine.restoration.degradation import degradation_for, held_out_set
    from nasdip_engine.restoration.fitness import held_out_psnr, score

    degradation = degradation_for(request.task, pixels, mask)
    truth = _truth(request, degradation, iterations)
    preview = _previews(request, degradation)
    reporter = _Reporter(progress, iterations, preview, truth, _recorder(request, preview, iterations))
    price = cost(phenotype, height, width, settings.input_channels).multiply_adds
    held_out = held_out_set(
        degradation,
        request.task,
        settings.hold_out_share,
        request.evaluation_seed,
        settings.hold_out_block,
    )
    try:
        fitted = _fit(request, phenotype, degradation, held_out, iterations, reporter)
        stills = reporter.stopped(fitted)
        array, spent_iterations = fitted.average, fitted.iterations
        if request.kind is Kind.FINISH and settings.refits(request.task) and fitted.held_out_mse is not None:
            # Again with all observations, as long as the held-out ones said: both go to COMBINE, one to choose by.
            known, held = int(degradation.known.sum()), int(held_out.sum())
            length = settings.refit_iterations(fitted.best_iteration, known, held)
            reporter.begin_again(fitted.iterations, length)
            whole = _fit(request, phenotype, degradation, held_out ^ held_out, length, reporter)
            array, spent_iterations = np.stack([array, whole.average]), spent_iterations + whole.iterations
    except DivergedError as problem:
        spent = {"iterations": reporter.iteration, "multiply_adds": price * reporter.iteration}
        return outcome | spent | _true(truth, 0) | {"reason": f"diverged: {problem}"}
    if request.output:
        write_whole(request.output, lambda file: np.save(file, array, allow_pickle=False))
    error = fitted.held_out_mse
    fitness = score(settings.fitness, degradation, fitted.average, error)
    found = {
        "fitness": fitness,
        "fitness_hex": fitness.hex(),
        "held_out_psnr": None if error is None else held_out_psnr(error),
        "iterations": spent_iterations,
        "best_iteration": fitted.best_iteration,
        "still_falling": fitted.still_falling,
        "curve": [[iteration, decibels] for iteration, decibels in fitted.curve],
        "multiply_adds": price * spent_iterations,
    }
    return outcome | found | stills | _true(truth, fitted.best_iteration)


def _previews(request: Request, degradation: Degradation) -> _Preview:
    form = form_of_previews({"grey": request.grey, "profile": request.profile})
    return lambda output: preview_of(degradation.compose(output, 8), form)


def _recorder(request: Request, preview: _Preview, iterations: int) -> Recorder | None:
    if request.kind is not Kind.FINISH or request.stills is None:
        return None
    from nasdip_engine.restoration.fit import CHECK_EVERY
    from nasdip_engine.stills import Recorder

    return Recorder(Path(request.stills), iterations, CHECK_EVERY, preview)


def _truth(request: Request, degradation: Degradation, iterations: int) -> TrueError | None:
    if request.reference is None:
        return None
    from nasdip_engine.restoration.true_error import TrueError

    clean = read_frame(Path(request.reference))
    return TrueError(clean, pixel_digest(clean), degradation, iterations)


def _true(truth: TrueError | None, iteration: int) -> dict[str, Any]:
    return {} if truth is None else {"true": truth.at(iteration)}


def _fit(
    request: Request,
    phenotype: Phenotype,
    degradation: Degradation,
    held_out: Tensor,
    iterations: int,
    reporter: _Reporter,
) -> Fit:
    """Every random array of a fit: input without the genome, as the held-out set, first weights with it.

    held_out: bool (h, w), nowhere True in a refit.
    """
    from nasdip_engine.numerics import device_for
    from nasdip_engine.restoration.fit import FitSettings, fit, noise_input
    from nasdip_engine.restoration.network import build
    from nasdip_engine.restoration.placement import in_precision, moved

    settings, seed = request.settings, request.evaluation_seed
    device = device_for(settings)
    height, width = degradation.output_size
    channels = settings.input_channels
    network = build(phenotype, height, width, channels, generator(seed, "weights", phenotype.digest))
    if request.hook and _hook_hits(request.hook, "nan", phenotype):
        network.poison()
    return fit(
        in_precision(network, settings.precision, device),
        noise_input(channels, height, width, generator(seed, "input", channels, height, width)).to(device),
        moved(degradation, device),
        held_out.to(device),
        FitSettings(
            iterations,
            settings.learning_rate,
            settings.loss,
            settings.average_decay,
            settings.jitter if request.kind is Kind.EVALUATE else settings.jitter_of_finals,
            to_the_end=phenotype.epochs is not None,
        ),
        jitter_rng=generator(seed, "jitter", channels, height, width),
        report=reporter.step,
    )


def _baseline(request: Request, progress: Callable[[Progress], None]) -> dict[str, Any]:
    try:
        return _baseline_made(request, lambda: progress(_ALIVE))
    except LeftOutError as reason:
        return left_out_record(request.method or "", str(reason))


def _baseline_made(request: Request, alive: Callable[[], None]) -> dict[str, Any]:
    from nasdip_engine.baselines import baseline
    from nasdip_engine.tiled import baseline_parts

    if request.parts:
        return baseline_parts(request, alive)
    pixels, mask = read_masked_frame(request.picture, request.mask)
    made = baseline(
        request.task,
        pixels,
        mask,
        hold_out_share=request.settings.hold_out_share,
        hold_out_block=request.settings.hold_out_block,
        evaluation_seed=request.evaluation_seed,
        method=request.method,
        bit_depth=request.bit_depth,
        alive=alive,
    )
    write_png(request.output, made.picture)
    return {"method": made.method, "held_out_psnr": made.held_out_psnr, "digest": pixel_digest(made.picture)}


def _combine(request: Request, progress: Callable[[Progress], None]) -> dict[str, Any]:
    from nasdip_engine.restoration.final import combine_finals
    from nasdip_engine.restoration.noise_level import noise_record

    if request.parts:
        from nasdip_engine.tiled import combine_parts

        return combine_parts(request, lambda: progress(_ALIVE))
    pixels, mask = read_masked_frame(request.picture, request.mask)
    arrays = [np.load(path, allow_pickle=False) for path in request.inputs]
    progress(_ALIVE)
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
    write_png(request.output, made.picture)
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

    def __init__(
        self,
        progress: Callable[[Progress], None],
        of: int,
        preview: _Preview,
        truth: TrueError | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._progress, self._of, self._preview = progress, of, preview
        self._truth = truth
        self._recorder = recorder
        self._next_preview = time.monotonic() + _PREVIEW_SECONDS
        self._seen: float | None = None
        self._before = 0
        self.iteration = 0

    def stopped(self, fitted: Fit) -> dict[str, Any]:
        """The fit that is recorded has come to its end; what its outcome says of its stills."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return {}
        recorder.stop(fitted.best_iteration, fitted.average)
        return {"stills": recorder.stills}

    def begin_again(self, before: int, more: int) -> None:
        """A second fit follows the first: its iterations count on from those done; all errors are the first one's."""
        self._truth = self._seen = None
        self._before, self._of = before, before + more

    def step(self, step: Step) -> None:
        self.iteration = self._before + step.iteration
        self._seen = step.held_out_psnr if step.held_out_psnr is not None else self._seen
        if self._truth is not None:
            self._truth.look(step)
        if self._recorder is not None:
            self._recorder.step(step.iteration, step.held_out_psnr, step.average)
        preview = None
        if time.monotonic() >= self._next_preview:
            preview = base64.b64encode(self._preview(step.average())).decode("ascii")
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
