"""Fixtures over a simulated Okta org, for tests of an app's receivers. pytest finds them by itself.

All they need is the app under test, as a fixture named ``app``, which pytest-flask wants too.
Whatever fixture makes an app with a hook: the app's inbox lies in a folder of pytest's, never in the instance folder.
"""

from __future__ import annotations

import functools
import random
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from flask import Flask

from . import catalog, signals
from .simulator import Org, app_sender
from .testing import make_delivery, make_event

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from .blueprint import AppState
    from .events import LogEvent


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

    def _on_run(
        self,
        _: object,
        *,
        receiver: str,
        event: LogEvent,
        attempt: int,
        error: BaseException | None = None,
        **__: Any,
    ) -> None:
        self.runs.append(Run(receiver, event, attempt, error))

    def _on_dead(
        self, _: object, *, receiver: str | None, event: LogEvent | None, reason: str, **__: Any
    ) -> None:
        self.dead.append(DeadLetter(receiver, event, reason))


class AppOrg(Org):
    """A simulated org that delivers to the app under test, in the test's own thread.

    Every hook of the app is registered and verified, for every type that Okta delivers.
    """

    def __init__(self, app: Flask, inbox: str, *, seed: int) -> None:
        super().__init__(seed=seed, send=app_sender(app))
        self._state: AppState = app.extensions["okta_hooks"]
        self._skipped = 0.0
        if self._state.settings.inbox is not None:
            # No thread of the app's works beside the test.
            self._state.configure(inbox=inbox, worker="external", clock=self._now)
        eligible = [name for name, entry in catalog.entries().items() if entry.event_hook_eligible]
        for name in self._state.hooks:
            self.register(
                f"https://localhost{self._state.path_of(name)}",
                eligible,
                secret=next(iter(self._state.secrets[name]), None),
                auth_header=self._state.settings.auth_header,
                name=name,
            )

    def _now(self) -> float:
        return time.time() + self._skipped

    def settle(self) -> None:
        """Deliver what is pending, and run the receivers until each has finished or given up.

        Nothing is waited for: the time until the next attempt of a receiver that failed is skipped.
        """
        super().settle()
        if self._state.settings.inbox is None:
            return
        runtime = self._state.runtime()
        runtime.worker.drain()
        while (due := runtime.inbox.next_due()) is not None:
            self._skipped += max(0.0, due - self._now())
            runtime.worker.drain()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None, Any, Any]:
    """Move the inbox of an app that a fixture has made: tests must not write where the app does."""
    made = yield
    state = made.extensions.get("okta_hooks") if isinstance(made, Flask) else None
    if state is not None and state.settings.inbox is not None:
        folder = request.getfixturevalue("tmp_path_factory").mktemp("okta_hooks")
        state.configure(inbox=_inbox_in(folder), worker=state.settings.worker)
        request.addfinalizer(state.close)
    return made


def _inbox_in(folder: Path) -> str:
    return f"sqlite:///{folder}/okta_hooks.sqlite3"


@pytest.fixture
def okta_event(request: pytest.FixtureRequest) -> Callable[..., dict[str, Any]]:
    """Return :func:`okta_hooks.testing.make_event`: its events happen now, and differ from each other.

    Ids are the same in every run of the test.
    """
    return functools.partial(make_event, seed=_random_of(request))


@pytest.fixture
def okta_delivery(request: pytest.FixtureRequest) -> Callable[..., dict[str, Any]]:
    """Return :func:`okta_hooks.testing.make_delivery`: what Okta posts, as a dict."""
    return functools.partial(make_delivery, seed=_random_of(request))


@pytest.fixture
def okta_receivers() -> Iterator[ReceiverRuns]:
    """Return what the receivers do from now on: ``runs``, ``done``, ``failed``, ``dead``."""
    seen = ReceiverRuns()
    with (
        signals.receiver_done.connected_to(seen._on_run),  # noqa: SLF001
        signals.receiver_failed.connected_to(seen._on_run),  # noqa: SLF001
        signals.event_dead.connected_to(seen._on_dead),  # noqa: SLF001
    ):
        yield seen


@pytest.fixture
def okta_org(
    app: Flask,
    tmp_path: Path,
    okta_receivers: ReceiverRuns,  # noqa: ARG001 - so that it sees everything
) -> Iterator[AppOrg]:
    """Return a simulated org that delivers to ``app``: ``emit`` makes things happen, ``settle`` brings them to an end.

    The app's inbox is empty, and lies in ``tmp_path``.
    """
    state = app.extensions.get("okta_hooks")
    if state is None:
        pytest.fail("The app has no hook: app.register_blueprint(EventHook(name)).", pytrace=False)
    before = state.settings
    org = AppOrg(app, _inbox_in(tmp_path), seed=0)
    yield org
    state.configure(inbox=before.inbox, worker=before.worker)


def _random_of(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(request.node.nodeid)  # noqa: S311 - nothing here is a secret
