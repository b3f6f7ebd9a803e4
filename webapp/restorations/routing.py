"""The websocket addresses."""

from __future__ import annotations

from django.urls import path, re_path

from webapp.restorations.consumers import JobEvents, NoSuchSocket

__all__ = ["websocket_urlpatterns"]

websocket_urlpatterns = [
    path("ws/jobs/<uuid:job_id>/", JobEvents.as_asgi()),
    re_path(r"", NoSuchSocket.as_asgi()),
]
