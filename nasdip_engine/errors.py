"""One hierarchy of errors.

The docstring of a class is its default message.  Whoever raises an error says what was wrong with which
value and what would be right; whoever catches one shows the message as it stands.
"""

from __future__ import annotations

import inspect

__all__ = [
    "DivergedError",
    "GenomeError",
    "InvalidInput",
    "InvalidPhenotype",
    "LeftOutError",
    "MaskError",
    "NasDipError",
    "PictureError",
    "SettingsError",
]


class NasDipError(Exception):
    """The restoration engine failed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or inspect.getdoc(type(self)))


class InvalidInput(NasDipError):
    """Something that was given is not usable; change it and try again."""

    def __init__(self, message: str | None = None, *, field: str | None = None) -> None:
        """field: name of the setting or part of the request at fault, where there is one."""
        super().__init__(message)
        self.field = field


class PictureError(InvalidInput):
    """This picture can't be used; give a PNG, JPEG, WebP, BMP or TIFF of one frame."""


class MaskError(InvalidInput):
    """This mask can't be used; it needs the picture's size, known pixels and a hole."""


class SettingsError(InvalidInput):
    """A setting is unknown or out of its range."""


class GenomeError(InvalidInput):
    """This is not a genome; write one as asym:UNITS:HEX, asymt:UNITS:HEX or sym:UNITS:HEX."""


class InvalidPhenotype(NasDipError):
    """The genome describes no network (paper, sec. 3.2.2); its fitness is 0."""


class DivergedError(NasDipError):
    """The loss became infinite or not a number; the genome's fitness is 0."""


class LeftOutError(NasDipError):
    """This reference method is not computed here; the restoration and the other references stand without it."""
