from __future__ import annotations

from okta_hooks import EventHook
from tests.support import NEEDS_SDK, serving

from .support import CREATE, DEACTIVATE, SECRET, World

pytestmark = NEEDS_SDK


def test_no_hook_is_found(world: World) -> None:
    """Without a URL there is nothing to create, and nothing to verify."""
    world.configure(URL=None)
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
    world.configure(URL=url)
    again = world.run("apply", "--json", "--rotate", "--yes")
    moved = world.run("plan", "--name", "okta", "--url", f"{world.url}?key=other", status=2)
    document = world.run(
        "plan", "--name", "okta", "--url", f"{world.url}?key=other", "--json", status=2
    )
    beside = world.run(
        "plan", "--url", world.url.replace("127.0.0.1", "localhost"), "--name", "B", status=2
    )
    world.create(CREATE, name="B")
    world.create(CREATE, name="B")
    several = world.run("plan", "--name", "B", status=1)

    for result in (applied, again, moved, document, beside, several):
        assert "hush" not in result.output
        assert "key=" not in result.output
    assert f"URL: {world.url} -> {world.url} (what is not shown of it differs)" in moved.stdout
    assert world.org.hooks()[0]["channel"]["config"]["uri"] == url


def test_several_hooks_with_one_url(world: World) -> None:
    """They are listed, and the name tells which is meant."""
    world.create(CREATE, name="A")
    world.create(CREATE, DEACTIVATE, name="B")

    for how in ((), ("--url", world.url)):  # the configured one, or the same outright
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
    secrets = {"okta": "a secret", "customers": SECRET}
    with serving(world.configure(SECRET=secrets)) as base:
        url = f"{base}/okta/events"
        there = url.replace("events", "customers")
        assert "Say which --hook" in world.fail("plan", "--url", there)
        applied = world.run("apply", "--hook", "customers", "--url", there, "--yes")
        assert applied.stderr == (
            f"Set OKTA_HOOKS_URL of the hook 'customers' to {there}, so that the other commands know the hook.\n"
        )
        world.configure(SECRET=secrets, URL={"customers": there})
        world.run("plan", "--hook", "customers")
        assert world.org.hooks()[0]["verificationStatus"] == "VERIFIED"


def test_an_app_without_a_secret(world: World) -> None:
    """What needs none is registered without one, and a warning says what that means."""
    world.configure(SECRET=None, ALLOW_UNAUTHENTICATED=True)
    with serving(world.app) as base:
        url = f"{base}/okta/events"
        result = world.run("apply", "--url", url, "--yes")
        assert "Warning: The app has no secret" in result.stderr
        assert world.org.hooks()[0]["channel"]["config"]["authScheme"] is None
        assert "no secret to give" in world.fail("apply", "--rotate", "--yes")
        world.run("plan", "--url", url)


def test_what_the_other_commands_need(world: World) -> None:
    """As long as nothing says which hook is the app's, apply ends with what says it, and shows nothing secret."""
    world.configure(URL=None)
    hidden = f"{world.url}?key=hush"
    for url, setting in ((world.url, f"={world.url}"), (hidden, " to the whole URL")):
        for options in ((), ("--json",)):
            result = world.run("apply", "--url", url, "--name", f"At {setting}", "--yes", *options)
            line = result.stderr.splitlines()[-1]
            assert line == f"Set OKTA_HOOKS_URL{setting}, so that the other commands know the hook."

    world.configure(URL=world.url)
    assert world.run("plan").stderr == ""
    assert world.run("apply", "--url", world.url, "--yes").stderr == ""
