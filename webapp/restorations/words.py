"""How pages call things, in one place each."""

from __future__ import annotations

from nasdip_engine.task import TaskKind
from webapp.restorations.models import Job

__all__ = ["TASK_WORDS", "count_words", "duration_words", "task_words"]

TASK_WORDS: dict[str, str] = {
    TaskKind.DENOISE: "remove noise",
    TaskKind.INPAINT: "fill a hole",
    TaskKind.UPSCALE: "enlarge",
}


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
