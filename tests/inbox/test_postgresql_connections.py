from __future__ import annotations

import logging
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox import Inbox
from okta_hooks.inbox.claims import Settlement
from okta_hooks.inbox.database import Database
from okta_hooks.inbox.tables import meta
from tests.support import PGBOUNCER, Proxy, claim, fan_out, pgbouncer

from .support import HOSTILE, NEW, SHORT, administrate, seconds_to_store, through

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox.intake import NewDelivery

    DeliveryFactory = Callable[..., NewDelivery]


@pytest.mark.parametrize(
    "parameter",
    [
        "prepare_threshold=0",
        "autocommit=false",
        "client_encoding=latin1",
        "connect_timeout=7",
        "application_name=crm",
        "options=-cstatement_timeout%3D1",
    ],
)
def test_a_parameter_in_the_url(
    parameter: str, postgresql_url: str, delivery: DeliveryFactory
) -> None:
    """What is of a connection is taken, what is pinned is left out; the inbox works either way."""
    inbox = Inbox(f"{postgresql_url}&{parameter}")

    for uuid_ in "abcdefgh":
        assert inbox.intake.store([delivery(uuid_, text="☃")]) == NEW
    inbox.close()


def test_a_parameter_that_is_none(postgresql_url: str) -> None:
    """It is refused by its name: nobody finds a misspelt one otherwise."""
    with pytest.raises(InboxUnavailable, match="does not know: row_factory"):
        Database(f"{postgresql_url}&row_factory=dict", ".")


@pytest.mark.skipif(PGBOUNCER is None, reason="there is no pgbouncer: apt-get install pgbouncer")
def test_behind_pgbouncer(
    postgresql: sa.Engine,
    hostile: str,
    proxy: Proxy,
    postgresql_url: str,
    delivery: DeliveryFactory,
) -> None:
    """In transaction mode, with fewer sessions than connections, nothing mixes, and neighbours keep their settings.

    A ticket that comes twice is claimed once.
    """
    # PgBouncer's own questions do not bear these.
    timeouts = [name for name in HOSTILE if name.endswith("_timeout") and name != "lock_timeout"]
    administrate(postgresql, *(f"ALTER ROLE hostile RESET {name}" for name in timeouts))
    with tempfile.TemporaryDirectory(prefix="okta-hooks-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with pgbouncer(proxy.port, folder) as port:
            inbox = Inbox(through(port, postgresql_url, hostile) + "?prepare_threshold=0")
            inbox.open()
            news = [delivery(f"uuid-{number}", text="é ☃") for number in range(200)]
            with ThreadPoolExecutor(8) as pool:
                stored = list(pool.map(lambda new: inbox.intake.store([new]), news))
                fan_out(inbox, "r", "ticketed")
                claimed = list(
                    pool.map(lambda who: claim(inbox, "r", worker=f"w{who}", limit=25), range(8))
                )
                inbox.workers.beat("me", 30)
                tickets = inbox.tickets.mark("q", [("okta", "ticketed")], window=400, seconds=60)
            # No more than there are connections: who waits too long for one is told so.
            with ThreadPoolExecutor(4) as pool:
                by_ticket = list(pool.map(lambda one: inbox.tickets.claim("me", one), tickets * 2))
                settled = list(
                    pool.map(
                        lambda some: inbox.claims.settle(
                            "me", [Settlement(claim=each, state="done") for each in some]
                        )[0],
                        filter(None, by_ticket),
                    )
                )
            neighbour = sa.create_engine(
                through(port, postgresql_url, hostile).replace(
                    "postgresql:", "postgresql+psycopg:"
                ),
                connect_args={"prepare_threshold": None},
                isolation_level="AUTOCOMMIT",
            )
            with neighbour.connect() as connection:
                shown = {
                    connection.exec_driver_sql("SHOW lock_timeout").scalar() for _ in range(20)
                }
            neighbour.dispose()
            # PgBouncer's connections break, ours stay.
            proxy.cut()
            again = seconds_to_store(inbox, delivery("again"))
            inbox.close()

    assert stored == [NEW] * 200
    assert len(tickets) == len(settled) == 200
    assert all(len(counted) == 1 for counted in settled)
    ids = [claim.event_id for some in claimed for claim in some]
    assert len(ids) == len(set(ids)) == 200
    assert shown == {SHORT.strip("'")}
    assert again < 5.0


def test_two_hundred_threads(
    postgresql: sa.Engine, postgresql_url: str, delivery: DeliveryFactory
) -> None:
    """They share a few connections; who waits longer than its deadline is told so, and the writer never is."""
    database = Database(postgresql_url, ".")
    database.open()
    name = sa.make_url(postgresql_url).database
    most = 0
    done = threading.Event()

    def ask() -> str:
        try:
            with database.transaction(seconds=2.0) as connection:
                connection.exec_driver_sql("SELECT pg_sleep(0.2)")
        except InboxUnavailable as error:
            return error.reason
        return "done"

    writes = []
    with ThreadPoolExecutor(200) as pool:
        asked = [pool.submit(ask) for _ in range(200)]
        for _ in range(10):
            began = time.monotonic()
            with database.transaction(seconds=30.0, reserved=True) as connection:
                connection.execute(sa.update(meta).values(schema_version=meta.c.schema_version))
            writes.append(time.monotonic() - began)
            with postgresql.connect() as connection:
                count = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"
                most = max(most, connection.exec_driver_sql(count).scalar_one())
            done.wait(0.05)
        outcomes = {future.result() for future in asked}

    database.close()
    # A connection that was too late is dropped with the others, and the next ones wait for it to open again.
    late = {"canceling statement due to statement timeout", "the database did not open in time"}
    full = "too many use the database"
    assert {"done", full} <= outcomes <= {"done", full, *late}
    assert most <= 6
    assert statistics.median(writes) < 1.5


def test_a_url_of_a_server_says_once_where_the_inbox_is(
    proxy: Proxy, proxied_url: str, caplog: pytest.LogCaptureFixture, delivery: DeliveryFactory
) -> None:
    """A connection that is made again is no news."""
    caplog.set_level(logging.INFO)
    inbox = Inbox(proxied_url)
    inbox.intake.store([delivery("a")])
    proxy.cut()
    inbox.intake.store([delivery("b")])
    inbox.intake.store([delivery("c")])
    inbox.close()

    assert caplog.text.count("The inbox is ") == 1
