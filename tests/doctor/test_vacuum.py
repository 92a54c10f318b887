from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from okta_hooks.doctor import vacuum
from okta_hooks.inbox import metadata
from okta_hooks.inbox.vacuum import Prepared, Replica, Report, Session, Table

from .support import SECRET, examine, level, levels, only, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from okta_hooks import EventHook

    AppFactory = Callable[..., Flask]

POSTGRESQL = pytest.mark.parametrize("inbox_url", ["PostgreSQL"], indirect=True)
TABLE = Table(
    name="okta_hooks_receipt",
    live=1_000_000,
    dead=0,
    trigger=21_000.0,
    vacuumed=7200.0,
    is_automatic=True,
)
FINE = Report(
    tables=(TABLE,),
    unset=(),
    sessions=(),
    prepared=(),
    replicas=(),
    hidden=(),
    is_automatic=True,
)
SESSION = Session(
    pid=4711, role="bi", application="reports", state="idle in transaction", seconds=3 * 3600.0
)


# On a real server


def test_nothing_holds_it_back(app: Flask, inbox_url: str) -> None:
    """That it keeps up is told of PostgreSQL, and not of SQLite."""
    found = examine(app, "--offline")

    if inbox_url.startswith("postgresql"):
        assert level(found, "vacuum") == "ok"
    else:
        assert "vacuum" not in found


@POSTGRESQL
def test_dead_rows_and_an_old_transaction(
    app: Flask, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are told of with what to do, and the exit status stays 0; a vacuum and the end of it cure them."""
    run(app, "init-db")
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE okta_hooks_receipt SET (autovacuum_enabled = off)")
        connection.exec_driver_sql(
            "INSERT INTO okta_hooks_receipt (event_id, receiver, hook, state, due, attempts, claims)"
            " SELECT number, 'a', 'okta', 'done', 0, 1, 1 FROM generate_series(1, 60000) AS number"
        )
    holder = engine.connect()
    holder.execution_options(isolation_level="REPEATABLE READ")
    pid = holder.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("DELETE FROM okta_hooks_receipt")
        connection.exec_driver_sql("VACUUM ANALYZE okta_hooks_receipt")
        connection.invalidate()  # the statistics of a session are complete when it ends
    monkeypatch.setattr(vacuum, "LONG", 0.0)

    found = examine(app, "--offline")["vacuum"]
    assert [check["level"] for check in found] == ["warning"] * 3
    off, dead, held = (check["text"] for check in found)
    assert off.startswith("Autovacuum is off for okta_hooks_receipt")
    assert "okta_hooks_receipt has 60000 dead rows beside 0 live ones" in dead
    assert f"The session {pid} (idle in transaction, role postgres)" in held
    assert f"pg_terminate_backend({pid})" in found[2]["cure"]
    assert run(app, "doctor", "--offline").exit_code == 0

    holder.close()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ALTER TABLE okta_hooks_receipt RESET (autovacuum_enabled)")
        connection.exec_driver_sql("VACUUM okta_hooks_receipt")
        connection.invalidate()
    assert level(examine(app, "--offline"), "vacuum") == "ok"


@pytest.fixture
def app_of_few(
    make_app: AppFactory, okta: EventHook, engine: sa.Engine, inbox_url: str
) -> Iterator[Flask]:
    """Return an app whose role may use the tables, which are another's and have no parameters."""
    role = f"few_{uuid.uuid4().hex}"
    with engine.begin() as connection:
        metadata.create_all(connection)
        for statement in (
            "INSERT INTO okta_hooks_meta VALUES (4)",
            f"CREATE ROLE {role} LOGIN",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}",
        ):
            connection.exec_driver_sql(statement)
    url = sa.make_url(inbox_url).set(username=role).render_as_string()
    yield make_app(okta, INBOX=url, SECRET=SECRET)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {role}")
        connection.exec_driver_sql(f"DROP ROLE {role}")


@POSTGRESQL
def test_a_role_that_may_not_alter_tables(app_of_few: Flask) -> None:
    """The inbox is all right, and what its role could not set is told of."""
    found = examine(app_of_few, "--offline")

    assert level(found, "inbox") == "ok"
    assert level(found, "vacuum") == "warning"
    assert "okta_hooks_event, okta_hooks_receipt" in found["vacuum"][0]["text"]


@POSTGRESQL
def test_a_server_that_does_not_say(app_of_few: Flask, engine: sa.Engine) -> None:
    """Where a view is not for everybody, this check is left out, and the others are not."""
    with engine.begin() as connection:
        connection.exec_driver_sql("REVOKE SELECT ON pg_replication_slots FROM PUBLIC")

    found = examine(app_of_few, "--offline")

    assert level(found, "vacuum") == "skipped"
    assert "pg_replication_slots" in found["vacuum"][0]["text"]
    assert level(found, "consistency") == "ok"


# What is said


def test_few_dead_rows() -> None:
    """Neither a small table, nor one in which autovacuum is about to begin, is an alarm."""
    for table in (
        replace(TABLE, live=10, dead=49_999, trigger=1000.0),
        replace(TABLE, dead=62_999),
    ):
        assert only(vacuum.checks(replace(FINE, tables=(table,)))).level == "ok"


def test_many_dead_rows() -> None:
    """How many there are, when autovacuum should have begun, and when it was there last."""
    table = replace(TABLE, dead=63_000)
    text = only(vacuum.checks(replace(FINE, tables=(table,)))).text
    assert "has 63000 dead rows beside 1000000 live ones. Autovacuum begins at 21000" in text
    assert text.endswith("as for the last vacuum, it was 2 h ago.")

    never = only(vacuum.checks(replace(FINE, tables=(replace(table, vacuumed=None),))))
    assert never.text.endswith("there was none yet.")
    assert never.level == "warning"


def test_autovacuum_is_off() -> None:
    """For the server or for some tables."""
    server = only(vacuum.checks(replace(FINE, is_automatic=False)))
    table = only(vacuum.checks(replace(FINE, tables=(replace(TABLE, is_automatic=False),))))

    assert levels([server, table]) == ["warning", "warning"]
    assert "off on this server" in server.text
    assert table.cure == "ALTER TABLE okta_hooks_receipt RESET (autovacuum_enabled)"


def test_tables_without_parameters() -> None:
    """The statements for their owner are the cure."""
    check = only(vacuum.checks(replace(FINE, unset=("okta_hooks_event", "okta_hooks_receipt"))))

    assert check.level == "warning"
    assert (check.cure or "").endswith(
        "ALTER TABLE okta_hooks_event SET (autovacuum_vacuum_scale_factor = 0.02, "
        "autovacuum_vacuum_threshold = 1000); "
        "ALTER TABLE okta_hooks_receipt SET (autovacuum_vacuum_scale_factor = 0.02, "
        "autovacuum_vacuum_threshold = 1000)"
    )


def test_sessions() -> None:
    """Whose a transaction is; names come from elsewhere, and write no lines of their own."""
    named = only(vacuum.checks(replace(FINE, sessions=(SESSION,))))
    bare = replace(SESSION, role=None, application="", state="active")
    hostile = replace(SESSION, application="a\nok b")

    assert named.text.startswith(
        "The session 4711 (idle in transaction, application reports, role bi) "
        "has had a transaction open for 3 h:"
    )
    assert "(active)" in only(vacuum.checks(replace(FINE, sessions=(bare,)))).text
    assert "\n" not in only(vacuum.checks(replace(FINE, sessions=(hostile,)))).text


def test_sessions_that_are_hidden() -> None:
    """They are not called an alarm: the right that would show them is."""
    fine, hidden = vacuum.checks(replace(FINE, hidden=(1, 2)))

    assert (fine.level, hidden.level) == ("ok", "skipped")
    assert "(1, 2)" in hidden.text
    assert "GRANT pg_read_all_stats" in (hidden.cure or "")


def test_prepared_transactions() -> None:
    """The statement that ends one has its name quoted."""
    prepared = Prepared(name="it's one", owner="shop", seconds=86400.0)
    check = only(vacuum.checks(replace(FINE, prepared=(prepared,))))

    assert check.text.startswith("The transaction it's one of the role shop was prepared 1 d ago")
    assert "ROLLBACK PREPARED or COMMIT PREPARED 'it''s one'." in (check.cure or "")


@pytest.mark.parametrize(
    ("is_slot", "is_active", "said", "cure"),
    [
        (True, False, "The replication slot east keeps rows", "pg_drop_replication_slot('east')"),
        (True, True, "The standby behind the replication slot east needs rows", "hot_standby"),
        (False, True, "The standby east needs rows", "hot_standby_feedback"),
    ],
)
def test_replicas(is_slot: bool, is_active: bool, said: str, cure: str) -> None:
    """A slot that nobody uses can go, a standby that is at work has a query that takes long."""
    replica = Replica(name="east", is_slot=is_slot, is_active=is_active, transactions=2_000_000)
    check = only(vacuum.checks(replace(FINE, replicas=(replica,))))

    assert check.level == "warning"
    assert said in check.text
    assert "from 2000000 transactions ago" in check.text
    assert cure in (check.cure or "")
