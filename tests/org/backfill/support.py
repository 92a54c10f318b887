from __future__ import annotations

import json
import threading
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from okta_hooks.cli import group
from okta_hooks.org.backfill import Backfill, interruptible
from okta_hooks.org.client import OktaClient

if TYPE_CHECKING:
    from click.testing import Result
    from flask import Flask

    from okta_hooks.inbox import Inbox


TOKEN = "00a-token"
CREATED = "user.lifecycle.create"
DAY = timedelta(days=1)
FORBIDDEN = b'{"errorCode": "E0000006", "errorSummary": "You do not have permission."}'


class Impatient(threading.Event):
    """An event for whose waiting nobody waits; ``waited`` has the seconds. After so many it is set."""

    def __init__(self, most: int = 100) -> None:
        super().__init__()
        self.most = most
        self.waited: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Note how long, and return at once."""
        self.waited.append(timeout)
        if len(self.waited) >= self.most:
            self.set()
        return self.is_set()


def run(app: Flask, *arguments: str, status: int = 0) -> Result:
    result = app.test_cli_runner().invoke(group, arguments)
    assert result.exit_code == status, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result


def read(app: Flask, *arguments: str) -> dict[str, Any]:
    result = run(app, "backfill", *arguments, "--json")
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def inbox_of(app: Flask) -> Inbox:
    inbox: Inbox = app.extensions["okta_hooks"].runtime().inbox
    return inbox


def reading(app: Flask, org: OktaClient, stopping: threading.Event, **options: Any) -> Backfill:
    return Backfill(app.extensions["okta_hooks"], org, stopping, **options)


def open_org(app: Flask, stopping: threading.Event) -> OktaClient:
    return OktaClient(app.extensions["okta_hooks"].settings, wait=interruptible(stopping))


class Log:
    """An org whose log has given pages, and answers to some requests with something else."""

    def __init__(self, pages: list[str]) -> None:
        self.pages = pages
        self.hooks: tuple[int, bytes] = (200, b"[]")
        self.refused: list[tuple[int, bytes]] = []
        self.headers: dict[str, str] = {}
        self.asked: list[str] = []
        log = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body, link = log.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                for name, value in log.headers.items():
                    self.send_header(name, value)
                if link:
                    self.send_header("Link", f'<{log.url}{link}>; rel="next"')
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,)).start()

    def newest(self) -> str:
        """Return a page of the log's last events, newest first."""
        events: list[Any] = []
        for each in self.pages:
            with suppress(ValueError):
                events += json.loads(each)
        return json.dumps(events[:-1001:-1])

    def answer(self, path: str) -> tuple[int, bytes, str | None]:
        """Return the status and the body of an answer, and where its log goes on."""
        if path.startswith("/api/v1/eventHooks"):
            return *self.hooks, None
        if path.startswith("/.well-known"):
            return 404, b"", None
        if "sortOrder=DESCENDING" in path:
            return 200, self.newest().encode(), None
        self.asked.append(path)
        if self.refused:
            return *self.refused.pop(0), None
        number = int(parse_qs(urlsplit(path).query).get("after", ["0"])[0])
        if number >= len(self.pages):
            return 200, b"[]", f"/api/v1/logs?after={len(self.pages)}"
        return 200, self.pages[number].encode(), f"/api/v1/logs?after={number + 1}"


def page(*uuids: str, published: str = "2026-05-04T03:02:01.000Z") -> str:
    return json.dumps(
        [{"uuid": uuid, "eventType": CREATED, "published": published} for uuid in uuids]
    )
