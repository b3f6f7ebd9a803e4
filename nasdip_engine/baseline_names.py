"""The training-free references by name, and which of them stand beside a result.

A baseline is recorded under its name as it is written here; the computation is `baselines.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from nasdip_engine.errors import SettingsError
from nasdip_engine.task import CORRELATED, IMPULSE, NONE, Task, TaskKind

__all__ = [
    "BICUBIC",
    "BIHARMONIC",
    "BM3D",
    "FILLINGS",
    "GAUSSIAN_BLUR",
    "HARMONIC",
    "LANCZOS",
    "MEDIAN",
    "NEAREST",
    "NON_LOCAL_MEANS",
    "SAME_DB",
    "TELEA",
    "WIDE_MEDIAN",
    "baseline_key",
    "baseline_of_key",
    "baseline_of_slug",
    "baselines_of",
    "best_of_figures",
    "first_made",
    "left_out_record",
    "median_then",
    "no_order",
    "slug_of",
    "then_means",
]

NON_LOCAL_MEANS = "non-local means"
BM3D = "BM3D"
GAUSSIAN_BLUR = "Gaussian blur"
MEDIAN = "median filter, 3 x 3"
WIDE_MEDIAN = "median filter, 5 x 5"
BIHARMONIC = "biharmonic"
NEAREST = "nearest pixel"
HARMONIC = "harmonic"
TELEA = "Telea"
BICUBIC = "bicubic"
LANCZOS = "Lanczos"

FILLINGS = (BIHARMONIC, NEAREST, HARMONIC, TELEA)
"""Ways to fill a hole, in the order of a report."""

SAME_DB = 0.05
"""Decibels; methods whose figures differ by less are called equal."""


def then_means(filling: str) -> str:
    """Name of a filling that non-local means follow: for a hole in a noisy picture."""
    return f"{filling}, then {NON_LOCAL_MEANS}"


def median_then(filling: str) -> str:
    """Name of a filling that a median filter goes before: for a hole among impulses."""
    return f"median filter, then {filling}"


def baselines_of(task: Task) -> tuple[str, ...]:
    """The references of a task in the order of a report; the first that can be made is the task's own.

    Impulses get a median filter, which is made for them; other noise gets filters that estimate its strength; a hole
    in a noisy picture gets a filling and a filter, each before the other where it must be.
    """
    if task.kind is TaskKind.UPSCALE:
        return BICUBIC, LANCZOS, NEAREST
    if task.kind is TaskKind.DENOISE:
        return (MEDIAN, WIDE_MEDIAN) if task.noise == IMPULSE else (NON_LOCAL_MEANS, BM3D, GAUSSIAN_BLUR)
    if task.noise == NONE:
        return FILLINGS
    return tuple((median_then if task.noise == IMPULSE else then_means)(filling) for filling in FILLINGS)


def slug_of(name: str) -> str:
    """A name as part of a key, a file's name or an address: lower-case letters, digits and hyphens."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


def baseline_of_slug(task: Task, slug: str) -> str:
    """The reference of a task that has this slug.  Raises SettingsError where it has none."""
    for name in baselines_of(task):
        if slug_of(name) == slug:
            return name
    raise SettingsError(f"{slug!r} is no reference for {task.kind}; it has {', '.join(baselines_of(task))}")


def baseline_key(name: str) -> str:
    """The key of the work item that makes a reference."""
    return f"baseline:{slug_of(name)}"


def baseline_of_key(task: Task, key: str) -> str | None:
    """The reference that an item with this key makes; None for "baseline", the only one that older jobs have."""
    slug = key.partition(":")[2]
    return baseline_of_slug(task, slug) if slug else None


def left_out_record(method: str, sentence: str) -> dict[str, Any]:
    """What is recorded of a reference that was not made, and why."""
    return {"method": method, "held_out_psnr": None, "digest": None, "left_out": sentence}


def first_made(records: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Method, figure and digest of the first reference that was made: `baseline` of `run.json`; None without any."""
    for record in records:
        if not record.get("left_out"):
            return {name: record[name] for name in ("method", "held_out_psnr", "digest")}
    return None


def no_order(task: Task) -> str:
    """Why the method with the best held-out figure need not be the best one, as sentences; "" where it mostly is.

    Measured by `benchmarks.held_out_winners` (decision 19).
    """
    if task.noise == CORRELATED:
        return (
            "Near pixels share their noise here, so a method can predict held-out pixels well by going on with the noise: "
            "these figures don't tell which method is better. Compare the pictures."
        )
    if task.kind is TaskKind.UPSCALE:
        return (
            "Held out are pixels of the small picture, which favours networks over interpolation: these figures don't tell "
            "which method enlarges better. Compare the pictures."
        )
    return ""


def best_of_figures(task: Task, figures: Mapping[str, float | None]) -> set[str]:
    """The names whose figure, in dB, is the largest or equal to it (SAME_DB).

    None where there are not two to compare, or where figures tell no order.
    """
    told = {name: figure for name, figure in figures.items() if figure is not None}
    if len(told) < 2 or no_order(task):
        return set()
    top = max(told.values())
    return {name for name, figure in told.items() if figure >= top - SAME_DB}
