"""The version of NAS-DIP Studio: written here once, read by the package metadata, `run.json` and the pages."""

from __future__ import annotations

__all__ = ["VERSION"]

VERSION = "0.3.0.dev0"
