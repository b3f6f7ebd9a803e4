"""Rows of discovered architectures.  They outlive the job: a network says nothing about the picture."""

from __future__ import annotations

from django.conf import settings
from django.db import models

__all__ = ["Discovery", "Judgement", "Verdict"]


class Discovery(models.Model):
    """One of the best networks of a finished search; `rank` 1 is the one that made the result."""

    job = models.ForeignKey(
        "restorations.Job", on_delete=models.SET_NULL, null=True, related_name="discoveries"
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="discoveries"
    )
    task = models.CharField(max_length=16)
    genome = models.TextField()
    phenotype_digest = models.CharField(max_length=64)
    fitness = models.FloatField()
    gain_over_starter = models.FloatField(null=True, blank=True)
    multiply_adds = models.BigIntegerField()
    is_starter = models.BooleanField(default=False)
    rank = models.PositiveSmallIntegerField()
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "discoveries"
        ordering = ["-created", "rank"]
        indexes = [models.Index(fields=["task", "-fitness"], name="discovery_by_fitness")]
        constraints = [
            # Recording a finished search twice must change nothing.
            models.UniqueConstraint(fields=["job", "rank"], name="discovery_once"),
            models.CheckConstraint(
                condition=models.Q(fitness__gte=0, fitness__lte=1), name="discovery_fitness"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.genome} ({self.task})"


class Judgement(models.TextChoices):
    """What a reviewer may say."""

    APPROVE = "approve"
    REJECT = "reject"


class Verdict(models.Model):
    """What one reviewer said of one discovery, with the reason.  Never changed: a new opinion is a new row."""

    discovery = models.ForeignKey(Discovery, on_delete=models.CASCADE, related_name="verdicts")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="verdicts")
    verdict = models.CharField(max_length=16, choices=Judgement.choices)
    note = models.TextField(blank=True, default="")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-at"]
        constraints = [
            models.CheckConstraint(condition=models.Q(verdict__in=Judgement.values), name="verdict_value"),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} by user {self.reviewer_id}"
