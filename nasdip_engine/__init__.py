"""NAS-DIP: neural architecture search for deep image priors, as a library and a command line.

The public names load on first use (PEP 562), so that ``import nasdip_engine`` loads neither torch nor NumPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nasdip_engine.evaluation import evaluate
    from nasdip_engine.evolution.search import first_generation, next_generation
    from nasdip_engine.evolution.settings import SearchSettings, settings_for, task_for
    from nasdip_engine.genome.genome import Genome
    from nasdip_engine.genome.phenotype import Phenotype
    from nasdip_engine.library import Restoration, SearchResult, restore, search
    from nasdip_engine.seeding import Seeds
    from nasdip_engine.task import Task, TaskKind
    from nasdip_engine.version import VERSION

_HOMES = {
    "Genome": "nasdip_engine.genome.genome",
    "Phenotype": "nasdip_engine.genome.phenotype",
    "Restoration": "nasdip_engine.library",
    "SearchResult": "nasdip_engine.library",
    "SearchSettings": "nasdip_engine.evolution.settings",
    "Seeds": "nasdip_engine.seeding",
    "Task": "nasdip_engine.task",
    "TaskKind": "nasdip_engine.task",
    "VERSION": "nasdip_engine.version",
    "evaluate": "nasdip_engine.evaluation",
    "first_generation": "nasdip_engine.evolution.search",
    "next_generation": "nasdip_engine.evolution.search",
    "restore": "nasdip_engine.library",
    "search": "nasdip_engine.library",
    "settings_for": "nasdip_engine.evolution.settings",
    "task_for": "nasdip_engine.evolution.settings",
}

__all__ = [
    "VERSION",
    "Genome",
    "Phenotype",
    "Restoration",
    "SearchResult",
    "SearchSettings",
    "Seeds",
    "Task",
    "TaskKind",
    "evaluate",
    "first_generation",
    "next_generation",
    "restore",
    "search",
    "settings_for",
    "task_for",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
