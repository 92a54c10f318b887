from __future__ import annotations

import importlib.util
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import EventHook, Reject
from tests.support import clock_of_today

from .served import make_hook_app
from .support import SECRET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask import Flask

    AppFactory = Callable[..., Flask]

clock = clock_of_today
#: It needs the extra ``celery``.
collect_ignore = [] if importlib.util.find_spec("celery") else ["test_celery.py"]


@pytest.fixture
def okta(okta: EventHook) -> EventHook:
    """Return a hook with a receiver that takes nothing."""

    @okta.on("user.lifecycle.*", name="users")
    def users(sender: Flask, **extra: Any) -> None:
        raise Reject("not ours")

    return okta


@pytest.fixture
def app(make_app: AppFactory, okta: EventHook, inbox_url: str) -> Iterator[Flask]:
    """Return an app over the database of this test."""
    app = make_app(okta, INBOX=inbox_url, SECRET=SECRET)
    yield app
    app.extensions["okta_hooks"].close()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Return a function that makes an app with a hook; each stands for a process of its own."""
    with ExitStack() as stack:

        def make(**config: Any) -> Flask:
            app = make_hook_app(tmp_path, **config)
            stack.callback(app.extensions["okta_hooks"].close)
            return app

        yield make
