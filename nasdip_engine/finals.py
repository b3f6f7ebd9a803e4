"""The final fit as keys, records and sentences tell it, whether of the whole picture or of its parts.

Command line and workers build the `final` part of `run.json` through the same function, so both tell the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nasdip_engine.framing import Box
from nasdip_engine.learning import learning_record

__all__ = [
    "BY_TILE",
    "final_key",
    "final_record",
    "frames_record",
    "layout_words",
    "pooled_psnr",
    "search_words",
    "tile_of_key",
]

BY_TILE = "by tile"
"""The choice of a run whose tiles were not all taken from the same network."""
_OF_A_FIT = ("iterations", "best_iteration", "held_out_psnr", "reason", "multiply_adds", "pixels")
_OF_A_FRAME = ("width", "height", "box", "scale", "digest")


def final_key(digest: str, tile: int, tiles: int) -> str:
    """What a final fit is called: the network's phenotype, and which of several tiles it is of (from 0)."""
    return f"finish:{digest}" if tiles == 1 else f"finish:{digest}:{tile}"


def tile_of_key(key: str) -> int:
    """The tile, from 0, that a final fit of this key is of; 0 where the picture is fitted whole."""
    parts = key.split(":")
    return int(parts[2]) if len(parts) > 2 else 0


def pooled_psnr(decibels: Sequence[float], counts: Sequence[int]) -> float:
    """PSNR in dB of the mean squared error over parts of so many observations each."""
    errors = [10.0 ** (-value / 10) for value in decibels]
    total = sum(error * count for error, count in zip(errors, counts, strict=True))
    return -10.0 * math.log10(max(total / sum(counts), 1e-12))


def frames_record(frames: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What `run.json` says of the frames of the final fit: `final_frame`, or null and `tiles` where there are several."""
    told = [{name: frame[name] for name in _OF_A_FRAME} for frame in frames]
    return {"final_frame": told[0]} if len(told) == 1 else {"final_frame": None, "tiles": told}


def final_record(
    fits: Mapping[str, Sequence[Mapping[str, Any] | None]],
    boxes: Sequence[Sequence[int]],
    combined: Mapping[str, Any],
    digest: str,
) -> dict[str, Any]:
    """The `final` part of `run.json`.

    fits: the outcomes of each genome's final fits, best network first, in the order of boxes (the parts of the
    upload); None for a fit that the owner took out.  combined: the outcome of COMBINE.  digest: of the picture.
    """
    record = {
        "networks": [_network(genome, outcomes) for genome, outcomes in fits.items()],
        "choice": combined["choice"],
        "held_out_psnr": combined["held_out_psnr"],
        "noise": combined.get("noise"),
        "digest": digest,
    }
    if len(boxes) == 1:
        return record
    iterations = zip(*fits.values(), strict=True)
    tiles = [
        {
            "box": list(box),
            **part,
            "iterations": sum(outcome["iterations"] for outcome in outcomes if outcome is not None),
        }
        for box, part, outcomes in zip(boxes, combined["tiles"], iterations, strict=True)
    ]
    return record | {"tiles": tiles}


def _network(genome: str, outcomes: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """One network's final fits as one: sums, the pooled figure, the first reason of a failure, the first one's learning."""
    done = [outcome for outcome in outcomes if outcome is not None]
    if len(outcomes) == 1:
        told = {name: done[0].get(name) for name in _OF_A_FIT}
        return {"genome": genome} | told | {"learning": learning_record(done[0])}
    scored = [outcome for outcome in done if outcome["held_out_psnr"] is not None]
    values, pixels = [one["held_out_psnr"] for one in scored], [one["pixels"] for one in scored]
    return {
        "genome": genome,
        "iterations": sum(outcome["iterations"] for outcome in done),
        "best_iteration": None,
        "held_out_psnr": pooled_psnr(values, pixels) if scored else None,
        "reason": next((outcome["reason"] for outcome in done if outcome["reason"] is not None), None),
        "multiply_adds": sum(outcome["multiply_adds"] for outcome in done),
        "pixels": sum(outcome["pixels"] for outcome in done),
        "learning": learning_record(outcomes[0], tile=0),
    }


def layout_words(frames: Sequence[tuple[Box, float]], factor: int, *, holes: bool) -> list[str]:
    """Sentences for the user about how a picture is fitted; none where it is fitted whole or in one window.

    frames: box and scale of each.  holes: they lie around holes.
    """
    words = []
    full = [box for box, scale in frames if scale == 1.0]
    if len(full) > 1:
        sides = {(box[2] * factor, box[3] * factor) for box in full}
        largest = max(sides)
        size = (
            f"{largest[0]} x {largest[1]} pixels"
            if len(sides) == 1
            else f"up to {largest[0]} x {largest[1]} pixels"
        )
        what = "the holes are filled in" if holes else "the picture is restored in"
        each = "windows around them" if holes else "overlapping tiles"
        words.append(f"{what} {len(full)} {each} of {size}, at full size")
    for box, scale in frames:
        if scale != 1.0:
            words.append(
                f"one hole is too large and wide for full size: its surroundings of {box[2]} x {box[3]} pixels are "
                f"fitted at {100 * scale:.0f} % of their size, and the hole alone is pasted back enlarged"
            )
    return words


def search_words(part: tuple[int, int], whole: tuple[int, int]) -> list[str]:
    """A sentence for the user about what networks are compared on; none where that is the whole picture.

    part: (height, width) of the search frame, or the most that it may have.  whole: of the picture.  Both in pixels
    of the result.
    """
    height, width = (min(sides) for sides in zip(part, whole, strict=True))
    if (height, width) == whole:
        return []
    return [f"networks are compared on a part of {width} x {height} pixels; the result is made at full size"]
