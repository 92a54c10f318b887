"""A preview that somebody has edited, and the event that it was made of, as a hook delivers them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from okta_hooks import EventHook, signals, state_of
from tests.support import counts

from .support import CREATED, post

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from blinker import NamedSignal
    from flask import Flask

    from tests.support import Calls

    AppFactory = Callable[..., Flask]
    BodyFactory = Callable[..., bytes]


def event(target: str) -> dict[str, Any]:
    """Return the event that was previewed, as done to somebody."""
    return {
        "uuid": "u1",
        "eventType": CREATED,
        "published": "2026-05-04T03:02:01.000Z",
        "target": [{"id": target, "type": "User"}],
    }


def test_the_first_of_a_uuid_is_the_event(
    storing: Flask,
    okta: EventHook,
    body: BodyFactory,
    hear: Callable[[NamedSignal], Calls],
) -> None:
    """What a hook delivers later under its uuid is a duplicate, whatever it says: only the System Log is compared."""
    got = []
    okta.on(CREATED)(lambda sender, event, **extra: got.append(event.target[0].id))
    heard = hear(signals.delivery_stored)

    for target in ("00uTest", "00uReal", "00uTest"):
        assert post(storing, body(event(target))).status_code == 204

    runtime = storing.extensions["okta_hooks"].runtime()
    assert counts(runtime.inbox) == {"pending": 1}
    assert [(each["new"], each["duplicate"]) for each in heard.arguments] == [
        (1, 0),
        (0, 1),
        (0, 1),
    ]
    runtime.worker.drain()
    assert got == ["00uTest"]


def test_no_body_is_read_for_a_duplicate(
    storing: Flask, body: BodyFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the answer nothing that is stored is read again, however large it is."""
    assert post(storing, body(event("00uTest"))).status_code == 204
    statements: list[str] = []

    if storing.config["OKTA_HOOKS_INBOX"].startswith("postgresql"):
        from okta_hooks.inbox import pipeline  # its driver is an extra

        execute = pipeline.execute

        def note_together(connection: Any, sent: Any, **named: Any) -> Any:
            statements.extend(text for text, _ in sent)
            return execute(connection, sent, **named)

        monkeypatch.setattr(pipeline, "execute", note_together)

    def trace(raw: Any, _: object) -> None:
        if isinstance(raw, sqlite3.Connection):
            raw.set_trace_callback(statements.append)

    state_of(storing).runtime().inbox.close()  # the next connection is a new one
    sa.event.listen(sa.Engine, "connect", trace)
    try:
        assert post(storing, body(event("00uReal"))).status_code == 204
    finally:
        sa.event.remove(sa.Engine, "connect", trace)

    read = [statement for statement in statements if statement.startswith("SELECT")]
    assert any("INSERT INTO okta_hooks_event" in statement for statement in statements)
    assert not [statement for statement in read if "body" in statement]
