"""Drives one search with evaluator processes on this machine: what `nasdip restore` does.

The search itself is `search.search`, the same functions that the workers of the application drive; this module only
turns populations into requests, runs as many at once as there are cores, and keeps what came back. The order in which
evaluations end, their number at once and what failed in between change no result.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil
from numpy.typing import NDArray

from nasdip_engine.bit_depth import Samples
from nasdip_engine.devices import cores, fingerprint_for
from nasdip_engine.devices import refusal as refusal_of_settings
from nasdip_engine.errors import NasDipError, SettingsError
from nasdip_engine.evaluation import Kind, Request, pixel_digest
from nasdip_engine.framing import Frame, paste
from nasdip_engine.genome.genome import Genome
from nasdip_engine.guard import Fault, FaultKind, Host, Limits
from nasdip_engine.liveness import heartbeat_limit
from nasdip_engine.local_store import Reference, shelf_for
from nasdip_engine.outcome import CRASHES_TO_POISON, without_fitness
from nasdip_engine.picture import encode_mask, encode_png, read_png
from nasdip_engine.question import Question
from nasdip_engine.search.history import Closed, Generation
from nasdip_engine.search.search import (
    EXCLUDED,
    Converged,
    evaluation_key,
    first_generation,
    next_generation,
    refusal,
)
from nasdip_engine.store import Shelf, Store

__all__ = ["CannotGoOn", "LocalSearch"]

Pixels = Samples
Say = Callable[[str], None]
OnProgress = Callable[[dict[str, Any]], None]

_FAULTS_TO_GIVE_UP = 3  # anything else is the machine's; three times in a row it needs a person
_MEMORY_SHARE = 0.8  # of this machine's memory, for all evaluations together
_SAY_EVERY = 10.0  # seconds between two progress lines


class CannotGoOn(NasDipError):
    """The evaluator failed repeatedly; nothing was kept."""


class LocalSearch:
    """One question, from generation 0 to the restored picture. Use as a context manager: it holds a process."""

    def __init__(
        self,
        asked: Question,
        *,
        workers: int | None = None,
        say: Say = lambda _: None,
        store: Store | None = None,
        reference: Pixels | None = None,
    ) -> None:
        """workers: evaluations at once; by default as many as leave each its threads on a core of its own.

        store: where outcomes of search fits are looked up and kept; they are the same to the bit without one.
        reference: a clean picture (H, W, 3) of the result's size, for studies: each outcome then has `true`, the PSNR in
        dB against it by iteration, which decides nothing.
        Raises SettingsError where this machine has not what the settings ask for.
        """
        self.asked = asked
        self._say = say
        self._workers = workers or max(1, cores() // asked.settings.threads)
        memory = int(psutil.virtual_memory().total * _MEMORY_SHARE / self._workers)
        self._host = Host("evaluator", limits=Limits(memory_bytes=memory), device=asked.settings.device_class)
        self._check_device()
        self._folder = tempfile.TemporaryDirectory(prefix="nasdip-")
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="evaluation")
        self._stopping = False
        self._began = time.monotonic()
        self._last_line = self._began
        self.outcomes: dict[str, dict[str, Any]] = {}
        self.from_store: set[str] = set()
        self._search_files = self._store(asked.search, "search")
        self._final_files = self._store(asked.final, "final")
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
        return fingerprint_for(self._host.hello["fingerprint"], self.asked.settings.threads) or {}

    def _store(self, frame: Frame, name: str) -> tuple[str, str | None]:
        folder = Path(self._folder.name)
        picture = folder / f"{name}.png"
        picture.write_bytes(encode_png(frame.picture))
        if frame.mask is None:
            return str(picture), None
        mask = folder / f"{name}-mask.png"
        mask.write_bytes(encode_mask(frame.mask))
        return str(picture), str(mask)

    def _request(self, kind: Kind, **more: Any) -> Request:
        picture, mask = self._search_files if kind is Kind.EVALUATE else self._final_files
        return Request(
            kind=kind, task=self.asked.task, settings=self.asked.settings,
            evaluation_seed=self.asked.seeds.evaluation_seed, picture=picture, mask=mask,
            bit_depth=self.asked.form.bit_depth, **more,
        )  # fmt: skip

    def key(self, genome_text: str) -> str:
        """The key of a genome's outcome.  Raises InvalidPhenotype for a genome that describes no network."""
        digest = Genome.parse(genome_text).phenotype().digest
        return evaluation_key(
            self.asked.search.digest, self.asked.task, self.asked.settings, self.asked.seeds, digest
        )

    def run(self, request: Request, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """One request to its outcome, with what may decide a fitness and what may not.

        Raises CannotGoOn when the machine, not the genome, is at fault and repeating did not help.
        """
        crashes = faults = 0
        while True:
            answer = self._host.run(
                request.to_json(),
                on_progress=on_progress,
                should_stop=lambda: self._stopping,
                heartbeat_limit=self._heartbeat(request),
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
            if faults + crashes >= _FAULTS_TO_GIVE_UP or answer.kind is FaultKind.ERROR:
                what = f"the evaluator failed at {request.genome or request.kind}"
                raise CannotGoOn(
                    f"{what}: {answer.kind}: {answer.detail}; nothing was kept, run it again when the cause is gone"
                )

    def _heartbeat(self, request: Request) -> float:
        frame = self.asked.search if request.kind is Kind.EVALUATE else self.asked.final
        height, width = (side * self.asked.task.factor for side in frame.size)
        return heartbeat_limit(request.genome, height, width, self.asked.settings.input_channels)

    def refusal(self, genome_text: str) -> str | None:
        """Why a genome is not trained: by the settings, or because the owner of a repeated run excluded it."""
        reason = refusal(genome_text, self.asked.settings)
        if reason is None and self.asked.excluded and self.key(genome_text) in self.asked.excluded:
            return EXCLUDED
        return reason

    def evaluate(self, genome_text: str) -> dict[str, Any]:
        """The outcome of one genome's search fit; refused ones have fitness 0 and the reason, untrained."""
        reason = self.refusal(genome_text)
        if reason is not None:
            return without_fitness(reason)
        key = self.key(genome_text)
        if key not in self.outcomes:
            against = self._reference.digest if self._reference else None
            kept = self._shelf.find(key, against) if self._shelf else None
            if kept is not None:
                self.from_store.add(key)
            self.outcomes[key] = kept or self._trained(key, genome_text)
        return self.outcomes[key]

    def _trained(self, key: str, genome_text: str) -> dict[str, Any]:
        request = self._request(
            Kind.EVALUATE,
            genome=genome_text,
            output=self._output(key),
            reference=self._reference.path if self._reference else None,
        )
        outcome = self.run(request)
        if self._shelf:
            self._shelf.keep(key, genome_text, Genome.parse(genome_text).phenotype().digest, outcome)
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
        if key in self.from_store:
            self._say(
                "the store keeps outcomes and no pictures: this network is trained again for its picture"
            )
            self.outcomes[key] = self._trained(key, genome_text)
            self.from_store.remove(key)
        output: NDArray[np.float32] = np.load(self._output(key), allow_pickle=False)
        return output

    def search(self) -> tuple[list[Closed], list[dict[str, Any]]]:
        """All generations, as the search needs them and as `run.json` tells them."""
        asked = self.asked
        history: list[Closed] = []
        records: list[dict[str, Any]] = []
        step: Generation | Converged = first_generation(asked.settings, asked.seeds)
        while isinstance(step, Generation):
            closed, record = self._close(step)
            history.append(closed)
            records.append(record)
            step = next_generation(asked.settings, asked.seeds, history)
        return history, records

    def _close(self, generation: Generation) -> tuple[Closed, dict[str, Any]]:
        refused = [self.refusal(genome) is not None for genome in generation.genomes]
        fresh: dict[str, str] = {}
        for genome, no in zip(generation.genomes, refused, strict=True):
            if not no and (key := self.key(genome)) not in self.outcomes:
                fresh.setdefault(key, genome)
        self._train(list(fresh.values()), generation.number)
        outcomes = [self.evaluate(genome) for genome in generation.genomes]
        closed = Closed(generation, tuple(outcome["fitness"] for outcome in outcomes))
        trained = [self.outcomes[key] for key in fresh]
        record = {
            "number": generation.number, "best": closed.best, "mean": closed.mean, "worst": closed.worst,
            "evaluations": len(fresh), "invalid": sum(refused), "failed": sum(outcome["fitness"] == 0 for outcome in trained),
            "iterations": sum(outcome["iterations"] for outcome in trained),
            "genomes": list(generation.genomes), "fitness_hex": [outcome["fitness_hex"] for outcome in outcomes],
        }  # fmt: skip
        self._say(
            f"generation {generation.number + 1} of {self.asked.settings.generations} closed: best fitness {closed.best:.4f}, "
            f"mean {closed.mean:.4f}, {self._told(fresh)}{self._left(generation.number + 1)}"
        )
        return closed, record

    def _told(self, fresh: Collection[str]) -> str:
        kept = len(self.from_store.intersection(fresh))
        return f"{len(fresh) - kept} networks trained" + (f", {kept} from the store" if kept else "")

    def _train(self, genomes: Sequence[str], number: int) -> None:
        """Evaluate distinct genomes, several at once; the first failure stops the others."""
        futures = {self._pool.submit(self.evaluate, genome) for genome in genomes}
        pending = futures
        while pending:
            done, pending = wait(pending, timeout=1.0, return_when=FIRST_EXCEPTION)
            for future in done:
                if future.exception() is not None:
                    self._stopping = True
                    future.result()
            now = time.monotonic()
            if now - self._last_line >= _SAY_EVERY and pending:
                self._last_line = now
                best = max((outcome["fitness"] for outcome in list(self.outcomes.values())), default=0.0)
                self._say(
                    f"generation {number + 1} of {self.asked.settings.generations}: {len(genomes) - len(pending)} of "
                    f"{len(genomes)} networks, best fitness {best:.4f}{self._left(number)}"
                )

    def _left(self, closed: int) -> str:
        """Time left, from the iterations x pixels done so far: an estimate, and said so."""
        settings, final = self.asked.settings, self.asked.final.size
        per_generation = settings.population - settings.elites
        trained = len(self.outcomes) - len(self.from_store)
        if not trained:
            return ""
        remaining = max(0, (settings.generations - closed) * per_generation)
        crop = self.asked.search.size
        ratio = (
            (final[0] * final[1])
            / (crop[0] * crop[1])
            * settings.longest_final_fit
            / settings.longest_search_fit
        )
        remaining_finals = ratio * -(-settings.finalists // self._workers) * self._workers
        seconds = (time.monotonic() - self._began) / trained * (remaining + remaining_finals)
        return f", about {int(seconds) // 60}:{int(seconds) % 60:02d} left"

    def finish(self, networks: Sequence[str]) -> tuple[dict[str, Any], Pixels]:
        """Fit the networks at full size and take what the held-out observations prefer: one alone or the mean.

        Returns the `final` part of `run.json` and the whole restored picture, (H, W, 3) of the asked depth.
        """
        self._say(
            f"final fit of {len(networks)} networks at {self.asked.final.size[1]} x {self.asked.final.size[0]} pixels"
        )
        folder = Path(self._folder.name)
        arrays = [folder / f"final-{number}.npy" for number in range(len(networks))]
        futures = [
            self._pool.submit(
                self.run, self._request(Kind.FINISH, genome=genome, output=str(array)), self._tell_final
            )
            for genome, array in zip(networks, arrays, strict=True)
        ]
        outcomes = [future.result() for future in futures]
        usable = [number for number, outcome in enumerate(outcomes) if outcome["reason"] is None]
        if not usable:
            raise CannotGoOn(
                f"no final fit came to an end: {outcomes[0]['reason']}; try another seed or other settings"
            )
        restored = folder / "restored-frame.png"
        combined = self.run(
            self._request(
                Kind.COMBINE,
                inputs=tuple(str(arrays[number]) for number in usable),
                genomes=tuple(networks[number] for number in usable),
                output=str(restored),
            )
        )
        picture = self._whole(restored)
        kept = ("iterations", "best_iteration", "held_out_psnr", "reason", "multiply_adds", "pixels")
        final = {
            "networks": [
                {"genome": genome, **{name: outcome[name] for name in kept}}
                for genome, outcome in zip(networks, outcomes, strict=True)
            ],
            "choice": combined["choice"],
            "held_out_psnr": combined["held_out_psnr"],
            "noise": combined["noise"],
            "digest": pixel_digest(picture),
        }
        return final, picture

    def _whole(self, restored_frame: Path) -> Pixels:
        """The whole picture from the restored frame: pasted round the hole where known pixels are exact."""
        asked = self.asked
        mask = asked.mask if asked.task.keeps_known else None
        return asked.form.finished(paste(asked.upload, mask, asked.final, read_png(restored_frame).pixels))

    def _tell_final(self, progress: dict[str, Any]) -> None:
        now = time.monotonic()
        if now - self._last_line < _SAY_EVERY or progress["loss"] is None:
            return
        self._last_line = now
        seen = progress["held_out_psnr"]
        figure = "" if seen is None else f", {seen:.2f} dB on held-out observations"
        self._say(f"final fit: iteration {progress['iteration']} of at most {progress['of']}{figure}")

    def baseline(self) -> tuple[dict[str, Any], Pixels]:
        """The task's training-free reference on the same frame: its record and its whole picture."""
        output = Path(self._folder.name) / "baseline.png"
        outcome = self.run(self._request(Kind.BASELINE, output=str(output)))
        picture = self._whole(output)
        return {
            "method": outcome["method"],
            "held_out_psnr": outcome["held_out_psnr"],
            "digest": pixel_digest(picture),
        }, picture
