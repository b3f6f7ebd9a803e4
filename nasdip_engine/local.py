"""Drives one search with evaluator processes on this machine: what `nasdip restore` does.

The search itself is `evolution.search`, the same functions that the workers of the application drive; this module only
turns populations into evaluations and final fits. The order in which evaluations end, their number at once and what
failed in between change no result.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from itertools import product
from pathlib import Path
from threading import Semaphore
from typing import Any

import numpy as np

from nasdip_engine.baseline_names import baselines_of, left_out_record, slug_of
from nasdip_engine.bit_depth import Samples
from nasdip_engine.evolution.history import Closed, Generation
from nasdip_engine.evolution.racing import Field
from nasdip_engine.evolution.search import (
    Converged,
    close,
    entrants,
    first_generation,
    next_generation,
    raced,
)
from nasdip_engine.finals import final_key, final_record
from nasdip_engine.framing import paste, paste_whole
from nasdip_engine.genome.cost import cost
from nasdip_engine.genome.genome import Genome
from nasdip_engine.genome.memory import MODEL_MARGIN
from nasdip_engine.local_evaluations import CannotGoOn, LocalEvaluations
from nasdip_engine.picture import encode_mask, pixel_digest, read_png
from nasdip_engine.request import Kind, Part
from nasdip_engine.stills import still_file

__all__ = ["CannotGoOn", "LocalSearch"]

_SAY_EVERY = 10.0  # seconds between two progress lines


def _about(seconds: float) -> str:
    return f", about {int(seconds) // 60}:{int(seconds) % 60:02d} left"


class LocalSearch(LocalEvaluations):
    """One question, from generation 0 to the restored picture. Use as a context manager: it holds a process."""

    def search(self) -> tuple[list[Closed], list[dict[str, Any]]]:
        """All generations, as the search needs them and as `run.json` tells them."""
        asked = self.asked
        self._history: list[Closed] = []
        records: list[dict[str, Any]] = []
        step: Generation | Converged = first_generation(asked.settings, asked.seeds)
        while isinstance(step, Generation):
            closed, record = self._close(step)
            self._history.append(closed)
            records.append(record)
            step = next_generation(asked.settings, asked.seeds, self._history)
        return self._history, records

    def _close(self, generation: Generation) -> tuple[Closed, dict[str, Any]]:
        settings = self.asked.settings
        fields, fresh = self._run_race(generation, entrants(generation, self._history, settings))
        closed = close(generation, self._history, settings, fields)
        trained = [self.outcomes[key] for keys in fresh for key in keys]
        record = {
            "number": generation.number, "best": closed.best, "mean": closed.mean, "worst": closed.worst,
            "evaluations": len(trained), "invalid": self._invalid(closed),
            "failed": sum(outcome["fitness"] == 0 for outcome in trained),
            "iterations": sum(outcome["iterations"] for outcome in trained),
            "genomes": list(generation.genomes), "fitness_hex": [value.hex() for value in closed.fitness],
        }  # fmt: skip
        if closed.rungs is not None:
            spent = [(len(keys), sum(self.outcomes[key]["iterations"] for key in keys)) for keys in fresh]
            record |= {"reached": list(closed.rungs), "rungs": raced(fields, settings, spent)}
        self._say(
            f"generation {generation.number + 1} of {settings.generations} closed: best fitness {closed.best:.4f}, "
            f"mean {closed.mean:.4f}, {self._told({key for keys in fresh for key in keys})}"
            f"{self._left(generation.number + 1, ())}"
        )
        return closed, record

    def _run_race(
        self, generation: Generation, networks: Sequence[str]
    ) -> tuple[list[Field], list[list[str]]]:
        """Train networks rung by rung; without racing the only rung is the whole fit.

        Returns what each rung found, and the keys of the outcomes that are new in it.
        """
        race = self.asked.settings.race
        fields: list[Field] = []
        fresh: list[list[str]] = []
        rung = -1
        while networks and rung < race.last:
            rung = race.next_rung(len(networks), rung)
            keys = {network: self.key(network, rung) for network in networks}
            new = [
                network
                for network, key in keys.items()
                if key not in self.outcomes and self.refusal(network, rung) is None
            ]
            self._train(new, rung, len(networks), generation.number)
            fitness = tuple(self.evaluate(network, rung)["fitness"] for network in networks)
            fields.append(Field(rung, tuple(networks), fitness))
            fresh.append([keys[network] for network in new])
            networks = [networks[place] for place in race.promoted(fitness)]
        return fields, fresh

    def _invalid(self, closed: Closed) -> int:
        """How many places have a network that was not trained, or not further."""
        rungs = closed.rungs or (None,) * len(closed.fitness)
        places = zip(closed.generation.genomes, rungs, strict=True)
        return sum(self.refusal(genome, rung) is not None for genome, rung in places)

    def _told(self, fresh: Collection[str]) -> str:
        kept = len(self.from_store.intersection(fresh))
        what = "search fits done" if self.asked.settings.race.last else "networks trained"
        return f"{len(fresh) - kept} {what}" + (f", {kept} from the store" if kept else "")

    def _train(self, genomes: Sequence[str], rung: int, field: int, number: int) -> None:
        """Evaluate distinct genomes, several at once; the first failure stops the others.

        field: the networks of the rung, those that have their outcome already among them.
        """
        race = self.asked.settings.race
        futures = {self._pool.submit(self.evaluate, genome, rung) for genome in genomes}
        pending = futures
        where = f"rung {rung + 1} of {race.last + 1}, " if race.last else ""
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
                    f"generation {number + 1} of {self.asked.settings.generations}: {where}{len(genomes) - len(pending)} of "
                    f"{len(genomes)} networks, best fitness {best:.4f}"
                    f"{self._left(number + 1, race.left(len(pending), field, rung))}"
                )

    def _left(self, opened: int, to_come: Collection[tuple[int, int]]) -> str:
        """Time left, from the seconds of the fits done so far: an estimate, and said so.

        opened: generations that are closed or being trained.  to_come: (rung, networks) that are left of the last one.
        """
        settings, tiles = self.asked.settings, len(self.asked.final)
        if not self._fits_done:
            return ""
        race, whole = settings.race, settings.longest_search_fit
        unopened = max(0, settings.generations - opened)
        bred = race.planned(settings.population - settings.elites)
        search = race.in_turn([*to_come, *unopened * bred], whole, self._workers)
        crop = self.asked.search.size
        final = sum(frame.size[0] * frame.size[1] for frame in self.asked.final) / tiles
        longest = settings.longest_final_fit(self.asked.task)
        ratio = (final / (crop[0] * crop[1])) * longest / whole
        finals = ratio * -(-settings.finals(tiles) * tiles // self._workers)
        return _about(self._fits_seconds / self._fits_done * (search + finals))

    def finish(self, networks: Sequence[str]) -> tuple[dict[str, Any], Samples]:
        """Fit the networks at full size and take what the held-out observations prefer: one alone or the mean.

        A picture that is not fitted whole is fitted tile by tile.  Returns the `final` part of `run.json` and the
        whole restored picture, (H, W, 3) of the asked depth; `stills` then has those of the first network's first fit.
        """
        frames = self.asked.final
        height, width = self.asked.largest_final
        where = (
            f"{width} x {height} pixels"
            if len(frames) == 1
            else f"{len(frames)} tiles of {width} x {height} pixels"
        )
        self._say(f"final fit of {len(networks)} network{'s' * (len(networks) > 1)} at {where}")
        at_once = self._finals_at_once(networks, len(frames) * len(networks))
        room = Semaphore(at_once)

        def finish_one(tile: int, genome: str, array: str, stills: str | None) -> dict[str, Any]:
            with room:
                return self._finish_one(tile, genome, array, stills, self._memory // at_once)

        arrays: dict[tuple[int, str], str] = {}
        futures: dict[tuple[int, str], Future[dict[str, Any]]] = {}
        for tile, genome in product(range(len(frames)), networks):
            key = final_key(Genome.parse(genome).phenotype().digest, tile, len(frames))
            if key in self.asked.excluded:
                continue
            array = arrays[tile, genome] = str(
                Path(self._folder.name) / f"final-{tile}-{networks.index(genome)}.npy"
            )
            # The first of all fits, the best network's, is the one that can be watched.
            stills = f"{array}.stills" if (tile, genome) == (0, networks[0]) else None
            futures[tile, genome] = self._pool.submit(finish_one, tile, genome, array, stills)
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

    def _finals_at_once(self, networks: Sequence[str], fits: int) -> int:
        """How many final fits this machine's memory carries at once, by the modelled need of the largest.

        Of a GPU's memory the model says nothing.
        """
        at_once = max(1, min(self._workers, fits))
        if self.asked.settings.device_class != "cpu":
            return at_once
        height, width = self.asked.largest_final
        channels = self.asked.settings.input_channels
        phenotypes = [Genome.parse(genome).phenotype() for genome in networks]
        largest = max(cost(one, height, width, channels).peak_bytes for one in phenotypes)
        return max(1, min(at_once, int(self._memory / (MODEL_MARGIN * largest))))

    def _finish_one(
        self, tile: int, genome: str, array: str, stills: str | None, memory: int
    ) -> dict[str, Any]:
        request = self._request(Kind.FINISH, tile, genome=genome, output=array, stills=stills)
        outcome = self.run(request, self._tell_final, memory)
        if stills is not None:
            made = outcome.get("stills", ())
            self.stills = {number: read_png(still_file(Path(stills), number)).pixels for number in made}
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

    def _combined(self, made: Sequence[Sequence[tuple[str, str]]]) -> tuple[dict[str, Any], Samples]:
        """The outcome of COMBINE and the whole picture; made: (file, genome) of the final fits of each frame."""
        if len(made) == 1:
            inputs, genomes = zip(*made[0], strict=True)
            restored = str(Path(self._folder.name) / "restored-frame.png")
            request = self._request(Kind.COMBINE, inputs=inputs, genomes=genomes, output=restored)
            outcome = self.run(request, memory=self._memory)  # it runs alone
            return outcome, self._pasted(restored)
        output = str(Path(self._folder.name) / "restored.npy")
        outcome = self.run(
            self._request(Kind.COMBINE, **self._parts(made), output=output), memory=self._memory
        )
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

    def _pasted(self, output: str) -> Samples:
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
            left = _about(seconds)
        self._say(
            f"final fit:{tiles} iteration {progress['iteration']} of at most {progress['of']}{figure}{left}"
        )

    def baselines(self) -> tuple[list[dict[str, Any]], dict[str, Samples]]:
        """The task's training-free references on the same frames: a record of each, and the whole pictures by name.

        A record has `method`, `held_out_psnr` in dB and `digest`; one that was not made says why (`left_out`).
        """
        several = len(self.asked.final) > 1
        more = self._parts([()] * len(self.asked.final)) if several else {}
        methods = baselines_of(self.asked.task)
        self._say(f"references: {', '.join(methods)}")
        futures = [self._pool.submit(self._baseline, method, several, more) for method in methods]
        records, pictures = [], {}
        for method, future in zip(methods, futures, strict=True):
            record, picture = future.result()
            records.append(record)
            if picture is not None:
                pictures[method] = picture
        return records, pictures

    def _baseline(
        self, method: str, several: bool, more: Mapping[str, Any]
    ) -> tuple[dict[str, Any], Samples | None]:
        output = str(Path(self._folder.name) / f"baseline-{slug_of(method)}.{'npy' if several else 'png'}")
        outcome = self.run(self._request(Kind.BASELINE, method=method, **more, output=output))
        if outcome.get("left_out"):
            return left_out_record(method, outcome["left_out"]), None
        picture = self._pasted(output)
        found = {"method": method, "held_out_psnr": outcome["held_out_psnr"]}
        return found | {"digest": pixel_digest(picture)}, picture
