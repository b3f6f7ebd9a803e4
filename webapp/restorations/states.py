"""The states of jobs, generations and work items, as one table that code, constraints and tests read."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "ENDED",
    "JOB_TRANSITIONS",
    "MOVABLE",
    "SETTLED",
    "WORKING",
    "Failure",
    "GenerationState",
    "ItemKind",
    "ItemState",
    "JobState",
    "may_become",
    "sources_of",
]


class JobState(StrEnum):
    """Where a job stands.  A deleted job has no row, so there is no state of that name."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSING = "pausing"
    PAUSED = "paused"
    FINISHING = "finishing"
    CANCELLING = "cancelling"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


JOB_TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.PAUSED, JobState.CANCELLED, JobState.FAILED}),
    JobState.RUNNING: frozenset(
        {JobState.PAUSING, JobState.FINISHING, JobState.CANCELLING, JobState.FAILED, JobState.PAUSED}
    ),
    JobState.PAUSING: frozenset({JobState.PAUSED, JobState.CANCELLING}),
    JobState.PAUSED: frozenset({JobState.QUEUED, JobState.CANCELLED}),
    JobState.FINISHING: frozenset({JobState.DONE, JobState.CANCELLING, JobState.FAILED, JobState.PAUSED}),
    JobState.CANCELLING: frozenset({JobState.CANCELLED}),
    JobState.DONE: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.FAILED: frozenset(),
}
"""From each state, the states that may follow.  "Run again" of an ended job makes a new job."""

ENDED = frozenset({JobState.DONE, JobState.CANCELLED, JobState.FAILED})
WORKING = frozenset({JobState.RUNNING, JobState.FINISHING})
"""States whose waiting items are handed out (a queued job becomes running by its first lease)."""
MOVABLE = WORKING | {JobState.QUEUED}
"""States in which the job may be let go on with other machines than it began on."""
DELETABLE = ENDED | {JobState.QUEUED, JobState.PAUSED}
"""States in which no worker holds anything of the job."""


def sources_of(target: JobState) -> frozenset[JobState]:
    """The states from which a job may become `target`."""
    return frozenset(source for source, targets in JOB_TRANSITIONS.items() if target in targets)


def may_become(source: JobState | str, target: JobState) -> bool:
    """Whether the table allows that step."""
    return target in JOB_TRANSITIONS[JobState(source)]


class GenerationState(StrEnum):
    """A generation is closed once, by whoever records its last outcome."""

    OPEN = "open"
    CLOSED = "closed"


class ItemKind(StrEnum):
    """What a worker is asked to compute under one lease."""

    OPEN = "open"
    """Decode the input, make the frames, draw generation 0."""
    EVALUATE = "evaluate"
    FINISH = "finish"
    BASELINE = "baseline"
    COMBINE = "combine"


class ItemState(StrEnum):
    """Where a work item stands."""

    WAITING = "waiting"
    LEASED = "leased"
    DONE = "done"
    REFUSED = "refused"
    """Fitness 0 without any work: invalid, over the cost cap, or excluded by the owner."""
    POISONED = "poisoned"
    """Given up: it killed two fresh evaluators by native signals, or is a reference whose tries all failed."""
    DROPPED = "dropped"


SETTLED = frozenset({ItemState.DONE, ItemState.REFUSED, ItemState.POISONED})
"""States of an item whose outcome stands for good."""


class Failure(StrEnum):
    """Why an item was not finished; the first eight are the evaluator's own classes."""

    CRASH = "crash"
    KILLED = "killed"
    HANG = "hang"
    MEMORY = "memory"
    ERROR = "error"
    HOST_LOST = "host_lost"
    CANCELLED = "cancelled"
    DISK_FULL = "disk_full"
    WORKER_LOST = "worker_lost"
