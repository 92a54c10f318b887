from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from http.client import HTTPConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from okta_hooks import state_of
from okta_hooks.cli import group
from okta_hooks.console.loopback import Loopback
from okta_hooks.signals import audited
from okta_hooks.state import app_object
from tests.support import PATIENCE

from .support import OWN, Page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask import Flask
    from flask.testing import FlaskClient

    from okta_hooks import EventHook

    from .conftest import Directory

BASE = "http://127.0.0.1:8089"


@pytest.fixture
def loopback(
    make_app: Callable[..., Flask], okta: EventHook, directory: Directory, tmp_path: Path
) -> Loopback:
    """Return the console on the loopback of an app that has none itself."""
    app = make_app(okta, INBOX=f"sqlite:///{tmp_path}/inbox.sqlite3")
    app.testing = True
    made = Loopback(app, "root")
    made.served_at(8089)
    return made


@pytest.fixture
def client(loopback: Loopback) -> FlaskClient:
    """Return a browser that has been nowhere yet."""
    return loopback.app.test_client()


def test_the_link(client: FlaskClient, loopback: Loopback) -> None:
    """Whoever opens the link gets a cookie for the console alone, which only the server sees, and leads there."""
    opened = client.get(loopback.path, base_url=BASE)

    assert opened.status_code == 303
    cookie = opened.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert f"Path={loopback.path.partition('/open/')[0]};" in cookie
    assert opened.headers["Referrer-Policy"] == "no-referrer"
    page = client.get(opened.location, base_url=BASE)
    assert page.status_code == 200
    assert "directory" in page.text
    assert "root · may operate" in Page(page.text).text


def test_the_link_works_once(client: FlaskClient, loopback: Loopback) -> None:
    """Whoever comes second, with the same link or another, gets nothing."""
    assert (
        loopback.app.test_client().get(loopback.path[:-1] + "x", base_url=BASE).status_code == 403
    )
    client.get(loopback.path, base_url=BASE)

    second = loopback.app.test_client()
    answer = second.get(loopback.path, base_url=BASE)

    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers
    place = loopback.path.partition("/open/")[0]
    assert second.get(place, base_url=BASE).status_code == 404
    second.set_cookie("okta_hooks_console", "guessed", path=place, domain="127.0.0.1")
    assert second.get(place, base_url=BASE).status_code == 404


def test_looking_whether_the_link_leads_anywhere(client: FlaskClient, loopback: Loopback) -> None:
    """A program that asks for the head of the link does not use it up, and gets no cookie."""
    head = client.head(loopback.path, base_url=BASE)

    assert "Set-Cookie" not in head.headers
    assert client.get(loopback.path, base_url=BASE).status_code == 303


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8089", "127.0.0.1", "127.0.0.1:80"])
def test_another_name(client: FlaskClient, loopback: Loopback, host: str) -> None:
    """What a name of somebody else's leads here is refused, also with the link."""
    answer = client.get(loopback.path, base_url=f"http://{host}")

    assert answer.status_code == 421
    assert client.get(loopback.path, base_url="http://localhost:8089").status_code == 303


def test_acting(client: FlaskClient, loopback: Loopback) -> None:
    """The audit has the user of the operating system, and handlers of the app's signals have its context."""
    told = []

    @audited.connect_via(loopback.host)
    def note(app: Flask, **_: object) -> None:
        told.append(app_object())

    client.get(loopback.path, base_url=BASE)
    place = loopback.path.partition("/open/")[0]
    url = f"{place}/receivers/pause?hook=okta&name=directory"

    assert client.post(url, base_url=BASE, headers=OWN).status_code == 303
    assert told == [loopback.host]
    (entry,) = state_of(loopback.host).runtime().inbox.audit.entries()
    assert (entry.action, entry.who, entry.via) == ("pause", "root", "console")


@pytest.mark.skipif(
    not hasattr(signal, "SIGHUP"), reason="this system has no terminals of that kind"
)
def test_the_command(tmp_path: Path) -> None:
    """It prints a link, serves on the loopback, and ends with its terminal."""
    (tmp_path / "app.py").write_text(
        "from flask import Flask\n"
        "from okta_hooks import EventHook\n"
        "app = Flask(__name__)\n"
        f"app.config.update(OKTA_HOOKS_SECRET='s', OKTA_HOOKS_INBOX='sqlite:///{tmp_path}/i.sqlite3')\n"
        "app.register_blueprint(EventHook('okta'))\n"
    )
    command = [
        sys.executable,
        "-m",
        "flask",
        "--app",
        "app",
        "okta-hooks",
        "console",
        "--port",
        "0",
    ]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        try:
            assert process.stdout is not None
            link = process.stdout.readline().strip()
            parts = urlsplit(link)
            assert parts.hostname == "127.0.0.1"
            with closing(HTTPConnection(parts.netloc, timeout=PATIENCE)) as connection:
                connection.request("GET", parts.path)
                assert connection.getresponse().status == 303
        finally:
            process.send_signal(signal.SIGHUP)
    assert process.returncode == 128 + signal.SIGHUP


def test_a_port_that_is_taken(make_app: Callable[..., Flask], okta: EventHook) -> None:
    """The command says which port it cannot have, and ends."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        runner = make_app(okta).test_cli_runner()
        result = runner.invoke(group, ["console", "--port", str(port)])

    assert result.exit_code == 1
    assert f"The port {port} cannot be used" in result.output
