"""Every address of the site, one line a room."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from webapp.api.api import api

urlpatterns = [
    path("", include("webapp.pictures.urls")),
    path("", include("webapp.restorations.urls")),
    path("", include("webapp.architectures.urls")),
    path("", include("webapp.operations.urls")),
    path("api/v1/", api.urls),
    path("accounts/", include("webapp.accounts.urls")),
    path("admin/", admin.site.urls),
]
