"""Every address of the site, one line a room."""

from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.shortcuts import redirect
from django.urls import include, path

from webapp.api.api import api

# The one door for passwords: its limit on guesses holds for operators, too.
admin.site.login = secure_admin_login(lambda _request, **_: redirect("admin:index"))  # type: ignore[method-assign]

urlpatterns = [
    path("", include("webapp.pictures.urls")),
    path("", include("webapp.restorations.urls")),
    path("", include("webapp.architectures.urls")),
    path("", include("webapp.operations.urls")),
    path("api/v1/", api.urls),
    path("accounts/", include("webapp.accounts.urls")),
    path("admin/", admin.site.urls),
]
