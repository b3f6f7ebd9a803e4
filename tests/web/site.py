"""The real site in a thread: uvicorn serves the ASGI application over TCP, browsers' sockets included."""

from __future__ import annotations

import json
import threading
from types import TracebackType
from typing import Any, Self

import uvicorn
from django.contrib.auth.models import User
from django.test import Client
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.waiting import wait_for


class Site:
    """`with Site() as site:` the site answers at site.url until the block ends."""

    def __enter__(self) -> Self:
        from webapp.config.asgi import application

        config = uvicorn.Config(
            application,
            host="127.0.0.1",
            port=0,
            lifespan="off",
            log_level="warning",
            timeout_graceful_shutdown=2,
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, name="site")
        self.thread.start()
        wait_for(lambda: self.server.started, 20, "the site to start")
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive(), "the site did not stop"

    def socket(self, user: User | None, path: str, *, origin: str | None = "own") -> ClientConnection:
        """A browser's websocket: the user's session cookie and the page's origin."""
        headers = {}
        if user is not None:
            client = Client()
            client.force_login(user)
            headers["Cookie"] = "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items())
        if origin is not None:
            headers["Origin"] = self.url if origin == "own" else origin
        return connect(
            f"ws://127.0.0.1:{self.port}{path}",
            additional_headers=headers,
            user_agent_header=None,
            proxy=None,
        )


def events_until(socket: ClientConnection, number: int, timeout: float = 20.0) -> list[dict[str, Any]]:
    """All events that a socket brings up to `number`; each message holds at most 200."""
    seen: list[dict[str, Any]] = []
    while not seen or seen[-1]["number"] < number:
        message = json.loads(socket.recv(timeout=timeout))
        assert message["type"] == "events" and 0 < len(message["events"]) <= 200
        seen += message["events"]
    return seen


def close_code(socket: ClientConnection, timeout: float = 10.0) -> int | None:
    """The code with which the server closes, whatever it sends before."""
    try:
        while True:
            socket.recv(timeout=timeout)
    except ConnectionClosed:
        return socket.close_code
