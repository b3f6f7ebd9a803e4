"""What the result page shows of the final fit: its stills, its curve, and in words where it stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from nasdip_engine.finals import BY_TILE
from webapp.restorations.learning import stills_of
from webapp.restorations.models import Job
from webapp.restorations.words import BY_TILE_WORDS

__all__ = ["Still", "Watch", "watch_of"]


@dataclass(frozen=True)
class Still:
    """One picture: the averaged output after so many iterations; psnr: on held-out pixels, in dB, where it was looked at."""

    iteration: int
    psnr: float | None
    url: str
    taken: bool


@dataclass(frozen=True)
class Watch:
    """The watched fit.  curve: (iteration, dB) of its kept looks.  words: sentences about what is shown."""

    stills: list[Still]
    curve: list[tuple[int, float]]
    words: list[str]


def watch_of(job: Job) -> Watch | None:
    """The watched fit of a job that is done; None for jobs of older versions, and where that fit gave nothing."""
    run = job.run or {}
    stored = stills_of(job)
    networks = run.get("final", {}).get("networks", ())
    learning = next(
        (one.get("learning") for one in networks if stored is not None and one["genome"] == stored[0]), None
    )
    if stored is None or learning is None:
        return None
    decibels = dict(learning["curve"])
    stills = [
        Still(
            iteration,
            decibels.get(iteration),
            reverse("job_still", args=[job.pk, digest]),
            iteration == learning["best_iteration"],
        )
        for iteration, digest in sorted(stored[1].items())
    ]
    curve = [(iteration, value) for iteration, value in learning["curve"]]
    return Watch(stills, curve, [stop_words(learning), *refit_words(learning), *shown_words(run, stored[0])])


def stop_words(learning: dict[str, Any]) -> str:
    """Where the fit stopped, and why."""
    best, iterations = learning["best_iteration"], learning["iterations"]
    if not learning["curve"]:
        return f"Nothing was held out, so it went on to the end and the output after iteration {iterations} was taken."
    value = dict(learning["curve"])[best]
    found = f"Held-out pixels were predicted best after iteration {best} ({value:.2f} dB)"
    if not learning["refit_iterations"]:
        found += ": that output was taken"
    if best == iterations:
        return f"{found}. It was the last iteration allowed; it might have gone on learning."
    return f"{found}. It went on to iteration {iterations} and did not get better."


def refit_words(learning: dict[str, Any]) -> list[str]:
    """Whether a second fit followed, which then is what the result shows."""
    again = learning["refit_iterations"]
    if not again:
        return []
    return [
        f"Then it was fitted again on everything, for {again} iterations; the result is made of second fits alone."
    ]


def shown_words(run: dict[str, Any], genome: str) -> list[str]:
    """What is seen, where that is not the whole result."""
    picture, final = run["picture"], run["final"]
    tiles = picture.get("tiles") or []
    only = picture.get("final_frame") or {}
    words = []
    if tiles:
        words.append(f"Shown is tile 1 of {len(tiles)}.")
    elif only and (only["width"], only["height"]) != (picture["width"], picture["height"]):
        words.append("Shown is the part of the picture that was fitted.")
    if len(final["networks"]) > 1:
        others = {"mean": "the mean of this network and the others", BY_TILE: BY_TILE_WORDS}
        taken = others.get(final["choice"], "another network's")
        if final["choice"] != genome:
            words.append(f"Shown is the best network of the search; the result is {taken}.")
    return words
