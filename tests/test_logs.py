from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import okta_hooks
from okta_hooks import EventHook, Reject
from okta_hooks.doctor.check import failure
from okta_hooks.exceptions import OktaRefused, OktaUnavailable, as_sentence
from okta_hooks.logs import get_logger, plain_logger
from okta_hooks.org.hooks import RegisteredHook
from okta_hooks.org.subscription import described
from okta_hooks.org.urls import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

FORGED = "Ada\x1b[2J\r\nINFO: all is well \u202e\u2028"
SHOWN = r"Ada\x1b[2J\x0d\x0aINFO: all is well \u202e\u2028"


def attributes(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name.startswith("okta_")}


def test_a_message_stands_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever an argument is, a text or an error that has one, what does not show in it is escaped."""
    arguments = {"receiver": FORGED, "error": ValueError(FORGED)}
    plain_logger("okta_hooks.a").warning("1: %(receiver)s, %(error)s", arguments)
    get_logger("okta_hooks.b").warning("2: %(receiver)s, %(error)s", arguments)

    assert caplog.messages == [f"1: {SHOWN}, {SHOWN}", f"2: {SHOWN}, {SHOWN}"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("Straße 🔑 100%", "Straße 🔑 100%"), (FORGED, SHOWN)],
    ids=["plain", "forged"],
)
def test_a_message_is_constant(text: str, shown: str, caplog: pytest.LogCaptureFixture) -> None:
    """Those who gather messages by their kind find the arguments apart, with or without something escaped."""
    plain_logger("okta_hooks.a").warning(
        "%(error)s: 100%%, %(count)d", {"error": ValueError(text), "count": 2, "uuid": None}
    )

    (record,) = caplog.records
    assert record.msg == "%(error)s: 100%%, %(count)d"
    assert record.args == {"error": shown, "count": 2, "uuid": None}
    assert attributes(record) == {"okta_error": shown, "okta_count": 2, "okta_uuid": None}
    assert record.getMessage() == f"{shown}: 100%, 2"
    assert all(type(value) in (str, int, type(None)) for value in attributes(record).values())


def test_a_text_is_quoted_as_it_came(caplog: pytest.LogCaptureFixture) -> None:
    """What is escaped is not escaped once more by ``%r``."""
    for text in (FORGED, r"a\b", "it's"):
        plain_logger("okta_hooks.a").warning("%(hook)r", {"hook": text})

    assert caplog.messages == [repr(FORGED), r"'a\\b'", '"it\'s"']


def test_what_has_no_text_is_logged_without(caplog: pytest.LogCaptureFixture) -> None:
    """An error whose text cannot be had makes no message fail."""

    class Silent(Exception):
        def __str__(self) -> str:
            raise LookupError

    plain_logger("okta_hooks.silent").warning(
        "%(hook)s: %(error)s", {"hook": "a", "error": Silent()}
    )

    assert caplog.messages == ["a: (no text)"]


def test_a_message_that_does_not_fit_is_left_to_the_host(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What cannot be formatted is passed on: nothing is raised here, and the host's handlers tell of it."""
    logger = get_logger("okta_hooks.unfit")
    handler = logging.StreamHandler()
    logger.logger.addHandler(handler)
    logger.logger.propagate = False
    try:
        logger.warning("%(count)d", {"count": "many"})
    finally:
        logger.logger.propagate = True
        logger.logger.removeHandler(handler)

    assert "--- Logging error ---" in capsys.readouterr().err


def test_every_logger_of_the_package_is_one_of_these() -> None:
    """No module gets a logger from the standard library, but the one that makes them, and for the SDK's own."""
    package = Path(okta_hooks.__file__).parent
    others = [
        (path.relative_to(package).as_posix(), line.strip())
        for path in package.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "getLogger(" in line
    ]

    assert sorted({path for path, _ in others}) == ["logs.py", "org/sdk.py"]
    assert all("__name__" not in line for _, line in others)


def test_the_error_of_a_receiver_in_the_log(
    make_app: Callable[..., Flask],
    okta: EventHook,
    body: Callable[..., bytes],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A display name with control characters, which a receiver quotes, writes no line of its own."""

    @okta.on("user.lifecycle.create")
    def refuse(sender: Flask, **_: Any) -> None:
        raise Reject(f"no account for {FORGED}")

    app = make_app(okta, INBOX=f"sqlite:///{tmp_path}/inbox.sqlite3")
    app.testing = True
    app.test_client().post(
        "/okta/events",
        data=body("user.lifecycle.create"),
        headers={"Authorization": "correct horse"},
    )
    state = app.extensions["okta_hooks"]
    state.runtime().worker.drain()
    state.close()

    (message,) = [text for text in caplog.messages if text.startswith("Dead letter")]
    assert message.endswith(f"no account for {SHOWN}")
    assert re.fullmatch(r"[^\x00-\x1f]*", message)


@pytest.mark.parametrize(
    "error",
    [OktaRefused(400, "E1", FORGED, [FORGED]), OktaUnavailable(FORGED), Reject(FORGED)],
    ids=lambda error: type(error).__name__,
)
def test_what_an_error_says(error: Exception) -> None:
    """Text of Okta's, or of a receiver's, is on one line where an error is printed, and kept as it came."""
    assert SHOWN in str(error)
    assert SHOWN in as_sentence(error)
    assert "\x1b" not in str(error)
    assert FORGED in vars(error).values()


def test_what_is_told_of_a_hook_and_of_a_check() -> None:
    """Names, states and URLs that Okta has, and what the doctor quotes, do nothing to a terminal."""
    hook = RegisteredHook(id=FORGED, name=FORGED, status=FORGED)
    check = failure("endpoint", f"It says {FORGED}.", f"Rename {FORGED}.")

    for text in (described(hook), check.text, check.cure or "", shown("https://a/\x1b[2J")):
        assert "\x1b" not in text
        assert "\n" not in text
        assert r"\x1b[2J" in text


def test_a_traceback_is_escaped(caplog: pytest.LogCaptureFixture) -> None:
    """The texts of errors, those of causes and of groups included, write no lines of their own and move no cursor."""
    logger = plain_logger("okta_hooks.test")
    try:
        int("no number")
    except ValueError as context:
        cause = LookupError(FORGED)
        cause.__context__ = context
        group = ExceptionGroup("several", [ValueError(FORGED)])
        group.__cause__ = cause
    logger.error("It failed.", exc_info=group)

    (record,) = caplog.records
    text = logging.Formatter().format(record)

    assert text.count(SHOWN) == 2
    assert "\x1b" not in text
    assert not any(line.lstrip(" |").startswith("INFO") for line in text.split("\n"))
    assert "Traceback (most recent call last)" in text
    assert record.exc_info
    assert isinstance(record.exc_info[1], ExceptionGroup)  # what an error tracker gets
