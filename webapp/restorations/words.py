"""How pages call things, in one place each."""

from __future__ import annotations

from nasdip_engine.task import CORRELATED, IMPULSE, INDEPENDENT, NONE, TaskKind
from webapp.restorations.models import Job

__all__ = [
    "BY_TILE_WORDS",
    "NOISE_QUESTIONS",
    "NOISE_WORDS",
    "TASK_WORDS",
    "count_words",
    "duration_words",
    "noise_words",
    "task_words",
]

BY_TILE_WORDS = "the best network of each tile, or their mean"
"""What the result of a picture in tiles is from, where not all of them have it from the same network."""

TASK_WORDS: dict[str, str] = {
    TaskKind.DENOISE: "remove noise",
    TaskKind.INPAINT: "fill a hole",
    TaskKind.UPSCALE: "enlarge",
}

# JPEG is offered with the grain, not with the blocks made for it: docs/decisions/0015-kinds-of-noise.md.
_SORTS = {
    INDEPENDENT: "fine grain or JPEG",
    CORRELATED: "camera noise (blotches)",
    IMPULSE: "specks (salt and pepper)",
}
NOISE_QUESTIONS: dict[str, str] = {
    TaskKind.DENOISE: "What does the noise look like?",
    TaskKind.INPAINT: "How is the rest of the picture?",
    TaskKind.UPSCALE: "How is the picture?",
}
NOISE_WORDS: dict[str, dict[str, str]] = {
    TaskKind.DENOISE: _SORTS,
    TaskKind.INPAINT: {
        NONE: "clean: it stays exactly as it is",
        **{noise: f"noisy too: {words}" for noise, words in _SORTS.items()},
    },
    TaskKind.UPSCALE: {NONE: "clean, or a JPEG", CORRELATED: "with camera noise (blotches)"},
}
"""What may be assumed of the noise, by task, in the order in which pages offer it; the default comes first."""


def noise_words(job: Job) -> str:
    """What was assumed of the job's noise."""
    return NOISE_WORDS[job.task][job.assumed_noise]


def task_words(job: Job) -> str:
    """The job's task, with the factor where there is one."""
    words = TASK_WORDS[job.task]
    return f"{words} {job.factor} times" if job.task == TaskKind.UPSCALE else words


def duration_words(seconds: float) -> str:
    """Seconds as a person says them: 42 s, 3 min 5 s, 2 h 10 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count_words(count: float) -> str:
    """A large count with a word for its size: 1,234, 5.6 million, 7.8 billion."""
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if count >= size:
            return f"{count / size:.1f} {word}"
    return f"{round(count):,}"
