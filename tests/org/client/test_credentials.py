from __future__ import annotations

import logging
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from Cryptodome.PublicKey import RSA
from flask import request

from okta_hooks.exceptions import ConfigurationError, OktaHooksError, OktaRefused, OktaUnavailable
from okta_hooks.org.credentials import OrgNotConfigured
from tests.support import NEEDS_SDK

from .support import BODY, TOKEN, connect

if TYPE_CHECKING:
    from flask import Response

    from okta_hooks.simulator import Org, Simulator

pytestmark = NEEDS_SDK


@pytest.mark.parametrize(
    ("url", "token", "said"),
    [
        (None, TOKEN, "OKTA_HOOKS_ORG_URL is not set"),
        ("acme.okta.com", TOKEN, "it must be https:// and a host"),
        (TOKEN, None, "it must be https:// and a host"),
        ("https://acme.okta.com/api/v1", TOKEN, "nothing behind it"),
        ("http://acme.okta.com", TOKEN, "it must be https:// and a host"),
        (
            "https://acme-admin.okta.com",
            TOKEN,
            "Admin Console of the org: say https://acme.okta.com",
        ),
        ("https://a-admin.oktapreview.com/", TOKEN, "say https://a.oktapreview.com"),
        ("https://[bad", TOKEN, "it must be https:// and a host"),
        ("https://acme.okta.com:abc", TOKEN, "it must be https:// and a host"),
        ("https://acme.okta.com#top", TOKEN, "nothing behind it"),
        (f"https://user:{TOKEN}@acme.okta.com", TOKEN, "has an @ in it"),
        (f"https://user:{TOKEN}@[bad", TOKEN, "has an @ in it"),
        ("https://acme.okta.com", None, "OKTA_HOOKS_API_TOKEN is not set"),
        ("https://acme.okta.com", "", "OKTA_HOOKS_API_TOKEN is not set"),
        ("https://acme.okta.com", f"SSWS {TOKEN}", "without SSWS"),
        ("https://acme.okta.com", f"{TOKEN}\n", "a line break"),
    ],
)
def test_a_configuration_that_cannot_be_right(
    url: str | None, token: str | None, said: str
) -> None:
    """It is refused in one line that names the key, and not the token."""
    with pytest.raises(ConfigurationError) as caught:
        connect(url, token)
    assert said.lower() in str(caught.value).lower()
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "token", "said"),
    [
        ("acme.okta.com", TOKEN, "OKTA_CLIENT_ORGURL is no such URL"),
        ("https://acme-admin.okta.com", TOKEN, "OKTA_CLIENT_ORGURL is 'https://acme-admin"),
        ("https://acme.okta.com", f"SSWS {TOKEN}", "OKTA_CLIENT_TOKEN holds a blank"),
    ],
)
def test_a_wrong_configuration_of_the_sdk(
    url: str, token: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is named is where the value comes from."""
    monkeypatch.setenv("OKTA_CLIENT_ORGURL", url)
    monkeypatch.setenv("OKTA_CLIENT_TOKEN", token)

    with pytest.raises(ConfigurationError) as caught:
        connect(None, None)
    assert str(caught.value).startswith(said)
    assert "OKTA_HOOKS" not in str(caught.value)


def test_a_wrong_configuration_is_also_a_runtime_error() -> None:
    """Who catches either kind goes on catching it."""
    with pytest.raises(RuntimeError) as caught:
        connect("acme.okta.com", TOKEN)
    assert isinstance(caught.value, OktaHooksError)


@pytest.mark.parametrize(
    ("url", "variable", "kind"),
    [
        (None, None, OrgNotConfigured),
        ("", None, ConfigurationError),
        (None, "", ConfigurationError),
    ],
)
def test_no_org_is_told_from_a_wrong_one(
    url: str | None,
    variable: str | None,
    kind: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing said may be meant; an empty value, here or in the SDK's variable, is a mistake."""
    monkeypatch.delenv("OKTA_CLIENT_ORGURL", raising=False)
    if variable is not None:
        monkeypatch.setenv("OKTA_CLIENT_ORGURL", variable)

    with pytest.raises(ConfigurationError, match="OKTA_HOOKS_ORG_URL is not set") as caught:
        connect(url, TOKEN)
    assert type(caught.value) is kind


def test_a_slash_at_the_end_of_the_url_is_nothing(simulator: Simulator) -> None:
    """A URL that was copied from a browser works."""
    with connect(f"{simulator.url}/") as org:
        assert org.hooks() == []


def test_the_sdk_configures_what_the_app_does_not(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's own environment variables hold without ours, and ours win."""
    monkeypatch.setenv("OKTA_CLIENT_ORGURL", simulator.url)
    monkeypatch.setenv("OKTA_CLIENT_TOKEN", TOKEN)
    monkeypatch.setenv("OKTA_CLIENT_AUTHORIZATIONMODE", "Bearer")

    with connect(None, None) as org:
        assert org.hooks() == []
    with connect(None, "another") as org, pytest.raises(OktaRefused, match="E0000011"):
        org.hooks()


@pytest.mark.parametrize(
    "key",
    [
        "-----BEGIN nonsense",
        "/no/such/nonsense.pem",
        '{"kty": "nonsense"}',
        "{nonsense",
        "nonsensé",
    ],
)
def test_a_private_key_that_is_none(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong with a service app is said in one line and without the key."""
    monkeypatch.setenv("OKTA_CLIENT_AUTHORIZATIONMODE", "PrivateKey")
    with pytest.raises(ConfigurationError, match="client ID is missing"):
        connect("https://acme.okta.com", None)

    monkeypatch.setenv("OKTA_CLIENT_CLIENTID", "0oa1")
    monkeypatch.setenv("OKTA_CLIENT_SCOPES", "okta.logs.read")
    monkeypatch.setenv("OKTA_CLIENT_PRIVATEKEY", key)
    with pytest.raises(ConfigurationError, match="OKTA_CLIENT_PRIVATEKEY cannot be read") as caught:
        connect("https://acme.okta.com", None)
    assert "nonsens" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.fixture(scope="module")
def key() -> Any:
    """Return a private key: to make one takes a while."""
    return RSA.generate(2048)


@pytest.fixture
def service_app(simulator: Simulator, key: Any, monkeypatch: pytest.MonkeyPatch) -> Org:
    """Configure a service app that the org knows, and return the org."""
    monkeypatch.setenv("OKTA_CLIENT_AUTHORIZATIONMODE", "PrivateKey")
    monkeypatch.setenv("OKTA_CLIENT_CLIENTID", "0oa1")
    monkeypatch.setenv("OKTA_CLIENT_SCOPES", "okta.eventHooks.manage,okta.logs.read")
    monkeypatch.setenv("OKTA_CLIENT_PRIVATEKEY", key.export_key().decode())
    simulator.org.access.add_service_app(
        "0oa1",
        key.public_key().export_key().decode(),
        ["okta.eventHooks.manage", "okta.logs.read"],
    )
    return simulator.org


def test_a_service_app_with_a_private_key(
    simulator: Simulator, service_app: Org, caplog: pytest.LogCaptureFixture
) -> None:
    """It gets one bearer token for a signed assertion, and works with that."""
    caplog.set_level(logging.DEBUG)
    granted = []

    @simulator.app.after_request
    def keep(response: Response) -> Response:
        if request.path == "/oauth2/v1/token":
            granted.append(response.get_json())
        return response

    with connect(simulator.url, None) as org:
        made = org.create_hook(BODY)
        assert org.verify_hook(made.id).is_verified
        assert org.log_page(org.log_url(since=datetime(2026, 1, 1, tzinfo=UTC))).events

    (grant,) = granted
    assert grant["scope"] == "okta.eventHooks.manage okta.logs.read"
    assert "PRIVATE KEY" not in caplog.text
    assert grant["access_token"] not in caplog.text


def test_a_service_app_that_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has configured one, but for the mode, is told what is missing, rather than to get a token."""
    monkeypatch.setenv("OKTA_CLIENT_CLIENTID", "0oa1")
    monkeypatch.setenv("OKTA_CLIENT_PRIVATEKEY", "/run/secrets/okta.pem")

    with pytest.raises(ConfigurationError, match="say OKTA_CLIENT_AUTHORIZATIONMODE=PrivateKey"):
        connect("https://acme.okta.com", None)


def test_a_service_app_that_proves_possession(
    simulator: Simulator, service_app: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With DPoP its token is bound to a key, which signs each request, and with the nonce that Okta wants."""
    proofs: list[dict[str, Any]] = []
    org_without = simulator.app.wsgi_app

    def org_with(environ: dict[str, Any], start_response: Any) -> Any:
        claims = jwt.decode(environ["HTTP_DPOP"], options={"verify_signature": False})
        proofs.append({key: claims.get(key) for key in ("htm", "htu", "nonce", "ath")})
        is_token = environ["PATH_INFO"] == "/oauth2/v1/token"
        if is_token and claims.get("nonce") is None:
            start_response(
                "400 BAD REQUEST", [("Content-Type", "application/json"), ("dpop-nonce", "n1")]
            )
            return [b'{"error": "use_dpop_nonce"}']
        if not is_token:
            scheme, token = environ["HTTP_AUTHORIZATION"].split()
            assert scheme == "DPoP"
            environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        answer = org_without(environ, start_response)
        # Both words have as many characters, blanks included.
        return [each.replace(b'"Bearer"', b'"DPoP"  ') for each in answer] if is_token else answer

    monkeypatch.setattr(simulator.app, "wsgi_app", org_with)
    monkeypatch.setenv("OKTA_CLIENT_DPOPENABLED", "true")
    with connect(simulator.url, None) as org:
        assert org.hooks() == []
    assert [proof["nonce"] for proof in proofs][:2] == [None, "n1"]
    assert proofs[-1]["htu"] == f"{simulator.url}/api/v1/eventHooks"
    assert proofs[-1]["ath"]


def test_a_service_app_that_must_prove_possession(simulator: Simulator, service_app: Org) -> None:
    """Where the app requires DPoP, and it is not configured, the refusal is the token endpoint's."""
    refusal = {
        "error": "invalid_dpop_proof",
        "error_description": "The DPoP proof JWT header is missing.",
    }
    simulator.app.before_request(lambda: (refusal, 400))

    with connect(simulator.url, None) as org, pytest.raises(OktaRefused) as caught:
        org.hooks()
    assert caught.value.code == "invalid_dpop_proof"
    assert str(caught.value).endswith("The DPoP proof JWT header is missing.")


def test_a_proof_that_is_not_accepted(
    simulator: Simulator, service_app: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's advice of several paragraphs is one line."""
    monkeypatch.setenv("OKTA_CLIENT_DPOPENABLED", "true")
    refusal = {"error": "invalid_dpop_proof", "error_description": "It is from tomorrow."}
    simulator.app.before_request(lambda: (refusal, 400))

    with connect(simulator.url, None) as org, pytest.raises(OktaRefused) as caught:
        org.hooks()
    assert "It is from tomorrow." in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_service_app_with_another_key(
    simulator: Simulator, service_app: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the token endpoint says is a refusal as any other."""
    monkeypatch.setenv("OKTA_CLIENT_PRIVATEKEY", RSA.generate(2048).export_key().decode())

    with connect(simulator.url, None) as org, pytest.raises(OktaRefused) as caught:
        org.hooks()
    assert str(caught.value).startswith("Okta answered 401: invalid_client: ")
    assert "Signature verification failed" in str(caught.value)


def test_a_service_app_without_the_scope(
    simulator: Simulator, service_app: Org, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scope that was not granted is a refusal, too."""
    monkeypatch.setenv("OKTA_CLIENT_SCOPES", "okta.users.manage")

    with connect(simulator.url, None) as org, pytest.raises(OktaRefused, match="invalid_scope"):
        org.hooks()


def test_a_token_endpoint_that_fails(simulator: Simulator, service_app: Org) -> None:
    """Where no token is given out, the answer is passed on."""
    simulator.org.api_faults.add(path="/oauth2/v1/token", status=503)

    with connect(simulator.url, None) as org, pytest.raises(OktaRefused, match="answered 503"):
        org.hooks()


@pytest.mark.parametrize("status", [429, 503])
def test_a_token_endpoint_that_says_when_to_come_back(
    simulator: Simulator, service_app: Org, status: int
) -> None:
    """A 429 there is waited out as any other, and a refusal has what it says."""
    refused: list[int] = []

    @simulator.app.before_request
    def refuse() -> Any:
        if request.path != "/oauth2/v1/token" or len(refused) == 2:
            return None
        refused.append(status)
        return {}, status, {"Retry-After": "7"}

    waited: list[float] = []
    with connect(simulator.url, None, wait=waited.append) as org:
        if status == 429:
            assert org.hooks() == []
            assert len(waited) == 2
        else:
            with pytest.raises(OktaRefused, match="answered 503") as caught:
                org.hooks()
            assert caught.value.retry_after == 7


def test_a_token_endpoint_that_redirects(simulator: Simulator, service_app: Org) -> None:
    """The signed assertion is sent nowhere else, and where it pointed is said."""
    there = "https://elsewhere.example.com/oauth2/v1/token"
    simulator.app.before_request(lambda: ("", 307, {"Location": there}))

    with connect(simulator.url, None) as org, pytest.raises(OktaUnavailable) as caught:
        org.hooks()
    assert f"answered 307, which points to {there}." in str(caught.value)
    assert not caught.value.is_transient


@pytest.mark.parametrize("answer", [{}, "text"])
def test_a_token_endpoint_that_gives_no_token(
    simulator: Simulator, service_app: Org, answer: Any
) -> None:
    """An OK without a token is no answer of the org's."""
    simulator.app.before_request(lambda: answer)

    with connect(simulator.url, None) as org, pytest.raises(OktaUnavailable):
        org.hooks()


def test_the_token_is_never_logged(
    simulator: Simulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even by the SDK at its most talkative, whose log is otherwise left alone."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "okta-sdk-python")
    # The SDK's own client, which other tests use, turns its log off.
    monkeypatch.setattr(logging.getLogger("okta-sdk-python"), "disabled", False)

    with connect(simulator.url) as org:
        org.hooks()
    with connect("http://127.0.0.1:9") as org, pytest.raises(OktaUnavailable):
        org.hooks()
    assert TOKEN not in caplog.text
    assert "okta-sdk-python" not in {record.name for record in caplog.records}

    logging.getLogger("okta-sdk-python").info("An app of the host uses the SDK, too.")
    assert "okta-sdk-python" in {record.name for record in caplog.records}


def test_without_the_sdk_the_cure_is_named() -> None:
    """Who has not installed the extra is told how."""
    program = (
        "import sys; sys.modules['okta'] = None\n"
        "from okta_hooks import settings\n"
        "from okta_hooks.org.client import OktaClient\n"
        "OktaClient(settings.read({}))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "pip install 'okta-hooks[okta]'" in ended.stderr.splitlines()[-1]
