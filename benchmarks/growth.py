"""Whether storing and claiming take longer when there is much in the tables."""

from __future__ import annotations

import time
import uuid
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from okta_hooks.inbox import Inbox
from okta_hooks.inbox.assignments import Assignment
from okta_hooks.inbox.claims import Settlement
from okta_hooks.inbox.intake import NewDelivery, NewEvent
from okta_hooks.wire.events import Delivery

from .figures import turns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .figures import Figures

STORE: Final = "milliseconds to store a delivery of 100 events"
CLAIM: Final = "milliseconds to hand out and claim 20 events"
_IN_A_DELIVERY: Final = 10
_EVENTS: Final = 100
_LANE: Final = ("okta", "no-op")
_WORKER: Final = "me"
_KEY: Final = {"sqlite": "lower(hex(randomblob(16)))", "postgresql": "gen_random_uuid()::text"}
_NUMBERS: Final = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) "
)
_FILLING: Final = (
    """INSERT INTO okta_hooks_delivery (id, hook, via, event_id, body, received_at)
    {numbers} SELECT i, 'okta', 'hook', 'filled', '{{}}', 1.7e9 FROM n""",
    """INSERT INTO okta_hooks_event (id, delivery_id, ordinal, hook, key, type, published, state)
    {numbers} SELECT i, (i + 9) / 10, (i + 9) - (i + 9) / 10 * 10, 'okta', {key},
    'user.session.start', 1.7e9, 'done' FROM n""",
    """INSERT INTO okta_hooks_receipt (event_id, receiver, hook, state, due, attempts, claims)
    {numbers} SELECT i, 'no-op', 'okta', 'done', 0, 1, 1 FROM n""",
)
#: What was stored meanwhile: a table of so many events keeps its size.
_EMPTY: Final = (
    "DELETE FROM okta_hooks_receipt WHERE event_id > {count}",
    "DELETE FROM okta_hooks_event WHERE id > {count}",
    f"DELETE FROM okta_hooks_delivery WHERE id > {{count}} / {_IN_A_DELIVERY}",  # noqa: S608 - numbers
)
_AFTER: Final = {
    "sqlite": (),
    "postgresql": tuple(
        f"SELECT setval(pg_get_serial_sequence('okta_hooks_{table}', 'id'), {{count}})"
        for table in ("delivery", "event")
    ),
}


def _fill(inbox: Inbox, engine: sa.Engine, events: int) -> None:
    """Put so many events that are done into an inbox."""
    inbox.workers.beat(_WORKER, 3600)
    kind = engine.dialect.name
    with engine.begin() as connection:
        for statement, count in zip(
            _FILLING, (events // _IN_A_DELIVERY, events, events), strict=True
        ):
            numbers = _NUMBERS.format(count=count)
            connection.exec_driver_sql(statement.format(numbers=numbers, key=_KEY[kind]))
        for statement in _AFTER[kind]:
            connection.exec_driver_sql(statement.format(count=events))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ANALYZE")


def measure(
    figures: Figures,
    postgresql: Callable[[], str],
    folder: Path,
    *,
    sizes: tuple[int, ...],
    times: int,
) -> None:
    """Store and claim in a small inbox and in a large one, in turn."""
    with ExitStack() as stack:
        filled = []
        for size in sizes:
            sqlite = f"sqlite:///{folder / f'growth-{size}.sqlite3'}"
            for kind, url in (("SQLite", sqlite), ("PostgreSQL", postgresql())):
                inbox = stack.enter_context(closing(Inbox(url)))
                engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
                stack.callback(engine.dispose)
                _fill(inbox, engine, size)
                filled.append((kind, size, inbox, engine))
        for kind, size, inbox, engine in turns(filled, times):
            new = _delivery()
            name = f"{size:,} events"
            figures.note(f"{STORE}, {kind}", name, _milliseconds(inbox.intake.store, [new]))
            figures.note(f"{CLAIM}, {kind}", name, _milliseconds(_claim, inbox))
            with engine.begin() as connection:
                for statement in _EMPTY:
                    connection.exec_driver_sql(statement.format(count=size))


def _delivery() -> NewDelivery:
    received = Delivery(event_id=None, source=None, via="hook", received_at=datetime.now(UTC))
    # Of version 4: each goes to another place of the index, the worst for a large one.
    events = [
        NewEvent(key=str(uuid.uuid4()), type="user.session.start", published=1.7e9)
        for _ in range(_EVENTS)
    ]
    return NewDelivery(hook="okta", delivery=received, body="x" * 100_000, events=tuple(events))


def _claim(inbox: Inbox) -> None:
    events = inbox.assignments.unassigned([_LANE[0]], limit=20)
    inbox.assignments.assign([Assignment(event=event, receivers=(_LANE[1],)) for event in events])
    claims = inbox.claims.claim(_WORKER, *_LANE, 20)
    inbox.claims.settle(_WORKER, [Settlement(claim=claim, state="done") for claim in claims])


def _milliseconds(call: Callable[..., Any], *arguments: Any) -> float:
    began = time.perf_counter()
    call(*arguments)
    return (time.perf_counter() - began) * 1000
