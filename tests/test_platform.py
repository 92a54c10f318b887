from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import start
from okta_hooks.secret import Secret
from okta_hooks.settings import Settings
from okta_hooks.state import platform, state_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from okta_hooks import EventHook

POSTGRESQL = Secret("postgresql://user:hush@host/name")
PLATFORMS = {
    "K_SERVICE": "Cloud Run",
    "AWS_LAMBDA_FUNCTION_NAME": "AWS Lambda",
    "GAE_ENV": "App Engine",
}


@pytest.mark.parametrize(("key", "name"), PLATFORMS.items())
def test_a_platform_that_freezes(key: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With threads and a file both are named, each with its cure."""
    monkeypatch.setenv(key, "something")

    thread, file = platform.unfit(Settings())

    assert name in thread.text
    assert "/okta/tick" in thread.cure
    assert name in file.text
    assert "PostgreSQL" in file.cure


@pytest.mark.parametrize(
    ("config", "number"),
    [
        ({"worker": "external", "inbox": POSTGRESQL}, 0),
        ({"worker": "thread", "inbox": POSTGRESQL}, 1),
        ({"worker": "celery", "inbox": POSTGRESQL}, 1),
        ({"worker": "external"}, 1),
        ({"inbox": None}, 0),
    ],
)
def test_what_fits(config: dict[str, Any], number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick and PostgreSQL are right there, and so is no inbox; nothing of a URL is told."""
    monkeypatch.setenv("K_SERVICE", "app")

    found = list(platform.unfit(Settings(**config)))

    assert len(found) == number
    assert "hush" not in str(found)


def test_a_relay_that_freezes(monkeypatch: pytest.MonkeyPatch) -> None:
    """With Celery it is the relay that stands still, and a service of its own is the cure."""
    monkeypatch.setenv("K_SERVICE", "app")

    (found,) = platform.unfit(Settings(worker="celery", inbox=POSTGRESQL))

    assert "the relay in a web process stands still" in found.text
    assert "flask okta-hooks relay as a service of its own" in found.cure
    assert 'OKTA_HOOKS_WORKER="external" for the web processes alone' in found.cure


def test_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine that nobody freezes nothing is said, whatever is configured."""
    for key in PLATFORMS:
        monkeypatch.delenv(key, raising=False)

    assert not list(platform.unfit(Settings()))


def test_the_start_warns(
    make_app: Callable[..., Flask],
    okta: EventHook,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A process that starts its work there logs what will not do, once."""
    monkeypatch.setenv("GAE_ENV", "standard")
    app = make_app(okta, INBOX=f"sqlite:///{tmp_path / 'inbox.sqlite3'}")

    start(app)
    start(app)
    state_of(app).close()

    warned = [
        record.getMessage() for record in caplog.records if "App Engine" in record.getMessage()
    ]
    assert len(warned) == 2
    assert 'OKTA_HOOKS_WORKER="external"' in warned[0]
