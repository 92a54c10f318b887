from __future__ import annotations

from typing import Any

from okta_hooks import settings
from okta_hooks.org.client import OktaClient

TOKEN = "00a-token-nobody-may-see"
BODY: dict[str, Any] = {
    "name": "Offboarding",
    "events": {"type": "EVENT_TYPE", "items": ["user.lifecycle.deactivate"]},
    "channel": {
        "type": "HTTP",
        "version": "1.0.0",
        "config": {
            "uri": "https://app.example.com/okta/events",
            "headers": [{"key": "X-Via", "value": "okta"}],
            "authScheme": {"type": "HEADER", "key": "Authorization", "value": "s3cret"},
        },
    },
}


def connect(url: str | None, token: str | None = TOKEN, **options: Any) -> OktaClient:
    config = {"OKTA_HOOKS_ORG_URL": url, "OKTA_HOOKS_API_TOKEN": token}
    return OktaClient(settings.read(config), **options)
