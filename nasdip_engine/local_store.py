"""What a local search brings to the evaluation store: its question, its machine, and the clean picture of a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasdip_engine.bit_depth import Samples
from nasdip_engine.evolution.search import evaluated_with
from nasdip_engine.framing import reference_frame
from nasdip_engine.picture import encode_png, pixel_digest
from nasdip_engine.question import Question
from nasdip_engine.store import Shelf, Store

__all__ = ["Reference", "shelf_for"]


@dataclass(frozen=True)
class Reference:
    """The part of a clean picture that the search frame shows, as a PNG file, and its digest."""

    path: str
    digest: str

    @classmethod
    def written(cls, asked: Question, clean: Samples, folder: Path) -> Reference:
        """clean: (H, W, 3) of the result's size."""
        part = reference_frame(clean, asked.search, asked.task.factor)
        path = folder / "search-reference.png"
        path.write_bytes(encode_png(part))
        return cls(str(path), pixel_digest(part))


def shelf_for(
    asked: Question, store: Store, fingerprint: Mapping[str, Any], say: Callable[[str], None]
) -> Shelf:
    """The part of a store that belongs to this machine, for the outcomes of one question's search fits."""
    height, width = (side * asked.task.factor for side in asked.search.size)
    about = {
        "task": asked.task.to_json(), **evaluated_with(asked.settings), "frame": asked.search.digest,
        "evaluation_seed": asked.seeds.evaluation_seed, "size": [width, height],
    }  # fmt: skip
    return Shelf(store, fingerprint=fingerprint, about=about, say=say)
