from __future__ import annotations

import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from okta_hooks import EventHook
from okta_hooks.inbox.cursor import Cursor
from okta_hooks.org.keep_up import keep_up
from tests.support import NEEDS_SDK, SQLITE

from .support import Impatient, Log, inbox_of, open_org, page, reading

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from flask import Flask

pytestmark = NEEDS_SDK


@SQLITE
def test_beside_other_work(
    serve: Callable[..., Log],
    connect: Callable[..., Flask],
    okta: EventHook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It begins some minutes ago, whatever either clock shows, and no failure ends it."""
    caplog.set_level("INFO")
    log = serve(page("a"))
    app = connect(log.url, okta)
    log.refused = [(401, b"{}")]
    stopping = Impatient(most=3)
    began = time.time()

    with open_org(app, stopping) as org:
        keep_up(app.extensions["okta_hooks"], org, stopping, 300)

    assert stopping.waited == [300] * 3
    assert "is tried again: Okta answered 401" in caplog.text
    assert "see OKTA_HOOKS_API_TOKEN" in caplog.text
    assert "has brought 1 events" in caplog.text
    times = {parse_qs(urlsplit(path).query).get("since", [""])[0] for path in log.asked} - {""}
    (since,) = times  # after the failure it begins at the same time
    assert abs(datetime.fromisoformat(since).timestamp() - (began - 300)) < 5


@SQLITE
def test_a_gap_beside_other_work(
    serve: Callable[..., Log],
    connect: Callable[..., Flask],
    okta: EventHook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What Okta has forgotten is in the log of a worker, too, also if it is found in the middle of a run."""
    log = serve()
    app = connect(log.url, okta)
    ancient = Cursor(next_url=f"{log.url}/api/v1/logs?after=00", reached_at=0.0)
    inbox_of(app).cursors.advance(log.url, [], before=None, after=ancient)
    with open_org(app, Impatient(most=1)) as org:
        keep_up(app.extensions["okta_hooks"], org, Impatient(most=1), 300)
    assert "what happened from 1970-01-01T00:00:00Z to" in caplog.text

    told: list[str] = []
    with open_org(app, threading.Event()) as org:
        reader = reading(app, org, threading.Event(), tell=told.append)
        reader.begin()
        before = inbox_of(app).cursors.of(log.url)
        inbox_of(app).cursors.advance(log.url, [], before=before, after=ancient)
        assert reader.catch_up()
    assert [line.partition(":")[0] for line in told] == ["Okta keeps its log for 90 days"]


@SQLITE
def test_beside_a_worker_without_receivers(
    serve: Callable[..., Log], connect: Callable[..., Flask]
) -> None:
    """A deploy that forgot to import them reads nothing, and passes nothing over."""
    log = serve(page("a"))
    app = connect(log.url, EventHook("okta"))
    stopping = Impatient(most=2)
    with open_org(app, stopping) as org:
        keep_up(app.extensions["okta_hooks"], org, stopping, 300)

    assert log.asked == []
