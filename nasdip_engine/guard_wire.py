"""What the guard's client and its host say to each other: frames of JSON with an optional block of bytes.

A frame is a header (length of the JSON text, length of the block, both big-endian), the JSON text in
UTF-8, and the block. Pictures travel as blocks, so that 40 megapixels are not turned into text.
The same frames go from a child to its host over a pipe and between host and client over a socket.
"""

from __future__ import annotations

import json
import struct
from enum import StrEnum
from typing import Any

__all__ = ["BrokenFrameError", "FaultKind", "Frames", "Message", "pack", "pack_head"]

Message = dict[str, Any]

_HEADER = struct.Struct("!IQ")
# A child whose memory was overwritten may send anything: beyond these sizes it is noise, not a frame.
_TEXT_LIMIT = 64 * 2**20
_BLOCK_LIMIT = 2**30


class FaultKind(StrEnum):
    """Why a run gave no outcome. Only `CRASH`, repeated, says something about what was run."""

    CRASH = "crash"  #: native SIGSEGV, SIGBUS, SIGFPE, SIGILL or SIGABRT in the child
    KILLED = "killed"  #: SIGKILL or another signal from outside the run
    HANG = "hang"  #: no heartbeat within the limit
    MEMORY = "memory"  #: over the memory limit, or an allocation was refused
    ERROR = "error"  #: a Python exception; the detail is "Class: message"
    HOST_LOST = "host_lost"  #: the host process died, was closed or did not start
    CANCELLED = "cancelled"  #: `should_stop` said so
    DISK_FULL = "disk_full"  #: no room to write a result


class BrokenFrameError(Exception):
    """The bytes received are no frame of this protocol."""


def pack_head(message: Message, block_size: int = 0) -> bytes:
    """A frame without its block, of `block_size` bytes, which the sender writes after it."""
    text = json.dumps(message, separators=(",", ":")).encode()
    return _HEADER.pack(len(text), block_size) + text


def pack(message: Message, block: bytes = b"") -> bytes:
    """A whole frame; `block` follows the JSON text unchanged."""
    return pack_head(message, len(block)) + block


class Frames:
    """Puts received bytes together into frames; one instance for each stream."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._sizes: tuple[int, int] | None = None

    def feed(self, data: bytes) -> list[tuple[Message, bytes]]:
        """Frames that `data` completes, in order.

        Raises BrokenFrameError when a header names sizes that no sender of this protocol uses,
        or when the text is no JSON object.
        """
        self._buffer += data
        complete: list[tuple[Message, bytes]] = []
        while (frame := self._next()) is not None:
            complete.append(frame)
        return complete

    def _next(self) -> tuple[Message, bytes] | None:
        if self._sizes is None:
            if len(self._buffer) < _HEADER.size:
                return None
            text, block = _HEADER.unpack_from(self._buffer)
            if text > _TEXT_LIMIT or block > _BLOCK_LIMIT:
                raise BrokenFrameError(f"a frame of {text} + {block} bytes was announced")
            self._sizes = (text, block)
        text, block = self._sizes
        start, end = _HEADER.size, _HEADER.size + text + block
        if len(self._buffer) < end:
            return None
        with memoryview(self._buffer) as view:
            raw, body = bytes(view[start : start + text]), bytes(view[start + text : end])
        del self._buffer[:end]
        self._sizes = None
        try:
            message = json.loads(raw)
        except ValueError as error:
            raise BrokenFrameError(f"a frame without JSON: {error}") from error
        if not isinstance(message, dict):
            raise BrokenFrameError("a frame whose JSON is not an object")
        return message, body
