"""Evaluates genomes of one question with an evaluator process on this machine, several at once.

What an evaluation found is kept by its key; what may decide a fitness and what may not is settled in `run`.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nasdip_engine.baseline_names import left_out_record
from nasdip_engine.bit_depth import Samples
from nasdip_engine.devices import cores, fingerprint_for, memory_bytes
from nasdip_engine.devices import refusal as refusal_of_settings
from nasdip_engine.errors import NasDipError, SettingsError
from nasdip_engine.evolution.search import (
    EXCLUDED,
    evaluated_with,
    evaluation_key,
    refusal,
    stop_at,
)
from nasdip_engine.framing import Frame
from nasdip_engine.genome.genome import Genome
from nasdip_engine.guard import Fault, FaultKind, Host, Limits
from nasdip_engine.liveness import heartbeat_limit
from nasdip_engine.local_store import Reference, shelf_for
from nasdip_engine.outcome import CRASHES_TO_POISON, without_fitness
from nasdip_engine.picture import encode_mask, encode_png
from nasdip_engine.question import Question
from nasdip_engine.request import Kind, Request
from nasdip_engine.store import Shelf, Store

__all__ = ["CannotGoOn", "LocalEvaluations"]

Say = Callable[[str], None]
OnProgress = Callable[[dict[str, Any]], None]

_FAULTS_TO_GIVE_UP = 3  # anything else is the machine's; three times in a row it needs a person
_MEMORY_SHARE = 0.8  # of this machine's memory, for all evaluations together


class CannotGoOn(NasDipError):
    """The evaluator failed repeatedly; nothing was kept."""


class LocalEvaluations:
    """The evaluations of one question on this machine. Use as a context manager: it holds a process."""

    def __init__(
        self,
        asked: Question,
        *,
        workers: int | None = None,
        say: Say = lambda _: None,
        store: Store | None = None,
        reference: Samples | None = None,
        keep_outputs: bool = False,
    ) -> None:
        """workers: evaluations at once; by default as many as leave each its threads on a core of its own.

        store: where outcomes of search fits are looked up and kept; they are the same to the bit without one.
        reference: a clean picture (H, W, 3) of the result's size, for studies: each outcome then has `true`, the PSNR in
        dB against it by iteration, which decides nothing.
        keep_outputs: whether search fits leave their outputs, so that `output_of` need not train again; those of a search
        of the paper's size take 30 GB.
        Raises SettingsError where this machine has not what the settings ask for.
        """
        self.asked = asked
        self._say = say
        self._workers = workers or max(1, cores() // asked.settings.threads)
        self._memory = int(memory_bytes() * _MEMORY_SHARE)
        limits = Limits(memory_bytes=self._memory // self._workers)
        self._host = Host("evaluator", limits=limits, device=asked.settings.device_class)
        self._keep_outputs = keep_outputs
        self._check_device()
        self._folder = tempfile.TemporaryDirectory(prefix="nasdip-")
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="evaluation")
        self._stopping = False
        self._began = time.monotonic()
        self._last_line = self._began
        self.outcomes: dict[str, dict[str, Any]] = {}
        self.from_store: set[str] = set()
        self._search_files = self._written(asked.search, "search")
        self._final_files = [
            self._written(frame, f"final-{number}") for number, frame in enumerate(asked.final)
        ]
        self._profile_file = self._profile()
        self._mask_file: str | None = None
        self._counting = threading.Lock()
        self._finals_done = self._finals_of = 0
        self._fits_done = 0.0  # in whole search fits, those of lower rungs as parts
        self._fits_seconds = 0.0
        self._finals_began = self._began
        self.final_outcomes: list[dict[str, Any]] = []
        self.stills: dict[int, Samples] = {}
        """uint8 (h, w, 3) by iteration, once a final fit is done."""
        folder = Path(self._folder.name)
        self._reference = None if reference is None else Reference.written(asked, reference, folder)
        self._store_given = store
        self._shelf: Shelf | None = None

    def __enter__(self) -> Self:
        if self._store_given:
            self._shelf = shelf_for(self.asked, self._store_given, self.fingerprint, self._say)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._pool.shutdown(cancel_futures=True)
        self._host.close()
        self._folder.cleanup()

    def _check_device(self) -> None:
        """Before anything is trained or written."""
        try:
            refused = refusal_of_settings(self.asked.settings, self._host.hello["abilities"])
            if refused is not None:
                raise SettingsError(refused[1], field=refused[0])
        except BaseException:
            self._host.close()
            raise

    @property
    def fingerprint(self) -> dict[str, Any]:
        """The numerics fingerprint of this machine with the threads of the settings, as `run.json` records it."""
        return fingerprint_for(self._host.hello["fingerprint"], self.asked.settings.threads) or {}

    def _written(self, frame: Frame, name: str) -> tuple[str, str | None]:
        """The PNG files of a frame and of its mask."""
        folder = Path(self._folder.name)
        picture = folder / f"{name}.png"
        picture.write_bytes(encode_png(frame.picture))
        if frame.mask is None:
            return str(picture), None
        mask = folder / f"{name}-mask.png"
        mask.write_bytes(encode_mask(frame.mask))
        return str(picture), str(mask)

    def _profile(self) -> str | None:
        if self.asked.form.icc is None:
            return None
        file = Path(self._folder.name) / "profile.icc"
        file.write_bytes(self.asked.form.icc)
        return str(file)

    def _request(self, kind: Kind, tile: int = 0, **more: Any) -> Request:
        picture, mask = self._search_files if kind is Kind.EVALUATE else self._final_files[tile]
        return Request(
            kind=kind, task=self.asked.task, settings=self.asked.settings,
            evaluation_seed=self.asked.seeds.evaluation_seed, bit_depth=self.asked.form.bit_depth,
            grey=self.asked.form.grey, profile=self._profile_file,
            **{"picture": picture, "mask": mask, **more},
        )  # fmt: skip

    def _stop(self, genome_text: str, rung: int | None) -> int | None:
        return None if rung is None else stop_at(genome_text, self.asked.settings, rung)

    def key(self, genome_text: str, rung: int | None = None) -> str:
        """The key of a genome's outcome at a rung of the settings' race; None: of the whole fit.

        Raises InvalidPhenotype for a genome that describes no network.
        """
        asked, stop = self.asked, self._stop(genome_text, rung)
        digest = Genome.parse(genome_text).phenotype().digest
        return evaluation_key(asked.search.digest, asked.task, asked.settings, asked.seeds, digest, stop=stop)

    def run(
        self, request: Request, on_progress: OnProgress | None = None, memory: int | None = None
    ) -> dict[str, Any]:
        """One request to its outcome, with what may decide a fitness and what may not.

        memory: bytes that it may take, where fewer run at once than there are workers; else each has an equal part.
        Raises CannotGoOn when the machine, not the genome, is at fault and repeating did not help; a reference is
        left out instead.
        """
        crashes = faults = 0
        while True:
            answer = self._host.run(
                request.to_json(),
                on_progress=on_progress,
                should_stop=lambda: self._stopping,
                heartbeat_limit=self._heartbeat(request),
                memory_limit_bytes=memory,
            )
            if not isinstance(answer, Fault):
                return answer.value
            if answer.kind is FaultKind.CANCELLED:
                raise CannotGoOn("stopped")
            crashes += answer.kind is FaultKind.CRASH
            faults += answer.kind is not FaultKind.CRASH
            if crashes >= CRASHES_TO_POISON and request.kind is Kind.EVALUATE:
                return without_fitness(
                    f"poisoned: {answer.detail}, {crashes} times, on {self.asked.settings.device_class}"
                )
            gives_up = faults + crashes >= _FAULTS_TO_GIVE_UP or answer.kind is FaultKind.ERROR
            if request.kind is Kind.BASELINE and (gives_up or crashes >= CRASHES_TO_POISON):
                # The result can do without a reference (decision 19).
                method, tries = request.method or "", faults + crashes
                reason = (
                    f"{method}: it could not be computed in {tries} tries, the last one so: {answer.detail}."
                )
                return left_out_record(method, reason)
            if gives_up:
                what = f"the evaluator failed at {request.genome or request.kind}"
                raise CannotGoOn(
                    f"{what}: {answer.kind}: {answer.detail}; nothing was kept, run it again when the cause is gone"
                )

    def _heartbeat(self, request: Request) -> float:
        height, width = self.asked.largest_final
        if request.kind is Kind.EVALUATE:
            height, width = (side * self.asked.task.factor for side in self.asked.search.size)
        return heartbeat_limit(request.genome, height, width, self.asked.settings.input_channels)

    def refusal(self, genome_text: str, rung: int | None = None) -> str | None:
        """Why a genome is not trained: by the settings, or because the owner of a repeated run excluded it.

        rung: the one of whose fit the owner excluded it; None: the whole fit's.
        """
        reason = refusal(genome_text, self.asked.settings)
        if reason is None and self.asked.excluded and self.key(genome_text, rung) in self.asked.excluded:
            return EXCLUDED
        return reason

    def evaluate(self, genome_text: str, rung: int | None = None) -> dict[str, Any]:
        """The outcome of one genome's search fit; refused ones have fitness 0 and the reason, untrained.

        rung: the fit is stopped at that rung of the settings' race; None: it is a whole one.
        """
        reason = self.refusal(genome_text, rung)
        if reason is not None:
            return without_fitness(reason)
        key = self.key(genome_text, rung)
        if key not in self.outcomes:
            against = self._reference.digest if self._reference else None
            kept = self._shelf.find(key, against) if self._shelf else None
            if kept is not None:
                self.from_store.add(key)
            self.outcomes[key] = kept or self._trained(key, genome_text, self._stop(genome_text, rung))
            if kept is None:
                self._count(rung, self.outcomes[key].get("seconds"))
        return self.outcomes[key]

    def _count(self, rung: int | None, seconds: float | None) -> None:
        """seconds: None for a fit that came to no end; what it took says nothing of the others."""
        if seconds is None:
            return
        settings = self.asked.settings
        race, whole = settings.race, settings.longest_search_fit
        with self._counting:
            self._fits_done += race.length(whole, race.last if rung is None else rung) / whole
            self._fits_seconds += seconds

    def _trained(
        self, key: str, genome_text: str, stop: int | None = None, *, keep_output: bool = False
    ) -> dict[str, Any]:
        request = self._request(
            Kind.EVALUATE,
            genome=genome_text,
            output=self._output(key) if keep_output or self._keep_outputs else None,
            stop=stop,
            reference=self._reference.path if self._reference else None,
        )
        outcome = self.run(request)
        if self._shelf:
            digest = Genome.parse(genome_text).phenotype().digest
            self._shelf.keep(key, genome_text, digest, outcome, **evaluated_with(self.asked.settings, stop))
        return outcome

    def evaluate_all(self, genomes: Sequence[str]) -> list[dict[str, Any]]:
        """The outcomes of genomes in their order, several trained at once."""
        return list(self._pool.map(self.evaluate, genomes))

    def _output(self, key: str) -> str:
        return str(Path(self._folder.name) / f"{key}.npy")

    def output_of(self, genome_text: str) -> NDArray[np.float32] | None:
        """The averaged output of a genome's search fit, float32 (H, W, 3) in [0, 1]; None where there is none."""
        if self.evaluate(genome_text)["reason"] is not None:
            return None
        key = self.key(genome_text)
        if not Path(self._output(key)).exists():
            if key in self.from_store:
                self._say(
                    "the store keeps outcomes and no pictures: this network is trained again for its picture"
                )
                self.from_store.remove(key)
            self.outcomes[key] = self._trained(key, genome_text, keep_output=True)
        output: NDArray[np.float32] = np.load(self._output(key), allow_pickle=False)
        return output
