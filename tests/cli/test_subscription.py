"""plan, apply and verify against a simulated org and an app, each over real HTTP, with Okta's own SDK between."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from Cryptodome.PublicKey import RSA
from flask import request
from werkzeug.serving import make_server

from okta_hooks import EventHook, catalog, settings
from okta_hooks.cli import group
from okta_hooks.exceptions import VerificationFailed
from okta_hooks.org import subscription
from okta_hooks.org.client import Org as OktaOrg
from okta_hooks.simulator import Org, Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from click.testing import Result
    from flask import Flask, Response

    from okta_hooks.org.client import RegisteredHook

TOKEN = "00a-token-nobody-may-see"
SECRET = "correct horse battery staple"
CREATE, DEACTIVATE = "user.lifecycle.create", "user.lifecycle.deactivate"
BETA = next(
    name
    for name, entry in catalog.entries().items()
    if entry.event_hook_eligible and entry.stage == "beta"
)
GA = sorted(
    name
    for name, entry in catalog.entries().items()
    if entry.event_hook_eligible and entry.stage == "ga"
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing of the machine's own configuration of the SDK in."""
    for name in list(os.environ):
        if name.startswith(("OKTA_", "FLASK_")) or name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.delenv(name)


class World:
    """A simulated org, an app that is served, and the requests that the org has seen."""

    def __init__(
        self, simulator: Simulator, make_app: Callable[..., Flask], *hooks: EventHook
    ) -> None:
        self.simulator = simulator
        self.org = simulator.org
        self.make_app = make_app
        self.hooks = hooks
        self.app = self.configure()
        self.requests: list[str] = []
        self.url = ""

    def configure(self, **config: Any) -> Flask:
        """Make the app that the commands run in; the one that is served may be another."""
        defaults = {"SECRET": SECRET, "ORG_URL": self.org.url, "API_TOKEN": TOKEN}
        self.app = self.make_app(*self.hooks, **(defaults | config))
        return self.app

    def run(self, *arguments: str, status: int = 0) -> Result:
        """Run a command that ends as it should, and gives no secret away."""
        result: Result = self.app.test_cli_runner().invoke(group, arguments)
        assert result.exit_code == status, result.output
        assert isinstance(result.exception, SystemExit | None)
        assert SECRET not in result.output
        assert TOKEN not in result.output
        return result

    def fail(self, *arguments: str) -> str:
        """Run a command that fails, and return its last line, the error."""
        return self.run(*arguments, status=1).stderr.splitlines()[-1]

    def asked(self) -> list[str]:
        """Return what the org was asked since the last time."""
        asked, self.requests[:] = list(self.requests), []
        return asked

    def create(self, *event_types: str, **changes: Any) -> str:
        """Create a hook as an administrator does by hand, verify it, and return its id."""
        config = {
            "uri": self.url,
            "authScheme": {"type": "HEADER", "key": "authorization", "value": SECRET},
        }
        made = self.org.create_hook(
            {
                "name": "Staff",
                "events": {"type": "EVENT_TYPE", "items": list(event_types)},
                "channel": {"type": "HTTP", "version": "1.0.0", "config": config},
                **changes,
            }
        )
        self.org.verify_hook(made["id"])
        return str(made["id"])


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """Run an app in a server on a free port of the loopback."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/okta/events"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def world(okta: EventHook, make_app: Callable[..., Flask]) -> Iterator[World]:
    """Return an org that takes http, and an app with receivers of two types."""
    okta.on(CREATE, DEACTIVATE, name="staff")(lambda *_, **__: None)
    simulator = Simulator(Org(token=TOKEN, seed=1, http_hooks=True))
    requests: list[str] = []

    @simulator.app.before_request
    def note() -> None:
        requests.append(f"{request.method} {request.path}")

    with simulator:
        world = World(simulator, make_app, okta)
        world.requests = requests
        with serving(make_app(okta, SECRET=SECRET)) as world.url:
            yield world


def test_from_nothing_to_in_step(world: World) -> None:
    """A hook is created and verified; then the plan reads the org once, and a second apply changes nothing."""
    planned = world.run("plan", "--url", world.url, status=2)
    assert planned.stdout.splitlines() == [
        f"  + 'okta' at {world.url}",
        f"    + {CREATE}",
        f"    + {DEACTIVATE}",
        "Plan: 1 to create: 2 types.",
    ]
    assert world.asked() == ["GET /api/v1/eventHooks"]

    applied = world.run("apply", "--url", world.url, "--yes")
    (hook,) = world.org.hooks()
    assert applied.stdout.splitlines()[-2:] == [f"Created: {hook['id']}.", "Verified."]
    assert world.asked() == [
        "GET /api/v1/eventHooks",
        "POST /api/v1/eventHooks",
        f"POST /api/v1/eventHooks/{hook['id']}/lifecycle/verify",
    ]
    assert (hook["status"], hook["verificationStatus"]) == ("ACTIVE", "VERIFIED")

    again = world.run("apply", "--yes")
    assert again.stdout.splitlines() == [
        f"'okta' ({hook['id']}) at {world.url} is in step.",
        "Plan: nothing to do: 2 types.",
    ]
    assert world.run("plan").stderr == ""
    assert world.asked() == ["GET /api/v1/eventHooks"] * 2
    assert world.org.hooks() == [hook]

    world.org.emit(CREATE)
    world.org.settle()
    assert [each["state"] for each in world.org.deliveries()] == ["delivered"]


def test_a_hook_made_by_hand_is_changed(world: World) -> None:
    """Types come and go, and what an administrator has set stays, the values of headers included."""
    filters = [
        {"event": event, "condition": {"version": None, "expression": "event.target.size() > 0"}}
        for event in (CREATE, "user.session.start")
    ]
    hook_id = world.create(
        CREATE,
        "user.session.start",
        description="For the staff",
        events={
            "type": "EVENT_TYPE",
            "items": [CREATE, "user.session.start"],
            "filter": {"type": "EXPRESSION_LANGUAGE", "eventFilterMap": filters},
        },
        channel={
            "type": "HTTP",
            "version": "1.0.0",
            "config": {
                "uri": world.url,
                "headers": [{"key": "X-Via", "value": "for the proxy only"}],
                "authScheme": {"type": "HEADER", "key": "authorization", "value": SECRET},
            },
        },
    )

    planned = world.run("plan", status=2)
    assert planned.stdout.splitlines() == [
        f"  ~ 'Staff' ({hook_id}) at {world.url}",
        f"    + {DEACTIVATE}",
        "    - user.session.start (nobody receives it)",
        f"      kept: description, header X-Via, filter of {CREATE}",
        "Plan: 1 to change: 1 type to add, 1 to remove.",
    ]
    applied = world.run("apply", "--yes")
    assert "for the proxy only" not in planned.output + applied.output
    assert world.asked()[1:] == [
        "GET /api/v1/eventHooks",
        f"PUT /api/v1/eventHooks/{hook_id}",
        f"POST /api/v1/eventHooks/{hook_id}/lifecycle/verify",
    ]

    hook = world.org.hook(hook_id)
    assert (hook["name"], hook["description"]) == ("Staff", "For the staff")
    assert hook["events"]["items"] == [CREATE, DEACTIVATE]
    assert hook["events"]["filter"]["eventFilterMap"] == filters[:1]
    assert hook["channel"]["config"]["headers"] == [{"key": "X-Via", "value": "for the proxy only"}]
    world.run("plan")


def test_json_is_for_programs(world: World) -> None:
    """It holds the whole plan; of apply, on one line of its own, what has become of the hook, too."""
    world.create(CREATE, "user.session.start")

    document = json.loads(world.run("plan", "--json", status=2).stdout)
    assert document["action"] == "change"
    assert document["in_step"] is False
    assert (document["add"], document["remove"]) == ([DEACTIVATE], ["user.session.start"])
    assert document["types"] == [CREATE, DEACTIVATE]

    applied = world.run("apply", "--json", "--yes")
    outcome = json.loads(applied.stdout)
    assert outcome["plan"] == document
    assert outcome["hook"]["verification"] == "VERIFIED"
    assert json.loads(world.run("plan", "--json").stdout)["action"] == "nothing"


def test_everything_can_be_subscribed_to(world: World, okta: EventHook) -> None:
    """A receiver of all events needs every type that is generally available."""
    okta.on("*")(lambda *_, **__: None)

    result = world.run("apply", "--url", world.url, "--yes")
    assert f"Plan: 1 to create: {len(GA)} types." in result.stdout
    assert world.org.hooks()[0]["events"]["items"] == GA
    world.run("plan")


def test_what_a_receiver_takes_stays(world: World, okta: EventHook) -> None:
    """A type that an administrator has subscribed to is not removed while a pattern covers it, though in beta."""
    okta.on("*")(lambda *_, **__: None)
    world.create(*GA, BETA)

    world.run("plan")


def test_too_many_types(world: World, okta: EventHook) -> None:
    """More than a hook takes are refused before Okta is asked for them."""
    for name, entry in catalog.entries().items():
        if entry.event_hook_eligible:
            okta.on(name)(lambda *_, **__: None)

    error = world.fail("plan", "--url", world.url)
    assert error.startswith("Error: The receivers take 314 event types, and Okta gives a hook 300")


def test_no_receivers(world: World, make_app: Callable[..., Flask]) -> None:
    """An empty list, which Okta refuses, is not proposed."""
    world.create(CREATE)
    world.hooks = (EventHook("okta"),)
    world.configure()

    error = world.fail("apply", "--yes")
    assert error == "Error: No receivers are connected, so there is nothing to subscribe to."
    assert world.asked() == ["GET /api/v1/eventHooks"]


def test_receivers_of_what_is_never_delivered(world: World, okta: EventHook) -> None:
    """It is said, and does not keep the rest from being in step."""
    world.create(CREATE, DEACTIVATE)
    for pattern in ("event_hook.delivery", "user.lifecycle.creat"):
        okta.signal(pattern).connect(print)

    result = world.run("plan")
    assert result.stderr.splitlines() == [
        (
            "Warning: builtins:print will never get event_hook.delivery: "
            "Okta has it in its System Log only, and delivers it to no event hook."
        ),
        (
            "Warning: builtins:print will never get user.lifecycle.creat: "
            f"no such event type is known in Okta's release {catalog.RELEASE}."
        ),
    ]
    world.hooks = (EventHook("okta"),)
    world.hooks[0].signal("event_hook.delivery").connect(print)
    world.configure()
    assert world.fail("plan").startswith(
        "Error: Okta delivers nothing that the receivers are connected to (event_hook.delivery: "
    )


def test_an_inactive_hook(world: World) -> None:
    """It is out of step until apply has switched it on."""
    hook_id = world.create(CREATE, DEACTIVATE)
    world.org.deactivate_hook(hook_id)

    assert "    ~ status: INACTIVE -> ACTIVE" in world.run("plan", status=2).stdout
    assert "inactive" in world.run("verify").stderr
    assert world.run("apply", "--yes").stdout.splitlines()[-1] == "Activated."
    world.run("plan")


def test_verify_later(world: World) -> None:
    """What apply leaves unverified is out of step until verify has been run."""
    applied = world.run("apply", "--url", world.url, "--no-verify", "--yes")
    assert "It gets no events yet" in applied.stderr
    planned = world.run("plan", status=2)
    assert "    ~ verification: UNVERIFIED -> VERIFIED" in planned.stdout
    assert "Plan: 1 to change: 1 other change." in planned.stdout

    world.asked()
    world.run("apply", "--no-verify", "--yes")
    assert world.asked() == ["GET /api/v1/eventHooks"]

    (hook,) = world.org.hooks()
    assert world.run("verify").stdout == f"The hook 'okta' ({hook['id']}) is verified.\n"
    assert json.loads(world.run("verify", "--json").stdout) == {
        "id": hook["id"],
        "name": "okta",
        "url": world.url,
        "status": "ACTIVE",
        "verification": "VERIFIED",
    }
    world.run("plan")


def test_another_header_and_another_name(world: World) -> None:
    """Where the secret goes is changed with the rest; the name only if one is given."""
    hook_id = world.create(CREATE, DEACTIVATE)
    world.configure(AUTH_HEADER="X-Okta-Secret")

    planned = world.run("plan", "--url", world.url, "--name", "Colleagues", status=2)
    assert planned.stdout.splitlines() == [
        f"  ~ 'Staff' ({hook_id}) at {world.url}",
        "    ~ name: Staff -> Colleagues",
        "    ~ header of the secret: authorization -> X-Okta-Secret",
        "Plan: 1 to change: 2 other changes.",
    ]


def test_a_hook_that_moves(world: World) -> None:
    """By its name it is found wherever it is, and verified at the new place."""
    hook_id = world.create(CREATE, DEACTIVATE)
    app = world.configure()
    with serving(app) as elsewhere:
        assert "--name moves it" in world.run("plan", "--url", elsewhere, status=2).stderr
        result = world.run("apply", "--name", "Staff", "--url", elsewhere, "--yes")
        assert f"    ~ URL: {world.url} -> {elsewhere}" in result.stdout
        assert len(world.org.hooks()) == 1
        assert world.org.hook(hook_id)["verificationStatus"] == "VERIFIED"
        # A slash at the end is no difference.
        world.run("plan", "--name", "Staff", "--url", f"{elsewhere}/")


def test_a_url_with_another_path(world: World) -> None:
    """A slip in the URL is noticed before Okta is told."""
    result = world.run("plan", "--url", f"{world.url}s", status=2)
    assert result.stderr == (
        "Warning: The app has this hook at /okta/events: "
        f"does something in front of it change the path of {world.url}s?\n"
    )


def test_the_default_name_is_taken(world: World) -> None:
    """A second hook of the same name is not created by the way."""
    world.create(CREATE, name="okta")

    assert world.fail("apply", "--url", "https://new.example.com/okta/events", "--yes") == (
        "Error: The org has a hook named 'okta', at another URL: "
        "--name okta moves that one, and another --name creates one beside it."
    )


def test_no_hook_is_found(world: World) -> None:
    """Without a URL there is nothing to create, and nothing to verify."""
    for command in ("plan", "apply"):
        assert world.fail(command) == (
            "Error: No event hook of the org delivers to the path /okta/events: "
            "say with --url where Okta is to deliver to."
        )
    assert "is named 'Staff'" in world.fail("plan", "--name", "Staff")
    cure = "apply --url https://... creates it."
    assert world.fail("verify") == (
        f"Error: No event hook of the org delivers to the path /okta/events: {cure}"
    )
    world.create(CREATE, name="okta")
    assert world.fail("verify", "--url", "https://new.example.com/okta/events?key=k") == (
        f"Error: No event hook of the org delivers to https://new.example.com/okta/events: {cure}"
    )


def test_of_a_url_only_its_path_is_shown(world: World) -> None:
    """What may be secret in it is neither printed nor in the JSON, and that it changes is said."""
    url = f"{world.url}?key=hush"
    applied = world.run("apply", "--url", url, "--yes")
    again = world.run("apply", "--json", "--rotate", "--yes")
    moved = world.run("plan", "--name", "okta", "--url", f"{world.url}?key=other", status=2)
    document = world.run(
        "plan", "--name", "okta", "--url", f"{world.url}?key=other", "--json", status=2
    )
    beside = world.run(
        "plan", "--url", world.url.replace("127.0.0.1", "localhost"), "--name", "B", status=2
    )
    world.create(CREATE, name="B")
    several = world.run("plan", status=1)

    for result in (applied, again, moved, document, beside, several):
        assert "hush" not in result.output
        assert "key=" not in result.output
    assert f"URL: {world.url} -> {world.url} (what is not shown of it differs)" in moved.stdout
    assert world.org.hooks()[0]["channel"]["config"]["uri"] == url


def test_several_hooks_with_one_url(world: World) -> None:
    """They are listed, and the name tells which is meant."""
    world.create(CREATE, name="A")
    world.create(CREATE, DEACTIVATE, name="B")

    for how in ((), ("--url", world.url)):
        error = world.fail("plan", *how)
        assert error.startswith("Error: Several hooks of the org may be meant, 'A' (who")
        assert error.endswith("say which with --name.")
    world.run("plan", "--name", "B")
    world.run("plan", "--name", "B", "--url", world.url)
    world.create(CREATE, name="B")
    assert world.fail("plan", "--name", "B").endswith("give one another name at Okta.")


def test_an_app_with_several_hooks(world: World, okta: EventHook) -> None:
    """Each is a registration of its own, and a mapping has a secret for each."""
    customers = EventHook("customers", url_prefix="/okta/customers")
    customers.on("user.session.start")(lambda *_, **__: None)
    world.hooks = (okta, customers)
    with serving(world.configure(SECRET={"okta": "a secret", "customers": SECRET})) as url:
        there = url.replace("events", "customers")
        assert "Say which --hook" in world.fail("plan", "--url", there)
        world.run("apply", "--hook", "customers", "--url", there, "--yes")
        world.run("plan", "--hook", "customers")
        assert world.org.hooks()[0]["verificationStatus"] == "VERIFIED"


def test_a_path_that_varies(world: World, make_app: Callable[..., Flask]) -> None:
    """A hook whose path has a variable part is found by its URL or its name only."""
    hook = EventHook("okta", url_prefix="/<tenant>/events")
    hook.on(CREATE)(lambda *_, **__: None)
    world.hooks = (hook,)
    world.configure()

    assert "say with --url" in world.fail("plan")
    assert world.run("plan", "--url", "https://app.example.com/a/events", status=2).stderr == ""


def test_an_app_without_a_secret(world: World) -> None:
    """What needs none is registered without one, and a warning says what that means."""
    world.configure(SECRET=None, ALLOW_UNAUTHENTICATED=True)
    with serving(world.app) as url:
        result = world.run("apply", "--url", url, "--yes")
        assert "Warning: The app has no secret" in result.stderr
        assert world.org.hooks()[0]["channel"]["config"]["authScheme"] is None
        assert "no secret to give" in world.fail("apply", "--rotate", "--yes")
        world.run("plan")


def test_the_secret_is_rotated(world: World, okta: EventHook) -> None:
    """The first secret is put out though nothing else has changed, and Okta shows it to the app at once."""
    world.create(CREATE, DEACTIVATE)
    with serving(world.configure(SECRET=["the new one", SECRET])) as url:
        world.run("apply", "--name", "Staff", "--url", url, "--yes")
        world.configure(SECRET=["the newest", "the new one"])
        assert "is in step" in world.run("apply", "--yes").stdout
        result = world.run("apply", "--rotate", "--yes", status=1)

        assert "    ~ secret: the first one of OKTA_HOOKS_SECRET" in result.stdout
        assert "The endpoint answered 401" in result.stderr
        assert "Okta has the first secret of here already." in result.stderr
        assert "the newest" not in result.output
        assert "has the first secret" not in world.run("verify", status=1).stderr
        world.configure(SECRET=["the new one", SECRET])
        assert "run apply --rotate where the right one is configured" in result.stderr
        assert world.run("apply", "--rotate", "--yes").stdout.endswith("Verified.\n")


def test_too_many_hooks(world: World) -> None:
    """An org that has its 25 active hooks says so."""
    for number in range(25):
        world.create(CREATE, name=f"Hook {number}")

    assert world.fail(
        "apply", "--name", "One more", "--url", "https://a.example.com/", "--yes"
    ) == (
        "Error: Okta answered 400: E0000001: Api validation failed: eventHook "
        "(An org has at most 25 active event hooks)."
    )


def test_http_is_the_orgs_decision(world: World) -> None:
    """What Okta says of a URL is passed on."""
    world.org.http_hooks = False

    error = world.fail("apply", "--url", world.url, "--yes")
    assert "channel.config.uri: The URL must begin with https:// and have a host" in error


def test_an_app_that_is_down(world: World) -> None:
    """The hook is created, the verification fails with what to look at, and goes on from there later."""
    result = world.run("apply", "--url", "http://127.0.0.1:9/okta/events", "--yes", status=1)
    assert result.stdout.splitlines()[-1].startswith("Created: who")
    lines = result.stderr.splitlines()
    assert lines[0] == "Okta asked http://127.0.0.1:9/okta/events, and got no right answer. Look at"
    assert lines[-1].startswith("Error: The hook is not verified. Okta answered 400: E0000001")
    assert lines[-1].endswith("When that is mended: flask okta-hooks verify")
    assert "has the first secret" not in result.stderr

    assert "Connection refused" in world.fail("verify")
    world.asked()
    world.fail("apply", "--yes")
    assert [request.split()[0] for request in world.asked()] == ["GET", "POST"]


class SlowOrg(Org):
    """An org that verifies a hook some looks after it has said that it would."""

    looks = 3

    def verify_hook(self, hook_id: str) -> dict[str, Any]:
        """Verify a hook, and do not show it yet."""
        return {**super().verify_hook(hook_id), "verificationStatus": "UNVERIFIED"}

    def hooks(self) -> list[dict[str, Any]]:
        """Show a hook as verified when it has been looked at often enough."""
        self.looks -= 1
        state = "VERIFIED" if self.looks < 1 else "UNVERIFIED"
        return [{**hook, "verificationStatus": state} for hook in super().hooks()]


def verify_slowly(world: World, looks: int, wait: Callable[[float], Any]) -> RegisteredHook:
    """Verify a hook of an org that has to be looked at so many times."""
    slow = SlowOrg(token=TOKEN, seed=1, http_hooks=True)
    configured = {"OKTA_HOOKS_API_TOKEN": TOKEN}
    with Simulator(slow) as simulator:
        configured["OKTA_HOOKS_ORG_URL"] = simulator.url
        with OktaOrg(settings.read(configured)) as org:
            world.org = slow
            world.create(CREATE, DEACTIVATE)
            (hook,) = org.hooks()
            slow.looks = looks
            return subscription.verify(org, hook, wait=wait)


def test_okta_takes_its_time(world: World) -> None:
    """A hook that is not verified at once is looked at again."""
    waited: list[float] = []

    assert verify_slowly(world, 3, waited.append).is_verified
    assert waited == [2.0, 2.0, 2.0]


def test_okta_takes_for_ever(world: World) -> None:
    """It is not looked at again without end."""
    waited: list[float] = []

    with pytest.raises(VerificationFailed, match="after 20 s the hook is UNVERIFIED"):
        verify_slowly(world, 100, waited.append)
    assert sum(waited) == 20.0


def test_a_hook_that_is_deleted_meanwhile(world: World) -> None:
    """Between plan and apply somebody may be faster."""
    hook_id = world.create(CREATE)

    @world.simulator.app.before_request
    def delete() -> None:
        if request.method == "PUT":
            world.org.deactivate_hook(hook_id)
            world.org.delete_hook(hook_id)

    assert world.fail("apply", "--yes") == (
        f"Error: The hook 'Staff' ({hook_id}) has been deleted at Okta in the meantime: plan again."
    )


def test_a_wrong_token(world: World) -> None:
    """It is not shown, and the key that holds it is named."""
    world.configure(API_TOKEN="00a-another")

    error = world.fail("plan")
    assert error == (
        "Error: Okta answered 401: E0000011: Invalid token provided. "
        "The token is wrong, expired or revoked, or another org's: see OKTA_HOOKS_API_TOKEN."
    )
    assert "00a-another" not in error


def test_a_token_that_may_not(world: World) -> None:
    """Whoever is refused reads which permission the command needs."""
    world.create(CREATE)
    refusal = {
        "errorCode": "E0000006",
        "errorSummary": "You do not have permission to perform the requested action",
    }

    @world.simulator.app.before_request
    def refuse() -> Any:
        return (refusal, 403) if request.method != "GET" else None

    world.run("plan", status=2)
    error = world.fail("apply", "--yes")
    assert error.startswith("Error: Okta answered 403: E0000006: You do not have permission to")
    assert error.endswith("This command needs okta.eventHooks.read and okta.eventHooks.manage.")
    assert world.fail("verify").endswith("okta.eventHooks.manage.")


def test_a_service_app_without_the_scope(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token endpoint's refusal names what is needed, and a wrong key is told apart."""
    monkeypatch.setenv("OKTA_CLIENT_AUTHORIZATIONMODE", "PrivateKey")
    monkeypatch.setenv("OKTA_CLIENT_CLIENTID", "0oa1")
    monkeypatch.setenv("OKTA_CLIENT_SCOPES", "okta.logs.read")
    monkeypatch.setenv("OKTA_CLIENT_PRIVATEKEY", RSA.generate(2048).export_key().decode())
    answers = [
        ({"error": "invalid_client", "error_description": "The client is not known."}, 401),
        ({"error": "invalid_scope", "error_description": "One is not granted."}, 400),
    ]
    world.simulator.app.add_url_rule("/oauth2/v1/token", "token", answers.pop, methods=["POST"])
    world.configure(API_TOKEN=None)

    assert world.fail("plan") == (
        "Error: Okta answered 400: invalid_scope: One is not granted. "
        "This command needs okta.eventHooks.read."
    )
    assert world.fail("plan").endswith(
        "The client id or the private key is not that of a service app of this org."
    )


def test_something_that_is_no_org(world: World) -> None:
    """Another server's 404, and a host that nobody listens at, are told from Okta's answers."""
    world.configure(ORG_URL=world.url.removesuffix("/okta/events"))
    assert world.fail("plan") == (
        "Error: Okta answered 404: it gave no reason. Is OKTA_HOOKS_ORG_URL the URL of an Okta org?"
    )
    world.configure(ORG_URL="http://127.0.0.1:9")
    world.configure(ORG_URL=world.org.url)
    world.simulator.app.before_request(lambda: "Hello")
    assert world.fail("plan").endswith("with JSON: is it the URL of an Okta org?")
    world.configure(ORG_URL="http://127.0.0.1:9")
    assert world.fail("plan").startswith("Error: http://127.0.0.1:9 cannot be reached: ")
    world.configure(ORG_URL=None)
    assert world.fail("plan").startswith("Error: OKTA_HOOKS_ORG_URL is not set")


def test_a_rate_limited_org(world: World) -> None:
    """What is waited for is told on the standard error, and the plan comes after it."""
    now = [datetime.now(UTC) - timedelta(hours=1)]
    world.org.clock = lambda: now[0]
    simulator = Simulator(world.org, rate_limits={"/api/v1/eventHooks": 1})

    @simulator.app.after_request
    def let_a_minute_pass(response: Response) -> Response:
        if response.status_code == 429:
            now[0] += timedelta(minutes=1)
        return response

    with simulator:
        world.configure()
        world.create(CREATE, DEACTIVATE)
        assert world.run("plan").stderr == ""
        result = world.run("plan", "--json")
    assert json.loads(result.stdout)["in_step"] is True
    assert result.stderr.startswith(
        f"The rate limit of {world.org.url} is used up: going on in 1 s"
    )


def test_nothing_secret_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Neither when all goes well nor when it does not, nor in what a traceback shows of a plan."""
    caplog.set_level(logging.DEBUG)
    world.run("apply", "--url", world.url, "--yes")
    world.run("apply", "--rotate", "--yes")
    world.org.http_hooks = False
    world.fail("apply", "--rotate", "--yes")

    assert caplog.text
    assert SECRET not in caplog.text
    assert TOKEN not in caplog.text


def test_wrong_use_is_not_out_of_step(world: World, tmp_path: Path) -> None:
    """A pipeline must not take a slip in the command, or an app that is not found, for a plan."""
    world.run("plan", "--bogus", status=1)
    world.run("plan", "--url", "nonsense", status=1)
    ended = at_shell(tmp_path, "--app", "nowhere", "okta-hooks", "plan")
    assert ended.returncode == 1
    assert "Could not import 'nowhere'" in ended.stderr


def test_without_the_sdk(world: World, tmp_path: Path) -> None:
    """Who has not installed the extra is told how."""
    write_host(tmp_path, "import sys; sys.modules['okta'] = None")

    ended = at_shell(tmp_path, "--app", "host", "okta-hooks", "plan")
    assert ended.returncode == 1
    assert ended.stderr == (
        "Error: To talk to Okta its SDK is needed: pip install 'okta-hooks[okta]'\n"
    )


def write_host(folder: Path, first: str = "") -> None:
    (folder / "host.py").write_text(
        f"{first}\n"
        "from flask import Flask\n"
        "from okta_hooks import EventHook\n"
        "okta = EventHook('okta')\n"
        "okta.on('user.lifecycle.create', 'user.lifecycle.deactivate')(lambda *_, **__: None)\n"
        "app = Flask(__name__)\n"
        "app.config.from_prefixed_env()\n"
        "app.register_blueprint(okta)\n"
    )


def environment(org_url: str = "") -> dict[str, str]:
    return {
        **os.environ,
        "FLASK_OKTA_HOOKS_SECRET": SECRET,
        "FLASK_OKTA_HOOKS_ORG_URL": org_url,
        "FLASK_OKTA_HOOKS_API_TOKEN": TOKEN,
    }


def at_shell(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flask", *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
    )


class Terminal:
    """``flask okta-hooks apply`` at a terminal, up to its question."""

    def __init__(self, folder: Path, world: World, *arguments: str) -> None:
        write_host(folder)
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "host", "okta-hooks", "apply", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env=environment(world.org.url),
        )
        os.close(slave)
        self.shown = ""
        while "[y/N]: " not in self.shown:
            self.shown += os.read(self.master, 4096).decode()

    def answer(self, text: str) -> int:
        """Answer the question, and return the status that the command ends with."""
        os.write(self.master, text.encode())
        try:
            while chunk := os.read(self.master, 4096):
                self.shown += chunk.decode()
        except OSError:  # how Linux says that nobody holds the other end any more
            pass
        os.close(self.master)
        return self.process.wait()


def test_a_person_is_asked(world: World, tmp_path: Path) -> None:
    """At a terminal there are colours and a question, and only yes does anything."""
    refused = Terminal(tmp_path, world, "--url", world.url)
    assert f"    \x1b[32m+\x1b[0m {CREATE}" in refused.shown
    assert refused.answer("n\n") == 1
    assert world.org.hooks() == []

    agreed = Terminal(tmp_path, world, "--url", world.url)
    assert agreed.answer("y\n") == 0
    assert world.org.hooks()[0]["verificationStatus"] == "VERIFIED"
    assert "\x1b" not in world.run("plan").output


def test_the_hook_changes_while_a_person_is_asked(world: World, tmp_path: Path) -> None:
    """What was agreed to is not what would be done, so it is not done."""
    hook_id = world.create(CREATE)
    terminal = Terminal(tmp_path, world)
    world.org.deactivate_hook(hook_id)

    assert terminal.answer("y\n") == 1
    assert "The hook has been changed at Okta meanwhile: plan again." in terminal.shown
    assert world.org.hook(hook_id)["events"]["items"] == [CREATE]


def test_nobody_is_there_to_ask(world: World) -> None:
    """A script has to say --yes."""
    assert world.fail("apply", "--url", world.url) == (
        "Error: There is no terminal to ask at: say --yes."
    )
    result = world.run("apply", "--url", world.url, "--json", status=1)
    assert result.stdout == ""
    assert world.org.hooks() == []
