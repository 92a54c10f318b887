"""Runs README.md and every page of docs/: each is one program, with a fresh environment of its own.

Python blocks are executed, also the invisible ones that check what the page says.
Of shell blocks, the lines that export or unset a variable count, until the page ends.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any
from unittest import mock

from sybil import Sybil
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser

if TYPE_CHECKING:
    from flask import Flask
    from sybil import Example

URL = "/okta/events"
SECRET = "correct horse battery staple"  # noqa: S105 - what the pages export


def set_variables(example: Example) -> None:
    """Do what a shell block exports and unsets."""
    for line in str(example.parsed).splitlines():
        command, _, words = line.partition(" ")
        if command == "export":
            for word in shlex.split(words):
                name, _, value = word.partition("=")
                os.environ[name] = value
        elif command == "unset":
            del os.environ[words]


def deliver(app: Flask, *events: Any, url: str = URL, secret: str = SECRET) -> int:
    """Post events, or events of the types that are given, as Okta does; return the answer's status."""
    made = [
        {"uuid": f"uuid-{number}", "eventType": event} if isinstance(event, str) else event
        for number, event in enumerate(events)
    ]
    return (
        app.test_client()
        .post(url, json={"data": {"events": made}}, headers={"Authorization": secret})
        .status_code
    )


def open_page(namespace: dict[str, Any]) -> None:
    """Give a page the names it may use, and an environment it may change."""
    environment = mock.patch.dict(os.environ)
    environment.start()
    namespace.update(__name__="app", deliver=deliver, close_page=environment.stop)


def close_page(namespace: dict[str, Any]) -> None:
    """Put the environment back, and let go of what the page has connected to the service's signals."""
    namespace["close_page"]()
    namespace.clear()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), CodeBlockParser(language="sh", evaluator=set_variables)],
    pattern="*.md",
    setup=open_page,
    teardown=close_page,
).pytest()
