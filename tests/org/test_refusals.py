"""What to do about a refusal, by what is asked and by what asks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from okta_hooks import settings
from okta_hooks.exceptions import OktaRefused
from okta_hooks.org.credentials import Credentials, used
from okta_hooks.org.refusals import cure

TOKEN = Credentials(token_from="OKTA_HOOKS_API_TOKEN")
SERVICE_APP = Credentials(token_from=None)
HOOKS = ("okta.eventHooks.read", "okta.eventHooks.manage")


def test_a_token_that_is_not_accepted() -> None:
    """What is named is where the token comes from, and that it wins over a service app."""
    refused = OktaRefused(401, "E0000011", "Invalid token provided")

    assert cure(refused, HOOKS, TOKEN).endswith("another org's: see OKTA_HOOKS_API_TOKEN.")
    beside = replace(TOKEN, token_from="OKTA_CLIENT_TOKEN", overrides_service_app=True)
    assert cure(refused, HOOKS, beside).endswith(
        "see OKTA_CLIENT_TOKEN. It wins over the service app that is configured: unset it to use that."
    )


def test_a_service_app_that_is_not_let_in() -> None:
    """Nobody is sent to look for a token that was never set."""
    refused = OktaRefused(401, "E0000011", "Invalid token provided")

    said = cure(refused, HOOKS, SERVICE_APP)
    assert "OKTA_CLIENT_CLIENTID" in said
    assert "TOKEN" not in said
    unknown = cure(OktaRefused(401, "invalid_client", None), HOOKS, SERVICE_APP)
    assert "OKTA_CLIENT_PRIVATEKEY" in unknown
    assert "TOKEN" not in unknown


@pytest.mark.parametrize("code", ["invalid_dpop_proof", "use_dpop_nonce"])
def test_proof_of_possession(code: str) -> None:
    """Where a service app must prove it, both ways out are named; where it does, what may be wrong with it."""
    refused = OktaRefused(400, code, None)

    assert "OKTA_CLIENT_DPOPENABLED=true, or switch the requirement off" in cure(
        refused, HOOKS, SERVICE_APP
    )
    assert "clock" in cure(refused, HOOKS, replace(SERVICE_APP, uses_dpop=True))


@pytest.mark.parametrize(
    ("permissions", "credentials", "said"),
    [
        (
            HOOKS,
            TOKEN,
            (
                "the administrator whose token it is must have the role Super Administrator, "
                "or a custom role with okta.eventhooks.read and okta.eventhooks.manage."
            ),
        ),
        (
            ("okta.logs.read",),
            SERVICE_APP,
            (
                "the service app, beside the scopes, must have the role Super Administrator, "
                "or a role that may view the System Log, such as Read-only Administrator."
            ),
        ),
    ],
)
def test_a_permission_that_is_wanting(
    permissions: tuple[str, ...], credentials: Credentials, said: str
) -> None:
    """It is named, and which role has it."""
    refused = OktaRefused(403, "E0000006", None)

    needed = " and ".join(permissions)
    assert (
        cure(refused, permissions, credentials) == f" This command needs {needed}. At Okta {said}"
    )
    assert cure(refused, (), credentials) == ""


def test_other_refusals() -> None:
    """A rate limit and a fault of Okta's have pages at Okta; where nothing is known, nothing is said."""
    assert "Rate Limits" in cure(OktaRefused(429, "E0000047", None), HOOKS, TOKEN)
    assert "ORG_URL" in cure(OktaRefused(404, None, None), HOOKS, TOKEN)
    assert cure(OktaRefused(404, "E0000007", None), HOOKS, TOKEN) == ""
    trouble = OktaRefused(500, "E0000009", None)
    assert "try again in some minutes; https://status.okta.com" in cure(trouble, HOOKS, TOKEN)
    for seconds, said in ((600, "in 600 s, as it asks for"), (float("inf"), "in some minutes")):
        later = OktaRefused(503, None, None, retry_after=seconds)
        assert f"try again {said};" in cure(later, HOOKS, TOKEN)


def test_where_the_token_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """The app's own key wins, then the SDK's variable, then its file; a service app has none."""
    own, none = (
        settings.read({"OKTA_HOOKS_API_TOKEN": token, "OKTA_HOOKS_ORG_URL": url})
        for token, url in (("00a", "https://acme.okta.com"), (None, None))
    )
    client = {"authorizationMode": "SSWS", "token": "00a"}
    monkeypatch.delenv("OKTA_CLIENT_TOKEN", raising=False)

    assert used(own, client) == TOKEN
    assert used(none, client).token_from == "okta.yaml"
    monkeypatch.setenv("OKTA_CLIENT_TOKEN", "00a")
    assert used(none, client).token_from == "OKTA_CLIENT_TOKEN"
    assert used(own, {**client, "privateKey": "x"}).overrides_service_app
    proving = used(own, {"authorizationMode": "PrivateKey", "dpopEnabled": True})
    assert proving == Credentials(token_from=None, uses_dpop=True)
    assert used(none, client).url_from == "okta.yaml"
    monkeypatch.setenv("OKTA_CLIENT_ORGURL", "https://acme.okta.com")
    nowhere = replace(SERVICE_APP, url_from=used(none, client).url_from)
    assert "OKTA_CLIENT_ORGURL" in cure(OktaRefused(404, None, None), HOOKS, nowhere)
    assert proving.is_service_app
