from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from okta_hooks import EventHook

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "correct horse"


@pytest.fixture
def okta() -> EventHook:
    """Return a hook that is registered nowhere yet."""
    return EventHook("okta")


@pytest.fixture
def make_app() -> Callable[..., Flask]:
    """Return a function that makes an app with hooks; its keywords follow ``OKTA_HOOKS_``."""

    def make(*hooks: EventHook, **config: Any) -> Flask:
        app = Flask("host")
        defaults = {"SECRET": SECRET, "INBOX": None}
        for key, value in (defaults | config).items():
            app.config[f"OKTA_HOOKS_{key}"] = value
        for hook in hooks:
            app.register_blueprint(hook)
        return app

    return make


@pytest.fixture
def body() -> Callable[..., bytes]:
    """Return a function that makes a delivery, as Okta minifies it, of events or event types."""

    def make(*events: Any, **envelope: Any) -> bytes:
        made = [
            {"uuid": f"uuid-{number}", "eventType": event} if isinstance(event, str) else event
            for number, event in enumerate(events)
        ]
        whole = {
            "eventType": "com.okta.event_hook",
            "eventTypeVersion": "1.0",
            "cloudEventsVersion": "0.1",
            "source": "https://example.okta.com/api/v1/eventHooks/who1",
            "eventId": "delivery-1",
            "data": {"events": made},
            "eventTime": "2026-05-04T03:02:01.000Z",
            "contentType": "application/json",
        }
        return json.dumps(whole | envelope, separators=(",", ":")).encode()

    return make
