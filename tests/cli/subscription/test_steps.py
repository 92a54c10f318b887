from __future__ import annotations

import json
from typing import TYPE_CHECKING

from okta_hooks import EventHook, catalog
from tests.support import NEEDS_SDK, serving

from .support import CREATE, DEACTIVATE, SECRET, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

pytestmark = NEEDS_SDK

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
    assert applied.stderr == ""
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
        (
            "Okta does not tell which secret it has: "
            "apply --rotate gives it the first one of OKTA_HOOKS_SECRET."
        ),
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
        "    - lost: filter of user.session.start",
        "Plan: 1 to change: 1 type to add, 1 to remove.",
    ]
    applied = world.run("apply", "--yes")
    assert "for the proxy only" not in planned.output + applied.output
    assert world.asked()[1:] == [
        "GET /api/v1/eventHooks",
        f"GET /api/v1/eventHooks/{hook_id}",
        f"PUT /api/v1/eventHooks/{hook_id}",
        f"POST /api/v1/eventHooks/{hook_id}/lifecycle/verify",
    ]

    hook = world.org.hook(hook_id)
    assert (hook["name"], hook["description"]) == ("Staff", "For the staff")
    assert set(hook["events"]["items"]) == {CREATE, DEACTIVATE}
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
    assert set(world.org.hooks()[0]["events"]["items"]) == set(GA)
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
    assert error.startswith(
        "Error: No receivers are connected, so there is nothing to subscribe to. Is"
    )
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
    with serving(app) as base:
        elsewhere = f"{base}/okta/events"
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


def test_the_secret_is_rotated(world: World, okta: EventHook) -> None:
    """The first secret is put out though nothing else has changed, and Okta shows it to the app at once."""
    world.create(CREATE, DEACTIVATE)
    with serving(world.configure(SECRET=["the new one", SECRET])) as base:
        url = f"{base}/okta/events"
        world.run("apply", "--name", "Staff", "--url", url, "--yes")
        world.configure(SECRET=["the newest", "the new one"], URL=url)
        assert "is in step" in world.run("apply", "--yes").stdout
        result = world.run("apply", "--rotate", "--yes", status=1)

        assert "    ~ secret: the first one of OKTA_HOOKS_SECRET" in result.stdout
        assert "it answered 401" in result.stderr
        assert "Nothing was changed at Okta" in result.stderr
        assert "the newest" not in result.output
        assert world.run("verify").stdout.endswith("is verified.\n")
        world.configure(SECRET=["the new one", SECRET], URL=url)
        assert world.run("apply", "--rotate", "--yes").stdout.endswith("Verified.\n")


def test_too_many_hooks(world: World) -> None:
    """An org that has its 25 active hooks says so."""
    for number in range(25):
        world.create(CREATE, name=f"Hook {number}")

    assert world.fail(
        "apply", "--name", "One more", "--url", "https://a.example.com/", "--yes"
    ) == (
        "Error: Okta answered 400: E0000001: Api validation failed: eventHook "
        "(An org has at most 25 active and verified event hooks)."
    )


def test_http_is_the_orgs_decision(world: World) -> None:
    """What Okta says of a URL is passed on."""
    world.org.http_hooks = False

    error = world.fail("apply", "--url", world.url, "--yes")
    assert "channel.config.uri: The URL must begin with https:// and have a host" in error
