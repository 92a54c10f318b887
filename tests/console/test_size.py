"""What a screen costs is the same whatever is done already: counted in steps of the database, not in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from flask import Flask

from okta_hooks import EventHook, state_of
from okta_hooks.console import Console
from tests.inbox import test_size as sizes
from tests.support import SECRET

from .support import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL, LARGE = 1_500, 15_000
#: All that was received is of hours that are written down: what an hour brings is no matter of what is done.
NOW: Final = sizes.NOW + 3 * 3600
SCREENS: Final = {
    "overview": "",
    "overview by day": "?by=day",
    "events": "/events",
    "events of a state": "/events?state=dead",
    "events of a type": "/events?type=user.session.start",
    "events of a receiver": "/events?receiver=a&state=dead",
    "events of a time": "/events?since=80h&until=5h",
    "event": "/events/1450",
    "dead letters": "/dead-letters",
    "group": "/dead-letters/group?hook=okta&receiver=a",
    "receivers": "/receivers",
    "receiver": "/receivers/one?hook=okta&name=a",
    "audit": "/audit",
}


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Flask]]:
    """Return an app over a small inbox, and one over a large."""
    folder = tmp_path_factory.mktemp("sizes")
    made = []
    for size in (SMALL, LARGE):
        app = Flask(f"of {size}")
        app.config.update(OKTA_HOOKS_SECRET=SECRET)
        okta = EventHook("okta")
        okta.on("*", name="a")(lambda app, **_: None)
        app.testing = True
        app.register_blueprint(okta)
        app.register_blueprint(Console(authorize=lambda: "read"))
        state_of(app).configure(
            inbox=f"sqlite:///{folder}/{size}.sqlite3", worker="external", clock=lambda: NOW
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sizes, "DAYS", 4)  # each hour that is over costs two transactions
            sizes.fill(state_of(app).runtime().inbox, size)
        made.append(app)
    yield made
    for app in made:
        state_of(app).close()


@pytest.mark.parametrize("screen", SCREENS)
def test_a_screen_costs_the_same(
    apps: list[Flask], screen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an inbox that is ten times as large, as many steps."""
    monkeypatch.setattr("okta_hooks.console.reads.SECONDS", 30.0)
    monkeypatch.setattr("okta_hooks.console.events._MOST", 1000)
    monkeypatch.setattr("okta_hooks.console.events.time.time", lambda: NOW)
    taken = []
    for app in apps:
        client = app.test_client()
        assert client.get(ROOT + SCREENS[screen]).status_code == 200

        taken.append(
            sizes.steps(
                state_of(app).runtime().inbox,
                lambda _, client=client: client.get(ROOT + SCREENS[screen]),  # type: ignore[misc]
            )
        )

    few, many = taken
    assert many <= 1.3 * few + 10
