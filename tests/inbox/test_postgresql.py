from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox import Inbox
from okta_hooks.inbox.database import Database
from tests.support import SOON, Proxy, socket_of

from .support import NEW, administrate, another_server, seconds_to_store, through

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox.intake import NewDelivery

    DeliveryFactory = Callable[..., NewDelivery]


def test_open_connections_that_go_silent(
    proxy: Proxy, proxied_url: str, delivery: DeliveryFactory
) -> None:
    """The first delivery after a failover that left connections open without a word is stored within 2 s."""
    inbox = Inbox(proxied_url)
    inbox.intake.store([delivery("a")])
    with ThreadPoolExecutor(5) as pool:
        assert len(list(pool.map(lambda _: inbox.overview.counts(), range(5)))) == 5

    proxy.silence()

    before = inbox.database.generation
    assert seconds_to_store(inbox, delivery("b")) < 2.0
    # The others were dropped with the first: nobody else comes upon one of them.
    assert inbox.overview.counts().pending == 2
    assert inbox.database.generation == before + 1
    inbox.close()


def test_a_connection_that_goes_silent_in_a_transaction(proxy: Proxy, proxied_url: str) -> None:
    """An operation ends by its deadline, and the next has another connection."""
    database = Database(proxied_url, ".")
    database.open()

    began = time.monotonic()
    with (  # noqa: PT012 - a statement must have been executed before
        pytest.raises(InboxUnavailable, match="did not answer in time") as raised,
        database.transaction(seconds=1.0) as connection,
    ):
        connection.execute(sa.select(1))
        proxy.silence()
        connection.execute(sa.select(1))
    took = time.monotonic() - began

    assert 0.9 < took < SOON
    assert raised.value.is_transient
    assert raised.value.connection_lost
    with database.transaction(seconds=SOON) as connection:
        assert connection.scalar(sa.select(1)) == 1
    database.close()


def test_data_that_drips(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that goes on sending has a little more time, but not for ever."""
    monkeypatch.setattr("okta_hooks.inbox.postgresql._GRACE_SECONDS", 0.2)
    database = Database(postgresql_url, ".")
    drips = (
        "DO $$ BEGIN FOR i IN 1..2000 LOOP "
        "RAISE NOTICE '%%', repeat('x', 9000); PERFORM pg_sleep(0.02); END LOOP; END $$"
    )

    began = time.monotonic()
    with (  # noqa: PT012 - what the server keeps must not end it
        pytest.raises(InboxUnavailable, match="did not answer in time"),
        database.transaction(seconds=0.5) as connection,
    ):
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql(drips)

    assert time.monotonic() - began < SOON
    database.close()


def test_a_server_that_refuses_for_a_while(
    proxy: Proxy, proxied_url: str, delivery: DeliveryFactory
) -> None:
    """While it is away every operation says so at once; once it is back, so is the inbox."""
    inbox = Inbox(proxied_url)
    inbox.intake.store([delivery("a")])
    proxy.refuse()
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(InboxUnavailable) as raised:
            inbox.intake.store([delivery("b")])
        assert raised.value.is_transient
        assert time.monotonic() - began < SOON

    proxy.refuse(refuses=False)

    assert inbox.intake.store([delivery("b")]) == NEW
    inbox.close()


def test_an_old_primary_that_only_reads(
    postgresql: sa.Engine, postgresql_url: str, delivery: DeliveryFactory
) -> None:
    """One that keeps its sessions after a failover is left at the first refusal, for the new one."""
    name = sa.make_url(postgresql_url).database
    with another_server() as old, closing(Proxy(socket_of(old))) as proxy:
        administrate(old, f"CREATE DATABASE {name}")
        inbox = Inbox(through(proxy.port, postgresql_url))
        inbox.intake.store([delivery("before")])
        administrate(
            old,
            "ALTER SYSTEM SET default_transaction_read_only = on",
            "SELECT pg_reload_conf()",
        )
        await_setting(old, "default_transaction_read_only", "on")
        proxy.target = socket_of(postgresql)

        assert inbox.intake.store([delivery("a")]) == NEW
        inbox.close()

    new = Inbox(postgresql_url)
    assert [row["uuid"] for row in found(new)] == ["a"]
    new.close()


def found(inbox: Inbox) -> list[dict[str, Any]]:
    with inbox.database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT key AS uuid FROM okta_hooks_event ORDER BY id")
        return [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's name for it


def await_setting(engine: sa.Engine, name: str, value: str) -> None:
    for _ in range(200):
        with engine.connect() as connection:
            if connection.exec_driver_sql(f"SHOW {name}").scalar() == value:
                return
        threading.Event().wait(0.02)
    raise AssertionError(name)


def test_sessions_that_are_terminated(
    postgresql: sa.Engine, postgresql_url: str, delivery: DeliveryFactory
) -> None:
    """Sessions that the server has ended are made again without an error."""
    inbox = Inbox(postgresql_url)
    inbox.intake.store([delivery("a")])
    name = sa.make_url(postgresql_url).database
    administrate(
        postgresql,
        f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{name}'",
    )

    assert inbox.intake.store([delivery("b")]) == NEW
    inbox.close()


def test_a_database_without_the_tables(
    postgresql: sa.Engine, postgresql_url: str, delivery: DeliveryFactory
) -> None:
    """A server whose database lost the tables gets them again: what comes meanwhile is told to come later."""
    inbox = Inbox(postgresql_url)
    inbox.intake.store([delivery("a")])
    name = sa.make_url(postgresql_url).database
    administrate(postgresql, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public", database=name)

    assert seconds_to_store(inbox, delivery("b")) < 5.0
    inbox.close()
