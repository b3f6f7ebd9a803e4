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

from webapp.config.security import BodyLimit  # noqa: E402
from webapp.restorations.routing import websocket_urlpatterns  # noqa: E402

__all__ = ["application"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class UnderPrefix:
    """Sockets under NASDIP_PATH_PREFIX: the routes know nothing of it, whether or not the proxy strips it."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], prefix: str) -> None:
        self.app = app
        self.prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the connection on with the path that the routes know."""
        scope = dict(scope, root_path="", path=scope["path"].removeprefix(self.prefix))
        await self.app(scope, receive, send)


application = ProtocolTypeRouter(
    {
        "http": BodyLimit(pages),
        "websocket": UnderPrefix(
            AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
            settings.FORCE_SCRIPT_NAME or "",
        ),
    }
)
