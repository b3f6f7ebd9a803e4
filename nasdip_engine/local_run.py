"""What the commands `restore` and `evaluate` make out of one local search: a folder, or one line.

The folder is written whole or not at all (`run_folder`): an interrupted or failed run leaves nothing behind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nasdip_engine.bit_depth import Samples
from nasdip_engine.evolution.search import Ranked, best_of, finalists_of
from nasdip_engine.framing import reference_frame
from nasdip_engine.local import CannotGoOn, LocalSearch
from nasdip_engine.question import Question
from nasdip_engine.run_folder import Stills, write_run
from nasdip_engine.runfile import build_run
from nasdip_engine.store import Store

__all__ = ["evaluate_one", "restore_question", "restore_to_folder", "true_scores"]

Say = Callable[[str], None]


def _best(ranked: Sequence[Ranked]) -> dict[str, Any]:
    if not ranked:
        raise CannotGoOn(
            "no network of this search has a fitness; raise the population, the generations or, where it is set, the cost cap"
        )
    winner = ranked[0]
    return {
        "genome": winner.genome,
        "fitness": winner.fitness,
        "fitness_hex": winner.fitness.hex(),
        "is_starter": winner.starter,
    }


def _cost(outcomes: Sequence[dict[str, Any]], seconds: float) -> dict[str, Any]:
    return {
        "iterations": sum(outcome["iterations"] for outcome in outcomes),
        "iterations_x_pixels": sum(outcome["iterations"] * outcome["pixels"] for outcome in outcomes),
        "multiply_adds": sum(outcome["multiply_adds"] for outcome in outcomes),
        "seconds": round(seconds, 3),
    }


def _saved(search: LocalSearch, store: Store | None) -> dict[str, Any]:
    """The part of the cost that was paid for by an earlier run."""
    if store is None:
        return {}
    kept = [search.outcomes[key] for key in search.from_store]
    return {
        "from_store": {"evaluations": len(kept), "iterations": sum(outcome["iterations"] for outcome in kept)}
    }


def _against(picture: Samples | None, reference: Samples | None) -> dict[str, float | None] | None:
    if picture is None or reference is None:
        return None
    from nasdip_engine.restoration.metrics import scores

    return scores(picture, reference)


def restore_question(
    asked: Question,
    *,
    reference: Samples | None = None,
    workers: int | None = None,
    say: Say = lambda _: None,
    store: Store | None = None,
) -> tuple[dict[str, Any], Samples, dict[str, Samples], Stills]:
    """Search and restore: what `run.json` holds, the restored picture, the training-free references by name, the stills.

    The last are uint8 (h, w, 3), at most 256 px a side, by the iteration of the best network's final fit after which they
    show its averaged output; of a picture fitted in parts, that of the first one.

    reference: (H, W, 3), the clean picture, for figures only.  With a store the run is the same but for what it
    took; its cost then says what came `from_store`.  Raises CannotGoOn.
    """
    began = time.monotonic()
    studied = reference if store else None
    with LocalSearch(asked, workers=workers, say=say, store=store, reference=studied) as search:
        history, records = search.search()
        best = _best(best_of(history, asked.settings))
        height, width = asked.largest_final
        finalists = finalists_of(history, asked.settings, height, width, len(asked.final))
        if not finalists:
            raise CannotGoOn(
                f"no network found fits {width} x {height} px in memory_limit; take a smaller factor"
            )
        final, restored = search.finish([one.genome for one in finalists])
        baselines, rivals = search.baselines()
        if reference is not None:
            baselines = [
                record | {"reference": _against(rivals.get(record["method"]), reference)}
                for record in baselines
            ]
        run = build_run(
            task=asked.task, settings=asked.settings, seeds=asked.seeds, fingerprint=search.fingerprint,
            generations=records, final=final, best=best, picture=asked.picture_record(), baselines=baselines,
            cost=_cost([*search.outcomes.values(), *search.final_outcomes], time.monotonic() - began)
            | _saved(search, store),
            reference=_against(restored, reference),
        )  # fmt: skip
        stills = search.stills
    return run, restored, rivals, stills


def restore_to_folder(
    asked: Question,
    folder: Path,
    *,
    reference: Samples | None = None,
    workers: int | None = None,
    say: Say = lambda _: None,
    store: Store | None = None,
) -> dict[str, Any]:
    """Search, restore (`restore_question`) and write the whole folder; returns what `run.json` holds.

    An interrupted or failed run leaves no files behind; one that is done is never thrown away (`write_run`).  Raises
    CannotGoOn.
    """
    run, restored, rivals, stills = restore_question(
        asked, reference=reference, workers=workers, say=say, store=store
    )
    write_run(asked, folder, run, restored, rivals, stills)
    return run


def evaluate_one(
    asked: Question,
    genome_text: str,
    *,
    reference: Samples | None = None,
    store: Store | None = None,
    say: Say = lambda _: None,
) -> dict[str, Any]:
    """The outcome of one genome on the search frame, with PSNR, SSIM and LPIPS there when a reference is given."""
    studied = reference if store else None
    with LocalSearch(
        asked, workers=1, say=say, store=store, reference=studied, keep_outputs=reference is not None
    ) as search:
        outcome = search.evaluate(genome_text)
        told = ("fitness", "fitness_hex", "reason", "held_out_psnr", "iterations", "multiply_adds")
        answer = {"genome": genome_text} | {name: outcome[name] for name in told}
        return answer if reference is None else answer | true_scores(search, genome_text, reference)


def true_scores(search: LocalSearch, genome_text: str, reference: Samples) -> dict[str, float | None]:
    """PSNR in dB, SSIM and LPIPS of a genome's search fit against the clean picture; the search never sees them.

    reference: (H, W, 3) of the result's size.  All are None for a genome without an output.
    """
    from nasdip_engine.restoration.degradation import degradation_for
    from nasdip_engine.restoration.metrics import NO_SCORES, scores

    output = search.output_of(genome_text)
    if output is None:
        return dict(NO_SCORES)
    asked = search.asked
    frame = asked.search
    picture = degradation_for(asked.task, frame.picture, frame.mask).compose(output)
    return scores(picture, reference_frame(reference, frame, asked.task.factor))
