"""In how many parts a picture is fitted, as the engine says: known before the start, and kept for the start.

For a mask of 40 megapixels that takes seconds of a core and some hundred megabytes, so only a few are in work at a
time, none of them inside a transaction, and what was found for a mask is not looked for again at once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from nasdip_engine.errors import MaskError
from nasdip_engine.evolution.settings import TILE
from nasdip_engine.framing import Window, final_windows
from nasdip_engine.picture import read_png, share_to_fill
from nasdip_engine.task import Task
from webapp.pictures import storage
from webapp.pictures.models import Picture
from webapp.pictures.turns import Turns

__all__ = ["Layout", "layout_of"]

AT_ONCE = 2
KEPT = 64


@dataclass(frozen=True)
class Layout:
    """The parts that the final fit takes one by one.  share_to_fill: of the picture, 0 to 1; None without a mask."""

    windows: tuple[Window, ...]
    share_to_fill: float | None


_Asked = tuple[int, int, str, Task, int]
_turns = Turns(AT_ONCE)
_lock = threading.Lock()
_found: OrderedDict[_Asked, Layout] = OrderedDict()


def layout_of(picture: Picture, mask_digest: str | None, task: Task, tile: int = TILE) -> Layout:
    """How a picture is fitted with a stored mask (grey, >= 128 known), or without one.

    tile: as in the settings.  Raises PictureError for a size that is not restored, MaskError for a mask that is gone
    or can't be used, and `turns.BusyError`.
    """
    if not mask_digest:
        return Layout(final_windows(picture.height, picture.width, None, task, tile), None)
    if not storage.exists(mask_digest):
        raise _gone()
    asked = (picture.height, picture.width, mask_digest, task, tile)
    with _lock:
        if asked in _found:
            return _found[asked]
    with _turns.turn(picture.owner_id):
        layout = _layout(*asked)
    with _lock:
        _found[asked] = layout
        while len(_found) > KEPT:
            _found.popitem(last=False)
    return layout


def _layout(height: int, width: int, mask_digest: str, task: Task, tile: int) -> Layout:
    try:
        known = read_png(storage.path(mask_digest)).pixels[..., 0] >= 128
    except (OSError, ValueError) as error:
        raise _gone() from error
    return Layout(final_windows(height, width, known, task, tile), share_to_fill(known))


def _gone() -> MaskError:
    return MaskError("the mask is not there any more; draw or upload it again", field="mask")
