"""Fixtures over a simulated Okta org, for tests of an app's receivers. pytest finds them by itself.

All they need is the app under test, as a fixture named ``app``, which pytest-flask wants too.
An inbox that would lie in the instance folder lies in a folder of pytest's instead,
for an app that a fixture returns, or whose client a fixture returns.
"""

from __future__ import annotations

import functools
import random
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from flask import Flask
from flask.testing import FlaskClient

from . import signals

# Every test session of an environment imports this module, so the rest is imported when a fixture is used.

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from .secret import Secret
    from .simulator.app_org import AppOrg
    from .state import AppState
    from .wire.events import LogEvent


class Run(NamedTuple):
    """One attempt of a receiver: ``error`` is what it raised, or None."""

    receiver: str
    event: LogEvent
    attempt: int
    error: BaseException | None


class DeadLetter(NamedTuple):
    """An event that will not be tried again. ``receiver`` and ``event`` are None if it cannot be read."""

    receiver: str | None
    event: LogEvent | None
    reason: str


class ReceiverRuns:
    """What the receivers have done since the test began."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.dead: list[DeadLetter] = []

    @property
    def done(self) -> list[Run]:
        """The runs that ended well."""
        return [run for run in self.runs if run.error is None]

    @property
    def failed(self) -> list[Run]:
        """The runs that ended with an error; a later attempt may have ended well."""
        return [run for run in self.runs if run.error is not None]


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None, Any, Any]:
    """Move the inbox of an app that a fixture has made, if it lies in the instance folder.

    An absolute path and another database are left alone: whoever names them in a test means them.
    """
    made = yield
    state = _state_of(made)
    if state is not None and _is_in_instance_folder(state.settings.inbox):
        folder = request.getfixturevalue("tmp_path_factory").mktemp("okta_hooks")
        moved = state.configure(inbox=_inbox_in(folder), worker=state.settings.worker)
        request.addfinalizer(moved.restore)
    return made


def _state_of(made: Any) -> AppState | None:
    """Return the state of the app that a fixture has made, or whose client, or None if it is something else."""
    # By its type: `isinstance` would ask what is neither for its `__class__`, and by that wake what is lazy.
    kind = type(made)
    if issubclass(kind, FlaskClient):
        return _state_of(made.application)
    extensions = getattr(made, "extensions", None) if issubclass(kind, Flask) else None
    return extensions.get("okta_hooks") if isinstance(extensions, dict) else None


def _is_in_instance_folder(inbox: Secret | None) -> bool:
    url = "" if inbox is None else inbox.reveal()
    return url.startswith("sqlite:///") and url[10:11] != "/"


def _inbox_in(folder: Path) -> str:
    return f"sqlite:///{folder}/okta_hooks.sqlite3"


@pytest.fixture
def okta_event(request: pytest.FixtureRequest) -> Callable[..., dict[str, Any]]:
    """Return :func:`okta_hooks.testing.make_event`: its events happen now, and differ from each other.

    Ids are the same in every run of the test.
    """
    from .testing import make_event  # most sessions need no events

    return functools.partial(make_event, seed=_random_of(request))


@pytest.fixture
def okta_delivery(request: pytest.FixtureRequest) -> Callable[..., dict[str, Any]]:
    """Return :func:`okta_hooks.testing.make_delivery`: what Okta posts, as a dict."""
    from .testing import make_delivery  # most sessions need no events

    return functools.partial(make_delivery, seed=_random_of(request))


@pytest.fixture
def okta_receivers() -> Iterator[ReceiverRuns]:
    """Return what the receivers do from now on: ``runs``, ``done``, ``failed``, ``dead``."""
    seen = ReceiverRuns()

    def note_run(
        _: object,
        *,
        receiver: str,
        event: LogEvent,
        attempt: int,
        error: BaseException | None = None,
        **__: Any,
    ) -> None:
        seen.runs.append(Run(receiver, event, attempt, error))

    def note_dead(
        _: object, *, receiver: str | None, event: LogEvent | None, reason: str, **__: Any
    ) -> None:
        seen.dead.append(DeadLetter(receiver, event, reason))

    with (
        signals.receiver_done.connected_to(note_run),
        signals.receiver_failed.connected_to(note_run),
        signals.event_dead.connected_to(note_dead),
    ):
        yield seen


@pytest.fixture
def okta_org(
    request: pytest.FixtureRequest,
    app: Flask,
    tmp_path: Path,
    okta_receivers: ReceiverRuns,  # noqa: ARG001 - so that it sees everything
) -> Iterator[AppOrg]:
    """Return a simulated org that delivers to ``app``: ``emit`` makes things happen, ``settle`` brings them to an end.

    The app's inbox is empty, and lies in ``tmp_path``.
    """
    from .exceptions import ConfigurationError  # most sessions need no org
    from .simulator.app_org import AppOrg  # most sessions need no org

    # No two tests get events of the same uuid: what a receiver keeps may outlive its test.
    seed = _random_of(request).getrandbits(32)
    try:
        org = AppOrg(app, _inbox_in(tmp_path), seed=seed)
    except ConfigurationError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        yield org
    finally:
        org.close()


def _random_of(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(request.node.nodeid)  # noqa: S311 - nothing here is a secret
