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

#: A program of its own, because Sentry's SDK changes other libraries for good. It prints what would be sent:
#: first of a delivery during which the host logs an error, then of an attempt that fails.
PROGRAM = f"""
import json
import logging
import sys

import flask
import sentry_sdk
from sentry_sdk.transport import Transport

from okta_hooks import EventHook, drain

sent = []


class Keeper(Transport):
    def capture_envelope(self, envelope):
        if (event := envelope.get_event()) is not None:
            sent.append(event)


init = sentry_sdk.init
sentry_sdk.init = lambda **options: init(transport=Keeper, **options)
exec(sys.argv[1])

okta = EventHook("okta", url_prefix="/okta/events")


@okta.on("user.session.start", name="broken")
def broken(sender, event, **extra):
    raise LookupError("no such user")


app = flask.Flask("host", instance_path=sys.argv[2])
app.testing = True
app.config["OKTA_HOOKS_SECRET"] = "{SECRET}"
app.config["OKTA_HOOKS_AUTH_HEADER"] = "X-Okta-Secret"
app.register_blueprint(okta)
app.before_request(lambda: logging.getLogger("host").error("of the host"))
answer = app.test_client().post(
    "/okta/events",
    json={{"data": {{"events": [{{"uuid": "1", "eventType": "user.session.start"}}]}}}},
    headers={{"X-Okta-Secret": "{SECRET}"}},
)
assert answer.status_code == 204
of_the_host = len(sent)
drain(app)
app.extensions["okta_hooks"].close()
print(json.dumps([sent[:of_the_host], sent[of_the_host:]], default=str))
"""
#: As a host has it that knows nothing of this.
PLAIN = 'sentry_sdk.init(dsn="https://key@sentry.example.com/1")'


def sent(recipe: str, folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, recipe, str(folder)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    of_the_host, of_the_attempt = json.loads(found.stdout)
    return of_the_host, of_the_attempt


@pytest.fixture
def recipe() -> str:
    found = re.search(
        r"^```py\n(import sentry_sdk\n.*?)```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert found
    return found[1]


def test_what_the_page_warns_of(tmp_path: Path) -> None:
    """Without care Sentry is sent the secret of another header, and nothing of an attempt that fails."""
    of_the_host, of_the_attempt = sent(PLAIN, tmp_path)

    assert [event["request"]["headers"]["X-Okta-Secret"] for event in of_the_host] == [SECRET]
    assert of_the_attempt == []


def test_the_recipe(recipe: str, tmp_path: Path) -> None:
    """With the page's recipe it is sent every failed attempt, and the secret never."""
    of_the_host, of_the_attempt = sent(recipe, tmp_path)

    assert len(of_the_host) == 1
    assert SECRET not in json.dumps(of_the_host)
    (event,) = of_the_attempt
    assert [each["type"] for each in event["exception"]["values"]] == ["LookupError"]
    assert "request" not in event
