from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest
import sqlalchemy as sa

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.database import CONNECTIONS, Database
from okta_hooks.inbox.tables import lane
from tests.support import SOON

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def database(inbox_url: str) -> Iterator[Database]:
    """Return a database that is open."""
    made = Database(inbox_url, ".")
    made.open()
    yield made
    made.close()


def test_more_operations_than_places(database: Database) -> None:
    """Who finds no place by its deadline is told to come later; a place is kept for one who stores."""
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(database.reading())
        began = time.monotonic()
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(read, database, 0.3)
            with pytest.raises(InboxUnavailable, match="too many use the database") as raised:
                asked.result(30)
            assert 0.25 < time.monotonic() - began < SOON
            assert raised.value.is_transient
        with database.transaction(reserved=True) as connection:
            connection.execute(lane.insert().values(hook="okta", receiver="a", seen_at=0.0))
        with database.exchange(reserved=True) as exchange:
            exchange.finish((_INSERT, ()))

    assert read(database, 1.0) == 2


_INSERT: Final = "INSERT INTO okta_hooks_lane (hook, receiver, seen_at) VALUES ('okta', 'b', 0.0)"


def read(database: Database, seconds: float) -> int:
    with database.reading(seconds=seconds) as connection:
        found: int = connection.execute(sa.select(sa.func.count()).select_from(lane)).scalar_one()
        return found


def test_what_fails_leaves_its_place(database: Database) -> None:
    """Operations that fail, in the database or in the code between, take nothing from those after them."""
    for _ in range(CONNECTIONS + 1):
        with pytest.raises(InboxUnavailable), database.transaction() as connection:
            connection.exec_driver_sql("SELECT nothing")
        with pytest.raises(KeyError), database.transaction():
            raise KeyError
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        together = threading.Barrier(CONNECTIONS)

        def meet() -> None:
            with database.reading():
                together.wait(30)

        for future in [pool.submit(meet) for _ in range(CONNECTIONS)]:
            future.result()


def test_what_fails_is_rolled_back(database: Database) -> None:
    """Nothing of a transaction is left if the code in it raises."""
    with pytest.raises(KeyError), database.transaction() as connection:  # noqa: PT012 - what fails is the transaction
        connection.execute(lane.insert().values(hook="okta", receiver="a", seen_at=0.0))
        raise KeyError

    assert read(database, 1.0) == 0


def test_an_opening_that_takes_long(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who needs the database while another thread opens it waits no longer than its deadline."""
    database.close()
    goes_on = threading.Event()
    prepare = database._system.prepare  # noqa: SLF001 - nothing else can take so long

    def prepare_slowly() -> None:
        assert goes_on.wait(30)
        prepare()

    monkeypatch.setattr(database._system, "prepare", prepare_slowly)  # noqa: SLF001 - nothing else can
    with ThreadPoolExecutor(1) as pool:
        opens = pool.submit(database.open)
        while not database._opening.locked():  # noqa: SLF001 - nothing else tells
            threading.Event().wait(0.01)
        began = time.monotonic()
        with pytest.raises(InboxUnavailable, match="did not open in time"):
            read(database, 0.3)
        assert time.monotonic() - began < SOON
        goes_on.set()
        opens.result(30)

    assert read(database, 1.0) == 0


def test_a_time_for_all_that_is_done(database: Database) -> None:
    """What is done within a time ends by then, whatever time it would have otherwise; elsewhere nothing changes."""
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            stack.enter_context(database.reading())
        began = time.monotonic()
        with database.within(0.3), database.within(60.0):
            for _ in range(2):
                with pytest.raises(InboxUnavailable):
                    read(database, 30.0)
        assert time.monotonic() - began < 15

    assert read(database, 30.0) == 0
