from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox import Inbox
from okta_hooks.inbox.vacuum import Report

from .support import NEW, administrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from okta_hooks.inbox.intake import NewDelivery

    DeliveryFactory = Callable[..., NewDelivery]

OURS = ["autovacuum_vacuum_scale_factor=0.02", "autovacuum_vacuum_threshold=1000"]
TABLES = ("okta_hooks_event", "okta_hooks_receipt", "okta_hooks_ticket")
EVERYTHING = {
    "okta_hooks_" + name
    for name in (
        "attempt",
        "attempt_hour",
        "audit",
        "counter",
        "cursor",
        "delivery",
        "event",
        "hour",
        "lane",
        "meta",
        "pause",
        "receipt",
        "ticket",
        "total",
        "worker",
    )
}
RESET = [
    f"ALTER TABLE {name} RESET ({', '.join(one.split('=')[0] for one in OURS)})" for name in TABLES
]
POSTGRESQL = pytest.mark.parametrize("inbox_url", ["PostgreSQL"], indirect=True)
NO_TIME = -1.0


def parameters(engine: sa.Engine) -> dict[str, list[str]]:
    """Return the storage parameters of the tables that have any."""
    query = (
        "SELECT relname, reloptions FROM pg_class"
        " WHERE relname LIKE 'okta_hooks_%%' AND reloptions IS NOT NULL"
    )
    with engine.connect() as connection:
        return {row.relname: row.reloptions for row in connection.exec_driver_sql(query)}


def execute(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def open_once(url: str) -> None:
    """Open an inbox as a process that starts does, and end."""
    inbox = Inbox(url)
    inbox.open()
    inbox.close()


def report(url: str, *, older_than: float = 3600.0) -> Report:
    """Ask as a process that starts does."""
    inbox = Inbox(url)
    found = inbox.vacuum.report(older_than=older_than)
    inbox.close()
    assert found is not None
    return found


@pytest.fixture
def few(postgresql: sa.Engine, postgresql_url: str) -> Iterator[str]:
    """Return the URL for a role that may use the tables, and does not own them."""
    role = f"few_{uuid.uuid4().hex}"
    name = sa.make_url(postgresql_url).database
    open_once(postgresql_url)
    administrate(
        postgresql,
        f"CREATE ROLE {role} LOGIN",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
        database=name,
    )
    yield sa.make_url(postgresql_url).set(username=role).render_as_string()
    administrate(postgresql, f"DROP OWNED BY {role}", database=name)
    administrate(postgresql, f"DROP ROLE {role}")


@contextmanager
def transaction(engine: sa.Engine, *statements: str, name: str = "") -> Iterator[int]:
    """Have a transaction open, in which these were executed; return the pid of its session."""
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
        pid: int = connection.exec_driver_sql(
            "SELECT pg_backend_pid() FROM set_config('application_name', %s, false)", (name,)
        ).scalar_one()
        yield pid
        connection.rollback()


# What autovacuum is told


@POSTGRESQL
def test_new_tables_have_parameters(inbox_url: str, engine: sa.Engine) -> None:
    """Those in which every event changes rows are vacuumed when a fiftieth is dead, not a fifth."""
    open_once(inbox_url)

    assert parameters(engine) == dict.fromkeys(TABLES, OURS)


@POSTGRESQL
@pytest.mark.parametrize("version", [3, 4])
def test_tables_that_are_there_get_them(inbox_url: str, engine: sa.Engine, version: int) -> None:
    """Whether the schema is upgraded, or is up to date because migrations have made it."""
    open_once(inbox_url)
    execute(engine, *RESET, f"UPDATE okta_hooks_meta SET schema_version = {version}")
    assert parameters(engine) == {}

    open_once(inbox_url)

    assert parameters(engine) == dict.fromkeys(TABLES, OURS)


@POSTGRESQL
def test_parameters_that_somebody_has_set(inbox_url: str, engine: sa.Engine) -> None:
    """A table with any parameter is left as it is."""
    open_once(inbox_url)
    execute(engine, *RESET, "ALTER TABLE okta_hooks_receipt SET (fillfactor = 90)")

    open_once(inbox_url)

    assert parameters(engine) == dict.fromkeys(TABLES, OURS) | {
        "okta_hooks_receipt": ["fillfactor=90"]
    }
    assert report(inbox_url).unset == ()


def test_a_role_that_may_not_alter_tables(
    postgresql: sa.Engine, postgresql_url: str, few: str, delivery: DeliveryFactory
) -> None:
    """The inbox works without the parameters, and says which tables lack them."""
    administrate(postgresql, *RESET, database=sa.make_url(postgresql_url).database)

    inbox = Inbox(few)
    assert inbox.intake.store([delivery("a")]) == NEW
    inbox.close()
    assert inbox.database.generation == 0
    assert report(few).unset == TABLES

    assert report(postgresql_url).unset == ()


@POSTGRESQL
def test_a_vacuum_that_is_running(
    inbox_url: str, engine: sa.Engine, delivery: DeliveryFactory
) -> None:
    """Its lock is not waited for; the other tables get their parameters, and this one at the next start."""
    open_once(inbox_url)
    execute(engine, *RESET)
    # The lock that VACUUM has.
    lock = "LOCK TABLE okta_hooks_event IN SHARE UPDATE EXCLUSIVE MODE"
    with transaction(engine, lock):
        inbox = Inbox(inbox_url)
        assert inbox.intake.store([delivery("a")], seconds=8.0) == NEW
        inbox.close()
        assert parameters(engine) == {name: OURS for name in TABLES if name != "okta_hooks_event"}

    open_once(inbox_url)

    assert parameters(engine) == dict.fromkeys(TABLES, OURS)


@POSTGRESQL
def test_others_are_at_work_meanwhile(
    inbox_url: str, engine: sa.Engine, delivery: DeliveryFactory
) -> None:
    """The parameters wait for nobody who reads or writes."""
    inbox = Inbox(inbox_url)
    inbox.intake.store([delivery("a")])
    inbox.close()
    execute(engine, *RESET)
    writes = "UPDATE okta_hooks_event SET reason = NULL"
    reads = "SELECT * FROM okta_hooks_receipt FOR SHARE"
    with transaction(engine, writes, reads):
        open_once(inbox_url)

        assert parameters(engine) == dict.fromkeys(TABLES, OURS)


def test_a_session_that_ends_meanwhile(postgresql: sa.Engine, postgresql_url: str) -> None:
    """To open the inbox fails for the moment, and sets the parameters when it is tried again."""
    inbox = Inbox(postgresql_url)
    ended: list[int] = []

    def end(connection: Any, _: Any, statement: str, *args: Any) -> None:
        if statement.startswith("LOCK TABLE") and not ended:
            ended.append(connection.connection.driver_connection.info.backend_pid)
            administrate(postgresql, f"SELECT pg_terminate_backend({ended[0]}, 5000)")

    engine = inbox.database._system.engine  # noqa: SLF001 - nothing else leads to the connection
    sa.event.listen(engine, "before_cursor_execute", end)

    with pytest.raises(InboxUnavailable) as raised:
        inbox.open()
    assert raised.value.connection_lost
    inbox.open()

    assert len(ended) == 1
    inbox.close()
    assert report(postgresql_url).unset == ()


@POSTGRESQL
def test_a_server_that_only_reads(inbox_url: str, engine: sa.Engine) -> None:
    """An inbox on it can be opened and read, as without this."""
    open_once(inbox_url)
    name = sa.make_url(inbox_url).database
    execute(engine, *RESET, f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    inbox = Inbox(inbox_url)
    assert inbox.overview.counts().open == 0
    inbox.close()

    assert inbox.database.generation == 0
    assert parameters(engine) == {}


# What is told


def test_sqlite_has_none(tmp_path: Path) -> None:
    """There is nothing to tell of a file."""
    inbox = Inbox(f"sqlite:///{tmp_path}/inbox.sqlite3")

    assert inbox.vacuum.report(older_than=0.0) is None
    inbox.close()


@POSTGRESQL
def test_nothing_is_wrong(inbox_url: str) -> None:
    """Every table is told of; nothing holds vacuum back."""
    found = report(inbox_url)

    assert {table.name for table in found.tables} == EVERYTHING
    assert all(table.is_automatic for table in found.tables)
    assert {table.dead for table in found.tables} == {0}
    assert found.is_automatic
    assert found == Report(
        tables=found.tables,
        unset=(),
        sessions=(),
        prepared=(),
        replicas=(),
        hidden=(),
        is_automatic=True,
    )


@POSTGRESQL
def test_dead_rows(inbox_url: str, engine: sa.Engine) -> None:
    """What was deleted stays until a vacuum, and then is gone; the trigger is that of the table's parameters."""
    open_once(inbox_url)
    execute(
        engine,
        "ALTER TABLE okta_hooks_receipt SET (autovacuum_enabled = off)",
        "INSERT INTO okta_hooks_receipt (event_id, receiver, hook, state, due, attempts, claims)"
        " SELECT number, 'a', 'okta', 'done', 0, 1, 1 FROM generate_series(1, 3000) AS number",
        "ANALYZE okta_hooks_receipt",
    )
    execute(engine, "DELETE FROM okta_hooks_receipt WHERE event_id <= 2000")
    engine.dispose()  # the statistics of a session are complete when it ends
    before = {table.name: table for table in report(inbox_url).tables}["okta_hooks_receipt"]
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM okta_hooks_receipt")
    engine.dispose()
    after = {table.name: table for table in report(inbox_url).tables}["okta_hooks_receipt"]

    assert (before.live, before.dead, before.vacuumed) == (1000, 2000, None)
    assert before.trigger == 1000 + 0.02 * 3000
    assert not before.is_automatic
    assert after.dead == 0
    assert after.vacuumed is not None
    assert 0 <= after.vacuumed < 60


@POSTGRESQL
@pytest.mark.parametrize(
    "begun",
    [
        ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT 1"],
        ["CREATE TABLE of_the_host ()"],
    ],
    ids=["reads", "writes"],
)
def test_a_transaction_that_is_open(inbox_url: str, engine: sa.Engine, begun: list[str]) -> None:
    """It is told of with whose it is, if it has been open for long; what it has executed is not."""
    open_once(inbox_url)
    with transaction(engine, *begun, name="report of the host") as pid:
        found = report(inbox_url, older_than=NO_TIME)
        assert report(inbox_url).sessions == ()

    (session,) = found.sessions
    assert session.pid == pid
    assert (session.application, session.role) == ("report of the host", "postgres")
    assert session.state == "idle in transaction"
    assert 0 <= session.seconds < 60
    assert "SELECT" not in repr(found)
    assert found.hidden == ()


def test_a_transaction_of_another_role(engine_of_owner: sa.Engine, few: str) -> None:
    """That there is one is told also to a role that may not see since when."""
    with transaction(engine_of_owner, "CREATE TABLE of_the_host ()") as pid:
        found = report(few, older_than=NO_TIME)

    assert found.sessions == ()
    assert found.hidden == (pid,)


@pytest.fixture
def engine_of_owner(postgresql_url: str) -> Iterator[sa.Engine]:
    """Return a way into the database for the role that owns the tables."""
    made = sa.create_engine(sa.make_url(postgresql_url).set(drivername="postgresql+psycopg"))
    yield made
    made.dispose()


@POSTGRESQL
def test_a_transaction_in_another_database(inbox_url: str, postgresql: sa.Engine) -> None:
    """It does not hold back the vacuum of this one."""
    open_once(inbox_url)
    with postgresql.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        connection.exec_driver_sql("SELECT 1 FROM pg_class LIMIT 1")

        assert report(inbox_url, older_than=NO_TIME).sessions == ()
