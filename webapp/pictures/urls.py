"""Addresses of the pages before a restoration."""

from __future__ import annotations

from django.urls import path

from webapp.pictures import views

urlpatterns = [
    path("", views.landing, name="landing"),
    path("new/", views.new, name="new"),
    path("new/<uuid:picture_id>/", views.compose, name="compose"),
    path("new/<uuid:picture_id>/delete/", views.delete, name="picture_delete"),
]
