"""Files named by the SHA-256 of what is in them: DATA/files/ab/<digest>.

A file is written under a temporary name, synced and renamed, so a digest names whole bytes or nothing.
Deletion is by reference: rooms register who refers to a digest, and `delete_unreferenced` unlinks what
nobody refers to.  Both go under one lock file, and a reference is committed before its bytes are put; hence a
file is never taken from under a row that another process is just writing.

What can be made again from a stored file lies apart, DATA/derived/ab/<digest>.<kind>, named by the file that it
was made from; it goes with that file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from webapp.pictures.models import MaskDrawing, Picture

__all__ = [
    "delete_unreferenced",
    "derived",
    "digest_of",
    "exists",
    "free_bytes",
    "open_file",
    "path",
    "put",
    "read",
    "refers",
    "scratch",
]

References = Callable[[frozenset[str]], set[str]]

_DIGEST = re.compile(r"[0-9a-f]{64}")
_KIND = re.compile(r"[a-z0-9-]+")
_references: list[References] = []
_making = threading.Lock()


def digest_of(data: bytes) -> str:
    """The name that `put` would give these bytes."""
    return hashlib.sha256(data).hexdigest()


def put(data: bytes) -> str:
    """Store `data` and return its digest.  Storing the same bytes again is harmless and cheap.

    Raises OSError (ENOSPC when the disk is full); nothing is left behind then.
    """
    digest = digest_of(data)
    target = path(digest)
    with _lock():
        if not target.exists() or target.stat().st_size != len(data):
            _write(target, data)
    return digest


def derived(digest: str, kind: str, make: Callable[[Path], bytes]) -> bytes:
    """What `make` makes of a stored file, made once and kept beside it until the file is deleted.

    make: takes the stored file; its result depends on the bytes and on `kind` alone.  One at a time makes, since
    what is worth keeping is dear.  Raises FileNotFoundError, OSError when the disk is full, and what `make` raises.
    """
    place = _derived(digest, kind)
    if place.is_file():
        return place.read_bytes()
    with _making:
        if place.is_file():
            return place.read_bytes()
        made = make(path(digest))
        with _lock():
            if exists(digest):  # else it was deleted meanwhile, and nobody would take this away
                _write(place, made)
    return made


def path(digest: str) -> Path:
    """Where the file of that digest lies, or would lie.  Raises ValueError for anything but a digest."""
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} is not a SHA-256 in hexadecimal")
    return _folder("files") / digest[:2] / digest


def exists(digest: str) -> bool:
    """Whether the file is there."""
    return bool(digest) and path(digest).is_file()


def open_file(digest: str) -> BinaryIO:
    """The stored file, open for reading.  Raises FileNotFoundError."""
    return path(digest).open("rb")


def read(digest: str) -> bytes:
    """The stored bytes.  Raises FileNotFoundError."""
    return path(digest).read_bytes()


def refers(references: References) -> None:
    """Register a function that returns which of the given digests its room refers to."""
    if references not in _references:
        _references.append(references)


def delete_unreferenced(digests: Iterable[str]) -> int:
    """Unlink those of `digests` that no row refers to; returns how many files went."""
    wanted = frozenset(digest for digest in digests if digest)
    gone = 0
    if not wanted:
        return gone
    with _lock():
        kept = set().union(*(references(wanted) for references in (_of_pictures, *_references)))
        for digest in wanted - kept:
            file = path(digest)
            if file.exists():
                file.unlink()
                gone += 1
            for made in _folder("derived").glob(f"{digest[:2]}/{digest}.*"):
                made.unlink(missing_ok=True)
    return gone


def free_bytes() -> int:
    """Room for files on the disk of the data folder."""
    folder = _folder("files")
    folder.mkdir(parents=True, exist_ok=True)
    return shutil.disk_usage(folder).free


def scratch(name: str) -> Path:
    """A path for a file that one lease writes and its worker takes away."""
    folder = _folder("scratch")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _of_pictures(digests: frozenset[str]) -> set[str]:
    found: set[str] = set()
    for field in ("digest", "original_digest", "thumbnail_digest"):
        rows = Picture.objects.filter(**{f"{field}__in": digests})
        found.update(rows.values_list(field, flat=True))
    found.update(MaskDrawing.objects.filter(mask_digest__in=digests).values_list("mask_digest", flat=True))
    return found


def _derived(digest: str, kind: str) -> Path:
    if not _DIGEST.fullmatch(digest) or not _KIND.fullmatch(kind):
        raise ValueError(f"{digest!r}, {kind!r}: a SHA-256 in hexadecimal and a plain word are needed")
    return _folder("derived") / digest[:2] / f"{digest}.{kind}"


def _write(target: Path, data: bytes) -> None:
    """The whole file or nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.parent / f".{secrets.token_hex(8)}"
    try:
        with draft.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(target.parent)


def _folder(name: str) -> Path:
    return Path(settings.DATA_DIR) / name


@contextmanager
def _lock() -> Iterator[None]:
    folder = _folder("files")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)  # released when the file closes, also by a kill
        yield


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
