"""Addresses for operators."""

from __future__ import annotations

from django.urls import path

from webapp.operations.health import healthz

urlpatterns = [path("healthz", healthz, name="healthz")]
