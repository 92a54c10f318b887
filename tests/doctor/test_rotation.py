from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import EventHook, testing
from okta_hooks.doctor import storage
from tests.support import DAY, HOUR

from .support import examine, level, only

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from tests.support import Clock

    AppFactory = Callable[..., Flask]


MINUTE = 60.0


@pytest.mark.parametrize(
    ("used", "level", "said"),
    [
        ({}, "skipped", "No delivery has come yet since these 2 secrets are live"),
        ({1: (HOUR, 4 * MINUTE)}, "warning", "Okta still sends an old one."),
        ({1: (9 * HOUR, 4 * HOUR)}, "warning", "Okta still sends an old one."),
        ({0: (2 * MINUTE, MINUTE)}, "ok", "Keep all until"),
        ({0: (2 * HOUR, 2 * MINUTE), 1: (3 * HOUR, 5 * MINUTE)}, "ok", "Keep all until"),
        ({0: (2 * MINUTE, 2 * MINUTE), 1: (9 * HOUR, 3 * HOUR)}, "ok", "Keep all until"),
        (
            {0: (2 * HOUR, 2 * MINUTE), 1: (9 * HOUR, 3 * HOUR)},
            "warning",
            (
                "the first was last used 2 min ago, the second was last used 3 h ago. "
                "Okta sends the first: the second can go."
            ),
        ),
        ({0: (2 * HOUR, 2 * HOUR)}, "warning", "the second was not used. Okta sends the first"),
        # Somebody has tried the new one, and Okta goes on with the old one.
        ({0: (5 * HOUR, 5 * HOUR), 1: (9 * HOUR, 2 * HOUR)}, "warning", "still sends an old one"),
    ],
)
def test_which_secret_can_go(used: dict[int, tuple[float, float]], level: str, said: str) -> None:
    """An hour after the last use of the old one, and with the new one in use, the old one can go."""
    now = 100 * DAY
    at = {number: (now - first, now - last) for number, (first, last) in used.items()}

    found = only(storage.rotation(at, 2, now))

    assert found.level == level
    assert said in found.text


def test_three_secrets_and_one() -> None:
    """One is no rotation; of three, all but the first can go."""
    now = 100 * DAY
    assert list(storage.rotation({}, 1, now)) == []
    used = {0: (now - DAY, now), 2: (now - 3 * DAY, now - 2 * DAY)}
    assert "all others can go" in only(storage.rotation(used, 3, now)).text


def test_a_rotation_from_beginning_to_end(
    make_app: AppFactory, inbox_url: str, okta: EventHook, clock: Clock, body: Callable[..., bytes]
) -> None:
    """What Okta sends decides, from when the second secret is live; sample deliveries do not count."""

    def app_with(*secrets: str) -> Flask:
        app = make_app(okta, INBOX=inbox_url, SECRET=list(secrets))
        app.extensions["okta_hooks"].configure(inbox=inbox_url, worker="external")
        app.testing = True
        return app

    def post(app: Flask, secret: str, uuid: str, **envelope: Any) -> None:
        made = body({"uuid": uuid, "eventType": "user.lifecycle.create"}, **envelope)
        headers = {"Authorization": secret}
        assert app.test_client().post("/okta/events", data=made, headers=headers).status_code == 204

    before, during = app_with("the old one here"), app_with("the new one here", "the old one here")
    post(before, "the old one here", "a")
    assert level(examine(during, "--offline"), "rotation") == "skipped"
    post(during, "the new one here", "b", source=testing.SAMPLE_SOURCE)
    assert level(examine(during, "--offline"), "rotation") == "skipped"
    post(during, "the old one here", "c")
    assert "still sends an old one" in examine(during, "--offline")["rotation"][0]["text"]
    post(during, "the new one here", "d")
    assert level(examine(during, "--offline"), "rotation") == "ok"
    # The next rotation has a list as long, and what was the first is the second now.
    after = app_with("the newest one here", "the new one here")
    assert level(examine(after, "--offline"), "rotation") == "skipped"
    post(after, "the new one here", "f")
    assert "still sends an old one" in examine(after, "--offline")["rotation"][0]["text"]
    for app in (before, during, after):
        app.extensions["okta_hooks"].close()
