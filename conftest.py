"""Runs README.md and every page of docs/: each is one program, in a fresh folder and environment of its own.

Python blocks are executed, also the invisible ones that check what the page says.
Of shell blocks, the lines that export or unset a variable count, until the page ends,
and those that run ``flask --app app okta-hooks``, but for its worker and its relay.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shlex
import tempfile
from contextlib import ExitStack, chdir
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from sybil import Sybil
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser

from okta_hooks.cli import group

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result
    from flask import Flask
    from sybil import Example

URL = "/okta/events"
SECRET = "correct horse battery staple"  # noqa: S105 - what the pages export
#: Pages that need an extra.
collect_ignore: list[str] = []
if importlib.util.find_spec("okta") is None:
    collect_ignore += [
        f"docs/how-to/{page}.md"
        for page in ("backfill", "from-admin-console", "register", "rotate")
    ]
if importlib.util.find_spec("prometheus_client") is None:
    collect_ignore.append("docs/how-to/monitor.md")
if importlib.util.find_spec("celery") is None:
    collect_ignore += ["docs/how-to/celery.md", "examples/celery"]
# Nothing here asks a server that needs the machine's own certificates, and each client would read them again.
for _name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
    os.environ.pop(_name, None)
COMMAND = "flask --app app okta-hooks "
_ENDLESS = (f"{COMMAND}worker", f"{COMMAND}relay")


class Page:
    """The apps of one page, and what the page can do with them."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._inboxes: list[Any] = []

    def drain(self, app: Flask) -> int:
        """Run the receivers of what is stored, here and now; return how many attempts that took."""
        state = app.extensions["okta_hooks"]
        if state.settings.inbox is None:
            return 0
        runtime = state.runtime()
        self._inboxes.append(runtime.inbox)
        attempts: int = runtime.worker.drain()
        return attempts

    def deliver(self, app: Flask, *events: Any, url: str = URL, secret: str = SECRET) -> int:
        """Post events, or new events of the types that are given, as Okta does, and drain.

        :return: the answer's status.
        """
        # No worker's thread is to start that would outlive the page.
        was_testing = app.testing
        app.testing = was_testing or app.config.get("OKTA_HOOKS_INBOX", "") is not None
        made = [
            {"uuid": f"uuid-{next(self._numbers)}", "eventType": event}
            if isinstance(event, str)
            else event
            for event in events
        ]
        try:
            answer = app.test_client().post(
                url, json={"data": {"events": made}}, headers={"Authorization": secret}
            )
        finally:
            app.testing = was_testing
        self.drain(app)
        return answer.status_code

    def run(self, app: Flask, command: str) -> Result:
        """Run a command of ``flask okta-hooks``."""
        self._inboxes.append(app.extensions["okta_hooks"].runtime().inbox)
        return app.test_cli_runner().invoke(group, shlex.split(command))

    def close(self) -> None:
        """Close the inboxes."""
        for inbox in self._inboxes:
            inbox.close()


def obey(example: Example) -> None:
    """Do what a shell block exports, unsets, and asks of the page's app."""
    for line in str(example.parsed).splitlines():
        command, _, words = line.partition(" ")
        if command == "export":
            for word in shlex.split(words):
                name, _, value = word.partition("=")
                os.environ[name] = value
        elif command == "unset":
            del os.environ[words]
        elif line.startswith(COMMAND) and not line.startswith(_ENDLESS):
            words = line.removeprefix(COMMAND)
            result = example.namespace["run"](example.namespace["app"], words)
            # 1 may be what the page is about, and 2 what a plan shows; it can look at the result.
            accepted = (0, 1, 2) if words.startswith("plan") else (0, 1)
            if result.exit_code not in accepted or not isinstance(
                result.exception, SystemExit | None
            ):
                raise AssertionError(f"{line}\n{result.output}") from result.exception
            example.namespace["result"] = result


def open_page(namespace: dict[str, Any]) -> None:
    """Give a page the names it may use, and a folder and an environment it may change."""
    page = Page()
    stack = ExitStack()
    stack.enter_context(mock.patch.dict(os.environ))
    os.environ.pop("COLUMNS", None)  # pytest-xdist sets it, and tables would be as narrow
    # An app that nobody can import has its instance folder below the current one.
    stack.enter_context(chdir(stack.enter_context(tempfile.TemporaryDirectory())))
    stack.callback(page.close)
    close: Callable[[], None] = stack.close
    namespace.update(
        __name__="app", deliver=page.deliver, drain=page.drain, run=page.run, close_page=close
    )


def close_page(namespace: dict[str, Any]) -> None:
    """Put everything back, and let go of what the page has connected to the service's signals."""
    namespace["close_page"]()
    namespace.clear()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), CodeBlockParser(language="sh", evaluator=obey)],
    pattern="*.md",
    setup=open_page,
    teardown=close_page,
).pytest()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Let pytest's summary read what pytest-xdist has passed on of a skipped test: it has made a list of a tuple."""
    passed_on: Any = report.longrepr
    if isinstance(passed_on, list):
        report.longrepr = passed_on[0], passed_on[1], passed_on[2]
