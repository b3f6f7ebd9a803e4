"""Population to next population: settings, presets, breeding, history, search.  Pure functions over frozen values."""

from __future__ import annotations
