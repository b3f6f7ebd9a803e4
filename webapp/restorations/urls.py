"""Addresses of the pages and files of a restoration."""

from __future__ import annotations

from django.urls import path, re_path

from webapp.restorations.views import files, history, job

UUID_PATTERN = r"(?P<job_id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"

urlpatterns = [
    path("jobs/", history.history, name="history"),
    path("jobs/<uuid:job_id>/", job.job, name="job"),
    path("jobs/<uuid:job_id>/delete/", history.delete, name="job_delete"),
    path("jobs/<uuid:job_id>/input.png", files.input_picture, name="job_input"),
    path("jobs/<uuid:job_id>/mask.png", files.mask, name="job_mask"),
    path("jobs/<uuid:job_id>/restored.png", files.restored, name="job_restored"),
    path("jobs/<uuid:job_id>/thumbnail.png", files.thumbnail, name="job_thumbnail"),
    path("jobs/<uuid:job_id>/baseline.png", files.baseline, name="job_baseline"),
    path("jobs/<uuid:job_id>/baselines/<slug:slug>.png", files.baseline, name="job_one_baseline"),
    path("jobs/<uuid:job_id>/run.json", files.run, name="job_run"),
    path("jobs/<uuid:job_id>/architecture.svg", files.architecture, name="job_architecture"),
    re_path(
        rf"^jobs/{UUID_PATTERN}/preview/(?P<digest>[0-9a-f]{{64}})\.png$", files.preview, name="job_preview"
    ),
    re_path(rf"^jobs/{UUID_PATTERN}/still/(?P<digest>[0-9a-f]{{64}})\.webp$", files.still, name="job_still"),
    re_path(rf"^jobs/{UUID_PATTERN}/seen/(?P<frame>search|final)\.png$", files.seen, name="job_seen"),
]
