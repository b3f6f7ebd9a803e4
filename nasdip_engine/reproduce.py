"""`nasdip verify`: a run's folder is enough to repeat it; equal digests are the proof.

Equal bits are promised on machines with the same numerics fingerprint. Elsewhere the comparison is made all the same
and the verdict says that the machines differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasdip_engine.errors import InvalidInput
from nasdip_engine.evolution.history import Closed
from nasdip_engine.evolution.search import best_of, finalists_of
from nasdip_engine.guard import Host
from nasdip_engine.local import LocalSearch
from nasdip_engine.picture import decode_result, pixel_digest
from nasdip_engine.question import Question, from_run
from nasdip_engine.runfile import load_run

__all__ = ["Verdict", "verify"]


@dataclass(frozen=True)
class Verdict:
    """equal: what was compared is the same: the restored colours; with `search` every genome, fitness and chosen network.

    sentence: what was compared and found.
    """

    equal: bool
    sentence: str


def _restored_digest(folder: Path) -> str:
    path = folder / "restored.png"
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise InvalidInput(f"{path} cannot be read: {problem.strerror}") from None
    with Host("decoder") as host:
        return pixel_digest(decode_result(data, str(path), host).pixels)


def _differing_generation(recorded: list[dict[str, Any]], repeated: list[dict[str, Any]]) -> int | None:
    compared = ("genomes", "fitness_hex", "best", "mean", "worst")
    for ours, theirs in zip(recorded, repeated, strict=False):
        if any(ours[name] != theirs[name] for name in compared):
            return int(ours["number"])
    return None if len(recorded) == len(repeated) else min(len(recorded), len(repeated))


def _differing_choice(run: dict[str, Any], history: Sequence[Closed], asked: Question) -> str | None:
    """What a run says that its search found and the repeated one did not; None where all of it is the same.

    A finalist that the owner excluded is missing in the run.
    """
    ranked = best_of(history, asked.settings)
    best = (run["best_genome"], run["best_fitness"], run["best_fitness_hex"])
    if not ranked or (ranked[0].genome, ranked[0].fitness, ranked[0].fitness.hex()) != best:
        return "the search finds another best network, or another fitness of it"
    finalists = finalists_of(history, asked.settings, *asked.largest_final, len(asked.final))
    if {network["genome"] for network in run["final"]["networks"]} - {one.genome for one in finalists}:
        return "the final fit is of networks that the search does not choose"
    return None


def verify(folder: Path, *, search: bool = False, say: Callable[[str], None] = lambda _: None) -> Verdict:
    """Repeat the final fit of a run (with `search`: every generation first) and compare with what it recorded.

    Raises InvalidInput where the folder is no whole run.
    """
    run = load_run(folder)
    asked = from_run(folder)
    expected = run["final"]["digest"]
    if _restored_digest(folder) != expected:
        return Verdict(
            equal=False,
            sentence=f"not equal: {folder / 'restored.png'} is not the picture that run.json records",
        )
    with LocalSearch(asked, say=say) as repeated:
        elsewhere = repeated.fingerprint != run["fingerprint"]
        note = (
            "; this machine has another numerics fingerprint than the run, where equal bits are not promised"
            if elsewhere
            else ""
        )
        if len(run.get("fingerprints", ())) > 1:
            note += (
                "; the run itself went on under another fingerprint midway, so its early fitness may differ"
            )
        framed, recorded = asked.picture_record(), run["picture"]
        if any(framed.get(name) != recorded.get(name) for name in ("final_frame", "tiles")):
            note += "; the version that made the run fitted other parts of the picture"
        if search:
            history, records = repeated.search()
            differing = _differing_generation(run["generations"], records)
            if differing is not None:
                return Verdict(
                    equal=False,
                    sentence=f"not equal: generation {differing} has other genomes or fitness{note}",
                )
            other = _differing_choice(run, history, asked)
            if other is not None:
                return Verdict(equal=False, sentence=f"not equal: {other}{note}")
        final, _ = repeated.finish([network["genome"] for network in run["final"]["networks"]])
    found = final["digest"]
    if found != expected or final["choice"] != run["final"]["choice"]:
        return Verdict(
            equal=False,
            sentence=f"not equal: the final fit gives {found[:16]}, run.json has {expected[:16]}{note}",
        )
    what = f"{len(run['generations'])} generations and the final fit" if search else "the final fit"
    return Verdict(equal=True, sentence=f"equal: {what} repeated, digest {found[:16]}{note}")
