from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from okta_hooks.cli import group
from okta_hooks.cli.output import Progress, counted, has_bars

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from okta_hooks import EventHook

RED = "\x1b["


def test_a_number_with_its_noun() -> None:
    """One is one, and all others are several, none included."""
    assert [counted(number, "event") for number in (0, 1, 2)] == ["0 events", "1 event", "2 events"]


def test_a_time_that_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    """It is left out."""
    Progress(bar=False).begin(None, 0.0, "https://acme.okta.com")

    assert capsys.readouterr().err == "Reading the System Log of https://acme.okta.com.\n"


@pytest.mark.parametrize(
    ("environment", "is_terminal", "has_colours"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"TERM": "dumb"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, False, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
    ],
    ids=str,
)
def test_colours(
    make_app: Callable[..., Flask],
    okta: EventHook,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    is_terminal: bool,
    has_colours: bool,
) -> None:
    """They are written to a terminal, unless somebody says otherwise."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    result = (
        make_app(okta).test_cli_runner().invoke(group, ["doctor", "--offline"], color=is_terminal)
    )

    assert (RED in result.output) == has_colours


def test_a_terminal_without_a_cursor_has_no_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar goes back to the beginning of its line, which a dumb terminal cannot do."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert has_bars()
    monkeypatch.setenv("TERM", "dumb")
    assert not has_bars()


def test_an_output_without_unicode() -> None:
    """What its encoding does not have is escaped; the command goes on."""
    script = "from okta_hooks.cli.output import echo; echo('Zoë 王'); echo('é', err=True)"
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, check=True
    )

    assert (done.stdout, done.stderr) == (b"Zo\xeb \\u738b\n", b"\xe9\n")
