"""What one genome's network costs at a size, before any training: what `nasdip describe` prints."""

from __future__ import annotations

import re
from typing import Any

from nasdip_engine.errors import InvalidInput, InvalidPhenotype
from nasdip_engine.genome.cost import cost
from nasdip_engine.genome.genome import Genome
from nasdip_engine.genome.pace import seconds_an_iteration

__all__ = ["described"]

_SIDES = (32, 16_384)  # pixels
_CHANNELS = (1, 128)


def described(genome: str, size: str, input_channels: int) -> dict[str, Any]:
    """A JSON value: parameters, multiply_adds (of a forward pass), peak_bytes, seconds_an_iteration on one core of
    this machine, which a probe of less than a second measures.

    size: WIDTHxHEIGHT of the output in pixels.  A genome that describes no network has a `reason` instead.
    Raises InvalidInput for a genome, size or number of channels that can't be used.
    """
    parsed = Genome.parse(genome)
    width, height = _size(size)
    if not _CHANNELS[0] <= input_channels <= _CHANNELS[1]:
        raise InvalidInput(
            f"--input-channels is {input_channels}; allowed is {_CHANNELS[0]} to {_CHANNELS[1]}"
        )
    told = {"genome": parsed.text, "width": width, "height": height, "input_channels": input_channels}
    try:
        phenotype = parsed.phenotype()
    except InvalidPhenotype as reason:
        return told | {"reason": str(reason)}
    from nasdip_engine.numerics import use_one_thread
    from nasdip_engine.restoration.probe import machine_factor

    use_one_thread()
    price = cost(phenotype, height, width, input_channels)
    seconds = seconds_an_iteration(phenotype, height, width, input_channels, machine_factor())
    return told | {
        "reason": None,
        "phenotype": phenotype.digest,
        "parameters": price.parameters,
        "multiply_adds": price.multiply_adds,
        "peak_bytes": price.peak_bytes,
        "seconds_an_iteration": seconds,
    }


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,6})[xX]([0-9]{1,6})", text)
    if not match:
        raise InvalidInput(f"--size is {text[:40]!r}; write WIDTHxHEIGHT in pixels, such as 256x192")
    width, height = int(match[1]), int(match[2])
    if not (_SIDES[0] <= width <= _SIDES[1] and _SIDES[0] <= height <= _SIDES[1]):
        raise InvalidInput(f"--size is {width}x{height}; allowed is {_SIDES[0]} to {_SIDES[1]} pixels a side")
    return width, height
