"""A preview that somebody has edited, and the event that it was made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import EventHook, signals
from tests.support import counts

from .support import CREATED, post

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from blinker import NamedSignal
    from flask import Flask

    from tests.support import Calls

    AppFactory = Callable[..., Flask]
    BodyFactory = Callable[..., bytes]


@pytest.fixture
def storing(make_app: AppFactory, okta: EventHook, inbox_url: str) -> Iterator[Flask]:
    """Return an app that stores what it gets, and hands it on when it is drained."""
    app = make_app(okta, INBOX=inbox_url)
    app.testing = True
    yield app
    app.extensions["okta_hooks"].close()


def event(target: str, **changes: Any) -> dict[str, Any]:
    """Return the event that was previewed, as done to somebody."""
    return {
        "uuid": "u1",
        "eventType": CREATED,
        "published": "2026-05-04T03:02:01.000Z",
        "target": [{"id": target, "type": "User"}],
        **changes,
    }


@pytest.mark.parametrize("order", [("00uTest", "00uReal"), ("00uReal", "00uTest")])
def test_neither_takes_the_other_s_place(
    storing: Flask,
    okta: EventHook,
    body: BodyFactory,
    caplog: pytest.LogCaptureFixture,
    hear: Callable[[NamedSignal], Calls],
    order: tuple[str, str],
) -> None:
    """Whichever comes first, receivers get both, once, and the log says that one of them is a preview."""
    got = []
    okta.on(CREATED)(lambda sender, event, **extra: got.append((event.uuid, event.target[0].id)))
    heard = hear(signals.delivery_stored)

    for target in (*order, *order):
        assert (
            post(storing, body(event(target), {"uuid": "u2", "eventType": "group.x"})).status_code
            == 204
        )

    inbox = storing.extensions["okta_hooks"].runtime().inbox
    assert counts(inbox) == {"pending": 3}
    numbers = [(each["new"], each["duplicate"]) for each in heard.arguments]
    assert numbers == [(2, 0), (1, 1), (0, 2), (0, 2)]
    assert caplog.text.count("contradict what is stored under their uuid") == 1
    storing.extensions["okta_hooks"].runtime().worker.drain()
    assert [each for each in got if each[0] == "u1"] == [("u1", target) for target in order]


def test_a_preview_as_it_was(storing: Flask, body: BodyFactory) -> None:
    """One that nobody has edited is the event, and a duplicate, though it is written differently."""
    real = event("00uReal", actor={"id": "00uAdmin"}, outcome={"result": "SUCCESS"})
    preview = dict.fromkeys(("severity", "client", "debugContext")) | real

    assert post(storing, body(real)).status_code == 204
    assert post(storing, body(preview)).status_code == 204

    assert counts(storing.extensions["okta_hooks"].runtime().inbox) == {"pending": 1}
