"""Hypothesis for the engine's tests: no time limit for an example, since the machine may be busy training."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("engine", deadline=None)
settings.load_profile("engine")
