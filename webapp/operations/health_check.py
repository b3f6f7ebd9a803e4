"""`python -m webapp.operations.health_check web|worker [PORT]`: exit code 0 when this container does its work.

The web server is asked over HTTP. A worker is known by its heartbeat row: that it answers would not prove that
it takes work (one that took itself out of service counts as unhealthy).
"""

from __future__ import annotations

import os
import socket
import sys
import urllib.request
from collections.abc import Sequence

from webapp.operations.here import open_here

__all__ = ["main"]

PORT = "8000"


def web_is_well(port: str) -> bool:
    """Whether the web server here, and its database, answer under a name that the site is asked by."""
    prefix = os.environ.get("NASDIP_PATH_PREFIX", "").strip().rstrip("/")
    names = os.environ.get("NASDIP_ALLOWED_HOSTS", "").replace(",", " ").split()
    host = names[0].lstrip("*.") if names else ""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{prefix}/healthz")
    if host:
        request.add_header("Host", host)
    try:
        with open_here(request, timeout=4) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def worker_is_well() -> bool:
    """Whether a worker of this host is alive and takes work, by its row."""
    import django
    from django.db import Error

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
    django.setup()
    from webapp.restorations import workers

    try:
        return workers.alive_on(socket.gethostname())
    except Error:
        return False


def main(arguments: Sequence[str]) -> int:
    what, port = [*arguments, PORT][:2]
    well = {"web": lambda: web_is_well(port), "worker": worker_is_well}[what]()
    print(f"{what}: {'well' if well else 'not well'}")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
