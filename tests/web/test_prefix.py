"""The site below a path of a host, behind a proxy that ends TLS: every address is found, whatever the proxy strips."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket as sockets
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlencode

import pytest
from websockets.sync.client import connect

from tests.browser.site import PASSWORD, RunningSite, photograph, png
from tests.servers import RedisServer

PREFIX = "/restoration"
HOST = "studio.example"


class Proxy:
    """What stands in front: sends /restoration on, with or without it, and says that the browser spoke https."""

    def __init__(self, to_port: int, strips: bool) -> None:
        self.to_port = to_port
        self.strips = strips
        self.port = 0
        self.ready = threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="proxy")
        self.thread.start()
        assert self.ready.wait(10), "the proxy did not start"

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.ended.set)
        self.thread.join(10)
        assert not self.thread.is_alive(), "the proxy did not stop"

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        self.connections: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        await self.ended.wait()
        server.close()
        for task in self.connections:
            task.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self.connections.add(task)
        # Also of a task that was cancelled before it began: a writer left open outlives its loop, which is a warning
        # in whichever test runs when it is collected.
        task.add_done_callback(lambda _: writer.close())
        task.add_done_callback(self.connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await self._head(reader)
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
        with closing(to_writer):
            to_writer.write(head)
            await asyncio.gather(self._pass(reader, to_writer), self._pass(to_reader, writer))

    async def _head(self, reader: asyncio.StreamReader) -> bytes:
        """The request's line and headers, as the site gets them."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        method, path, version = first.split(" ")
        assert path.startswith(PREFIX), f"{path} is not this site's: another site would have answered"
        if self.strips:
            path = path.removeprefix(PREFIX) or "/"
        if not any(line.lower().startswith("upgrade:") for line in lines):
            lines = [line for line in lines if not line.lower().startswith("connection:")] + [
                "Connection: close"
            ]
        lines += ["X-Forwarded-Proto: https", "X-Forwarded-For: 203.0.113.9"]
        return "\r\n".join([f"{method} {path} {version}", *lines, "", ""]).encode("latin1")

    @staticmethod
    async def _pass(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while part := await source.read(65536):
                target.write(part)
                await target.drain()
        except ConnectionError:
            return  # one side went away, which ends this direction
        if target.can_write_eof() and not target.is_closing():
            target.write_eof()


class Browser:
    """Sends what a browser at https://studio.example sends, and keeps the cookies that it would."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}

    def headers(self) -> dict[str, str]:
        return {
            "Host": HOST,
            "Origin": f"https://{HOST}",
            "Referer": f"https://{HOST}{PREFIX}/",
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
        }

    def ask(
        self, method: str, path: str, body: bytes | None = None, **more: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            line.request(method, path, body, {**self.headers(), **more})
            answer = line.getresponse()
            content = answer.read()
        finally:
            line.close()
        for text in answer.headers.get_all("Set-Cookie") or []:
            for name, morsel in SimpleCookie(text).items():
                assert morsel["path"] == f"{PREFIX}/", text
                if not morsel.value:  # taken back, as at logging out
                    self.cookies.pop(name, None)
                    continue
                assert morsel["secure"], text
                self.cookies[name] = morsel.value
        return answer, content

    def page(self, path: str) -> str:
        answer, content = self.ask("GET", path)
        assert answer.status == 200, (path, answer.status, content[:500])
        return content.decode()

    def submit(self, path: str, **fields: str) -> http.client.HTTPResponse:
        found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.page(path))
        assert found
        body = urlencode({"csrfmiddlewaretoken": found[1], **fields}).encode()
        return self.ask("POST", path, body, **{"Content-Type": "application/x-www-form-urlencoded"})[0]


@pytest.fixture(scope="module")
def hidden_site(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSite]:
    redis_server.start()
    running = RunningSite(
        tmp_path_factory.mktemp("prefix"),
        redis_server.url,
        worker=False,
        NASDIP_PATH_PREFIX=PREFIX,
        NASDIP_SECURE="1",
        NASDIP_ALLOWED_HOSTS=f"{HOST},127.0.0.1",
    )
    try:
        running.start()
        yield running
    finally:
        running.stop()


@contextmanager
def proxied(site: RunningSite, strips: bool) -> Iterator[int]:
    proxy = Proxy(site.port, strips)
    try:
        yield proxy.port
    finally:
        proxy.close()


@pytest.mark.parametrize("strips", [True, False], ids=["stripped", "kept"])
def test_below_a_path_everything_is_found(hidden_site: RunningSite, strips: bool) -> None:
    with proxied(hidden_site, strips) as port:
        browser = Browser(port)
        landing = browser.page(f"{PREFIX}/")
        follow_links(browser, landing)

        asked, _ = browser.ask("GET", f"{PREFIX}/jobs/")
        assert (asked.status, asked.headers["Location"]) == (
            302,
            f"{PREFIX}/accounts/login/?next={PREFIX}/jobs/",
        )
        name = f"alice-{strips}"
        signed = browser.submit(
            f"{PREFIX}/accounts/signup/", username=name, password1=PASSWORD, password2=PASSWORD
        )
        assert (signed.status, signed.headers["Location"]) == (302, f"{PREFIX}/")
        browser.submit(f"{PREFIX}/accounts/logout/")
        logged = browser.submit(
            f"{PREFIX}/accounts/login/?next={PREFIX}/jobs/", login=name, password=PASSWORD
        )
        assert (logged.status, logged.headers["Location"]) == (302, f"{PREFIX}/jobs/")
        assert name in browser.page(f"{PREFIX}/jobs/")
        answer, _ = browser.ask("GET", f"{PREFIX}/")
        assert "Strict-Transport-Security" in answer.headers
        assert f"wss://{HOST}" in answer.headers["Content-Security-Policy"]

        job = start_job(browser)
        live = browser.page(f"{PREFIX}/jobs/{job}/")
        follow_links(browser, live)
        socket_address = re.search(r'data-socket="([^"]+)"', live)
        assert socket_address
        assert events_of(port, browser, socket_address[1])[0]["kind"] == "queued"


def follow_links(browser: Browser, page: str) -> None:
    """Each address that a page names begins with the prefix; styles, scripts and pictures are there."""
    found = set(re.findall(r'(?:href|src|action|data-api|data-snapshot|data-events)="(/[^"]*)"', page))
    assert any(address.endswith(".css") for address in found)
    for address in found:
        assert address.startswith(f"{PREFIX}/"), address
        if "/static/" in address:
            answer, content = browser.ask("GET", address)
            assert answer.status == 200 and content, address
            kind = answer.headers["Content-Type"]
            assert kind.startswith(("text/css", "text/javascript", "image/")), (address, kind)
            again, nothing = browser.ask("GET", address, **{"If-None-Match": answer.headers["ETag"]})
            assert (again.status, nothing) == (304, b"")


def start_job(browser: Browser) -> str:
    """Upload and order through the API, as the pages do: session cookie and CSRF token."""
    found = re.search(r'name="csrf-token" content="(\w+)"', browser.page(f"{PREFIX}/new/"))
    assert found
    token = {"X-CSRFToken": found[1]}
    mark = "picture-mark"
    frame = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'.encode()
    body = frame + png(photograph(48)) + f"\r\n--{mark}--\r\n".encode()
    content_type = {"Content-Type": f"multipart/form-data; boundary={mark}"}
    answer, told = browser.ask("POST", f"{PREFIX}/api/v1/pictures", body, **token, **content_type)
    assert answer.status == 201, told
    picture = json.loads(told)
    assert picture["image_url"].startswith(f"{PREFIX}/api/v1/")
    order = json.dumps({"picture": picture["id"], "task": "denoise"}).encode()
    answer, told = browser.ask(
        "POST", f"{PREFIX}/api/v1/jobs", order, **token, **{"Content-Type": "application/json"}
    )
    assert answer.status == 202, told
    job = json.loads(told)["id"]
    assert answer.headers["Location"].startswith(f"{PREFIX}/api/v1/jobs/{job}")
    return str(job)


def events_of(port: int, browser: Browser, path: str) -> list[dict[str, object]]:
    headers = browser.headers()
    with connect(
        f"ws://{HOST}{path}",
        sock=sockets.create_connection(("127.0.0.1", port), timeout=20),
        additional_headers={"Cookie": headers["Cookie"], "Origin": headers["Origin"]},
        user_agent_header=None,
        proxy=None,
    ) as socket:
        found: list[dict[str, object]] = json.loads(socket.recv(timeout=20))["events"]
        return found


def test_the_web_log_warns_of_nothing(hidden_site: RunningSite) -> None:
    """Static files are answered in one piece; Django would warn of each that is streamed."""
    with proxied(hidden_site, strips=True) as port:
        follow_links(Browser(port), Browser(port).page(f"{PREFIX}/"))
    text = (Path(hidden_site.folder) / "web.log").read_text()
    assert "StreamingHttpResponse" not in text and "Traceback" not in text, text
