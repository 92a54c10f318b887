"""Several statements in one message to PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox import Inbox
from okta_hooks.inbox.database import Database
from okta_hooks.inbox.intake import Stored

from .support import administrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import sqlalchemy as sa

    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Proxy

    DeliveryFactory = Callable[..., NewDelivery]


@pytest.fixture
def database(postgresql_url: str) -> Iterator[Database]:
    """Return a database on PostgreSQL."""
    made = Database(postgresql_url, ".")
    made.open()
    yield made
    made.close()


def test_values_come_back_as_they_were_sent(database: Database) -> None:
    """Null, integers, floats and any text are parameters, and columns of rows, in the order of the statements."""
    text = 'it\'s "100 %" \\ é ☃ 𝄞\n'
    sent = (None, -(2**60), 1777777777.123456, text)
    kinds = "SELECT %s::text, %s::bigint, %s::double precision, %s::text"

    with database.exchange() as exchange:
        first = exchange.run((kinds, sent), ("SELECT 5 %% 3", ()))
        last = exchange.finish(("SELECT %s::integer", (7,)))

    assert first == [[sent], [(2,)]]
    assert last == [[(7,)]]


def test_a_libpq_without_pipelines(monkeypatch: pytest.MonkeyPatch, postgresql_url: str) -> None:
    """One older than 14, which psycopg may have been built with, is named at once."""
    features = pytest.importorskip("psycopg").capabilities
    monkeypatch.setattr(features, "_cache", {"Connection.pipeline()": "libpq 14 is needed"})

    with pytest.raises(InboxUnavailable, match="libpq 14 is needed") as raised:
        Database(postgresql_url, ".")
    assert not raised.value.is_transient


def test_a_text_with_a_nul(database: Database) -> None:
    """It is refused, where libpq would send what stands before it."""
    with pytest.raises(InboxUnavailable, match="NUL") as raised, database.exchange() as exchange:
        exchange.finish(("SELECT %s::text", ("a\0b",)))

    assert not raised.value.is_transient


def test_what_follows_a_failure_is_not_done(database: Database) -> None:
    """Nothing of the transaction is committed, and the next one finds a connection in order."""
    insert = "INSERT INTO okta_hooks_lane (hook, receiver, seen_at) VALUES ('h', %s, 0.0)"
    for _ in range(6):  # as often as not with statements that are prepared
        with pytest.raises(InboxUnavailable, match="division by zero"), database.exchange() as one:
            one.finish((insert, ("r",)), ("SELECT 1 / %s::integer", (0,)), (insert, ("s",)))

    with database.exchange() as exchange:
        (rows,) = exchange.finish(("SELECT count(*) FROM okta_hooks_lane", ()))
    assert rows == [(0,)]


def test_a_commit_after_a_failure(database: Database) -> None:
    """PostgreSQL rolls back and says so, not that this is an error: here it is one."""
    with database.exchange() as exchange:
        with pytest.raises(InboxUnavailable, match="division by zero"):
            exchange.run(("SELECT 1 / %s::integer", (0,)))
        with pytest.raises(InboxUnavailable, match="rolled back"):
            exchange.finish()


@pytest.mark.parametrize("arrives", [True, False])
def test_a_connection_that_is_lost_at_the_commit(
    proxy: Proxy, proxied_url: str, delivery: DeliveryFactory, *, arrives: bool
) -> None:
    """Whether it was committed or not: what is stored in the end is new, and no duplicate of itself."""
    inbox = Inbox(proxied_url)
    inbox.intake.store([delivery("known")])
    proxy.cut_at(b"COMMIT\0", arrives=arrives)  # not that of READ COMMITTED

    stored = inbox.intake.store([delivery("a", "known"), delivery("b")])

    assert stored == [Stored(new=1, duplicate=1), Stored(new=1, duplicate=0)]
    with inbox.database.exchange() as exchange:
        events, deliveries = exchange.finish(
            ("SELECT key, duplicates FROM okta_hooks_event ORDER BY key", ()),
            ("SELECT count(*) FROM okta_hooks_delivery", ()),
        )
    assert events == [("a", None), ("b", None), ("known", 1)]
    assert deliveries == [(3,)]
    inbox.close()


def test_a_prepared_statement_whose_table_was_altered(database: Database) -> None:
    """What it returns is of another type since: the session is left, and the next one prepares it anew."""
    asked = ("SELECT hook, %s::text FROM okta_hooks_lane", ("",))
    for _ in range(6):
        with database.exchange() as exchange:
            exchange.finish(asked)

    with database.transaction() as connection:
        connection.exec_driver_sql("ALTER TABLE okta_hooks_lane ALTER hook TYPE varchar(99)")

    with (
        pytest.raises(InboxUnavailable, match="cached plan") as raised,
        database.exchange() as exchange,
    ):
        exchange.finish(asked)
    assert raised.value.is_transient
    with database.exchange() as exchange:
        assert exchange.finish(asked) == [[]]


def test_plans_are_not_kept(database: Database) -> None:
    """A plan that was made while the inbox was small reads whole tables later: each execution has one of its own."""
    asked = "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name LIKE %s"
    for _ in range(20):
        with database.exchange() as exchange:
            (rows,) = exchange.finish((asked, ("okta_hooks_%",)))

    ((generic, custom),) = rows
    assert generic == 0
    assert custom > 10


def test_prepared_statements(database: Database) -> None:
    """What a session executes often it has prepared; if that is gone, it is left for another."""
    asked = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE %s"
    for _ in range(6):
        with database.exchange() as exchange:
            (rows,) = exchange.finish((asked, ("okta_hooks_%",)))
    assert rows == [(1,)]

    with database.transaction() as connection:
        connection.exec_driver_sql("DEALLOCATE ALL")

    with pytest.raises(InboxUnavailable) as raised, database.exchange() as exchange:
        exchange.finish((asked, ("okta_hooks_%",)))
    assert raised.value.connection_lost
    with database.exchange() as exchange:
        assert exchange.finish((asked, ("okta_hooks_%",))) == [[(0,)]]


def test_many_rows_at_once(
    postgresql_url: str, delivery: DeliveryFactory, database: Database
) -> None:
    """Rows that come as arrays are the same as those that come one by one, whatever is in them."""
    inbox = Inbox(postgresql_url)
    hostile = [f'{number} {{"}}\\,NULL' for number in range(30)]
    inbox.intake.store([delivery(*hostile, 5, hook='h"\\')])
    inbox.close()

    with database.exchange() as exchange:
        (rows,) = exchange.finish(
            ("SELECT hook, key, ordinal, type, state FROM okta_hooks_event ORDER BY ordinal", ())
        )
    assert [row[:3] for row in rows[:30]] == [
        ('h"\\', key, ordinal) for ordinal, key in enumerate(hostile)
    ]
    assert rows[30][3:] == (None, "dead")


def test_parameters_are_not_in_the_text(database: Database) -> None:
    """A server logs the text of a statement that fails, and shows it to its users: no payload is in that."""
    asked = "SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid() AND %s::text <> ''"
    with database.exchange() as exchange:
        (((query,),),) = exchange.finish((asked, ("a payload",)))

    assert query == asked.replace("%s", "$1")


@pytest.mark.parametrize("chosen", [None, "pglz"])
def test_bodies_are_compressed_by_lz4(
    postgresql: sa.Engine, postgresql_url: str, delivery: DeliveryFactory, chosen: str | None
) -> None:
    """That takes a fraction of the time, where the server has it and nobody has chosen another way."""
    if chosen is not None:
        name = postgresql_url.rpartition("/")[2].partition("?")[0]
        administrate(
            postgresql, f"ALTER DATABASE {name} SET default_toast_compression = '{chosen}'"
        )
    inbox = Inbox(postgresql_url)
    inbox.intake.store([delivery("a", text="so much of it " * 1000)])

    asked = (
        "SELECT pg_column_compression(body), 'lz4' = ANY (enumvals)"
        " FROM okta_hooks_delivery, pg_settings WHERE name = 'default_toast_compression'"
    )
    with inbox.database.exchange() as exchange:
        (((used, has_lz4),),) = exchange.finish((asked, ()))
    inbox.close()
    assert used == ("lz4" if has_lz4 and chosen is None else "pglz")
