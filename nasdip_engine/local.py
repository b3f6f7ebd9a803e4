"""Drives one search with evaluator processes on this machine: what `nasdip restore` does.

The search itself is `search.search`, the same functions that the workers of the application drive; this module only
turns populations into requests, runs as many at once as there are cores, and keeps what came back. The order in which
evaluations end, their number at once and what failed in between change no result.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from itertools import product
from pathlib import Path
from typing import Any, Self

import numpy as np
import psutil
from numpy.typing import NDArray

from nasdip_engine.bit_depth import Samples
from nasdip_engine.errors import NasDipError
from nasdip_engine.evaluation import Kind, Request, pixel_digest
from nasdip_engine.finals import Part, final_key, final_record
from nasdip_engine.framing import Frame, paste, paste_whole
from nasdip_engine.genome.genome import Genome
from nasdip_engine.guard import Fault, FaultKind, Host, Limits
from nasdip_engine.liveness import heartbeat_limit
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

__all__ = ["CannotGoOn", "LocalSearch"]

Pixels = Samples
Say = Callable[[str], None]
OnProgress = Callable[[dict[str, Any]], None]

_FAULTS_TO_GIVE_UP = 3  # anything else is the machine's; three times in a row it needs a person
_MEMORY_SHARE = 0.8  # of this machine's memory, for all evaluations together
_SAY_EVERY = 10.0  # seconds between two progress lines


class CannotGoOn(NasDipError):
    """The evaluator failed repeatedly; nothing was kept."""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalSearch:
    """One question, from generation 0 to the restored picture. Use as a context manager: it holds a process."""

    def __init__(self, asked: Question, *, workers: int | None = None, say: Say = lambda _: None) -> None:
        """workers: evaluations at once, one thread each; the cores of this machine by default."""
        self.asked = asked
        self._say = say
        self._workers = workers or _cores()
        memory = int(psutil.virtual_memory().total * _MEMORY_SHARE / self._workers)
        self._host = Host("evaluator", limits=Limits(memory_bytes=memory))
        self._folder = tempfile.TemporaryDirectory(prefix="nasdip-")
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="evaluation")
        self._stopping = False
        self._began = time.monotonic()
        self._last_line = self._began
        self.outcomes: dict[str, dict[str, Any]] = {}
        self._search_files = self._store(asked.search, "search")
        self._final_files = [
            self._store(frame, f"final-{number}") for number, frame in enumerate(asked.final)
        ]
        self._mask_file: str | None = None
        self._counting = threading.Lock()
        self._finals_done = self._finals_of = 0
        self._finals_began = self._began
        self.final_outcomes: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._pool.shutdown(cancel_futures=True)
        self._host.close()
        self._folder.cleanup()

    @property
    def fingerprint(self) -> dict[str, Any]:
        return dict(self._host.hello["fingerprint"])

    def _store(self, frame: Frame, name: str) -> tuple[str, str | None]:
        folder = Path(self._folder.name)
        picture = folder / f"{name}.png"
        picture.write_bytes(encode_png(frame.picture))
        if frame.mask is None:
            return str(picture), None
        mask = folder / f"{name}-mask.png"
        mask.write_bytes(encode_mask(frame.mask))
        return str(picture), str(mask)

    def _request(self, kind: Kind, tile: int = 0, **more: Any) -> Request:
        picture, mask = self._search_files if kind is Kind.EVALUATE else self._final_files[tile]
        return Request(
            kind=kind, task=self.asked.task, settings=self.asked.settings,
            evaluation_seed=self.asked.seeds.evaluation_seed, bit_depth=self.asked.form.bit_depth,
            **{"picture": picture, "mask": mask, **more},
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
        height, width = self.asked.largest_final
        if request.kind is Kind.EVALUATE:
            height, width = (side * self.asked.task.factor for side in self.asked.search.size)
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
            self.outcomes[key] = self.run(
                self._request(Kind.EVALUATE, genome=genome_text, output=self._output(key))
            )
        return self.outcomes[key]

    def evaluate_all(self, genomes: Sequence[str]) -> list[dict[str, Any]]:
        """The outcomes of genomes in their order, several trained at once."""
        return list(self._pool.map(self.evaluate, genomes))

    def _output(self, key: str) -> str:
        return str(Path(self._folder.name) / f"{key}.npy")

    def output_of(self, genome_text: str) -> NDArray[np.float32] | None:
        """The averaged output of a genome's search fit, float32 (H, W, 3) in [0, 1]; None where there is none."""
        if self.evaluate(genome_text)["reason"] is not None:
            return None
        output: NDArray[np.float32] = np.load(self._output(self.key(genome_text)), allow_pickle=False)
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
            f"mean {closed.mean:.4f}, {len(fresh)} networks trained{self._left(generation.number + 1)}"
        )
        return closed, record

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
        settings, tiles = self.asked.settings, len(self.asked.final)
        per_generation = settings.population - settings.elites
        trained = len(self.outcomes)
        if not trained:
            return ""
        remaining = max(0, (settings.generations - closed) * per_generation)
        crop = self.asked.search.size
        final = sum(frame.size[0] * frame.size[1] for frame in self.asked.final) / tiles
        ratio = (final / (crop[0] * crop[1])) * settings.longest_final_fit / settings.longest_search_fit
        remaining_finals = ratio * -(-settings.finals(tiles) * tiles // self._workers) * self._workers
        seconds = (time.monotonic() - self._began) / trained * (remaining + remaining_finals)
        return f", about {int(seconds) // 60}:{int(seconds) % 60:02d} left"

    def finish(self, networks: Sequence[str]) -> tuple[dict[str, Any], Pixels]:
        """Fit the networks at full size and take what the held-out observations prefer: one alone or the mean.

        A picture that is not fitted whole is fitted tile by tile.  Returns the `final` part of `run.json` and the
        whole restored picture, (H, W, 3) of the asked depth.
        """
        frames = self.asked.final
        height, width = self.asked.largest_final
        where = (
            f"{width} x {height} pixels"
            if len(frames) == 1
            else f"{len(frames)} tiles of {width} x {height} pixels"
        )
        self._say(f"final fit of {len(networks)} network{'s' * (len(networks) > 1)} at {where}")
        arrays: dict[tuple[int, str], str] = {}
        futures: dict[tuple[int, str], Future[dict[str, Any]]] = {}
        for tile, genome in product(range(len(frames)), networks):
            key = final_key(Genome.parse(genome).phenotype().digest, tile, len(frames))
            if key in self.asked.excluded:
                continue
            arrays[tile, genome] = str(Path(self._folder.name) / f"final-{tile}-{networks.index(genome)}.npy")
            futures[tile, genome] = self._pool.submit(self._finish_one, tile, genome, arrays[tile, genome])
        self._last_line = self._finals_began = time.monotonic()
        self._finals_of = len(futures)
        outcomes = {place: future.result() for place, future in futures.items()}
        self.final_outcomes = list(outcomes.values())
        made = [
            [
                genome
                for genome in networks
                if (tile, genome) in outcomes and outcomes[tile, genome]["reason"] is None
            ]
            for tile in range(len(frames))
        ]
        self._need_all(made, outcomes)
        combined, picture = self._combined(
            [[(arrays[tile, genome], genome) for genome in genomes] for tile, genomes in enumerate(made)]
        )
        fits = {genome: [outcomes.get((tile, genome)) for tile in range(len(frames))] for genome in networks}
        boxes = [frame.box for frame in frames]
        return final_record(fits, boxes, combined, pixel_digest(picture)), picture

    def _finish_one(self, tile: int, genome: str, array: str) -> dict[str, Any]:
        request = self._request(Kind.FINISH, tile, genome=genome, output=array)
        outcome = self.run(request, self._tell_final)
        with self._counting:
            self._finals_done += 1
        return outcome

    def _need_all(
        self, made: Sequence[Sequence[str]], outcomes: Mapping[tuple[int, str], Mapping[str, Any]]
    ) -> None:
        for tile, genomes in enumerate(made):
            if not genomes:
                reason = next(
                    (one["reason"] for place, one in outcomes.items() if place[0] == tile), "excluded"
                )
                what = "no final fit" if len(made) == 1 else f"no final fit of tile {tile + 1} of {len(made)}"
                raise CannotGoOn(f"{what} came to an end: {reason}; try another seed or other settings")

    def _combined(self, made: Sequence[Sequence[tuple[str, str]]]) -> tuple[dict[str, Any], Pixels]:
        """The outcome of COMBINE and the whole picture; made: (file, genome) of the final fits of each frame."""
        if len(made) == 1:
            inputs, genomes = zip(*made[0], strict=True)
            restored = str(Path(self._folder.name) / "restored-frame.png")
            outcome = self.run(self._request(Kind.COMBINE, inputs=inputs, genomes=genomes, output=restored))
            return outcome, self._pasted(restored)
        output = str(Path(self._folder.name) / "restored.npy")
        outcome = self.run(self._request(Kind.COMBINE, **self._parts(made), output=output))
        return outcome, self._pasted(output)

    def _parts(self, made: Sequence[Sequence[tuple[str, str]]]) -> dict[str, Any]:
        """What a request about several frames carries."""
        height, width = self.asked.upload.shape[:2]
        if self.asked.mask is not None and self._mask_file is None:
            self._mask_file = str(Path(self._folder.name) / "mask.png")
            Path(self._mask_file).write_bytes(encode_mask(self.asked.mask))
        parts = tuple(
            Part(
                picture=picture,
                mask=mask,
                box=frame.box,
                scale=frame.scale,
                inputs=tuple(file for file, _ in fits),
                genomes=tuple(genome for _, genome in fits),
            )
            for (picture, mask), frame, fits in zip(self._final_files, self.asked.final, made, strict=True)
        )
        return {"parts": parts, "size": (height, width), "mask": self._mask_file}

    def _pasted(self, output: str) -> Pixels:
        """The whole picture from what the evaluator restored: the only frame (PNG), or all of it (.npy)."""
        asked = self.asked
        mask = asked.mask if asked.task.keeps_known else None
        if len(asked.final) > 1:
            whole = paste_whole(asked.upload, mask, np.load(output, allow_pickle=False))
        else:
            whole = paste(asked.upload, mask, asked.final[0], read_png(Path(output)).pixels)
        return asked.form.finished(whole)

    def _tell_final(self, progress: dict[str, Any]) -> None:
        now = time.monotonic()
        if now - self._last_line < _SAY_EVERY or progress["loss"] is None:
            return
        self._last_line = now
        seen, tiles, left = progress["held_out_psnr"], "", ""
        figure = "" if seen is None else f", {seen:.2f} dB on held-out observations"
        if len(self.asked.final) > 1:
            tiles = f" {self._finals_done} of {self._finals_of} tiles done,"
        if self._finals_done and tiles:
            seconds = (now - self._finals_began) / self._finals_done * (self._finals_of - self._finals_done)
            left = f", about {int(seconds) // 60}:{int(seconds) % 60:02d} left"
        self._say(
            f"final fit:{tiles} iteration {progress['iteration']} of at most {progress['of']}{figure}{left}"
        )

    def baseline(self) -> tuple[dict[str, Any], Pixels]:
        """The task's training-free reference on the same frames: its record and its whole picture."""
        several = len(self.asked.final) > 1
        output = str(Path(self._folder.name) / ("baseline.npy" if several else "baseline.png"))
        more = self._parts([()] * len(self.asked.final)) if several else {}
        outcome = self.run(self._request(Kind.BASELINE, **more, output=output))
        picture = self._pasted(output)
        return {
            "method": outcome["method"],
            "held_out_psnr": outcome["held_out_psnr"],
            "digest": pixel_digest(picture),
        }, picture
