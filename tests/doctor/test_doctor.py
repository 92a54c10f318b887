from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from okta_hooks.doctor import configuration, examination
from okta_hooks.doctor.check import age, ordinal
from okta_hooks.org.urls import shown
from tests.support import DAY, HOUR

from .support import SECRET, examine, level, levels, only, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from okta_hooks import EventHook, LogEvent

    AppFactory = Callable[..., Flask]


URL = "https://app.example.com/okta/events"


def test_ages_places_and_urls() -> None:
    """They read as people say them, and of a URL nothing is shown that may be secret."""
    assert [age(seconds) for seconds in (-1, 5, 90, 3 * HOUR, 5 * DAY)] == [
        *("0 s", "5 s", "2 min", "3 h", "5 d")
    ]
    assert [ordinal(number) for number in (0, 2, 3)] == ["first", "third", "4th"]
    assert shown("https://u:p@host:8443/a?key=k#f") == "https://host:8443/a"
    assert shown("/login?next=x") == "/login"


# Configuration


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["k8sX2mPq-not-a-word"], None),
        (["k8sX2mPq-not-a-word", "another-of-that-kind"], None),
        (["k8sX2mPq"], "has fewer than 16 characters"),
        (["correct horse battery staple"], "anybody would guess"),
        (["ChangeMe"], "anybody would guess"),
        (["<put your secret here>"], "anybody would guess"),
        (["x" * 40], "anybody would guess"),
        (["'k8sX2mPq-not-a-word'"], "stands in quotes"),
        (["k8sX2mPq-not-a-word", "short"], "The secret in second position has fewer"),
        (["k8sX2mPq-not-a-word"] * 2, "stands in the list twice"),
    ],
)
def test_secrets(values: list[str], said: str | None) -> None:
    """One that is short, well known, quoted or there twice is warned of, and never shown."""
    found = list(configuration.secrets(values, allow_unauthenticated=False))

    if said is None:
        assert levels(found) == ["ok"]
    else:
        warned = [check for check in found if check.level == "warning"]
        assert said in only(warned).text
    texts = " ".join(f"{check.text}{check.cure}" for check in found)
    assert "k8sX2mPq" not in texts


@pytest.mark.parametrize("values", [[], ["k8sX2mPq-not-a-word"]])
def test_no_secret_is_needed(values: list[str]) -> None:
    """That anybody may post is warned of, whether there is a secret or not."""
    found = list(configuration.secrets(values, allow_unauthenticated=True))

    assert found[0].level == "warning"
    assert "OKTA_HOOKS_ALLOW_UNAUTHENTICATED is on" in found[0].text


def test_the_header() -> None:
    """One that proxies keep for themselves is warned of."""
    assert only(configuration.auth_header("X-Okta-Secret")).level == "ok"
    assert only(configuration.auth_header("Proxy-Authorization")).level == "warning"


def test_a_small_limit(make_app: AppFactory, okta: EventHook) -> None:
    """Deliveries have no maximum, so a limit below a megabyte is warned of."""
    assert levels(configuration.limits(10 * 1024 * 1024)) == []
    assert levels(configuration.limits(1000)) == ["warning"]
    assert level(examine(make_app(okta, INBOX=None, MAX_BODY=1000), "--offline"), "body-size") == (
        "warning"
    )


def test_without_an_inbox(make_app: AppFactory, okta: EventHook) -> None:
    """That Okta waits for receivers is warned of, and nothing more is said of an inbox."""
    found = examine(make_app(okta, SECRET=SECRET, INBOX=None), "--offline")

    assert level(found, "inbox") == "warning"
    assert "worker" not in found


def test_receivers() -> None:
    """None at all is a failure, unless another app may have them; a misspelt type has its near miss."""
    none: dict[str, list[str]] = {}
    assert only(configuration.receivers(none, is_external=False)).level == "failure"
    assert only(configuration.receivers(none, is_external=True)).level == "warning"
    good = {"a": ["user.lifecycle.*"], "b": ["*"]}
    assert only(configuration.receivers(good, is_external=False)).level == "ok"
    bad = {"a": ["user.lifecycle.deactivat", "*"], "b": ["event_hook.delivery"]}
    log_only, misspelt = configuration.receivers(bad, is_external=False)
    assert "'user.lifecycle.deactivate' meant? For that, a will" in misspelt.text
    assert "in its System Log only" in log_only.text
    assert (misspelt.level, log_only.level) == ("warning", "warning")
    in_beta = only(configuration.receivers({"a": ["entitlement.*"]}, is_external=False))
    assert in_beta.level == "warning"
    assert "has to be named exactly: entitlement." in in_beta.text


def test_receivers_that_cannot_be_called(make_app: AppFactory, okta: EventHook) -> None:
    """Blinker connects whatever it is given: each attempt would fail, half a day later the last."""

    def narrow(sender: Flask, event: LogEvent) -> None: ...

    okta.signal("user.lifecycle.create").connect(narrow)

    result = run(make_app(okta, SECRET=SECRET, INBOX=None), "doctor", "--offline")

    assert (
        "narrow cannot be called: got an unexpected keyword argument 'delivery'." in result.stdout
    )
    assert "write def receiver(app, event, **extra)" in result.stdout


# The command


def test_what_people_see(make_app: AppFactory, okta: EventHook) -> None:
    """A line for each check, its cure below it, and the counts at the end."""
    result = run(make_app(okta, SECRET=SECRET, INBOX=None), "doctor", "--offline")

    lines = result.stdout.splitlines()
    assert lines[0].startswith("ok       secret")
    where = next(number for number, line in enumerate(lines) if "inbox " in line)
    assert lines[where].startswith("warning  inbox          OKTA_HOOKS_INBOX is None")
    assert lines[where + 1].strip().startswith("-> Leave the key away")
    assert lines[-1] == "0 failures, 1 warning, 4 ok, 0 skipped"
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--offline", "--url", URL], "--url is asked over the network"),
        (["--offline", "--name", "Staff"], "--name is looked up at Okta"),
        (["--url", "app.example.com"], "is no URL"),
        (["--hook", "other"], "No hook 'other' is known; there are: okta."),
    ],
)
def test_wrong_use(
    make_app: AppFactory, okta: EventHook, arguments: list[str], complaint: str
) -> None:
    """The exit status is 2, and the message says what was wrong."""
    result = run(make_app(okta, SECRET=SECRET, INBOX=None), "doctor", *arguments)

    assert result.exit_code == 2
    assert complaint in result.output


def test_a_check_that_fails_itself(make_app: AppFactory, okta: EventHook) -> None:
    """It is a failure of its own, without a traceback, and the others run."""
    app = make_app(okta, SECRET=SECRET, INBOX=None)
    app.config["TRUSTED_HOSTS"] = 7  # no list

    found = examine(app, "--offline")

    assert "could not be checked to its end: TypeError" in found["host"][0]["text"]
    assert level(found, "inbox") == "warning"


def test_it_can_be_asked_from_code(make_app: AppFactory, okta: EventHook) -> None:
    """Each check comes when it is known."""
    app = make_app(okta, SECRET=SECRET, INBOX=None)
    checks = examination.examine(app, app.extensions["okta_hooks"], "okta", offline=True)

    assert next(checks).name == "secret"
