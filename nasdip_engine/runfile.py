"""`run.json`: everything that is needed to repeat a run to the bit, and what it found and cost.

The command line and the workers write the same shape through `build_run`. It is a pure function: what it
returns depends on its arguments and on the versions that are installed, on no clock and no device.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from nasdip_engine.baseline_names import first_made
from nasdip_engine.errors import InvalidInput
from nasdip_engine.evolution.settings import SearchSettings
from nasdip_engine.genome.genome import Genome
from nasdip_engine.seeding import Seeds
from nasdip_engine.task import Task
from nasdip_engine.version import VERSION

__all__ = ["FORMAT", "build_run", "dump_run", "load_run"]

FORMAT = 1
_NEEDED: Mapping[str, type] = {
    "task": dict, "settings": dict, "seeds": dict, "picture": dict, "generations": list, "final": dict,
    "excluded": list, "fingerprint": dict,
}  # fmt: skip
_NEEDED_OF_A_GENERATION: Mapping[str, type] = {"number": int, "genomes": list, "fitness_hex": list}
_NEEDED_OF_FINAL: Mapping[str, type] = {"networks": list, "choice": str, "digest": str}
_RECORDED_PACKAGES = ("numpy", "torch", "pillow", "pyvips", "scikit-image")


def _versions() -> dict[str, str]:
    found = {"nasdip": VERSION, "python": platform.python_version()}
    for package in _RECORDED_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # the web process runs without torch
            continue
    return found


def _architecture(genome_text: str) -> dict[str, Any]:
    genome = Genome.parse(genome_text)
    return {
        "representation": genome.representation,
        "units": genome.units,
        "epochs": genome.phenotype().epochs,
    }


def build_run(
    *,
    task: Task,
    settings: SearchSettings,
    seeds: Seeds,
    fingerprint: Mapping[str, Any],
    generations: Sequence[Mapping[str, Any]],
    final: Mapping[str, Any],
    best: Mapping[str, Any],
    cost: Mapping[str, Any],
    picture: Mapping[str, Any],
    excluded: Sequence[Mapping[str, Any]] = (),
    reference: Mapping[str, float | None] | None = None,
    baselines: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Put a run together as one JSON value.

    generations: one mapping a generation, generation 0 first, with `number, best, mean, worst` (fitness in [0, 1]),
    `evaluations` (fits, of which a network may have several in a race), `invalid`, `failed`, `iterations` (counts) and,
    slot by slot, `genomes` and `fitness_hex`.
    final: `networks` (genome text, iterations, held-out PSNR in dB of each finalist, `learning` as
    `learning.learning_record` tells it: absent in runs of older versions), `choice` ("mean" or a genome
    text), `held_out_psnr` in dB, `noise` (what was `assumed`, its `sigma` on a range of 1 and the `corrected_psnr` in dB
    without it, both only for independent noise), `digest` (of the restored pixels).
    best: `genome`, `fitness`, `fitness_hex`, `is_starter`; the run tells its `representation`, `units` and `epochs`
    too (T in iterations, null where the settings decide the length).
    cost: `iterations`, `iterations_x_pixels`, `multiply_adds`, `seconds`; where an evaluation store was used also
    `from_store`, the `evaluations` and `iterations` among these that an earlier run had paid for.
    picture: as `Question.picture_record`.  fingerprint: the numerics that the fitness was found with.
    excluded: what the owner took out of the search, as inputs that a repetition needs.
    baselines: `method`, `held_out_psnr` in dB and `digest` of each training-free reference, in the order of a report;
    where one was not made these are null but for the method, and `left_out` says why; where a clean picture was given
    each has its `reference` too.  The first one that was made stands alone as `baseline`, null without any: runs of
    older versions have that alone.
    reference: `psnr` in dB, `ssim` and `lpips` against a clean picture, where one was given.
    """
    return {
        "format": FORMAT,
        "versions": _versions(),
        "device_class": settings.device_class,
        "fingerprint": dict(fingerprint),
        "task": task.to_json(),
        "settings": settings.to_json(),
        "seeds": seeds.to_json(),
        "picture": dict(picture),
        "generations": [dict(generation) for generation in generations],
        "best_genome": best["genome"],
        "best_architecture": _architecture(best["genome"]),
        "best_fitness": best["fitness"],
        "best_fitness_hex": best["fitness_hex"],
        "best_is_starter": best["is_starter"],
        "final": dict(final),
        "baseline": first_made(baselines),
        "baselines": [dict(record) for record in baselines],
        "excluded": [dict(entry) for entry in excluded],
        "cost": dict(cost),
        "reference": dict(reference) if reference is not None else None,
    }


def dump_run(run: Mapping[str, Any]) -> str:
    """The text of `run.json`: indented, keys in the order of `build_run`, NaN refused."""
    return json.dumps(run, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def load_run(folder: Path) -> dict[str, Any]:
    """Read `folder/run.json`.

    Raises InvalidInput when there is none, when a newer version wrote it or when it lacks what a repetition reads.
    """
    path = folder / "run.json"
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidInput(
            f"{folder} holds no run: {path.name} is missing; name a folder that `nasdip restore --out` made"
        ) from None
    except (OSError, ValueError) as problem:
        raise InvalidInput(f"{path} cannot be read as a run: {problem}") from None
    if not isinstance(run, dict) or run.get("format") != FORMAT:
        raise InvalidInput(
            f"{path} has format {run.get('format') if isinstance(run, dict) else None!r}; this version reads {FORMAT}"
        )
    lacking = _lacking(run)
    if lacking:
        raise InvalidInput(f"{path} is no whole run: {', '.join(lacking)} is missing or damaged")
    return run


def _lacking(run: Mapping[str, Any]) -> list[str]:
    """What of all that a repetition reads is not there or of another kind, by name."""
    lacking = _unlike(run, _NEEDED, "")
    if lacking:
        return lacking
    for number, generation in enumerate(run["generations"]):
        lacking += _unlike(generation, _NEEDED_OF_A_GENERATION, f"generations[{number}].")
    lacking += _unlike(run["final"], _NEEDED_OF_FINAL, "final.")
    if not lacking:
        networks = run["final"]["networks"]
        lacking = [] if networks else ["final.networks"]
        for number, network in enumerate(networks):
            lacking += _unlike(network, {"genome": str}, f"final.networks[{number}].")
    if not isinstance(run.get("fingerprints", []), list):
        lacking.append("fingerprints")
    return lacking


def _unlike(value: Any, needed: Mapping[str, type], place: str) -> list[str]:
    found = value if isinstance(value, dict) else {}
    return [place + name for name, kind in needed.items() if not isinstance(found.get(name), kind)]
