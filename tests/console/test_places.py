from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from flask import Blueprint

from okta_hooks import EventHook, state_of
from okta_hooks.console import Console

from .support import OWN, deliver, work

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask import Flask
    from flask.testing import FlaskClient

    from .conftest import Answer


def links(client: FlaskClient, path: str) -> list[str]:
    """Return what a page leads to, or loads."""
    answer = client.get(path)
    assert answer.status_code == 200
    return re.findall(r'(?:href|src)="([^"#]+)"', answer.text)


@pytest.mark.parametrize("prefix", ["/ops", "/a/b/c", "/"])
def test_any_prefix(make: Callable[..., Flask], okta: EventHook, who: Answer, prefix: str) -> None:
    """Whatever the prefix, each link of a page leads to something below it."""
    client = make(okta, console=Console(authorize=who, url_prefix=prefix)).test_client()

    for link in links(client, prefix):
        assert link.startswith(prefix)
        with client.get(link) as answer:
            assert answer.status_code == 200


def test_nested(make_app: Callable[..., Flask], okta: EventHook, who: Answer) -> None:
    """Within another blueprint it is below that one's prefix, and its links know it."""
    app = make_app(okta)
    parent = Blueprint("admin", __name__, url_prefix="/admin")
    parent.register_blueprint(Console(authorize=who, url_prefix="/okta"))
    app.register_blueprint(parent)
    client = app.test_client()

    found = links(client, "/admin/okta/")

    assert all(link.startswith("/admin/okta") for link in found)
    assert client.get("/admin/okta/events").status_code == 200


def test_two_consoles(make_app: Callable[..., Flask], who: Answer, tmp_path: Path) -> None:
    """Each shows its own hooks only, and has its own answer to who may look."""
    ours, theirs = EventHook("ours", url_prefix="/ours"), EventHook("theirs", url_prefix="/theirs")
    ours.on("user.*", name="our receiver")(lambda app, **_: None)
    theirs.on("user.*", name="their receiver")(lambda app, **_: None)
    app = make_app(ours, theirs, INBOX=f"sqlite:///{tmp_path}/inbox.sqlite3")
    app.testing = True
    app.register_blueprint(Console(ours, authorize=who, url_prefix="/a"))
    app.register_blueprint(Console(theirs, authorize=lambda: None, url_prefix="/b"))
    client = app.test_client()
    deliver(app, "user.lifecycle.create", hook="/ours")
    deliver(app, "user.session.start", {"uuid": "cannot be read"}, hook="/theirs")
    work(app)

    inbox = state_of(app).runtime().inbox
    for hook in ("ours", "theirs", "theirs"):
        inbox.audit.write(action="reveal", subject=hook, who="Grace", via="console", hook=hook)

    paths = ("", "/events", "/dead-letters", "/receivers", "/audit")
    pages = {path: client.get(f"/a{path}").text for path in paths}

    assert "our receiver" in pages["/receivers"]
    assert "user.lifecycle.create" in pages["/events"]
    assert "1 reveal in 24 h" in pages[""]
    assert "1 payload revealed" in pages["/audit"]
    assert state_of(app).runtime().inbox.overview.counts().dead == 1
    assert "0 given up" in pages["/dead-letters"]
    assert not any("their receiver" in page or "session.start" in page for page in pages.values())
    assert client.get("/a/events?hook=theirs").status_code == 404
    assert client.get("/a/events/2").status_code == 404
    assert client.post("/a/events/2/reveal", headers=OWN).status_code == 404
    assert client.get("/b/").status_code == 404
    state_of(app).close()


@pytest.mark.parametrize("prefix", ["/okta/console", "/okta/console/"])
def test_two_consoles_at_one_path(
    make_app: Callable[..., Flask], okta: EventHook, who: Answer, prefix: str
) -> None:
    """The second, which nobody would ever see, is not registered, and the error says what to do."""
    theirs = EventHook("theirs", url_prefix="/theirs")
    app = make_app(okta, theirs)
    app.register_blueprint(Console(okta, authorize=who))

    with pytest.raises(RuntimeError, match=r"url_prefix=\.\.\."):
        app.register_blueprint(Console(theirs, authorize=who, url_prefix=prefix))


def test_templates_of_the_host(
    make: Callable[..., Flask], okta: EventHook, tmp_path: object
) -> None:
    """What the host does to its templates does not change the console's."""
    app = make(okta)
    app.jinja_env.autoescape = False
    app.jinja_env.globals["link"] = None
    app.context_processor(lambda: {"visit": None, "m": None})

    assert "<h1>Events</h1>" in app.test_client().get("/okta/console/events").text


def test_a_hook_that_is_not_registered(
    make: Callable[..., Flask], okta: EventHook, who: Answer
) -> None:
    """A console over a hook of another app is a mistake that is named."""
    app = make(okta, console=Console(EventHook("forgotten"), authorize=who))

    with pytest.raises(RuntimeError, match="'forgotten', which is not registered"):
        app.test_client().get("/okta/console")
