from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from .support import body

jwt = pytest.importorskip("jwt", reason="the extra okta is not installed")
RSA = pytest.importorskip("Cryptodome.PublicKey.RSA", reason="the extra okta is not installed")

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from okta_hooks.simulator import Org

    from .support import Clock

SCOPES = ["okta.eventHooks.manage", "okta.logs.read"]
AUDIENCE = "https://example.okta.com/oauth2/v1/token"
KEY = RSA.generate(2048)
OTHER_KEY = RSA.generate(2048)


def pem(key: Any) -> str:
    return str(key.export_key().decode())


@pytest.fixture(autouse=True)
def service_app(org: Org) -> None:
    """Let the org know a service app."""
    org.access.add_service_app("0oa1", pem(KEY.public_key()), SCOPES)


def ask(
    client: FlaskClient,
    clock: Clock,
    key: Any = KEY,
    form: dict[str, Any] | None = None,
    **claims: Any,
) -> TestResponse:
    """Ask for a token with an assertion; a claim that is None is left out."""
    now = int(clock().timestamp())
    usual = {"iss": "0oa1", "sub": "0oa1", "aud": AUDIENCE, "iat": now, "exp": now + 300}
    assertion = jwt.encode(
        {name: value for name, value in {**usual, **claims}.items() if value is not None},
        key if isinstance(key, str) else pem(key),
        algorithm="HS256" if isinstance(key, str) else "RS256",
    )
    return client.post(
        "/oauth2/v1/token",
        data={
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
            "scope": " ".join(SCOPES),
            **(form or {}),
        },
    )


def bearer(response: TestResponse) -> dict[str, str]:
    return {"Authorization": f"Bearer {response.get_json()['access_token']}"}


def test_a_service_app_gets_what_it_asks_for(client: FlaskClient, clock: Clock) -> None:
    """A signed assertion is worth a token for an hour, with which the API is used."""
    granted = ask(client, clock)
    grant = granted.get_json()
    assert (granted.status_code, grant["token_type"], grant["expires_in"]) == (200, "Bearer", 3600)
    assert grant["scope"] == " ".join(SCOPES)
    made = client.post("/api/v1/eventHooks", headers=bearer(granted), json=body())
    assert made.status_code == 200
    for path in ("eventHooks", "logs"):  # whoever may manage may read
        assert client.get(f"/api/v1/{path}", headers=bearer(granted)).status_code == 200
    clock.go_on(seconds=3600)
    late = client.get("/api/v1/logs", headers=bearer(granted))
    assert (late.status_code, late.get_json()["errorCode"]) == (401, "E0000011")
    assert 'Bearer error="invalid_token"' in late.headers["WWW-Authenticate"]


def test_a_token_is_for_its_scopes_only(client: FlaskClient, clock: Clock) -> None:
    """What was not asked for is not granted, and refused where it is needed."""
    granted = ask(client, clock, form={"scope": "okta.logs.read"})
    assert client.get("/api/v1/logs", headers=bearer(granted)).status_code == 200
    for path in ("eventHooks", "org"):
        refused = client.get(f"/api/v1/{path}", headers=bearer(granted))
        assert (refused.status_code, refused.get_json()["errorCode"]) == (403, "E0000006")
        assert 'error="insufficient_scope"' in refused.headers["WWW-Authenticate"]


def test_an_access_token_is_no_api_token(client: FlaskClient, clock: Clock) -> None:
    """Nor is an API token of limited permissions one of OAuth's."""
    token = ask(client, clock).get_json()["access_token"]
    refused = client.get("/api/v1/logs", headers={"Authorization": f"SSWS {token}"})
    assert refused.status_code == 401
    assert "WWW-Authenticate" not in refused.headers


def test_an_app_may_have_a_jwk(client: FlaskClient, clock: Clock, org: Org) -> None:
    """As Okta shows a key, and as its SDK takes one."""
    public = jwt.algorithms.RSAAlgorithm
    jwk = public.to_jwk(
        public(public.SHA256).prepare_key(pem(OTHER_KEY.public_key())), as_dict=True
    )
    org.access.add_service_app("0oa2", jwk, ["okta.logs.read"])
    asked = {"scope": "okta.logs.read"}
    assert ask(client, clock, OTHER_KEY, asked, iss="0oa2", sub="0oa2").status_code == 200
    assert ask(client, clock, OTHER_KEY, asked).status_code == 401


@pytest.mark.parametrize(
    ("status", "error", "change"),
    [
        (400, "unsupported_grant_type", {"form": {"grant_type": "password"}}),
        (400, "invalid_scope", {"form": {"scope": ""}}),
        (400, "invalid_scope", {"form": {"scope": "okta.users.read"}}),
        (400, "invalid_scope", {"form": {"scope": "okta.logs.read okta.orgs.read"}}),
        (401, "invalid_client", {"form": {"client_assertion_type": "jwt"}}),
        (401, "invalid_client", {"form": {"client_assertion": "a.b.c"}}),
        (401, "invalid_client", {"form": {"client_assertion": ""}}),
        (401, "invalid_client", {"key": OTHER_KEY}),
        (401, "invalid_client", {"key": "a secret that both of them know, and no key of the app"}),
        (401, "invalid_client", {"sub": "0oa2"}),
        (401, "invalid_client", {"sub": None}),
        (401, "invalid_client", {"iss": "0oa2"}),
        (401, "invalid_client", {"iss": None}),
        (401, "invalid_client", {"aud": "https://other.okta.com/oauth2/v1/token"}),
        (401, "invalid_client", {"aud": None}),
        (401, "invalid_client", {"exp": None}),
        (401, "invalid_client", {"exp": 1}),
        (401, "invalid_client", {"exp": 4_000_000_000}),
    ],
)
def test_a_request_for_a_token_that_is_wrong_is_refused(
    client: FlaskClient, clock: Clock, status: int, error: str, change: dict[str, Any]
) -> None:
    """The answer is OAuth's error object, not the API's; nothing but the app's own signature is trusted."""
    refused = ask(client, clock, **change)
    assert (refused.status_code, refused.get_json()["error"]) == (status, error)
    assert refused.get_json().keys() == {"error", "error_description"}


def test_an_assertion_with_an_id_is_used_once(client: FlaskClient, clock: Clock) -> None:
    """Whoever has listened cannot send it again; without an id it can be sent again."""
    assert [ask(client, clock, jti="1").status_code for _ in range(2)] == [200, 401]
    assert [ask(client, clock).status_code for _ in range(2)] == [200, 200]


def test_what_is_no_service_app_is_refused(org: Org, client: FlaskClient) -> None:
    """A key that is none, or that is private, is told at once, in process and over HTTP."""
    for key in ("nonsense", pem(KEY), {"kty": "oct", "k": "AQAB"}, {"kty": "RSA", "d": "AQAB"}):
        with pytest.raises(ValueError, match="public key is"):
            org.access.add_service_app("0oa2", key, ["okta.logs.read"])
    app: dict[str, Any] = {"client_id": "0oa2", "public_key": pem(OTHER_KEY.public_key())}
    url = "/simulator/service-apps"
    assert client.post(url, json={**app, "scopes": ["okta.users.read"]}).status_code == 400
    assert client.post(url, json=app).status_code == 400
    assert client.post(url, json={**app, "scopes": ["okta.logs.read"]}).status_code == 204


def test_the_hour_of_a_token_is_the_orgs(client: FlaskClient, clock: Clock) -> None:
    """An assertion has expired by the org's clock, whatever the host's says."""
    soon = int((clock() + timedelta(seconds=10)).timestamp())
    assert ask(client, clock, exp=soon).status_code == 200
    clock.go_on(seconds=10)
    assert ask(client, clock, exp=soon).status_code == 401
