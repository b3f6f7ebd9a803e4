"""Websocket /ws/jobs/<uuid>/?after=N: the events of a job after number N, then each new one, in order.

The server sends {"type": "events", "events": [{"number", "kind", "at", ...}]}, at most 200 events a
message; the client sends nothing (what it sends is ignored).  Close codes:
4401 not signed in (any more), 4404 no such job or not yours, 4408 the client reads too slowly,
1011 something failed here.  A client reconnects with its last number after any other code.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

from channels.auth import get_user
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from webapp.restorations.access import visible_to
from webapp.restorations.feed import Event, Feed, read_events, subscribed

__all__ = ["JobEvents", "NoSuchSocket"]

logger = logging.getLogger(__name__)

SIGNED_OUT = 4401
NOT_VISIBLE = 4404
TOO_SLOW = 4408
FAILED = 1011
SEND_SECONDS = 10.0
# An open socket asks again this often whether its session and its right to see the job still hold.
RECHECK_SECONDS = 30.0


@database_sync_to_async
def event_number(user: Any, job_id: UUID) -> int | None:
    """The newest event's number; None when this user cannot see such a job."""
    return visible_to(user).filter(pk=job_id).values_list("event_number", flat=True).first()


class JobEvents(AsyncJsonWebsocketConsumer):
    """One browser following one job."""

    # No channel of its own: the feed listens once for all the sockets of a job.
    channel_layer_alias = "unused"

    pump: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        # A close before the handshake is a plain 403: browsers never see the code.
        await self.accept()
        job_id: UUID = self.scope["url_route"]["kwargs"]["job_id"]
        self.pump = asyncio.create_task(self._run(job_id, self._after()))

    async def receive(self, *args: Any, **kwargs: Any) -> None:
        """Clients have nothing to say on this socket."""

    async def disconnect(self, code: int) -> None:  # noqa: ARG002
        if self.pump is not None:
            self.pump.cancel()
            await asyncio.gather(self.pump, return_exceptions=True)

    def _after(self) -> int:
        text = parse_qs(self.scope["query_string"].decode("latin-1")).get("after", ["0"])[0]
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0

    async def _run(self, job_id: UUID, after: int) -> None:
        try:
            code = await self._follow(job_id, after)
        except TimeoutError:
            code = TOO_SLOW
        except Exception:
            logger.exception("socket of job %s failed", job_id)
            code = FAILED
        with contextlib.suppress(Exception):
            await self._in_time(self.close(code))

    async def _follow(self, job_id: UUID, sent: int) -> int:
        """Send events until the socket has to be closed; returns the code to close with."""
        if not self.scope["user"].is_authenticated:
            return SIGNED_OUT
        newest = await event_number(self.scope["user"], job_id)
        if newest is None:
            return NOT_VISIBLE
        checked = time.monotonic()
        async with subscribed(job_id, newest) as feed:
            while True:
                page = await self._next(feed, sent)
                if page is None:
                    return NOT_VISIBLE
                if time.monotonic() - checked > RECHECK_SECONDS:
                    code = await self._refusal(job_id)
                    if code is not None:
                        return code
                    checked = time.monotonic()
                await self._in_time(self.send_json({"type": "events", "events": page}))
                sent = page[-1]["number"]

    async def _next(self, feed: Feed, sent: int) -> list[Event] | None:
        """Wait for the events after `sent`.  None when the job was deleted."""
        while True:
            news = feed.news
            page = feed.since(sent)
            if page is None:
                page = await read_events(feed.job_id, sent)
            if page or page is None:
                return page
            if feed.gone:
                return None
            await news.wait()

    async def _refusal(self, job_id: UUID) -> int | None:
        """The close code for a session that ended or a job that is not visible any more."""
        user = await get_user(self._fresh_scope())
        if not user.is_authenticated:
            return SIGNED_OUT
        return NOT_VISIBLE if await event_number(user, job_id) is None else None

    def _fresh_scope(self) -> dict[str, Any]:
        """The scope with the session as it is stored now, not as it was when the socket opened."""
        session = self.scope["session"]
        return {**self.scope, "session": session.__class__(session.session_key)}

    @staticmethod
    async def _in_time(sending: Awaitable[None]) -> None:
        """Raises TimeoutError when the client does not take what is sent."""
        await asyncio.wait_for(sending, SEND_SECONDS)


class NoSuchSocket(AsyncJsonWebsocketConsumer):
    """Any other websocket address: a close code instead of a failed handshake."""

    channel_layer_alias = "unused"

    async def connect(self) -> None:
        await self.accept()
        await self.close(NOT_VISIBLE)
