"""Rows of a restoration: Job -> Generation -> WorkItem, its numbered events, and the workers that serve them.

Only this room reads these models; others call its functions and get frozen values.  State changes are
conditional UPDATEs in one named function each (`control`, `leases`, `generations`); the constraints below
forbid what no function may write.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from nasdip_engine.bit_depth import DEPTHS
from nasdip_engine.task import NOISES, TaskKind
from webapp.restorations.states import ENDED, GenerationState, ItemKind, ItemState, JobState

__all__ = ["Event", "Generation", "Job", "JobFile", "Turn", "WorkItem", "Worker"]

TASKS = ("denoise", "inpaint", "upscale")
NOISE_NAMES = ("", "none", "independent", "correlated", "impulse")


def _values(states: Iterable[str]) -> list[str]:
    """Plain sorted texts, so that migrations read well and don't change with the order of a set."""
    return sorted(str(state) for state in states)


def _choices(states: type[JobState | GenerationState | ItemState | ItemKind]) -> list[tuple[str, str]]:
    return [(str(state), str(state)) for state in states]


class Job(models.Model):
    """One restoration of one picture, from the queue to the result."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="jobs")
    # RESTRICT protects a picture in use, yet lets a user be deleted together with pictures and jobs.
    picture = models.ForeignKey("pictures.Picture", on_delete=models.RESTRICT, related_name="jobs")
    name = models.CharField(max_length=255, blank=True, default="")

    task = models.CharField(max_length=16, choices=[(task, task) for task in TASKS])
    factor = models.PositiveSmallIntegerField(default=1)
    # What is assumed of the noise; "" for the task's default, which is all that older rows can mean.
    noise = models.CharField(max_length=16, blank=True, default="")
    preset = models.CharField(max_length=32)
    seed = models.PositiveIntegerField()
    # Of the result; null: the picture's own.
    bit_depth = models.PositiveSmallIntegerField(null=True, blank=True)
    share = models.BooleanField(default=False)
    settings = models.JSONField()
    seeds = models.JSONField()
    mask_digest = models.CharField(max_length=64, blank=True, default="")
    # The upload that the mask was read from, where it was not drawn: it goes when no job has it any more.
    mask_picture = models.ForeignKey(
        "pictures.Picture", null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    share_to_fill = models.FloatField(null=True, blank=True)

    state = models.CharField(max_length=16, choices=_choices(JobState), default=JobState.QUEUED)
    reason = models.TextField(blank=True, default="")
    fault_class = models.CharField(max_length=32, blank=True, default="")
    fingerprint = models.JSONField(null=True, blank=True)
    device_class = models.CharField(max_length=32, default="cpu")
    frames = models.JSONField(null=True, blank=True)
    event_number = models.PositiveIntegerField(default=0)
    generation = models.PositiveIntegerField(null=True, blank=True)

    best_fitness = models.FloatField(null=True, blank=True)
    best_genome = models.TextField(blank=True, default="")
    preview_digest = models.CharField(max_length=64, blank=True, default="")
    result_digest = models.CharField(max_length=64, blank=True, default="")
    run = models.JSONField(null=True, blank=True)
    excluded = models.JSONField(default=list, blank=True)
    # Null, not "", where there is none: the unique constraint lets nulls be many.
    idempotency_key = models.CharField(max_length=255, null=True, blank=True)  # noqa: DJ001

    queued_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    paused_at = models.DateTimeField(null=True, blank=True)
    seconds_paused = models.FloatField(default=0.0)

    class Meta:
        ordering = ["-queued_at"]
        indexes = [
            models.Index(fields=["owner", "-queued_at"], name="job_of_owner"),
            models.Index(fields=["state", "queued_at"], name="job_by_state"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(state__in=_values(JobState)), name="job_state"),
            models.CheckConstraint(condition=Q(task__in=list(TASKS)), name="job_task"),
            models.CheckConstraint(condition=Q(noise__in=list(NOISE_NAMES)), name="job_noise"),
            models.CheckConstraint(condition=Q(factor__gte=1, factor__lte=8), name="job_factor"),
            models.CheckConstraint(
                condition=Q(bit_depth__isnull=True) | Q(bit_depth__in=list(DEPTHS)), name="job_bit_depth"
            ),
            # The same Idempotency-Key of one user names one job, however often the request is sent.
            models.UniqueConstraint(fields=["owner", "idempotency_key"], name="job_once_per_key"),
            # An ended job has an end, any other has none.
            models.CheckConstraint(
                condition=Q(state__in=_values(ENDED), finished_at__isnull=False)
                | (~Q(state__in=_values(ENDED)) & Q(finished_at__isnull=True)),
                name="job_ended_has_end",
            ),
            # Nothing is computed before a first lease has set the start.
            models.CheckConstraint(
                condition=Q(started_at__isnull=False)
                | ~Q(
                    state__in=_values({JobState.RUNNING, JobState.FINISHING, JobState.PAUSING, JobState.DONE})
                ),
                name="job_running_has_start",
            ),
            models.CheckConstraint(
                condition=Q(state=str(JobState.PAUSED), paused_at__isnull=False)
                | (~Q(state=str(JobState.PAUSED)) & Q(paused_at__isnull=True)),
                name="job_paused_since",
            ),
            # "Done" is a promise that the picture and the account of how it was made are there.
            models.CheckConstraint(
                condition=~Q(state=str(JobState.DONE)) | (~Q(result_digest="") & Q(run__isnull=False)),
                name="job_done_has_result",
            ),
            # A job that can't go on says why.
            models.CheckConstraint(
                condition=~Q(state=str(JobState.FAILED)) | ~Q(reason=""), name="job_failed_has_reason"
            ),
        ]

    def __str__(self) -> str:
        return f"job {self.id} ({self.state})"

    @property
    def assumed_noise(self) -> str:
        """What is assumed of the noise, by its name: of `nasdip_engine.task.NOISES`."""
        return self.noise or NOISES[TaskKind(self.task)][0]


class Generation(models.Model):
    """A population, fixed before any of it is evaluated.

    `keys[i]` names the work item of `genomes[i]`, at the last rung where there is a race; genomes of one phenotype
    share a key.  `fitness[i]` (hexadecimal floats) is written when the generation closes.

    `rungs`, where there is a race: one object a rung that was opened, the newest last: its number `rung`, a genome of
    each network in it (`genomes`) and the `keys` of their work items.  A rung is fixed before any of it is evaluated.
    `reached[i]`, written at the close: the highest rung of `genomes[i]`, whose fitness it has.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="generations")
    number = models.PositiveIntegerField()
    genomes = models.JSONField()
    keys = models.JSONField(default=list)
    elites = models.PositiveIntegerField(default=0)
    rungs = models.JSONField(default=list, blank=True)
    reached = models.JSONField(null=True, blank=True)
    state = models.CharField(max_length=16, choices=_choices(GenerationState), default=GenerationState.OPEN)
    fitness = models.JSONField(null=True, blank=True)
    best = models.FloatField(null=True, blank=True)
    mean = models.FloatField(null=True, blank=True)
    worst = models.FloatField(null=True, blank=True)
    evaluations = models.PositiveIntegerField(default=0)
    invalid = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    iterations = models.PositiveBigIntegerField(default=0)
    opened_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["job", "number"]
        constraints = [
            # Two workers that close the same generation breed one successor.
            models.UniqueConstraint(fields=["job", "number"], name="generation_once"),
            # At most one generation of a job is open.
            models.UniqueConstraint(
                fields=["job"], condition=Q(state=str(GenerationState.OPEN)), name="generation_open_once"
            ),
            models.CheckConstraint(condition=Q(state__in=_values(GenerationState)), name="generation_state"),
            models.CheckConstraint(
                condition=Q(state=str(GenerationState.OPEN), closed_at__isnull=True, fitness__isnull=True)
                | Q(
                    state=str(GenerationState.CLOSED),
                    closed_at__isnull=False,
                    fitness__isnull=False,
                    best__isnull=False,
                    mean__isnull=False,
                    worst__isnull=False,
                ),
                name="generation_closed_has_fitness",
            ),
        ]

    def __str__(self) -> str:
        return f"generation {self.number} of job {self.job_id}"


class WorkItem(models.Model):
    """The unit of lease for everything that a worker computes; its outcome is written once."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="items")
    generation = models.PositiveIntegerField(null=True, blank=True)
    kind = models.CharField(max_length=16, choices=_choices(ItemKind))
    key = models.CharField(max_length=128)
    rung = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(max_length=16, choices=_choices(ItemState), default=ItemState.WAITING)
    genome = models.TextField(blank=True, default="")
    device_class = models.CharField(max_length=32, default="cpu")
    lease_token = models.CharField(max_length=64, blank=True, default="")
    lease_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    losses = models.PositiveIntegerField(default=0)
    crashes = models.PositiveIntegerField(default=0)
    fault_class = models.CharField(max_length=32, blank=True, default="")
    outcome = models.JSONField(null=True, blank=True)
    worker = models.CharField(max_length=128, blank=True, default="")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["job", "id"]
        indexes = [
            models.Index(fields=["job", "state", "id"], name="item_of_job"),
            # The two questions asked all day long: what waits, and which leases ran out.
            models.Index(
                fields=["device_class", "id"], condition=Q(state=str(ItemState.WAITING)), name="item_waiting"
            ),
            models.Index(
                fields=["lease_until"], condition=Q(state=str(ItemState.LEASED)), name="item_leased"
            ),
        ]
        constraints = [
            # A job computes a thing once; outcomes are never shared between jobs.
            models.UniqueConstraint(fields=["job", "key"], name="item_once"),
            models.CheckConstraint(condition=Q(state__in=_values(ItemState)), name="item_state"),
            models.CheckConstraint(condition=Q(kind__in=_values(ItemKind)), name="item_kind"),
            # A lease is a token with a deadline, and only a leased item has one.
            models.CheckConstraint(
                condition=(Q(state=str(ItemState.LEASED), lease_until__isnull=False) & ~Q(lease_token=""))
                | (~Q(state=str(ItemState.LEASED)) & Q(lease_token="", lease_until__isnull=True)),
                name="item_leased_has_lease",
            ),
            # Settled items have an outcome, others none.
            models.CheckConstraint(
                condition=Q(
                    state__in=_values({ItemState.DONE, ItemState.REFUSED, ItemState.POISONED}),
                    outcome__isnull=False,
                )
                | (
                    Q(outcome__isnull=True)
                    & Q(state__in=_values({ItemState.WAITING, ItemState.LEASED, ItemState.DROPPED}))
                ),
                name="item_settled_has_outcome",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.id} of job {self.job_id} ({self.state})"


class Event(models.Model):
    """What happened, numbered 1, 2, 3, ... per job in the order of commit, without holes."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="events")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=32)
    data = models.JSONField(default=dict)
    # Database time, as `events.recently` compares it: the clocks of machines differ.
    at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["job", "number"]
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="event_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="event_from_one"),
        ]

    def __str__(self) -> str:
        return f"event {self.number} ({self.kind}) of job {self.job_id}"


class JobFile(models.Model):
    """A stored file that a job refers to.  Equal files are stored once, so deletion asks here who has one.

    The row is committed before the bytes are written (`files.keep`): whoever deletes sees it in time.
    """

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="files")
    digest = models.CharField(max_length=64, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "digest"], name="job_file_once")]

    def __str__(self) -> str:
        return f"file {self.digest[:12]} of job {self.job_id}"


class Worker(models.Model):
    """A worker process that is, or was, alive."""

    name = models.CharField(max_length=128, unique=True)
    heartbeat_at = models.DateTimeField()
    started_at = models.DateTimeField()
    fingerprint = models.JSONField(null=True, blank=True)
    slots = models.PositiveSmallIntegerField(default=1)
    device = models.CharField(max_length=64, default="cpu")
    abilities = models.JSONField(null=True, blank=True)
    last_look_at = models.DateTimeField(null=True, blank=True)
    pid = models.PositiveIntegerField(default=0)
    out_of_service = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"worker {self.name}"


class Turn(models.Model):
    """Whose turn it is to do what one process at a time does (the sweep)."""

    name = models.CharField(max_length=32, primary_key=True)
    token = models.CharField(max_length=64, blank=True, default="")
    until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"turn {self.name}"
