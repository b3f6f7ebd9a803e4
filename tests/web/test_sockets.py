"""A browser that joins late, reconnects or missed messages sees the same history as one that never left."""

from __future__ import annotations

import json
import socket as sockets
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import transaction
from django.test import Client
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from tests.servers import RedisServer
from tests.waiting import wait_for
from tests.web.site import Site, close_code, events_until
from webapp.config.broker import channel_host
from webapp.restorations import consumers, control, events, feed
from webapp.restorations.events import EventKind
from webapp.restorations.models import Job

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def site(files: Any) -> Iterator[Site]:
    """The site without a channel layer, as it runs without Redis."""
    with Site() as running:
        yield running


@pytest.fixture
def redis_layer(redis_url: str, settings: Any) -> str:
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
            "CONFIG": {"hosts": [channel_host(redis_url)], "prefix": uuid.uuid4().hex},
        }
    }
    return redis_url


@pytest.fixture
def no_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """After its first look into the database a feed looks again only when a message tells it to."""
    monkeypatch.setattr(feed, "POLL_WITH_LAYER", 3600.0)
    monkeypatch.setattr(feed, "POLL_ALONE", 3600.0)  # how long it waits is settled before it listens


@pytest.fixture
def wired_site(redis_layer: str) -> Iterator[Site]:
    """The site with the channel layer over a real Redis."""
    with Site() as running:
        yield running


def tell(job: Job, count: int = 1, detail: str = "") -> int:
    """Append events in a transaction each, as workers do; returns the newest number."""
    number = 0
    for at in range(count):
        with transaction.atomic():
            told = {"class": "hang", "genome": f"{at}", "detail": detail}
            number = events.append(job.pk, EventKind.FAULT, told)
    return number


def path_of(job: Job, after: int | None = None) -> str:
    return f"/ws/jobs/{job.pk}/" + ("" if after is None else f"?after={after}")


def numbers(seen: list[dict[str, Any]]) -> list[int]:
    return [event["number"] for event in seen]


def hears_at_once(job: Job, socket: ClientConnection, seen: list[dict[str, Any]]) -> bool:
    """Tell one event: whether a message brings it within a second. All that comes goes into `seen`."""
    number = tell(job)
    try:
        while not seen or seen[-1]["number"] < number:
            seen += json.loads(socket.recv(timeout=1))["events"]
    except TimeoutError:
        return False
    return True


def test_a_late_joiner_gets_the_whole_history_in_pages(site: Site, alice: User, job: Job) -> None:
    last = tell(job, 450)
    with site.socket(alice, path_of(job)) as socket:
        seen = events_until(socket, last)
    assert numbers(seen) == list(range(1, last + 1))
    assert seen == [event for after in range(0, last, 200) for event in events.after(job.pk, after)]


def test_a_reconnect_goes_on_after_its_number(site: Site, alice: User, job: Job) -> None:
    last = tell(job, 20)
    with site.socket(alice, path_of(job, last - 3)) as socket:
        assert numbers(events_until(socket, last)) == [last - 2, last - 1, last]


@pytest.mark.parametrize("text", ["-1", "x", "9" * 40, "", "%00"])
def test_a_number_that_is_none_means_from_the_start(site: Site, alice: User, job: Job, text: str) -> None:
    last = tell(job, 2)
    with site.socket(alice, path_of(job) + f"?after={text}") as socket:
        assert numbers(events_until(socket, last))[0] == 1


def test_without_a_channel_layer_new_events_come_all_the_same(site: Site, alice: User, job: Job) -> None:
    assert get_channel_layer() is None
    before = job.event_number
    with (
        site.socket(alice, path_of(job, before)) as first,
        site.socket(alice, path_of(job, before)) as second,
    ):
        last = tell(job, 3)
        for socket in (first, second):
            assert numbers(events_until(socket, last)) == list(range(before + 1, last + 1))


def test_one_process_has_one_feed_for_all_sockets_of_a_job(site: Site, alice: User, job: Job) -> None:
    last = tell(job)
    with site.socket(alice, path_of(job)) as first, site.socket(alice, path_of(job)) as second:
        for socket in (first, second):
            events_until(socket, last)
        assert [running.subscribers for running in feed.feeds.values()] == [2]
    wait_for(lambda: not feed.feeds, 10, "the feed to end with its last socket")


def test_with_redis_an_event_arrives_before_the_next_poll(
    wired_site: Site, alice: User, job: Job, no_polling: None
) -> None:
    with wired_site.socket(alice, path_of(job, job.event_number)) as socket:
        wait_for(lambda: [f for f in feed.feeds.values() if f.listening], 10, "the feed to listen")
        for _ in range(5):
            last = tell(job)
            assert numbers(events_until(socket, last)) == [last]


def test_a_lost_message_leaves_no_gap(
    wired_site: Site, alice: User, job: Job, no_polling: None, settings: Any
) -> None:
    with wired_site.socket(alice, path_of(job, job.event_number)) as socket:
        wait_for(lambda: [f for f in feed.feeds.values() if f.listening], 10, "the feed to listen")
        heard = tell(job)
        assert numbers(events_until(socket, heard)) == [heard]  # so its first look lies behind it
        wired = settings.CHANNEL_LAYERS
        settings.CHANNEL_LAYERS = {}  # the writer has no Redis, the site still listens: nothing tells of these
        unheard = tell(job, 3)
        settings.CHANNEL_LAYERS = wired
        with pytest.raises(TimeoutError):
            socket.recv(timeout=1)
        assert next(iter(feed.feeds.values())).last == unheard - 3
        last = tell(job)
        assert numbers(events_until(socket, last)) == list(range(heard + 1, last + 1))


def test_a_message_that_comes_twice_or_late_is_told_once(
    wired_site: Site, alice: User, job: Job, no_polling: None
) -> None:
    before = job.event_number
    with wired_site.socket(alice, path_of(job, before)) as socket:
        wait_for(lambda: [f for f in feed.feeds.values() if f.listening], 10, "the feed to listen")
        first = tell(job)
        layer = get_channel_layer()
        shown = events.after(job.pk, first - 1)[0]
        for _ in range(3):
            message = {"type": "job.event", "number": first, "event": shown}
            async_to_sync(layer.group_send)(f"job.{job.pk}", message)
        last = tell(job)
        assert numbers(events_until(socket, last)) == list(range(before + 1, last + 1))


def test_redis_may_die_and_come_back(
    wired_site: Site, redis_server: RedisServer, alice: User, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "POLL_WITH_LAYER", 1.0)
    with wired_site.socket(alice, path_of(job, job.event_number)) as socket:
        redis_server.kill()
        last = tell(job, 2)
        seen = events_until(socket, last)
        redis_server.restart()
        last = tell(job, 2)
        seen += events_until(socket, last)
        assert numbers(seen) == list(range(job.event_number + 1, last + 1))
        # And the messages come again, not only what polling finds: the first may, the second can't be a poll's. A
        # writer whose message failed sends none for a while, and a message brings what was told meanwhile.
        monkeypatch.setattr(feed, "POLL_WITH_LAYER", 3600.0)
        for _ in range(2):
            wait_for(lambda: hears_at_once(job, socket, seen), 30, "a message after the restart")
        assert numbers(seen) == list(range(job.event_number + 1, seen[-1]["number"] + 1))


def test_a_socket_opens_while_redis_is_away(
    wired_site: Site, redis_server: RedisServer, alice: User, job: Job
) -> None:
    redis_server.kill()
    last = tell(job, 2)
    with wired_site.socket(alice, path_of(job)) as socket:
        assert numbers(events_until(socket, last)) == list(range(1, last + 1))
        last = tell(job)
        assert numbers(events_until(socket, last)) == [last]


def test_nobody_and_somebody_else_see_nothing(
    site: Site, alice: User, bob: User, reviewer: User, job: Job
) -> None:
    tell(job)
    Job.objects.filter(pk=job.pk).update(share=True)
    with site.socket(None, path_of(job)) as socket:
        assert close_code(socket) == 4401
    for other in (bob, reviewer):
        with site.socket(other, path_of(job)) as socket:
            assert close_code(socket) == 4404
    with site.socket(alice, f"/ws/jobs/{uuid.uuid4()}/") as socket:
        assert close_code(socket) == 4404
    for nowhere in ("/ws/", "/ws/jobs/1/", "/anything"):
        with site.socket(alice, nowhere) as socket:
            assert close_code(socket) == 4404


@pytest.mark.parametrize("origin", ["https://evil.example", None])
def test_another_origin_gets_no_socket(site: Site, alice: User, job: Job, origin: str | None) -> None:
    with pytest.raises(InvalidStatus) as refused:
        site.socket(alice, path_of(job), origin=origin)
    assert refused.value.response.status_code == 403


def test_what_a_client_says_is_ignored(site: Site, alice: User, job: Job) -> None:
    with site.socket(alice, path_of(job, job.event_number)) as socket:
        for said in ("{", '{"type": "events"}', b"\0\xff"):
            socket.send(said)
        last = tell(job)
        assert numbers(events_until(socket, last)) == [last]


def test_a_session_that_ended_closes_the_socket_before_the_next_event(
    site: Site, alice: User, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "RECHECK_SECONDS", 0.0)
    with site.socket(alice, path_of(job, job.event_number)) as socket:
        last = tell(job)
        assert numbers(events_until(socket, last)) == [last]
        Session.objects.all().delete()
        tell(job)
        assert close_code(socket) == 4401


def test_a_deleted_job_closes_its_sockets(site: Site, alice: User, job: Job) -> None:
    with site.socket(alice, path_of(job)) as socket:
        events_until(socket, job.event_number)
        control.delete(job)
        assert close_code(socket) == 4404


def test_a_client_that_does_not_read_is_let_go(
    site: Site, alice: User, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "SEND_SECONDS", 0.5)
    tell(job, 400, detail="x" * 60_000)
    client = Client()
    client.force_login(alice)
    port = urlsplit(site.url).port
    with sockets.create_connection(("127.0.0.1", port)) as deaf:
        deaf.sendall(
            (
                f"GET {path_of(job)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: {site.url}\r\n"
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                f"Cookie: sessionid={client.cookies['sessionid'].value}\r\n\r\n"
            ).encode()
        )
        assert b"101" in deaf.recv(64)
        wait_for(lambda: feed.feeds, 10, "the socket to be served")
        wait_for(lambda: not feed.feeds, 10, "the server to let go of the client")


def test_an_event_is_json_with_number_kind_and_time(site: Site, alice: User, job: Job) -> None:
    with site.socket(alice, path_of(job)) as socket:
        first = json.loads(socket.recv(timeout=10))["events"][0]
    assert first["number"] == 1 and first["kind"] == "queued" and first["at"]
