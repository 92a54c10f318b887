"""Two apps with the same path, at one org and at another: none may take the other's hook for its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, request

from okta_hooks import EventHook
from okta_hooks.cli import group
from okta_hooks.simulator import Org, Simulator, app_sender
from tests.support import serving, until

from .support import CREATE, DEACTIVATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

TOKEN = "00a-token-nobody-may-see"
GROUP = "group.lifecycle.create"


@dataclass
class Host:
    """An app with a hook at the default path, served over HTTP, with an inbox and a secret of its own."""

    app: Flask
    secret: str
    url: str = ""
    seen: list[str] = field(default_factory=list)

    def run(self, *arguments: str, org: Org, status: int | None = None, **config: Any) -> Result:
        """Run a command at an org, with the configuration of this app."""
        settings = {"SECRET": self.secret, "INBOX": self.app.config["OKTA_HOOKS_INBOX"]}
        app = make_host(
            self.app.extensions["okta_hooks"].hooks["okta"],
            **settings,
            ORG_URL=org.url,
            API_TOKEN=TOKEN,
            **config,
        )
        result: Result = app.test_cli_runner().invoke(group, arguments)
        app.extensions["okta_hooks"].close()
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert status is None or result.exit_code == status, result.output
        assert self.secret not in result.output
        return result

    def arrived(self) -> int:
        """Return how many events are in the inbox."""
        counts = self.app.extensions["okta_hooks"].runtime().inbox.overview.counts()
        return int(counts.pending + counts.claimed + counts.done + counts.dead)


def make_host(hook: EventHook, **config: Any) -> Flask:
    app = Flask("host")
    app.config["OKTA_HOOKS_WORKER"] = "external"
    for key, value in config.items():
        app.config[f"OKTA_HOOKS_{key}"] = value
    app.register_blueprint(hook)
    return app


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    """Serve production and staging: other receivers, other secrets, and the same path."""
    wanted = {"production": (CREATE, DEACTIVATE), "staging": (GROUP,)}
    made = []
    for name, types in wanted.items():
        hook = EventHook("okta")
        hook.on(*types, name=name)(lambda *_, **__: None)
        secret = f"the secret of {name}"
        app = make_host(hook, SECRET=secret, INBOX=f"sqlite:///{tmp_path / name}.sqlite3")
        made.append(Host(app, secret))
    production, staging = made
    for host in made:

        @host.app.before_request
        def note(host: Host = host) -> None:
            host.seen.append(request.headers.get("Authorization", ""))

    with serving(production.app) as one, serving(staging.app) as other:
        production.url, staging.url = f"{one}/okta/events", f"{other}/okta/events"
        yield production, staging
    for host in made:
        host.app.extensions["okta_hooks"].close()


@pytest.fixture
def orgs() -> Iterator[tuple[Org, Org]]:
    """Run two orgs."""
    one, other = (Org(token=TOKEN, seed=seed, http_hooks=True) for seed in (1, 2))
    with Simulator(one), Simulator(other):
        yield one, other


def still_arrives(org: Org, host: Host) -> None:
    """Check that what happens at the org arrives at an app, to whose hook nothing has changed."""
    before = host.arrived()
    org.emit(CREATE)
    until(lambda: org.deliveries()[-1]["state"] not in ("pending", "sending"))
    assert org.deliveries()[-1]["state"] == "delivered"
    assert host.arrived() == before + 1


def test_an_app_leaves_the_hook_of_another_alone(
    hosts: tuple[Host, Host], orgs: tuple[Org, Org]
) -> None:
    """Whatever staging is told, production goes on getting its events, at its org and at another."""
    production, staging = hosts
    one, other = orgs
    for org in orgs:
        production.run("apply", "--yes", "--url", production.url, org=org, status=0)
        still_arrives(org, production)

    down = "http://127.0.0.1:9/okta/events"
    for org in orgs:
        before = org.hooks()
        guesses: tuple[tuple[str, ...], ...] = (
            ("plan",),
            ("apply", "--yes"),
            ("apply", "--yes", "--rotate"),
            ("verify",),
            ("backfill", "--since", "1h"),
            ("reconcile", "--since", "1h"),
        )
        for arguments in guesses:
            refused = staging.run(*arguments, org=org, status=1)
            error = refused.output.splitlines()[-1]
            assert "is not known" in error
            assert f"'okta' ({before[0]['id']}) at {production.url}" in error
            assert "--name" in error
            assert "--url" in error
            assert "OKTA_HOOKS_URL" in error
        # Said outright, the endpoint itself is asked before anything is lost.
        outright: tuple[tuple[tuple[str, ...], str], ...] = (
            (("--url", production.url), "it answered 401"),
            (("--name", "okta"), "it answered 401"),
            (("--name", "okta", "--url", down), "could not be asked from here"),
        )
        for arguments, reason in outright:
            refused = staging.run("apply", "--yes", *arguments, org=org, status=1)
            assert reason in refused.output
            assert "Nothing was changed at Okta" in refused.output
        assert org.hooks() == before
        still_arrives(org, production)
    assert staging.seen == []

    # A hook of its own, beside: each gets its own.
    staging.run("apply", "--yes", "--name", "staging", "--url", staging.url, org=one, status=0)
    staging.run("plan", org=one, status=0, URL=staging.url)
    still_arrives(one, production)
    one.emit(GROUP)
    until(lambda: staging.arrived() == 1)
    # From now on its deliveries prove which is its own.
    assert "is in step" in staging.run("plan", org=one, status=0).output
    assert len(other.hooks()) == 1


def test_doctor_sends_no_secret_to_the_hook_of_another_app(
    hosts: tuple[Host, Host], orgs: tuple[Org, Org]
) -> None:
    """It names the hook that it might be, and asks nothing there."""
    production, staging = hosts
    production.run("apply", "--yes", "--url", production.url, org=orgs[0], status=0)
    production.seen.clear()

    result = staging.run("doctor", org=orgs[0], status=1)

    assert production.seen == []
    assert "Which hook of the org is this app's is not known" in result.output
    assert "Nothing was asked over the network" in result.output
    assert production.url in result.output


def test_the_configured_url_says_whose_a_hook_is(
    hosts: tuple[Host, Host], orgs: tuple[Org, Org]
) -> None:
    """It counts, also against an inbox that is a copy of another app's, and is where a new hook goes."""
    production, staging = hosts
    org = orgs[0]
    production.run("apply", "--yes", org=org, status=0, URL=production.url)
    still_arrives(org, production)
    assert "is in step" in production.run("plan", org=org, status=0, URL=production.url).output

    copied = {"INBOX": production.app.config["OKTA_HOOKS_INBOX"]}
    staging.app.config["OKTA_HOOKS_INBOX"] = copied["INBOX"]
    refused = staging.run("apply", "--yes", org=org, status=1, URL=staging.url)
    assert "what has delivered to this inbox has another URL" in refused.output
    assert production.url in refused.output
    still_arrives(org, production)


def test_a_replacement_says_what_was_there(hosts: tuple[Host, Host], orgs: tuple[Org, Org]) -> None:
    """Before Okta gets it the old state is named, and after a failed verification the way back."""
    production, _ = hosts
    org = orgs[0]
    production.run("apply", "--yes", "--url", production.url, org=org, status=0)
    hook_id = org.hooks()[0]["id"]
    still_arrives(org, production)

    # Its own hook, and an endpoint that nobody can ask from here: Okta has to find out.
    down = "http://127.0.0.1:9/okta/events"
    failed = production.run(
        "apply", "--yes", "--name", "okta", "--url", down, org=org, status=1
    ).output

    was = f"'okta' ({hook_id}) at {production.url}, its secret in Authorization, ACTIVE, VERIFIED"
    assert f"Until now: {was}, types {CREATE}, {DEACTIVATE}." in failed
    assert f"The hook was: {was}" in failed
    assert "Okta has the first secret of here already." in failed
    assert "run apply --rotate where the right one is configured" in failed
    way_back = f"apply --rotate --name okta --url {production.url}"
    assert way_back in failed
    production.run(*way_back.split(), "--yes", org=org, status=0)
    still_arrives(org, production)


def test_a_copy_of_an_inbox_proves_nothing(hosts: tuple[Host, Host]) -> None:
    """With a dump of production's database, and no way to its URL, staging leaves production's hook alone."""
    production, staging = hosts
    url = "https://production.invalid/okta/events"
    org = Org(token=TOKEN, seed=1, send=app_sender(production.app))
    with Simulator(org):
        production.run("apply", "--yes", "--url", url, org=org, status=0)
        still_arrives(org, production)
        hook_id = org.hooks()[0]["id"]
        staging.app.config["OKTA_HOOKS_INBOX"] = production.app.config["OKTA_HOOKS_INBOX"]

        before = org.hooks()
        for options in ([], ["--rotate"], ["--no-verify"]):
            refused = staging.run("apply", "--yes", *options, org=org, status=1).output
            assert "which may be a copy of another app's" in refused
            assert "Nothing was changed at Okta" in refused
            assert "say so with --name okta, or set OKTA_HOOKS_URL to its URL" in refused
        assert org.hooks() == before
        still_arrives(org, production)

        org.deactivate_hook(hook_id)
        before = org.hooks()
        refused = staging.run("apply", "--yes", org=org, status=1).output
        assert "which may be a copy of another app's" in refused
        assert org.hooks() == before
        org.activate_hook(hook_id)

        # Production itself says which it is, and goes on.
        configured = production.run("apply", "--yes", "--rotate", org=org, status=0, URL=url)
        assert "could not be asked from here" in configured.output
        named = production.run("apply", "--yes", "--rotate", "--name", "okta", org=org, status=0)
        assert "Okta will ask it" in named.output
        still_arrives(org, production)


def test_a_copy_of_an_inbox_activates_nothing(
    hosts: tuple[Host, Host], orgs: tuple[Org, Org]
) -> None:
    """A hook that somebody has deactivated stays so, though it lacks nothing else that this app needs."""
    production, _ = hosts
    org = orgs[0]
    production.run("apply", "--yes", "--url", production.url, org=org, status=0)
    still_arrives(org, production)
    org.deactivate_hook(org.hooks()[0]["id"])
    before = org.hooks()

    refused = production.run("apply", "--yes", org=org, status=1).output

    assert "which may be a copy of another app's. It is left inactive." in refused
    assert org.hooks() == before
    production.run("apply", "--yes", "--name", "okta", org=org, status=0)
    still_arrives(org, production)


def test_an_unverified_hook_whose_endpoint_refuses(
    hosts: tuple[Host, Host], orgs: tuple[Org, Org]
) -> None:
    """It gets no events, and is another app's all the same: without a proof it is not replaced."""
    production, staging = hosts
    org = orgs[0]
    production.run("apply", "--yes", "--url", production.url, org=org, status=0)
    still_arrives(org, production)
    hook = org.hooks()[0]
    hook["channel"]["config"]["headers"] = [{"key": "X-Via", "value": "okta"}]
    hook["channel"]["config"]["authScheme"]["value"] = production.secret
    org.replace_hook(hook["id"], hook)
    staging.app.config["OKTA_HOOKS_INBOX"] = production.app.config["OKTA_HOOKS_INBOX"]
    before = org.hooks()
    assert before[0]["verificationStatus"] == "UNVERIFIED"

    refused = staging.run("apply", "--yes", org=org, status=1).output

    assert "Its endpoint was not asked" in refused
    assert "may be a copy of another app's" in refused
    assert org.hooks() == before


def test_the_secret_is_not_sent_where_only_deliveries_lead(
    hosts: tuple[Host, Host], orgs: tuple[Org, Org]
) -> None:
    """With a copy of production's inbox, staging does not send its secret to production, which could be asked."""
    production, staging = hosts
    org = orgs[0]
    production.run("apply", "--yes", "--url", production.url, org=org, status=0)
    still_arrives(org, production)
    production.seen.clear()
    staging.app.config["OKTA_HOOKS_INBOX"] = production.app.config["OKTA_HOOKS_INBOX"]
    before = org.hooks()

    examined = staging.run("doctor", org=org, status=1).output
    # The hook at Okta lacks the type of staging's receiver: that is compared, and the URL is not asked.
    assert "lacks what receivers want" in examined
    assert "Nothing was asked over the network" in examined
    assert f"may be sent to {production.url}" in examined
    assert "say --name okta, or set OKTA_HOOKS_URL to its URL" in examined
    for options in ((), ("--rotate",), ("--no-verify",), ("--keep-types",)):
        refused = staging.run("apply", "--yes", *options, org=org, status=1).output
        assert "Its endpoint was not asked, as that would send it the secret" in refused
        assert "say so with --name okta, or set OKTA_HOOKS_URL to its URL" in refused

    assert production.seen == []
    assert org.hooks() == before
    still_arrives(org, production)

    # Said outright, it is asked.
    staging.run("doctor", "--name", "okta", org=org, status=1)
    assert staging.secret in production.seen
    production.run("doctor", org=org, URL=production.url)
    assert production.secret in production.seen
