"""What the documentation says of Sentry, held against its own SDK."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parent.parent.parent / "docs" / "how-to" / "host.md"
SECRET = "hush-secret"
PERSON = "hush-Ada Lovelace"

#: A program of its own, because Sentry's SDK changes other libraries for good. It prints what would be sent of requests
#: for another page, which starts the worker's threads, and of a delivery, in each of which the host logs an error;
#: and of receivers: one fails twice, and may not a third time, another rejects its event. What runs them is
#: the worker, or ticks.
PROGRAM = f"""
import json
import logging
import sys
import threading
import time

import flask
import sentry_sdk
from sentry_sdk.transport import Transport

from okta_hooks import EventHook, Reject, signals
from okta_hooks.operations import Operations

sent = []
is_over = threading.Semaphore(0)


class Keeper(Transport):
    def capture_envelope(self, envelope):
        if (event := envelope.get_event()) is not None:
            sent.append(event)


init = sentry_sdk.init
sentry_sdk.init = lambda **options: init(transport=Keeper, **options)
exec(sys.argv[1])

okta = EventHook("okta", url_prefix="/okta/events")


@okta.on("user.session.start", name="working")
def working(sender, event, **extra):
    logging.getLogger("host").warning("of the one before")


@okta.on("user.session.start", name="broken")
def broken(sender, event, **extra):
    person = "{PERSON}"
    raise LookupError("no such user")


@okta.on("user.session.end", name="rejecting")
def rejecting(sender, event, **extra):
    raise Reject("not ours")


app = flask.Flask("host", instance_path=sys.argv[2])
app.config["OKTA_HOOKS_SECRET"] = "{SECRET}"
app.config["OKTA_HOOKS_AUTH_HEADER"] = "X-Okta-Secret"
app.config["OKTA_HOOKS_MAX_ATTEMPTS"] = 2
app.config["OKTA_HOOKS_OPERATIONS_TOKEN"] = "{SECRET}-of-ticks"
ticks = sys.argv[3] == "ticks"
if ticks:
    app.config["OKTA_HOOKS_WORKER"] = "external"
app.register_blueprint(okta)
app.register_blueprint(Operations())
app.add_url_rule("/elsewhere", view_func=lambda: "", endpoint="elsewhere")
app.before_request(lambda: logging.getLogger("host").error("of the host"))
signals.event_dead.connect(lambda *_, **__: is_over.release(), weak=False)
assert app.test_client().get("/elsewhere").status_code == 200
events = [
    {{"uuid": "1", "eventType": "user.session.start"}},
    {{"uuid": "2", "eventType": "user.session.end"}},
]
answer = app.test_client().post(
    "/okta/events",
    json={{"data": {{"events": events}}}},
    headers={{"X-Okta-Secret": "{SECRET}"}},
)
assert answer.status_code == 204, answer.text
until = time.monotonic() + 60
for _ in events:
    while not is_over.acquire(timeout=0.2):
        assert time.monotonic() < until
        if ticks:
            bearer = {{"Authorization": "Bearer {SECRET}-of-ticks"}}
            assert app.test_client().post("/okta/tick", headers=bearer).status_code == 200
app.extensions["okta_hooks"].close()
print(json.dumps(sent, default=str))
"""
#: As a host has it that knows nothing of this.
PLAIN = 'sentry_sdk.init(dsn="https://key@sentry.example.com/1")'
DEAD = "Dead letter of the hook %(hook)r: %(event)s for %(receivers)s, from %(origin)s: %(reason)s"


def sent(
    recipe: str, folder: Path, by: str = "worker"
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what would be sent of the host's own errors, and of the receivers'."""
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, recipe, str(folder), by],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    events = json.loads(found.stdout)
    of_the_host = [event for event in events if event.get("logger") == "host"]
    return of_the_host, [event for event in events if event not in of_the_host]


def of(receiver: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        event
        for event in events
        if receiver
        in (event.get("tags", {}).get("okta_receiver"), event["extra"].get("okta_receiver"))
    ]


@pytest.fixture
def recipe() -> str:
    found = re.search(
        r"^```py\n(import sentry_sdk\n.*?)```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found
    return found[1]


def test_what_the_page_warns_of(tmp_path: Path) -> None:
    """Without care Sentry is sent the secret of another header, people's data, and nothing of a first failure."""
    of_the_host, of_receivers = sent(PLAIN, tmp_path)

    assert SECRET in {event["request"]["headers"].get("X-Okta-Secret") for event in of_the_host}
    (dead,) = of("broken", of_receivers)
    assert PERSON in json.dumps(dead)
    assert [event["logentry"]["message"] for event in of_receivers] == [DEAD, DEAD]


def test_the_recipe(recipe: str, tmp_path: Path) -> None:
    """With the page's recipe it is sent the first failure and the dead letter, and no secret or data of people."""
    of_the_host, of_receivers = sent(recipe, tmp_path)

    assert not any(each in json.dumps([of_the_host, of_receivers]) for each in (SECRET, PERSON))
    first, dead = of("broken", of_receivers)
    for event in (first, dead):
        assert [each["type"] for each in event["exception"]["values"]] == ["LookupError"]
    assert first["tags"] == {
        "okta_hook": "okta",
        "okta_receiver": "broken",
        "okta_event_type": "user.session.start",
    }
    assert "logentry" not in first
    assert dead["logentry"]["message"] == DEAD
    assert dead["extra"]["okta_event_type"] == "user.session.start"
    assert first["extra"]["okta_uuid"] == dead["extra"]["okta_uuid"] == "1"
    (rejected,) = of("rejecting", of_receivers)
    assert "exception" not in rejected
    assert rejected["logentry"]["message"] == DEAD
    assert len(of_receivers) == 3


@pytest.mark.parametrize("by", ["worker", "ticks"])
def test_no_event_is_tied_to_a_request(recipe: str, by: str, tmp_path: Path) -> None:
    """Neither to that which has started the threads, to the delivery, nor to a tick; none holds what is of another."""
    of_receivers = sent(recipe, tmp_path, by)[1]

    assert len(of_receivers) == 3
    for event in of_receivers:
        event.pop("exception", None)  # its frames quote the program
        text = json.dumps(event)
        assert "request" not in event
        assert not any(each in text for each in ("/elsewhere", "/okta/events", "/okta/tick"))
        assert not any(each in text for each in ("of the host", "of the one before"))
