"""What a report holds of calls to an org that fail."""

from __future__ import annotations

import base64
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from okta_hooks.exceptions import ConfigurationError, OktaRefused, OktaUnavailable
from okta_hooks.org import hook_request, preflight
from okta_hooks.org.client import OktaClient
from okta_hooks.org.subscription import Demand, plan
from okta_hooks.secret import Secret
from okta_hooks.settings import Settings
from okta_hooks.simulator import Org, Simulator
from tests.support import NEEDS_SDK

from . import support
from .support import HUSH, leaks_of_error

pytestmark = NEEDS_SDK

TOKEN = f"{HUSH}token"
CREATED = "user.lifecycle.create"


def body() -> dict[str, Any]:
    """Return what is sent to Okta of a hook with a secret."""
    demand = Demand(patterns=frozenset({CREATED}), types=(CREATED,))
    made = plan(demand, None, name="Staff", url="https://127.0.0.1:1/okta", auth_header="X-Secret")
    return hook_request.body(made, Secret(f"{HUSH}secret"))


@pytest.fixture
def nowhere() -> str:
    """Return a URL at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def test_no_answer(nowhere: str) -> None:
    """If the org cannot be reached, no frame has the token, or the secret that was to be sent."""
    client = OktaClient(Settings(org_url=nowhere, api_token=Secret(TOKEN)))
    with client, pytest.raises(OktaUnavailable) as caught:
        client.create_hook(body())

    assert list(leaks_of_error(caught.value)) == []


def test_a_refusal() -> None:
    """If the org refuses, no frame has the token, or the secret that was sent."""
    with Simulator(Org(token=TOKEN, seed=1)) as simulator:
        settings = Settings(org_url=simulator.url, api_token=Secret(f"{TOKEN}-expired"))
        with OktaClient(settings) as client, pytest.raises(OktaRefused) as caught:
            client.create_hook(body())

    assert list(leaks_of_error(caught.value)) == []


@pytest.mark.parametrize(
    "variables",
    [
        {"OKTA_CLIENT_TOKEN": f"SSWS {TOKEN}"},
        {"OKTA_CLIENT_PRIVATEKEY": f"{HUSH}key"},
        {
            "OKTA_CLIENT_AUTHORIZATIONMODE": "PrivateKey",
            "OKTA_CLIENT_CLIENTID": "0oa1",
            "OKTA_CLIENT_SCOPES": "okta.logs.read",
            "OKTA_CLIENT_PRIVATEKEY": f"{HUSH}key",
        },
        {"OKTA_CLIENT_TOKEN": TOKEN, "OKTA_CLIENT_ORGURL": TOKEN},
    ],
    ids=["token", "key without mode", "key", "URL"],
)
def test_a_wrong_configuration(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, nowhere: str
) -> None:
    """Neither the error nor a frame has the token or the private key."""
    monkeypatch.setenv("OKTA_CLIENT_ORGURL", nowhere)
    for key, value in variables.items():
        monkeypatch.setenv(key, value)

    with pytest.raises(ConfigurationError) as caught:
        OktaClient(Settings())

    assert list(leaks_of_error(caught.value)) == []


def test_an_endpoint_that_is_asked_before_okta() -> None:
    """If the endpoint does not answer, no frame has the secret that it was asked with."""
    with pytest.raises(preflight.NotAsked) as caught:
        preflight.complaint(body())

    assert list(leaks_of_error(caught.value)) == []


def test_a_service_app(monkeypatch: pytest.MonkeyPatch, nowhere: str) -> None:
    """If the org gives no token to a service app, no frame has its private key."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    monkeypatch.setenv("OKTA_CLIENT_AUTHORIZATIONMODE", "PrivateKey")
    monkeypatch.setenv("OKTA_CLIENT_CLIENTID", "0oa1")
    monkeypatch.setenv("OKTA_CLIENT_SCOPES", "okta.logs.read")
    monkeypatch.setenv("OKTA_CLIENT_PRIVATEKEY", pem)
    monkeypatch.setattr(support, "HUSH", pem.splitlines()[3])

    with (
        OktaClient(Settings(org_url=nowhere)) as client,
        pytest.raises(OktaUnavailable) as caught,
    ):
        client.hooks()

    assert list(leaks_of_error(caught.value)) == []


class _Closed(BaseHTTPRequestHandler):
    """A proxy that lets nobody through."""

    def do_CONNECT(self) -> None:
        """Refuse the login."""
        self.send_error(407)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


def test_a_proxy_that_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a proxy does not take the login in its URL, no frame has the header with it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Closed)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", f"http://jane:pass@127.0.0.1:{server.server_port}")
    monkeypatch.setattr(support, "HUSH", base64.b64encode(b"jane:pass").decode())
    settings = Settings(org_url="https://acme.okta.test", api_token=Secret(TOKEN))
    try:
        with OktaClient(settings) as client, pytest.raises(OktaUnavailable) as caught:
            client.hooks()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

    assert "proxy" in str(caught.value)
    assert list(leaks_of_error(caught.value)) == []
