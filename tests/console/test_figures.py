from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from okta_hooks import state_of
from okta_hooks.console import shown
from okta_hooks.inbox.cursor import Cursor
from okta_hooks.testing import make_event

from .support import ADDRESS, Page, deliver, get, post, work

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask
    from flask.testing import FlaskClient

    from okta_hooks import EventHook
    from okta_hooks.inbox.intake import NewDelivery

    from .conftest import Directory

CREATED = "user.lifecycle.create"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
RECEIVER = "/receivers/one?hook=okta&name=directory"


def test_what_is_tried_again(
    make: Callable[..., Flask],
    okta: EventHook,
    directory: Directory,
    delivery: Callable[..., NewDelivery],
) -> None:
    """Pages tell that a next attempt is due, what failed, in which trace, and that no hook had brought the event."""
    app = make(okta)
    client = app.test_client()
    event = make_event(CREATED, published="2026-01-01T00:00:00.000Z", target=f"user:{ADDRESS}")
    read = delivery(event, via="backfill")
    traced = replace(read.delivery, traceparent=f"00-{TRACE}-00f067aa0ba902b7-01")
    state_of(app).runtime().inbox.cursors.advance(
        "https://acme.okta.com",
        [replace(read, delivery=traced)],
        before=None,
        after=Cursor(next_url="1", reached_at=None),
    )
    work(app)

    told = Page(get(client, "/events/1")).text
    receiver = Page(get(client, RECEIVER)).text

    assert "Stored by a backfill" in told
    assert "directory, attempt 1: failed, and is tried again" in told
    assert re.search(r"directory: the next attempt is due in \d+ s", told)
    assert f"Trace {TRACE}" in told
    assert re.search(
        r"tried again .*ConnectionError: no route to \*\*\* from \*\*\* 1 in \d", receiver
    )
    assert "1 recovered at any time" in Page(get(client)).text


def test_figures_of_a_receiver(client: FlaskClient, app: Flask, okta: EventHook) -> None:
    """The list and its page tell how many attempts succeeded, and how long half and 99 of 100 of them took at most."""
    slow = iter([0.0, 0.0, 0.0, 0.15])

    @okta.on("user.*", name="directory")
    def take(app: Flask, **_: Any) -> None:
        time.sleep(pause := next(slow))
        if pause:
            raise ConnectionError

    deliver(app, *(make_event(CREATED, seed=number) for number in range(4)))
    work(app)
    inbox = state_of(app).runtime().inbox
    (known,) = inbox.attempt_hours.receivers(inbox.clock() - 3600, inbox.clock())
    half, most = (shown.duration(known.quantile(part)) for part in (0.5, 0.99))

    receiver, all_of_them = (Page(get(client, path)).text for path in (RECEIVER, "/receivers"))

    assert half != most
    assert f"Half took at most {half} p50 99 of 100 at most {most} p99" in receiver
    assert "Success in 24 h 75 % of 4 attempts" in receiver
    assert "Succeeded 3, at most" in receiver
    assert "Failed 1, at most" in receiver
    assert "1 event at a time in a worker" in receiver
    assert f"1 4 75 % {half} {most}" in all_of_them


def test_trouble_comes_first(
    client: FlaskClient, app: Flask, okta: EventHook, directory: Directory
) -> None:
    """A receiver that fails stands above others, and what is bad above what only may be; an inbox has a size."""
    okta.on("user.*", name="archive")(lambda app, **_: None)
    deliver(app, CREATED)
    work(app)
    post(client, "/receivers/pause", query_string={"hook": "okta", "name": "archive"})

    overview, receivers = (Page(get(client, path)).text for path in ("", "/receivers"))

    assert 0 < overview.find("directory is failing") < overview.find("archive is paused")
    assert 0 < receivers.find("directory user.") < receivers.find("archive user.")
    assert re.search(r"Inbox [1-9][\d.]* \wB", overview)
