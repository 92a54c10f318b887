"""What is said when something fails after Okta was sent a replacement."""

from __future__ import annotations

import signal
import threading
from typing import Any

import pytest
from flask import request

from okta_hooks import EventHook
from okta_hooks.simulator import Answer
from tests.support import NEEDS_SDK

from .support import CREATE, DEACTIVATE, SECRET, World

pytestmark = NEEDS_SDK

AHEAD = "Okta has the first secret of here already."
UNKNOWN = "Whether Okta has taken the replacement is not known"


def way_back(world: World, hook_id: str) -> str:
    return (
        f"The hook was: 'Staff' ({hook_id}) at {world.url}, its secret in authorization, ACTIVE, VERIFIED, "
        f"types {CREATE}. The way back, where its receivers and its secret are configured: "
        f"flask okta-hooks apply --rotate --name Staff --url {world.url}\n"
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (({"errorCode": "E0000006"}, 403), "Okta answered 403"),
        (({"errorCode": "E0000009"}, 500), "Okta answered 500"),
        (("<html>", 200), "did not answer with JSON"),
    ],
)
def test_a_verification_that_is_not_answered(world: World, answer: Any, said: str) -> None:
    """Whatever keeps Okta from verifying, it has the new secret, and the old state and the way back are told."""
    hook_id = world.create(CREATE)

    @world.simulator.app.before_request
    def refuse() -> Any:
        return answer if request.path.endswith("/lifecycle/verify") else None

    failed = world.run("apply", "--yes", status=1).stderr

    assert AHEAD in failed
    assert UNKNOWN not in failed
    assert way_back(world, hook_id) in failed
    assert said in failed.splitlines()[-1]


def test_it_is_broken_off_while_okta_verifies(world: World) -> None:
    """Ctrl-C undoes nothing at Okta, so what it has is told then, too."""
    hook_id = world.create(CREATE)
    main = threading.main_thread().ident
    assert main is not None
    ended = threading.Event()

    @world.simulator.app.before_request
    def interrupt() -> None:
        if request.path.endswith("/lifecycle/verify"):
            signal.pthread_kill(main, signal.SIGINT)
            # An answer at the same moment would be taken, and the signal with it.
            ended.wait(10)

    failed = world.run("apply", "--yes", status=1).stderr
    ended.set()

    assert AHEAD in failed
    assert way_back(world, hook_id) in failed
    assert failed.endswith("Aborted!\n")


def test_a_hook_that_is_deactivated_after_it_was_replaced(world: World) -> None:
    """It is left so, and Okta has the new secret."""
    hook_id = world.create(CREATE)
    replace = world.org.replace_hook

    def replace_and_deactivate(hook_id: str, body: object) -> dict[str, Any]:
        replace(hook_id, body)
        return world.org.deactivate_hook(hook_id)

    world.org.replace_hook = replace_and_deactivate  # type: ignore[method-assign]

    failed = world.run("apply", "--yes", status=1).stderr

    assert "is left so" in failed.splitlines()[-1]
    assert AHEAD in failed
    assert way_back(world, hook_id) in failed


def test_a_replacement_whose_answer_is_lost(world: World) -> None:
    """Nobody knows whether Okta has it: that is said, with the way back from it."""
    hook_id = world.create(CREATE)

    @world.simulator.app.after_request
    def lose(response: Any) -> Any:
        if request.method == "PUT":
            response.status = 502
        return response

    failed = world.run("apply", "--yes", status=1).stderr

    assert UNKNOWN in failed
    assert AHEAD in failed
    assert way_back(world, hook_id) in failed


def test_a_replacement_that_is_refused(world: World) -> None:
    """Nothing has changed at Okta, so there is no way back to tell."""
    world.create(CREATE)

    @world.simulator.app.before_request
    def refuse() -> Any:
        return ({"errorCode": "E0000001"}, 400) if request.method == "PUT" else None

    failed = world.run("apply", "--yes", status=1).stderr

    assert "Okta answered 400" in failed
    assert AHEAD not in failed
    assert "The way back" not in failed


def config_of(url: str) -> dict[str, Any]:
    scheme = {"type": "HEADER", "key": "authorization", "value": SECRET}
    return {
        "type": "HTTP",
        "version": "1.0.0",
        "config": {"uri": url, "authScheme": scheme},
    }


@pytest.mark.parametrize("moves", [False, True])
def test_a_url_of_which_something_is_hidden(world: World, moves: bool) -> None:
    """The command that leads back has no URL that is cut short, and says so."""
    url = f"{world.url}?key=hush"
    world.create(CREATE, channel=config_of(url))
    world.configure(URL=url)

    @world.simulator.app.before_request
    def refuse() -> Any:
        return ({}, 403) if request.path.endswith("/lifecycle/verify") else None

    options = ["--name", "Staff", "--url", world.url] if moves else []
    failed = world.run("apply", "--yes", *options, status=1).stderr

    line = next(line for line in failed.splitlines() if "The way back" in line)
    assert "Of its URL, what may be secret is not shown." in line
    command = "flask okta-hooks apply --rotate --name Staff"
    assert line.endswith(f"{command} --url '<the whole URL as it was>'" if moves else command)
    assert "hush" not in failed


def test_a_filter_that_goes_is_told_as_it_was(world: World) -> None:
    """Nothing else keeps what an administrator has written: it is printed before Okta forgets it."""
    start = "user.session.start"
    entry = {"event": start, "condition": {"expression": "event.actor.id ne null"}}
    filters = {"type": "EXPRESSION_LANGUAGE", "eventFilterMap": [entry]}
    world.create(CREATE, events={"type": "EVENT_TYPE", "items": [CREATE, start], "filter": filters})

    lines = world.run("apply", "--yes").stdout.splitlines()

    told = next(line for line in lines if line.startswith(f"The filter of {start} goes: "))
    assert "event.actor.id ne null" in told
    assert lines.index(told) < lines.index("Changed.")
    assert sorted(world.org.hooks()[0]["events"]["items"]) == [CREATE, DEACTIVATE]


def test_the_way_back_in_an_app_with_several_hooks(world: World, okta: EventHook) -> None:
    """It says which hook of the app it is about."""
    world.hooks = (okta, EventHook("customers", url_prefix="/okta/customers"))
    world.configure()
    world.create(CREATE)
    world.org.send = lambda _: Answer(status=404, body=b"")

    failed = world.run("apply", "--hook", "okta", "--yes", status=1).stderr

    assert f"apply --rotate --hook okta --name Staff --url {world.url}\n" in failed
