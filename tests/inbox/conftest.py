from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from okta_hooks.inbox.assignments import Assignment
from okta_hooks.inbox.database import Database
from tests.support import HOUR, Proxy, claim, settle, socket_of

from .support import HOSTILE, administrate, through

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    DeliveryFactory = Callable[..., NewDelivery]


@pytest.fixture
def varied(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> Inbox:
    """Return an inbox with an event in each state, an hour between them, and one of another hook."""
    for uuid, kind in {
        "dead": "user.lifecycle.create",
        "done": "user.lifecycle.delete",
        "unwanted": "user.lifecyclex.create",
        "claimed": "user.authentication.auth_via_IDP",
    }.items():
        inbox.intake.store([delivery(uuid, type=kind)])
        clock.now += HOUR
    inbox.assignments.assign(
        [
            Assignment(
                event=event,
                receivers=() if event.type == "user.lifecyclex.create" else ("a", "b"),
            )
            for event in inbox.assignments.unassigned(["okta"])
        ]
    )
    first, second, _ = claim(inbox, "b")
    settle(inbox, [first, second])
    settle(inbox, claim(inbox, limit=1), "dead", error="no")
    settle(inbox, claim(inbox, limit=1))
    inbox.intake.store([delivery("pending", type="group.lifecycle.create")])
    inbox.intake.store([delivery("elsewhere", hook="other")])
    return inbox


@pytest.fixture
def proxy(postgresql: sa.Engine) -> Iterator[Proxy]:
    """Return a proxy before the tests' server."""
    with closing(Proxy(socket_of(postgresql))) as made:
        yield made


@pytest.fixture
def proxied_url(proxy: Proxy, postgresql_url: str) -> str:
    """Return the URL of an empty database, by way of the proxy."""
    return through(proxy.port, postgresql_url)


@pytest.fixture
def hostile(postgresql: sa.Engine, postgresql_url: str) -> Iterator[str]:
    """Return the name of a role whose settings are as bad as can be."""
    name = sa.make_url(postgresql_url).database
    administrate(
        postgresql,
        "CREATE ROLE hostile LOGIN",
        *(f"ALTER ROLE hostile SET {setting} = {value}" for setting, value in HOSTILE.items()),
    )
    administrate(postgresql, "CREATE SCHEMA own AUTHORIZATION hostile", database=name)
    yield "hostile"
    administrate(postgresql, "DROP OWNED BY hostile CASCADE", database=name)
    administrate(postgresql, "DROP ROLE hostile")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file of an SQLite database is."""
    return tmp_path / "inbox.sqlite3"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    """Return an SQLite database that is open."""
    made = Database(f"sqlite:///{path}", ".")
    made.open()
    yield made
    made.close()
