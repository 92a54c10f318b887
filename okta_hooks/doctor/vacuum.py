"""Whether PostgreSQL's vacuum keeps up with the inbox, and what holds it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from okta_hooks.inbox.autovacuum import PARAMETERS

from .check import age, listed, ok, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from okta_hooks.inbox.vacuum import Prepared, Replica, Report, Session, Table

    from .check import Check

NAME: Final = "vacuum"
#: Whoever has a transaction open for longer is told of.
LONG: Final = 3600.0
#: Fewer dead rows cost nobody anything.
_MANY_DEAD: Final = 50_000
#: Autovacuum begins within a minute, and takes a while: several times as many as it waits for are too many.
_TIMES: Final = 3
_HELD_BACK: Final = "what was changed or deleted since then stays in the tables and their indexes."


def checks(report: Report) -> Iterator[Check]:
    """Look at what the server says.

    :param report: As :meth:`okta_hooks.inbox.vacuum.Vacuum.report` returns it.
    """
    found = [
        *_settings(report),
        *(check for table in report.tables for check in _rows(table)),
        *(_session(each) for each in report.sessions),
        *(_prepared(each) for each in report.prepared),
        *(_replica(each) for each in report.replicas),
    ]
    yield from found
    if not found:
        yield ok(NAME, "It keeps up, and nothing that can be seen holds it back.")
    if report.hidden:
        pids = listed([str(pid) for pid in report.hidden])
        yield skipped(
            NAME,
            f"Sessions of other roles have transactions open ({pids}); since when, this role may not see.",
            "As an administrator: GRANT pg_read_all_stats TO the role of the inbox.",
        )


def _settings(report: Report) -> Iterator[Check]:
    if not report.is_automatic:
        yield warning(
            NAME,
            "Autovacuum is off on this server: the tables and their indexes grow, and the inbox becomes slow.",
            "Set autovacuum = on and track_counts = on in the server's configuration, and reload it.",
        )
    off = [table.name for table in report.tables if not table.is_automatic]
    if off:
        yield warning(
            NAME,
            f"Autovacuum is off for {listed(off)}: they grow, and the inbox becomes slow.",
            _each("ALTER TABLE {} RESET (autovacuum_enabled)", off),
        )
    if report.unset:
        yield warning(
            NAME,
            f"Autovacuum comes too seldom for {listed(report.unset)}: this role may not set the parameters "
            "of these tables, or a vacuum was running.",
            "Restart the app, or as the tables' owner run flask okta-hooks init-db, or: "
            + _each(f"ALTER TABLE {{}} SET ({PARAMETERS})", report.unset),
        )


def _each(statement: str, tables: list[str] | tuple[str, ...]) -> str:
    return "; ".join(statement.format(table) for table in tables)


def _rows(table: Table) -> Iterator[Check]:
    if table.dead < max(_MANY_DEAD, _TIMES * table.trigger):
        return
    last = "there was none yet" if table.vacuumed is None else f"it was {age(table.vacuumed)} ago"
    yield warning(
        NAME,
        f"{table.name} has {table.dead} dead rows beside {table.live} live ones. "
        f"Autovacuum begins at {table.trigger:.0f}; as for the last vacuum, {last}.",
        f"VACUUM (VERBOSE) {table.name} removes them, or says what holds it back. "
        "If it comes back, autovacuum is too slow: raise autovacuum_vacuum_cost_limit or autovacuum_max_workers.",
    )


def _session(session: Session) -> Check:
    who = ", ".join(
        part
        for part in (
            session.state,
            f"application {session.application}" if session.application else "",
            f"role {session.role}" if session.role else "",
        )
        if part
    )
    return warning(
        NAME,
        f"The session {session.pid} ({who}) has had a transaction open for {age(session.seconds)}: {_HELD_BACK}",
        f"End it where it comes from, or: SELECT pg_terminate_backend({session.pid}). "
        "The setting idle_in_transaction_session_timeout ends those that are idle.",
    )


def _prepared(transaction: Prepared) -> Check:
    return warning(
        NAME,
        f"The transaction {transaction.name} of the role {transaction.owner} was prepared "
        f"{age(transaction.seconds)} ago, and is open still: {_HELD_BACK}",
        "If the program that has prepared it does not end it, do, in this database: "
        f"ROLLBACK PREPARED or COMMIT PREPARED {_quoted(transaction.name)}.",
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _replica(replica: Replica) -> Check:
    since = f"rows from {replica.transactions} transactions ago"
    if not replica.is_active:
        return warning(
            NAME,
            f"The replication slot {replica.name} keeps {since}, and nobody uses it: {_HELD_BACK}",
            "Start the standby whose it is; if that is gone: "
            f"SELECT pg_drop_replication_slot('{replica.name}').",
        )
    what = "standby behind the replication slot" if replica.is_slot else "standby"
    return warning(
        NAME,
        f"The {what} {replica.name} needs {since}: {_HELD_BACK}",
        "A query on that standby has been running for long: end it, "
        "or switch hot_standby_feedback off there.",
    )
