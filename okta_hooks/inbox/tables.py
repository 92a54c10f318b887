"""The tables of the inbox.

Times are seconds since the epoch, bodies are text exactly as received: a `jsonb` column would refuse some.
What dialects have words of their own for stands in `info`, for `schema.described`: to say it in a dialect's words,
such as `postgresql_where`, imports that dialect, also into a process that uses another.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

SCHEMA_VERSION: Final = 6
PENDING: Final = "pending"
CLAIMED: Final = "claimed"
DONE: Final = "done"
DEAD: Final = "dead"
STATES: Final = (PENDING, CLAIMED, DONE, DEAD)
#: Keys of `info`: of an index, which rows it has; of a table, that an id never comes back.
WHERE: Final = "where"
AUTOINCREMENT: Final = "autoincrement"
_OF_LOG: Final = "~log"

metadata = sa.MetaData()
_BigId = sa.BigInteger().with_variant(sa.Integer, "sqlite")

delivery = sa.Table(
    "okta_hooks_delivery",
    metadata,
    sa.Column("id", _BigId, primary_key=True),
    sa.Column("hook", sa.Text, nullable=False),
    sa.Column("via", sa.Text, nullable=False),
    sa.Column("event_id", sa.Text),
    sa.Column("source", sa.Text),
    sa.Column("secret", sa.Integer),
    sa.Column("secret_list", sa.Integer),
    sa.Column("body", sa.Text),
    sa.Column("received_at", sa.Double, nullable=False),
    sa.Column("traceparent", sa.Text),
    info={AUTOINCREMENT: True},
)
sa.Index(
    "okta_hooks_delivery_body",
    delivery.c.received_at,
    info={WHERE: delivery.c.body.is_not(None)},
)
sa.Index("okta_hooks_delivery_received", delivery.c.received_at)

event = sa.Table(
    "okta_hooks_event",
    metadata,
    sa.Column("id", _BigId, primary_key=True),
    sa.Column("delivery_id", _BigId, nullable=False, index=True),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column("hook", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("type", sa.Text),
    sa.Column("published", sa.Double),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    # How often its body was about to be read before its receivers were known; NULL where that was not needed.
    sa.Column("readings", sa.Integer),
    # How often a hook has delivered it again; NULL where that is never.
    sa.Column("duplicates", sa.Integer),
    sa.UniqueConstraint("hook", "key", name="okta_hooks_event_key"),
    info={AUTOINCREMENT: True},
)
for _state in (PENDING, CLAIMED, DEAD):
    sa.Index(
        f"okta_hooks_event_{_state}",
        event.c.id,
        info={WHERE: event.c.state == _state},
    )
# By hook: what waits of a hook that no app here has must not be gone through.
sa.Index(
    "okta_hooks_event_hook",
    event.c.hook,
    event.c.id,
    info={WHERE: event.c.state == PENDING},
)

receipt = sa.Table(
    "okta_hooks_receipt",
    metadata,
    sa.Column("event_id", _BigId, primary_key=True, autoincrement=False),
    sa.Column("receiver", sa.Text, primary_key=True),
    sa.Column("hook", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    # Negative for a receipt never attempted: due at once, in Okta's order; see `assignments._due_at_once`.
    sa.Column("due", sa.Double, nullable=False),
    # The wait in seconds that `due` was computed from.
    sa.Column("wait", sa.Double),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("claims", sa.Integer, nullable=False),
    sa.Column("worker", sa.Text),
    sa.Column("error", sa.Text),
    # Of the last attempt: when it ended, and how long the receiver ran. NULL before version 6 of the schema.
    sa.Column("ended_at", sa.Double),
    sa.Column("seconds", sa.Double),
)
sa.Index(
    "okta_hooks_receipt_due",
    receipt.c.hook,
    receipt.c.receiver,
    receipt.c.due,
    receipt.c.event_id,
    info={WHERE: receipt.c.state == PENDING},
)
sa.Index(
    "okta_hooks_receipt_worker",
    receipt.c.worker,
    info={WHERE: receipt.c.state == CLAIMED},
)

sa.Index(
    "okta_hooks_receipt_dead",
    receipt.c.hook,
    receipt.c.receiver,
    receipt.c.event_id,
    info={WHERE: receipt.c.state == DEAD},
)

#: How many failed attempts of a receipt are kept: the last ones.
ATTEMPTS_KEPT: Final = 20
# The attempts that failed. One that succeeds has no row: its receipt has all there is to say.
attempt = sa.Table(
    "okta_hooks_attempt",
    metadata,
    sa.Column("event_id", _BigId, primary_key=True, autoincrement=False),
    sa.Column("receiver", sa.Text, primary_key=True),
    # The number modulo ATTEMPTS_KEPT: so a receipt never has more rows, also if it is replayed.
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("ended_at", sa.Double, nullable=False),
    sa.Column("seconds", sa.Double),
    # The state that the receipt got: pending, if it is tried again.
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("error", sa.Text),
)

#: Up to how many seconds the attempts of each of the columns ``within_0``, ``within_1`` ... of a total took.
DURATIONS: Final = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
# What would otherwise have to be counted among all that is done. Only the sum over `part` means something: whoever
# writes often has rows of its own, so that nobody waits for another.
total = sa.Table(
    "okta_hooks_total",
    metadata,
    sa.Column("hook", sa.Text, primary_key=True),
    # Empty for what is of no receiver.
    sa.Column("receiver", sa.Text, primary_key=True),
    # The worker that counts here; empty for all others.
    sa.Column("part", sa.Text, primary_key=True),
    # How many events and receipts are done now.
    sa.Column("events", _BigId, nullable=False, server_default="0"),
    sa.Column("receipts", _BigId, nullable=False, server_default="0"),
    # How many attempts have ended so at any time, and how long they took.
    sa.Column("done", _BigId, nullable=False, server_default="0"),
    sa.Column("retried", _BigId, nullable=False, server_default="0"),
    sa.Column("dead", _BigId, nullable=False, server_default="0"),
    sa.Column("seconds", sa.Double, nullable=False, server_default="0"),
    # Of how many attempts that is: some are given up without a call.
    sa.Column("calls", _BigId, nullable=False, server_default="0"),
    *(
        sa.Column(f"within_{number}", _BigId, nullable=False, server_default="0")
        for number in range(len(DURATIONS))
    ),
)

# What the totals of attempts had come to at the end of hours, by receiver: what was done in between is a difference.
attempt_hour = sa.Table(
    "okta_hooks_attempt_hour",
    metadata,
    # Of the epoch; 0 has what was attempted before there was this table.
    sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("hook", sa.Text, primary_key=True),
    sa.Column("receiver", sa.Text, primary_key=True),
    *(
        sa.Column(column.name, column.type, nullable=False)
        for column in total.c
        if column.name in ("done", "retried", "dead", "seconds", "calls")
        or column.name.startswith("within_")
    ),
)

# What was received in each hour that is over: to look at deliveries themselves takes longer the more there are.
hour = sa.Table(
    "okta_hooks_hour",
    metadata,
    # A row with an empty hook says that all of its hour is here.
    sa.Column("hook", sa.Text, primary_key=True),
    # Of the epoch.
    sa.Column("hour", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("via", sa.Text, primary_key=True),
    # As those of the deliveries; an empty text and -1 stand for NULL.
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("secret_list", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("secret", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("deliveries", sa.Integer, nullable=False),
    sa.Column("events", sa.Integer, nullable=False),
    sa.Column("first_at", sa.Double, nullable=False),
    sa.Column("last_at", sa.Double, nullable=False),
)

# What has become of deliveries, for metrics: see `counters`. It only grows.
counter = sa.Table(
    "okta_hooks_counter",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("hook", sa.Text, primary_key=True),
    sa.Column("via", sa.Text, primary_key=True),
    sa.Column("result", sa.Text, primary_key=True),
    sa.Column("number", _BigId, nullable=False),
)

worker = sa.Table(
    "okta_hooks_worker",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("alive_until", sa.Double, nullable=False),
    sa.Column("is_stopping", sa.Integer),
    # The claim that runs alone there, if one does: see `Workers.mark_alone`.
    sa.Column("alone_event", _BigId),
    sa.Column("alone_receiver", sa.Text),
    sa.Column("alone_claims", sa.Integer),
    # What it does: "thread", "relay" or "task"; NULL for workers of version 0.1.
    sa.Column("kind", sa.Text),
    # Of a relay: since when the broker takes nothing, in seconds since the epoch; NULL while it does.
    sa.Column("broker_away_since", sa.Double),
    # By how many seconds the clock of its host was ahead of the database's at its last heartbeat.
    sa.Column("clock_ahead", sa.Double),
)
# The tickets that were given to a task queue, and whose receipts nobody has claimed since: see `tickets`.
ticket = sa.Table(
    "okta_hooks_ticket",
    metadata,
    sa.Column("event_id", _BigId, primary_key=True, autoincrement=False),
    sa.Column("receiver", sa.Text, primary_key=True),
    sa.Column("hook", sa.Text, nullable=False),
    sa.Column("queue", sa.Text, nullable=False),
    # When it is taken for lost, by the clock of the database.
    sa.Column("lapses_at", sa.Double, nullable=False),
    sa.Column("times_sent", sa.Integer, nullable=False),
)
lane = sa.Table(
    "okta_hooks_lane",
    metadata,
    sa.Column("hook", sa.Text, primary_key=True),
    sa.Column("receiver", sa.Text, primary_key=True),
    sa.Column("seen_at", sa.Double, nullable=False),
    # For how many seconds workers have watched without its being connected anywhere.
    sa.Column("unseen", sa.Double),
)
# The receivers that are paused: nobody claims a receipt of theirs.
pause = sa.Table(
    "okta_hooks_pause",
    metadata,
    sa.Column("hook", sa.Text, primary_key=True),
    sa.Column("receiver", sa.Text, primary_key=True),
    sa.Column("paused_at", sa.Double, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
)
# What people have done to the inbox, or seen of it: see `audit`.
audit = sa.Table(
    "okta_hooks_audit",
    metadata,
    sa.Column("id", _BigId, primary_key=True),
    sa.Column("at", sa.Double, nullable=False, index=True),
    # NULL for what is of no one hook.
    sa.Column("hook", sa.Text),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    # To how many events or receivers; NULL until that is known.
    sa.Column("number", _BigId),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("via", sa.Text, nullable=False),
    info={AUTOINCREMENT: True},
)
cursor = sa.Table(
    "okta_hooks_cursor",
    metadata,
    sa.Column("org", sa.Text, primary_key=True),
    sa.Column("next_url", sa.Text, nullable=False),
    sa.Column("reached_at", sa.Double),
)
meta = sa.Table(
    "okta_hooks_meta",
    metadata,
    sa.Column("schema_version", sa.Integer, primary_key=True, autoincrement=False),
)


def log_key(uuid: str) -> str:
    """Return the key of the log's version of an event, if a hook delivered another under its uuid."""
    return f"{uuid}{_OF_LOG}"


def is_log_key(key: str) -> bool:
    """Return whether :func:`log_key` has made a key."""
    return key.endswith(_OF_LOG)
