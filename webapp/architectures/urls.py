"""Addresses of the staff page."""

from __future__ import annotations

from django.urls import path, re_path

from webapp.architectures import views

urlpatterns = [
    path("review/", views.review, name="review"),
    path("review/<int:discovery_id>/verdict/", views.verdict, name="verdict"),
    path("review/<int:discovery_id>/architecture.svg", views.diagram, name="discovery_diagram"),
    re_path(
        r"^review/jobs/(?P<job_id>[0-9a-f-]{36})/(?P<which>input|restored)\.png$",
        views.picture,
        name="review_picture",
    ),
]
