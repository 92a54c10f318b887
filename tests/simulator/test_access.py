from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from .support import HEADERS, URL, body

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from okta_hooks.simulator import Org


def test_a_token_of_limited_permissions(org: Org, client: FlaskClient) -> None:
    """An administrator who may not do everything is refused what is not permitted, and nothing is done."""
    wish = {"token": "T2", "permissions": ["okta.eventHooks.read"]}
    assert client.post("/simulator/tokens", json=wish).status_code == 204
    (hook_id,) = org.register(URL, ["user.session.start"])
    for authorization in ("SSWS T2", "SSWST2"):
        headers = {"Authorization": authorization}
        assert client.get(f"/api/v1/eventHooks/{hook_id}", headers=headers).status_code == 200
        for method, path in (
            ("POST", "eventHooks"),
            ("PUT", f"eventHooks/{hook_id}"),
            ("DELETE", f"eventHooks/{hook_id}"),
            ("POST", f"eventHooks/{hook_id}/lifecycle/deactivate"),
            ("GET", "logs"),
        ):
            refused = client.open(f"/api/v1/{path}", method=method, headers=headers, json=body())
            assert (refused.status_code, refused.get_json()["errorCode"]) == (403, "E0000006")
        assert client.get("/api/v1/nothing", headers=headers).status_code == 404
    assert [hook["status"] for hook in org.hooks()] == ["ACTIVE"]
    assert client.get("/api/v1/logs", headers=HEADERS).status_code == 200
    assert client.get("/api/v1/logs", headers={"Authorization": "Bearer T2"}).status_code == 401


@pytest.mark.parametrize(
    ("token", "permissions", "said"),
    [
        ("T2", ["okta.logs.write"], "No such permission: okta.logs.write"),
        ("T2", "okta.logs.read", "are a list"),
        ("", ["okta.logs.read"], "not empty"),
    ],
)
def test_a_permission_that_does_not_exist_is_refused(
    org: Org, token: str, permissions: Any, said: str
) -> None:
    """A misspelt one would make a test that tests nothing."""
    with pytest.raises(ValueError, match=said):
        org.access.add_token(token, permissions)


def test_without_the_extra_the_cure_is_named() -> None:
    """A simulator without service apps needs nothing; with one it says what is missing."""
    program = """
import sys
sys.modules["jwt"] = None
from okta_hooks.simulator import Org
from okta_hooks.simulator.api import create_app
org = Org()
assert create_app(org).test_client().post("/oauth2/v1/token", data={
    "grant_type": "client_credentials",
    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
}).status_code == 401
org.access.add_service_app("0oa1", "a key", [])
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "pip install 'okta-hooks[okta]'" in ended.stderr.splitlines()[-1]
