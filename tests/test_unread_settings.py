"""Keys of a configuration that nothing reads: the warnings about them."""

from __future__ import annotations

import logging

import pytest
from flask import Config

from okta_hooks import settings


def test_misspelt_key(caplog: pytest.LogCaptureFixture) -> None:
    """A key that nothing reads is a warning with the nearest key, and its value is not logged."""
    with caplog.at_level(logging.WARNING, "okta_hooks"):
        settings.read({"OKTA_HOOKS_SECRT": "hush"})

    assert caplog.messages == [
        "Nothing reads the configuration key OKTA_HOOKS_SECRT (is OKTA_HOOKS_SECRET meant?)."
    ]
    assert "hush" not in caplog.text


@pytest.mark.parametrize(
    "key",
    [
        "OKTA_HOOK_SECRET",
        "OKTAHOOKS_SECRET",
        "OKTA_EVENT_HOOKS_SECRET",
        "okta_hooks_secret",
        "FLASK_OKTA_HOOKS_SECRET",
    ],
)
def test_misspelt_prefix(caplog: pytest.LogCaptureFixture, key: str) -> None:
    """A key under almost this prefix is a warning with the right one, too."""
    with caplog.at_level(logging.WARNING, "okta_hooks"):
        settings.read({key: "hush"})

    assert caplog.messages == [
        f"Nothing reads the configuration key {key} (is OKTA_HOOKS_SECRET meant?)."
    ]


def test_two_underscores(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Flask makes an object of ``FLASK_OKTA_HOOKS__SECRET``: that nothing reads it is a warning."""
    monkeypatch.setenv("FLASK_OKTA_HOOKS__SECRET", "hush")
    config = Config("")
    config.from_prefixed_env()
    with caplog.at_level(logging.WARNING, "okta_hooks"):
        settings.read(config)

    (message,) = caplog.messages
    assert message == (
        "Nothing reads the configuration key OKTA_HOOKS: "
        "the name goes on after one underscore, as in OKTA_HOOKS_SECRET."
    )


def test_keys_of_others(caplog: pytest.LogCaptureFixture) -> None:
    """Keys of the host's own for Okta are none of this library's business."""
    with caplog.at_level(logging.WARNING, "okta_hooks"):
        settings.read(dict.fromkeys(("OKTA_ORG_URL", "OKTA_API_TOKEN", "MY_OKTA_HOOK_URL"), "x"))

    assert caplog.messages == []


def test_key_like_no_other(caplog: pytest.LogCaptureFixture) -> None:
    """A key that resembles none gets the warning without a guess."""
    with caplog.at_level(logging.WARNING, "okta_hooks"):
        settings.read({"OKTA_HOOKS_ZZZZZZZZZZZZZZZZZZZZZZZZ": 1})

    assert caplog.messages == [
        "Nothing reads the configuration key OKTA_HOOKS_ZZZZZZZZZZZZZZZZZZZZZZZZ."
    ]
