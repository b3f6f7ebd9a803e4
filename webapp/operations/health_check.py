"""`python -m webapp.operations.health_check web|worker`: exit code 0 when this container does its work.

The web server is asked over HTTP. A worker is known by its heartbeat row: that it answers would not prove that
it takes work (one that took itself out of service counts as unhealthy).
"""

from __future__ import annotations

import os
import socket
import sys
import urllib.request
from datetime import timedelta

__all__ = ["main"]

HEARTBEAT_WITHIN_S = 60


def web_is_well() -> bool:
    prefix = os.environ.get("NASDIP_PATH_PREFIX", "").strip().rstrip("/")
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:8000{prefix}/healthz", timeout=4) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def worker_is_well() -> bool:
    """Whether a worker of this host has written its heartbeat in the last minute, by the database's clock."""
    import django
    from django.apps import apps
    from django.db import Error
    from django.db.models.functions import Now

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
    django.setup()
    worker = apps.get_model("restorations", "Worker")
    recent = Now() - timedelta(seconds=HEARTBEAT_WITHIN_S)
    mine = worker.objects.filter(
        name__startswith=socket.gethostname(), heartbeat_at__gt=recent, out_of_service=""
    )
    try:
        return bool(mine.exists())
    except Error:
        return False


def main(what: str) -> int:
    well = {"web": web_is_well, "worker": worker_is_well}[what]()
    print(f"{what}: {'well' if well else 'not well'}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
