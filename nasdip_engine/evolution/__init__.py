"""Population to next population: settings, evolution, history, search.  Pure functions over frozen values."""

from __future__ import annotations
