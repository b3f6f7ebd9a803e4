"""The web process: pages and API through Django, job sockets through Channels.

A socket is accepted from the site's own origins only, and finds its user by the session.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings")
pages = get_asgi_application()  # loads the apps; what follows imports models

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.conf import settings  # noqa: E402

from webapp.accounts.callers import is_known  # noqa: E402
from webapp.config.security import BodyLimit  # noqa: E402
from webapp.restorations.routing import websocket_urlpatterns  # noqa: E402

__all__ = ["application"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class UnderPrefix:
    """One form of address under NASDIP_PATH_PREFIX, whether or not the proxy strips it.

    Django takes the prefix off by itself and wants it there, since `next=` and redirects begin with it; the
    routes of the sockets know nothing of it.
    """

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], prefix: str) -> None:
        self.app = app
        self.prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the connection on with the path that the application knows."""
        path: str = scope["path"]
        if path == self.prefix or path.startswith(f"{self.prefix}/"):
            path = path[len(self.prefix) :]
        if scope["type"] == "http":
            path = self.prefix + path
        await self.app(dict(scope, root_path="", path=path), receive, send)


PREFIX = settings.FORCE_SCRIPT_NAME or ""
application = ProtocolTypeRouter(
    {
        "http": UnderPrefix(BodyLimit(pages, is_known=is_known), PREFIX),
        "websocket": UnderPrefix(
            AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))), PREFIX
        ),
    }
)
