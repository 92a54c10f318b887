from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from okta_hooks import settings
from okta_hooks.org.client import OktaClient
from okta_hooks.simulator import Answer

if TYPE_CHECKING:
    from okta_hooks.simulator import Request


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


def answer_challenge(request: Request) -> Answer:
    challenge = request.headers["X-Okta-Verification-Challenge"]
    return Answer(status=200, body=json.dumps({"verification": challenge}).encode())


def connect(url: str | None, token: str | None = TOKEN, **options: Any) -> OktaClient:
    config = {"OKTA_HOOKS_ORG_URL": url, "OKTA_HOOKS_API_TOKEN": token}
    return OktaClient(settings.read(config), **options)
