from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of the machine's own configuration of the SDK in."""
    for name in (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "OKTA_CLIENT_ORGURL",
        "OKTA_CLIENT_TOKEN",
        "OKTA_CLIENT_AUTHORIZATIONMODE",
    ):
        monkeypatch.delenv(name, raising=False)
