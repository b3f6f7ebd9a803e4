"""Sets Django up for the worker, and its Celery application over Redis."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
django.setup()

from django.conf import settings  # noqa: E402

from webapp.config.broker import celery_app  # noqa: E402

__all__ = ["app"]

app = celery_app(settings.REDIS_URL)
app.conf.imports = ("gpu_worker.tasks",)
