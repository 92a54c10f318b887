"""What a report holds of calls to an org that fail."""

from __future__ import annotations

import socket
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
