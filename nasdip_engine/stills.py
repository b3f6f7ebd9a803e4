"""The stills of a final fit: small pictures of its averaged output on the way, with its learning curve so far, as files.

A folder holds ITERATION.png for each and `learning.json` (`learning.Learning`), written anew whenever something came to it;
whoever follows the fit reads it as often as it likes.  Recording reads the averaged output and changes no bit of a fit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nasdip_engine.learning import Learning, still_iterations, thinned
from nasdip_engine.outcome_files import write_whole

__all__ = ["Recorder", "read_learning", "still_file"]

_FILE = "learning.json"
Output = NDArray[np.float32]


def still_file(folder: Path, iteration: int) -> Path:
    """Where the still after so many iterations lies."""
    return folder / f"{iteration}.png"


def read_learning(folder: Path) -> Learning | None:
    """What a fit has told so far; None before its first iteration.  Every still that it names is there, whole."""
    try:
        told = json.loads((folder / _FILE).read_bytes())
    except FileNotFoundError:
        return None
    return Learning(
        curve=[(iteration, decibels) for iteration, decibels in told["curve"]],
        stills=told["stills"],
        of=told["of"],
        best_iteration=told["best_iteration"],
        iterations=told["iterations"],
    )


class Recorder:
    """Records one fit, from its first iteration to its stop."""

    def __init__(self, folder: Path, limit: int, every: int, encoded: Callable[[Output], bytes]) -> None:
        """limit, every: most iterations of the fit, and between two looks at the held-out error.

        encoded: makes the small PNG of an output (H, W, 3) in [0, 1].  Makes the folder; raises OSError.
        """
        self._folder, self._of, self._encoded = folder, limit, encoded
        self._wanted = still_iterations(limit, every)
        self._curve: list[tuple[int, float]] = []
        self._stills: list[int] = []
        self._last: tuple[int, Callable[[], Output]] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def stills(self) -> list[int]:
        """After which iterations there is one, in order."""
        return sorted(self._stills)

    def step(self, iteration: int, held_out_psnr: float | None, average: Callable[[], Output]) -> None:
        """After each iteration.  held_out_psnr: in dB, None between two looks.  average: makes the averaged output.

        Raises OSError.
        """
        self._last = (iteration, average)
        wanted = iteration in self._wanted
        if held_out_psnr is not None:
            self._curve.append((iteration, held_out_psnr))
        if wanted:
            self._keep(iteration, average())
        if wanted or held_out_psnr is not None:
            self._tell(None)

    def stop(self, best_iteration: int, best: Output) -> None:
        """At the end of the fit.  best: the averaged output that was taken, after `best_iteration`.  Raises OSError."""
        if self._last is None:
            return
        iteration, average = self._last
        self._keep(best_iteration, best)
        self._keep(iteration, average())
        self._tell(best_iteration)

    def _keep(self, iteration: int, output: Output) -> None:
        if iteration in self._stills:
            return
        small = self._encoded(output)
        write_whole(str(still_file(self._folder, iteration)), lambda file: file.write(small), sync=False)
        self._stills.append(iteration)

    def _tell(self, best_iteration: int | None) -> None:
        told = Learning(
            curve=thinned(self._curve, self._stills),
            stills=self.stills,
            of=self._of,
            best_iteration=best_iteration,
            iterations=self._last[0] if best_iteration is not None and self._last else None,
        )
        text = json.dumps(told, allow_nan=False).encode()
        write_whole(str(self._folder / _FILE), lambda file: file.write(text), sync=False)
