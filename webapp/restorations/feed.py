"""One feed per process and job: it learns of new events once, for all the sockets of this process.

The database is the truth.  A message of the channel layer says that a number is there (and may carry the
event itself); it may come late, twice or never, so the feed also looks into the database every few
seconds.  A socket takes what it lacks from the feed's short memory, and from the database only when the
memory does not reach back far enough.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.layers import get_channel_layer

from webapp.restorations import events
from webapp.restorations.models import Job

__all__ = ["Feed", "feeds", "read_events", "subscribed"]

logger = logging.getLogger(__name__)

Event = dict[str, Any]
PAGE = events.PAGE
MEMORY = 2 * PAGE
# Seconds between two looks into the database, with a channel layer that brings news and without one.
POLL_WITH_LAYER = 5.0
POLL_ALONE = 2.0
# Seconds before a channel layer that failed is tried again, doubled with each failure up to the second.
LAYER_RETRY = 5.0
LAYER_RETRY_MOST = 60.0


@database_sync_to_async
def read_events(job_id: UUID, after: int) -> list[Event] | None:
    """The events after a number, at most PAGE, oldest first.  None when the job is gone."""
    page = events.after(job_id, after, PAGE)
    return page if page or Job.objects.filter(pk=job_id).exists() else None


class Feed:
    """The newest events of one job, kept current while anybody is subscribed."""

    def __init__(self, job_id: UUID, last: int) -> None:
        self.job_id = job_id
        self.last = last
        self.gone = False
        self.subscribers = 0
        self.news = asyncio.Event()
        self._memory: deque[Event] = deque(maxlen=MEMORY)
        self._look = asyncio.Event()
        self.listening = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._poll()), asyncio.create_task(self._listen())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def since(self, number: int) -> list[Event] | None:
        """What follows `number`, at most PAGE; None when that must come from the database."""
        if number >= self.last:
            return []
        if not self._memory or self._memory[0]["number"] > number + 1:
            return None
        return [event for event in self._memory if event["number"] > number][:PAGE]

    def _take(self, page: list[Event]) -> None:
        for event in page:
            if event["number"] == self.last + 1:
                self._memory.append(event)
                self.last = event["number"]
        self._wake()

    def _wake(self) -> None:
        waiting, self.news = self.news, asyncio.Event()
        waiting.set()

    async def _poll(self) -> None:
        """Look into the database: at once when there is news, else every few seconds."""
        while not self.gone:
            try:
                page = await read_events(self.job_id, self.last)
            except Exception:
                logger.exception("events of job %s cannot be read; trying again", self.job_id)
                page = []
            if page is None:
                self.gone = True
                self._wake()
            elif page:
                self._take(page)
            if page and len(page) == PAGE:
                continue
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), POLL_WITH_LAYER if self.listening else POLL_ALONE)
            self._look.clear()

    async def _listen(self) -> None:
        """Follow the channel layer where there is one; without it, or while it is away, polling goes on."""
        layer = get_channel_layer()
        if layer is None:
            return
        group = f"job.{self.job_id}"
        wait = LAYER_RETRY
        while True:
            channel = None
            try:
                channel = await layer.new_channel()
                await layer.group_add(group, channel)
                self.listening = True
                wait = LAYER_RETRY
                while True:
                    self._heard(await layer.receive(channel))
            except Exception as error:  # noqa: BLE001  # whatever the layer raises, polling goes on
                logger.warning("channel layer away (%s); polling for job %s", error, self.job_id)
            finally:
                self.listening = False
                if channel is not None:
                    with contextlib.suppress(Exception):
                        await layer.group_discard(group, channel)
            await asyncio.sleep(wait)
            wait = min(2 * wait, LAYER_RETRY_MOST)

    def _heard(self, message: dict[str, Any]) -> None:
        number = message.get("number", 0)
        if number <= self.last:
            return
        event = message.get("event")
        if event is not None and number == self.last + 1:
            self._take([event])
        else:
            self._look.set()


feeds: dict[UUID, Feed] = {}
"""Those of this process, while somebody is subscribed."""


@contextlib.asynccontextmanager
async def subscribed(job_id: UUID, last: int) -> AsyncIterator[Feed]:
    """This process's feed of a job; it starts with the first subscriber and ends with the last.

    last: the job's newest event number, read just before.
    """
    feed = feeds.get(job_id)
    if feed is None:
        feed = feeds[job_id] = Feed(job_id, last)
        feed.start()
    feed.subscribers += 1
    try:
        yield feed
    finally:
        feed.subscribers -= 1
        if not feed.subscribers:
            del feeds[job_id]
            await feed.stop()
