from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import EventHook

from .support import SMALL, SUSPENDED, nowhere

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    AppFactory = Callable[..., Flask]


@pytest.fixture(params=[False, True], ids=["plain host", "host that catches all errors"])
def host(request: pytest.FixtureRequest, make_app: AppFactory) -> Flask:
    """Return an app with a hook, in which a receiver of ``user.lifecycle.suspend`` fails."""
    okta = EventHook("okta")

    @okta.on(SUSPENDED)
    def fails(sender: Flask, **extra: Any) -> None:
        raise LookupError("no such user")

    app = make_app(okta, MAX_BODY=SMALL)
    if request.param:
        for caught in (Exception, 400, 401, 413, 500):
            app.register_error_handler(caught, nowhere)
        assert app.test_client().get("/no/such/page").status_code == 302
    return app


@pytest.fixture
def storing(make_app: AppFactory, okta: EventHook, inbox_url: str) -> Iterator[Flask]:
    """Return an app that stores what it gets, and under ``app.testing`` hands nothing on by itself."""
    app = make_app(okta, INBOX=inbox_url)
    app.testing = True
    yield app
    app.extensions["okta_hooks"].close()
