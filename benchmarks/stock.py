"""Fills an inbox with the events of 100 days: most are done, some wait, a few are dead."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from flask import Flask

from okta_hooks import EventHook, state_of
from okta_hooks.inbox.keys import index_by_time
from okta_hooks.inbox.tables import event

from . import apps

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from okta_hooks.inbox import Inbox

DAYS: Final = 100
IN_A_DELIVERY: Final = 2
HOOKS: Final = ("okta", "second")
RECEIVERS: Final = ("no-op", "other")
#: Two, as during a rotation: `doctor` looks which of them is in use then.
SECRETS: Final = (apps.SECRET, "battery staple")
#: The last that were stored have no receipts yet; of those before them every receipt is open.
PENDING, CLAIMED, DEAD = 500, 1_000, 200
#: How many came in the last day.
RECENT: Final = 1_000
_DAY: Final = 24 * 3600.0
_DAYS_WITH_BODY: Final = 30
_BODY_SIZE: Final = 600

_NUMBERS: Final = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) ",
    "postgresql": "WITH n(i) AS (SELECT generate_series({first}, {last})) ",
}
#: Uuids as Okta's: most are of version 1, of the event's time in tenths of microseconds since 1582, the low digits
#: first, so that every seven minutes they come round; some are of version 4, and random.
EVERY_RANDOM: Final = 10
_TICKS: Final = (
    "(CAST(({time} + 12219292800) * 1e7 AS bigint) + (i - 1) % {in_a_delivery} * 2000000)"
)
_KEY: Final = "CASE WHEN i % {every_random} = 3 THEN {random} ELSE {of_time} END"
_OF_TIME: Final = {
    "sqlite": """printf('%08x-%04x-1%03x-8000-%012x',
    {ticks} & 4294967295, ({ticks} >> 32) & 65535, {ticks} >> 48, i % 16)""",
    "postgresql": """lpad(to_hex({ticks} & 4294967295), 8, '0') || '-' || lpad(to_hex(({ticks} >> 32) & 65535), 4, '0')
    || '-1' || lpad(to_hex({ticks} >> 48), 3, '0') || '-8000-' || lpad(to_hex(i % 16), 12, '0')""",
}
_RANDOM: Final = {
    "sqlite": """lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2)
    || '-8' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))""",
    "postgresql": "gen_random_uuid()::text",
}
_STATE: Final = """CASE WHEN i > {events} - {pending} THEN 'pending' WHEN i > {events} - {open} THEN 'claimed'
    WHEN i > {first_with_body} AND (i - {first_with_body}) % {between_dead} = 0
    AND (i - {first_with_body}) / {between_dead} <= {dead} THEN 'dead' ELSE 'done' END"""
#: As much in the last day however large the inbox is: what was received within the last hour or two has not been
#: written down yet, and how long it takes to look at that depends on the rate, not on the number of all events.
_TIME: Final = """CASE WHEN {delivery} > {before} THEN {now} - {day} + {day} * ({delivery} - {before}) / {recent}
    ELSE {begin} + ({now} - {day} - {begin}) * {delivery} / {before} END"""
_HOOK: Final = "CASE WHEN {delivery} % 4 = 0 THEN 'second' ELSE 'okta' END"
#: Two hooks at Okta deliver, with another list of secrets first, with the second secret for long, with the first in
#: the last 3 days; a backfill brings what they have not.
_DELIVERIES: Final = """INSERT INTO okta_hooks_delivery
    (id, hook, via, event_id, source, secret, secret_list, body, received_at)
    {numbers} SELECT i, {hook}, CASE WHEN i % 20 = 7 THEN 'backfill' ELSE 'hook' END, 'filled',
    CASE WHEN i % 20 = 7 THEN NULL WHEN i % 8 < 4 THEN 'https://one.example.com' ELSE 'https://two.example.com' END,
    CASE WHEN i % 20 = 7 THEN NULL WHEN i > {deliveries} / 100 * 97 THEN 0 ELSE 1 END,
    CASE WHEN i % 20 = 7 THEN NULL WHEN i > {deliveries} / 2 THEN {secret_list} ELSE {secret_list} - 1 END,
    CASE WHEN i > {first_with_body} / {in_a_delivery} THEN '{body}' END,
    {time} FROM n"""
_EVENTS: Final = """INSERT INTO okta_hooks_event
    (id, delivery_id, ordinal, hook, key, type, published, state)
    {numbers} SELECT i, (i - 1) / {in_a_delivery} + 1, (i - 1) % {in_a_delivery}, {hook}, {key},
    CASE WHEN (i / {between_dead}) % 3 = 0 THEN 'user.lifecycle.create' ELSE 'user.session.start' END,
    {time}, {state} FROM n"""
#: The first receiver is done with what is dead, and has failed at some of what is open.
_RECEIPTS: Final = """INSERT INTO okta_hooks_receipt
    (event_id, receiver, hook, state, due, wait, attempts, claims, error)
    {numbers} SELECT i, receiver, {hook}, CASE {state} WHEN 'claimed' THEN 'pending'
    WHEN 'dead' THEN CASE receiver WHEN '{receiver}' THEN 'done' ELSE 'dead' END ELSE 'done' END,
    CASE WHEN i > {events} - {open} AND receiver = '{receiver}' THEN {now} + 60 ELSE -1.0 / i END, 60,
    CASE WHEN i > {events} - {open} AND receiver <> '{receiver}' THEN 0 ELSE 1 END, 1,
    CASE WHEN {state} IN ('claimed', 'dead') THEN 'ValueError: no' END
    FROM n CROSS JOIN (SELECT '{receiver}' AS receiver UNION ALL SELECT '{other}') AS r"""

#: What the library writes down hour by hour; to do so for 100 days would take a minute.
_HOURS: Final = (
    """INSERT INTO okta_hooks_hour
    (hook, hour, via, source, secret_list, secret, deliveries, events, first_at, last_at)
    SELECT hook, {hour} AS of_hour, via, coalesce(source, ''), coalesce(secret_list, -1), coalesce(secret, -1),
    count(*), count(*) * {in_a_delivery}, min(received_at), max(received_at) FROM okta_hooks_delivery
    WHERE received_at >= {first_hour} * 3600.0 AND received_at < {over} * 3600.0 GROUP BY 1, 2, 3, 4, 5, 6""",
    """INSERT INTO okta_hooks_hour
    (hook, hour, via, source, secret_list, secret, deliveries, events, first_at, last_at)
    {numbers} SELECT '', i, '', '', -1, -1, 0, 0, 0, 0 FROM n""",
)
_HOUR: Final = {
    "sqlite": "CAST(received_at / 3600 AS INTEGER)",
    "postgresql": "floor(received_at / 3600)::integer",
}
_SECONDS_TO_WRITE_DOWN: Final = 600


@dataclass(frozen=True, kw_only=True)
class Stock:
    """A filled inbox, in an app that has its hooks and receivers."""

    kind: str
    events: int
    url: str
    app: Flask
    inbox: Inbox
    engine: sa.Engine

    @property
    def deliveries(self) -> int:
        """How many deliveries brought the events."""
        return self.events // IN_A_DELIVERY


def stock(kind: str, url: str, events: int, folder: Path, stack: ExitStack) -> Stock:
    """Fill an empty inbox with so many events.

    They are spread over the same time however many they are, as many have come in the last day, and as many are not
    done: so inboxes of different sizes differ in what is done, and in nothing else.
    """
    filled = connected(kind, url, events, folder, stack)
    inbox = filled.inbox
    inbox.open()
    # SQLite changes its journal only while nobody else has the file.
    inbox.close()
    _fill(filled.engine, events, state_of(filled.app).secret_lists[HOOKS[0]])
    inbox.workers.see_receivers([(hook, name) for hook in HOOKS for name in RECEIVERS])
    inbox.totals.recount()
    while inbox.hours.write_down():  # an hour may have ended meanwhile
        pass
    with filled.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        vacuum = "VACUUM (ANALYZE)" if filled.engine.dialect.name == "postgresql" else "ANALYZE"
        connection.exec_driver_sql(vacuum)
    return filled


def connected(kind: str, url: str, events: int, folder: Path, stack: ExitStack) -> Stock:
    """Return an app with an inbox, its hooks and receivers."""
    app = Flask(__name__, instance_path=str(folder))
    app.config.update(OKTA_HOOKS_SECRET=SECRETS, OKTA_HOOKS_INBOX=url, OKTA_HOOKS_WORKER="external")
    for name in HOOKS:
        hook = EventHook(name, url_prefix=f"/{name}")
        for receiver in RECEIVERS:
            hook.on("*", name=receiver)(lambda *_, **__: None)
        app.register_blueprint(hook)
    inbox = state_of(app).runtime().inbox
    stack.callback(inbox.close)
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    stack.callback(engine.dispose)
    return Stock(kind=kind, events=events, url=url, app=app, inbox=inbox, engine=engine)


def check(filled: Stock) -> None:
    """Raise if what is kept of what is done is not what a count finds.

    :raises RuntimeError: if it is not.
    """
    if filled.inbox.totals.recount():
        raise RuntimeError(f"{filled.kind}, {filled.events:,} events: the totals were wrong.")


def environment(filled: Stock) -> dict[str, str]:
    """Return what configures the app of :func:`.apps.ours` to have the inbox."""
    values = {"SECRET": SECRETS, "INBOX": filled.url, "WORKER": "external"}
    return {f"FLASK_OKTA_HOOKS_{key}": json.dumps(value) for key, value in values.items()}


def _fill(engine: sa.Engine, events: int, secret_list: int) -> None:
    kind = engine.dialect.name
    of_keys = index_by_time(event.to_metadata(sa.MetaData()))
    now = time.time()
    over = int((now - _SECONDS_TO_WRITE_DOWN) // 3600)
    before = (events - RECENT) // IN_A_DELIVERY
    first_with_body = before * (DAYS - _DAYS_WITH_BODY) // (DAYS - 1) * IN_A_DELIVERY
    values = {
        "events": events,
        "deliveries": events // IN_A_DELIVERY,
        "pending": PENDING,
        "open": PENDING + CLAIMED,
        "dead": DEAD,
        "between_dead": (events - first_with_body - PENDING - CLAIMED) // DEAD,
        "first_with_body": first_with_body,
        "in_a_delivery": IN_A_DELIVERY,
        "receiver": RECEIVERS[0],
        "other": RECEIVERS[1],
        "secret_list": secret_list,
        "body": '{"data":{"events":[]}}'.ljust(_BODY_SIZE),
        "now": now,
        "begin": now - DAYS * _DAY,
        "day": _DAY,
        "before": before,
        "recent": RECENT // IN_A_DELIVERY,
        "hour": _HOUR[kind],
        "first_hour": over - DAYS * 24,
        "over": over,
    }
    values["state"] = _STATE.format(**values)
    of_event = f"((i - 1) / {IN_A_DELIVERY} + 1)"
    parts = (
        (_DELIVERIES, 1, events // IN_A_DELIVERY, "i"),
        (_EVENTS, 1, events, of_event),
        # Receipts go with the body; what has just been stored has none yet.
        (_RECEIPTS, first_with_body + 1, events - PENDING, of_event),
        *((statement, over - DAYS * 24, over - 1, "") for statement in _HOURS),
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if kind == "sqlite":
            for pragma in ("journal_mode = OFF", "synchronous = OFF"):
                connection.exec_driver_sql(f"PRAGMA {pragma}")
        else:
            connection.execute(sa.schema.DropIndex(of_keys))
        for statement, first, last, of_delivery in parts:
            numbers = _NUMBERS[kind].format(first=first, last=last)
            hook, at = (each.format(delivery=of_delivery, **values) for each in (_HOOK, _TIME))
            ticks = _TICKS.format(time=f"({at})", **values)
            key = _KEY.format(
                every_random=EVERY_RANDOM,
                random=_RANDOM[kind],
                of_time=_OF_TIME[kind].format(ticks=ticks),
            )
            # A per cent sign is the driver's.
            text = statement.format(numbers=numbers, hook=hook, time=at, key=key, **values)
            connection.exec_driver_sql(text.replace("%", "%%") if kind != "sqlite" else text)
        if kind == "sqlite":
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        else:
            connection.execute(sa.schema.CreateIndex(of_keys))
            for table in ("delivery", "event"):
                sequence = f"pg_get_serial_sequence('okta_hooks_{table}', 'id')"
                connection.exec_driver_sql(f"SELECT setval({sequence}, {events})")
    engine.dispose()
