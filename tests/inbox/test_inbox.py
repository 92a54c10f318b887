from __future__ import annotations

import json
import logging
import os
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from okta_hooks import UnreadableEvent
from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox.claims import STATES, Inbox, Selection, Settlement, Stored, metadata
from okta_hooks.wire import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from okta_hooks.inbox.claims import Claim, NewDelivery
    from tests.support import Clock

    OpenInbox = Callable[..., Inbox]
    DeliveryFactory = Callable[..., NewDelivery]

CREATED = "user.lifecycle.create"
NOTHING = {"pending": 0, "claimed": 0, "done": 0, "dead": 0, "oldest_pending_seconds": None}
HOUR = 3600.0
DAY = 24 * HOUR
#: How many events two workers settle at once; the environment may ask for 10,000.
MANY = int(os.environ.get("INBOX_TEST_EVENTS", "500"))


def fan_out(inbox: Inbox, *receivers: str, hook: str = "okta", limit: int = 500) -> None:
    """Give every pending event of a hook to these receivers."""
    inbox.fan_out([hook], lambda _: receivers, limit=limit)


def claim(inbox: Inbox, receiver: str = "a", worker: str = "me", limit: int = 20) -> list[Claim]:
    return inbox.claim(worker, "okta", receiver, limit)


def settle(inbox: Inbox, claims: list[Claim], state: str = "done", **values: Any) -> dict[int, str]:
    """Settle claims alike, and return the events that this closed."""
    made = [Settlement(claim=claim, state=state, **values) for claim in claims]
    return inbox.settle("me", made)[1]


def states(inbox: Inbox) -> dict[str, str]:
    """Return the state of each event by its key."""
    return {row["uuid"]: row["state"] for row in inbox.find(Selection())}


def receipts(inbox: Inbox, uuid: str) -> dict[str, tuple[str, int]]:
    """Return the state and the attempts of each receipt of an event, by receiver."""
    return {
        row["receiver"]: (row["state"], row["attempts"]) for row in inbox.show(uuid)[0]["receipts"]
    }


def counts(inbox: Inbox) -> dict[str, int]:
    """Return how many events are in the states that have any."""
    found = inbox.counts()
    return {state: found[state] for state in STATES if found[state]}


def impossible(new: NewDelivery) -> NewDelivery:
    """Return a delivery that no database takes: a column must not be null."""
    return replace(new, delivery=replace(new.delivery, via=None))  # type: ignore[arg-type]


# Storing


def test_a_delivery_is_stored_once(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Events that are new are counted as new; what Okta sends again is counted, and not kept."""
    assert inbox.store([delivery("a", "b")]) == [Stored(new=2, duplicate=0)]
    assert inbox.store([delivery("b", "c")]) == [Stored(new=1, duplicate=1)]
    assert inbox.store([delivery("a", "c")]) == [Stored(new=0, duplicate=2)]
    assert states(inbox) == {"a": "pending", "b": "pending", "c": "pending"}


def test_a_delivery_of_duplicates_leaves_nothing(
    inbox: Inbox, delivery: DeliveryFactory, engine: sa.Engine
) -> None:
    """The body of a delivery in which nothing is new is not stored a second time; nor is an empty one."""
    inbox.store([delivery("a")])
    inbox.store([delivery("a"), delivery()])

    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM okta_hooks_delivery")) == 1


def test_duplicates_within_one_delivery_and_one_batch(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """An event that comes twice in one transaction is stored once, whichever delivery it came in."""
    stored = inbox.store([delivery("a", "a"), delivery("a", "b"), delivery("b")])

    assert sum(one.new for one in stored) == 2
    assert sum(one.duplicate for one in stored) == 3
    assert [one.new + one.duplicate for one in stored] == [2, 2, 1]
    assert states(inbox) == {"a": "pending", "b": "pending"}


def test_two_hooks_may_get_the_same_event(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """The same uuid from another hook is another event: each hook has its own receivers."""
    assert inbox.store([delivery("a"), delivery("a", hook="other")]) == [
        Stored(new=1, duplicate=0),
        Stored(new=1, duplicate=0),
    ]
    assert [row["hook"] for row in inbox.show("a")] == ["other", "okta"]


def test_storing_is_one_transaction(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """If the database refuses one delivery of a batch, nothing of the others is stored."""
    with pytest.raises(InboxUnavailable) as raised:
        inbox.store([delivery("a"), impossible(delivery("b"))])

    assert not raised.value.is_transient
    assert inbox.counts() == NOTHING


def test_an_unreadable_event_is_dead_at_once(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """What cannot be read is a dead letter with its reason; what came with it goes its way."""
    (stored,) = inbox.store([delivery("a", None, {"uuid": "b"}, {"eventType": 7, "uuid": "c"})])

    assert (stored.new, len(stored.dead)) == (4, 2)
    found = {row["state"]: row["reason"] for row in inbox.find(Selection())}
    assert "no eventType" in found["dead"] or "not a JSON object" in found["dead"]
    assert counts(inbox) == {"pending": 2, "dead": 2}
    # Sent again, it is a duplicate, and no second dead letter.
    assert inbox.store([delivery(None)]) == [Stored(new=0, duplicate=1)]


@pytest.mark.parametrize(
    ("uuid", "is_kept"),
    [
        ("0b7c8b8e-0d0a-11ee-be56-0242ac120002", True),
        ("not a UUID", True),
        ("x" * 200, True),
        ("x" * 201, False),
        ("", False),
        (None, False),
        (42, False),
        (["a"], False),
        ("é", False),
        ("a\nb", False),
        ("a\0b", False),
        ("\ud800", False),
    ],
    ids=repr,
)
def test_the_key_of_an_event(
    inbox: Inbox, delivery: DeliveryFactory, uuid: object, *, is_kept: bool
) -> None:
    """A uuid of 1 to 200 printable ASCII characters is the key; anything else is replaced by a digest."""
    event = {"uuid": uuid, "eventType": CREATED}

    inbox.store([delivery(event)])
    assert inbox.store([delivery(event)]) == [Stored(new=0, duplicate=1)]

    ((key, state),) = states(inbox).items()
    assert state == "pending"
    assert key == uuid if is_kept else key.startswith("sha256:")


def test_equal_events_without_a_uuid_are_told_apart_by_their_place(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """Two equal ones in one delivery are two; the same delivery again has none that is new."""
    event = {"eventType": CREATED, "severity": "INFO"}
    shuffled = {"severity": "INFO", "eventType": CREATED}

    assert inbox.store([delivery(event, event)]) == [Stored(new=2, duplicate=0)]
    assert inbox.store([delivery(shuffled, shuffled)]) == [Stored(new=0, duplicate=2)]
    assert inbox.store([delivery(event, event, event)]) == [Stored(new=1, duplicate=2)]


def wrap(event: str, envelope: str = "") -> str:
    return '{"eventId":"d1",%s"data":{"events":[%s]}}' % (envelope, event)  # noqa: UP031 - braces


ODD = {
    "NUL": wrap(r'{"eventType":"a.b","uuid":"u\u0000","displayMessage":"\u0000"}').encode(),
    "NUL in the type": wrap(r'{"eventType":"a.\u0000b"}').encode(),
    "NUL in the envelope": wrap('{"eventType":"a.b"}', r'"source":"\u0000",').encode(),
    "surrogate": wrap(r'{"eventType":"a.b","uuid":"\ud800","severity":"\udfff"}').encode(),
    "surrogate in the type": wrap(r'{"eventType":"a.\ud800"}').encode(),
    "raw surrogate": wrap('{"eventType":"a.b","x":"\ud83d"}').encode("utf-8", "surrogatepass"),
    "huge integer": wrap('{"eventType":"a.b","version":1%s}' % ("0" * 40)).encode(),
    "huge time": wrap('{"eventType":"a.b","published":"9999-12-31T23:59:59-23:00"}').encode(),
    "impossible time": wrap('{"eventType":"a.b","published":"2026-09-31T00:00:00Z"}').encode(),
    "NaN": wrap('{"eventType":"a.b","x":NaN}').encode(),
    "a type of 93 characters": wrap('{"eventType":"%s"}' % ("a." * 46 + "b")).encode(),
    "a type of 300 characters": wrap('{"eventType":"%s"}' % ("a." * 149 + "bc")).encode(),
    "a type that is a number": wrap('{"eventType":7}').encode(),
    "UTF-16": wrap('{"eventType":"a.b","x":"Zoë 🔑"}').encode("utf-16"),
    "UTF-8 with a mark": b"\xef\xbb\xbf" + wrap('{"eventType":"a.b"}').encode(),
    "nested deep": wrap('{"eventType":"a.b","x":%s}' % ("[" * 200 + "]" * 200)).encode(),
}


@pytest.mark.parametrize("whole", ODD.values(), ids=ODD)
def test_odd_deliveries_are_stored_whole(
    inbox: Inbox, delivery: DeliveryFactory, whole: bytes
) -> None:
    """Nothing that JSON can hold costs a delivery, and it comes out as it went in."""
    sent = reading.load_delivery(whole).events[0]

    assert inbox.store([delivery("before"), delivery(whole=whole)])[1] == Stored(new=1, duplicate=0)
    assert inbox.store([delivery(whole=whole)]) == [Stored(new=0, duplicate=1)]

    (row,) = (row for row in inbox.find(Selection()) if row["uuid"] != "before")
    (shown,) = inbox.show(row["uuid"])
    assert repr(shown["raw"]) == repr(sent)
    fan_out(inbox, "a")
    made = [inbox.load(found.delivery_id)[1] for found in claim(inbox)]
    assert [repr(json.loads(text or "")["data"]["events"][0]) for text in made][1] == repr(sent)


def test_what_is_kept_of_a_delivery(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """The body is kept exactly as received, beside what the envelope says of it."""
    new = delivery("a", eventId="d1", source="https://example.okta.com/api/v1/eventHooks/who1")
    inbox.store([new])
    fan_out(inbox, "a")

    received, text = inbox.load(claim(inbox)[0].delivery_id)

    assert text == new.body
    assert received == new.delivery
    assert received.received_at.timestamp() == clock.now
    assert (received.event_id, received.via) == ("d1", "hook")


def test_a_sequence_that_was_lost(tmp_path: Path, delivery: DeliveryFactory) -> None:
    """Who repairs an SQLite file by hand may lose where its ids had got to; none comes twice."""
    inbox = Inbox(f"sqlite:///{tmp_path / 'inbox.sqlite3'}")
    inbox.store([delivery("a"), delivery("b")])
    with sqlite3.connect(tmp_path / "inbox.sqlite3") as other:
        other.execute("DELETE FROM sqlite_sequence")

    assert inbox.store([delivery("c")]) == [Stored(new=1, duplicate=0)]
    inbox.close()


# Opening


def test_the_file_is_its_owners_alone(tmp_path: Path, delivery: DeliveryFactory) -> None:
    """Whatever the umask, nobody else may read the file, its journal, its index, or whose turn it is."""
    before = os.umask(0)
    try:
        inbox = Inbox("sqlite:///new/folder/inbox.sqlite3", folder=str(tmp_path))
        inbox.store([delivery("a")])
        modes = {
            path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new/folder").iterdir()
        }
    finally:
        os.umask(before)
        inbox.close()

    names = [f"inbox.sqlite3{suffix}" for suffix in ("", "-wal", "-shm", ".turn")]
    assert modes == dict.fromkeys(names, 0o600)


def test_sqlite_writes_through_to_the_disk(tmp_path: Path, open_sqlite: OpenInbox) -> None:
    """The journal is a write-ahead log, and a commit waits for the disk."""
    inbox = open_sqlite()
    inbox.open()

    with inbox._database.reading() as connection:  # noqa: SLF001 - both are settings of a connection
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


@pytest.fixture
def open_sqlite(tmp_path: Path, clock: Clock) -> Iterator[OpenInbox]:
    """Return a function that makes an inbox over a file, for what concerns files only."""
    made = []

    def make(url: str = f"sqlite:///{tmp_path}/file.sqlite3") -> Inbox:
        made.append(Inbox(url, clock=clock))
        return made[-1]

    yield make
    for inbox in made:
        inbox.close()


def test_the_first_opening_says_where_the_inbox_is(
    open_inbox: OpenInbox, inbox_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One line in the log, once, without a password."""
    caplog.set_level(logging.INFO)
    opened = open_inbox(inbox_url.replace("postgres:@", "postgres:s3cret@"))

    opened.open()
    opened.counts()

    (message,) = (
        record.getMessage() for record in caplog.records if record.levelno == logging.INFO
    )
    assert message.startswith("The inbox is ")
    assert (opened.path.name if opened.path else "***@/inbox_") in message
    assert "s3cret" not in message


def test_a_file_system_that_does_not_last_is_warned_of(
    open_sqlite: OpenInbox, caplog: pytest.LogCaptureFixture
) -> None:
    """An inbox in memory, or in a container's own layer, would be lost with a restart."""
    place = Path("/dev/shm", f"okta-hooks-test-{os.getpid()}.sqlite3")
    try:
        opened = open_sqlite(f"sqlite:///{place}")
        opened.open()
        opened.close()
    finally:
        for path in place.parent.glob(place.name + "*"):
            path.unlink()

    assert "(tmpfs) that may not survive a restart" in caplog.text
    assert str(place) in caplog.text


def test_a_disk_is_not_warned_of(
    open_sqlite: OpenInbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning follows what the system says of the place, so an ordinary disk gives none."""
    asked = ["stat", "--file-system", "--format=%T", str(tmp_path)]
    kind = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()

    open_sqlite().open()

    is_ephemeral = kind in {"tmpfs", "ramfs", "overlayfs"}
    assert ("may not survive" in caplog.text) is is_ephemeral


def test_a_file_that_was_deleted_is_noticed(
    open_sqlite: OpenInbox, delivery: DeliveryFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite would go on writing to a file that has no name any more: a new one is made, with an ERROR."""
    opened = open_sqlite()
    opened.store([delivery("a")])
    assert opened.path is not None
    for path in opened.path.parent.glob(opened.path.name + "*"):
        path.unlink()

    assert opened.store([delivery("b")]) == [Stored(new=1, duplicate=0)]

    assert states(open_sqlite()) == {"b": "pending"}
    assert "was moved or deleted" in caplog.text


@pytest.mark.parametrize("url", ["postgresql://user:s3cret@host:s3cret/db", "s3cret"])
def test_a_url_that_cannot_be_read_is_not_quoted(url: str) -> None:
    """A password may stand where a port should."""
    with pytest.raises(InboxUnavailable) as raised:
        Inbox(url)

    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without psycopg the error says what to install."""
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(InboxUnavailable, match=r"pip install 'okta-hooks\[postgresql\]'"):
        Inbox("postgresql://host/name")


@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL"])
def test_a_database_that_is_not_there(kind: str, tmp_path: Path, delivery: DeliveryFactory) -> None:
    """What cannot be reached may be reached later, so the error is a transient one."""
    (tmp_path / "file").touch()
    urls = {
        "SQLite": f"sqlite:///{tmp_path}/file/inbox.sqlite3",
        "PostgreSQL": f"postgresql://user:s3cret@/name?host={tmp_path}",
    }
    inbox = Inbox(urls[kind])

    with pytest.raises(InboxUnavailable) as raised:
        inbox.store([delivery("a")])

    assert raised.value.is_transient
    assert "s3cret" not in str(raised.value)


def test_it_opens_once_the_database_is_there(tmp_path: Path, delivery: DeliveryFactory) -> None:
    """A first try that failed is no obstacle to the next."""
    (tmp_path / "folder").touch()
    inbox = Inbox(f"sqlite:///{tmp_path}/folder/inbox.sqlite3")
    with pytest.raises(InboxUnavailable):
        inbox.open()
    (tmp_path / "folder").unlink()

    assert inbox.store([delivery("a")]) == [Stored(new=1, duplicate=0)]
    inbox.close()


OPEN_IN_EIGHT = """
import os, sys
from okta_hooks.inbox import Inbox
Inbox(sys.argv[1])
gate, opener = os.pipe()
pids = []
for _ in range(8):
    pids.append(os.fork())
    if not pids[-1]:
        os.close(opener)
        os.read(gate, 1)
        Inbox(sys.argv[1]).open()
        os._exit(0)
os.close(opener)
print([os.waitpid(pid, 0)[1] for pid in pids])
"""


def test_eight_processes_create_the_tables_at_once(
    inbox_url: str, open_inbox: OpenInbox, delivery: DeliveryFactory
) -> None:
    """Whoever comes first creates them, and all the others find them."""
    command = [sys.executable, "-c", OPEN_IN_EIGHT, inbox_url]

    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

    assert (ended.stdout, ended.stderr) == (f"{[0] * 8}\n", "")
    assert open_inbox().store([delivery("a")]) == [Stored(new=1, duplicate=0)]


def test_an_older_schema_is_brought_up_to_date(
    open_inbox: OpenInbox, delivery: DeliveryFactory, engine: sa.Engine
) -> None:
    """Columns, indexes and tables that a newer version has added appear on opening; what is there stays."""
    older = open_inbox()
    older.store([delivery("a")])
    older.close()
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE okta_hooks_delivery DROP COLUMN secret"))
        connection.execute(sa.text("DROP INDEX okta_hooks_event_dead"))
        connection.execute(sa.text("DROP TABLE okta_hooks_cursor"))
        connection.execute(sa.text("UPDATE okta_hooks_meta SET schema_version = 0"))

    newer = open_inbox()

    assert newer.store([delivery("a", "b")]) == [Stored(new=1, duplicate=1)]
    found = sa.inspect(engine)
    assert "secret" in {column["name"] for column in found.get_columns("okta_hooks_delivery")}
    assert "okta_hooks_event_dead" in {
        index["name"] for index in found.get_indexes("okta_hooks_event")
    }
    assert found.has_table("okta_hooks_cursor")
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT schema_version FROM okta_hooks_meta")) == 2


def test_when_each_secret_was_last_used(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """The places of one list are told, by the first and last delivery of each; of other lists and hooks nothing is."""

    def store(uuid: str, secret: int | None, among: int | None, **values: Any) -> float:
        clock.now += HOUR
        new = replace(delivery(uuid, **values), secret=secret, secret_list=among)
        inbox.store([new])
        return clock.now

    store("a", 1, 2)
    store("b", 0, 1)
    assert inbox.secret_use("okta", 2) == {}
    old = store("c", 1, 2), store("d", 1, 2)
    assert inbox.secret_use("okta", 2) == {1: old}
    store("e", 0, 2, source="of a sample")
    new = store("f", 0, 2, source=None)
    store("g", 0, 1, hook="other")
    assert inbox.secret_use("okta", 2, ignoring="of a sample") == {0: (new, new), 1: old}
    store("h", None, None)
    assert inbox.secret_use("okta", 2) == {}


def test_trying_to_write_leaves_nothing(inbox: Inbox, engine: sa.Engine) -> None:
    """It finds out whether storing works, and a delivery that nobody sent is not there afterwards."""
    inbox.try_writing()

    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM okta_hooks_delivery")) == 0


def test_trying_to_write_tells_that_it_fails(inbox: Inbox, engine: sa.Engine) -> None:
    """A table that takes nothing is found out."""
    inbox.open()
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE okta_hooks_delivery RENAME TO elsewhere"))

    with pytest.raises(InboxUnavailable):
        inbox.try_writing()


def test_a_newer_schema_is_left_alone(
    open_inbox: OpenInbox, delivery: DeliveryFactory, engine: sa.Engine
) -> None:
    """In a rolling deploy an older process works beside a newer one, whose version stays noted."""
    open_inbox().open()
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE okta_hooks_meta SET schema_version = 99"))
        connection.execute(sa.text("ALTER TABLE okta_hooks_event ADD COLUMN later TEXT"))

    older = open_inbox()

    assert older.store([delivery("a")]) == [Stored(new=1, duplicate=0)]
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT schema_version FROM okta_hooks_meta")) == 99


def test_tables_made_by_hand(
    open_inbox: OpenInbox, delivery: DeliveryFactory, engine: sa.Engine
) -> None:
    """``metadata`` is what Alembic needs: all its tables bear our prefix, and they are all there is."""
    metadata.create_all(engine)

    assert open_inbox().store([delivery("a")]) == [Stored(new=1, duplicate=0)]

    names = sa.inspect(engine).get_table_names()
    assert set(names) == set(metadata.tables)
    assert all(name.startswith("okta_hooks_") for name in names)


# Fanning out


def test_fan_out_gives_each_receiver_a_receipt(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Every receiver that an event matches gets a receipt, and the event is claimed."""
    inbox.store([delivery("a", "b")])

    lanes = inbox.fan_out(["okta"], lambda row: ["x", "y"] if row.ordinal else ["x"])

    assert lanes == {("okta", "x"), ("okta", "y")}
    assert receipts(inbox, "a") == {"x": ("pending", 0)}
    assert receipts(inbox, "b") == {"x": ("pending", 0), "y": ("pending", 0)}
    assert counts(inbox) == {"claimed": 2}
    assert inbox.fan_out(["okta"], lambda _: ["x"]) == set()


def test_an_event_that_nobody_wants_is_done(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """No receiver matches: the event is done, without a receipt."""
    inbox.store([delivery("a")])

    assert inbox.fan_out(["okta"], lambda _: []) == set()

    assert states(inbox) == {"a": "done"}
    assert receipts(inbox, "a") == {}


def test_fan_out_of_what_cannot_be_read(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """An event that turns out to be unreadable is dead with its reason; the others go their way."""
    inbox.store([delivery("a", "b")])

    def decide(row: Any) -> list[str]:
        if row.ordinal == 0:
            raise UnreadableEvent("It is not what it seemed.")
        return ["x"]

    inbox.fan_out(["okta"], decide)

    assert states(inbox) == {"a": "dead", "b": "claimed"}
    assert inbox.show("a")[0]["reason"] == "It is not what it seemed."


def test_a_delivery_of_more_events_than_one_statement_holds(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """Okta names no most: all are stored, once, whatever part of them was there before."""
    uuids = [f"uuid-{number}" for number in range(2500)]
    assert inbox.store([delivery(*uuids[1200:1300])]) == [Stored(new=100, duplicate=0)]

    assert inbox.store([delivery(*uuids)]) == [Stored(new=2400, duplicate=100)]
    assert inbox.counts()["pending"] == 2500


def test_settling_and_claiming_at_once(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """What was taken over does not count, and the next that are due are claimed all the same."""
    inbox.store([delivery("a", "b", "c", "d")])
    inbox.fan_out(["okta"], lambda _: ["lane"])
    first, second = inbox.claim("me", "okta", "lane", 2)
    taken_over = Settlement(claim=replace(second, claims=second.claims + 1), state="done")
    done = Settlement(claim=first, state="done")

    counted, closed, claims = inbox.settle_and_claim("me", [done, taken_over], "okta", "lane", 1)

    assert counted == [done]
    assert closed == {first.event_id: "done"}
    assert [(claim.ordinal, claim.claims) for claim in claims] == [(2, 1)]


def test_fan_out_takes_the_oldest_of_its_hooks(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """No more than asked for, oldest first, and nothing of a hook that was not asked for."""
    inbox.store([delivery("elsewhere", hook="other")])
    inbox.store([delivery("a")])
    inbox.store([delivery("b", "c")])

    fan_out(inbox, "x", limit=2)

    assert states(inbox) == {
        "elsewhere": "pending",
        "a": "claimed",
        "b": "claimed",
        "c": "pending",
    }


# Claiming and settling


def test_a_claim_takes_the_oldest_that_are_due(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """At most as many as asked for, of this lane alone, by the time they are due."""
    inbox.store([delivery(*"abcd")])
    fan_out(inbox, "a", "b")
    first = claim(inbox, limit=1)
    settle(inbox, first, "pending", due=clock.now + 10)

    assert [found.ordinal for found in claim(inbox, limit=2)] == [1, 2]
    assert [found.ordinal for found in claim(inbox, limit=20)] == [3]
    assert claim(inbox) == []
    clock.now += 10
    (again,) = claim(inbox)
    assert (again.event_id, again.attempts, again.claims) == (first[0].event_id, 1, 2)
    assert len(claim(inbox, "b")) == 4


def test_the_next_attempt_is_that_of_the_lanes_that_count(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """Others may have an earlier one; without any lane there is none."""
    inbox.store([delivery("x")])
    fan_out(inbox, "a", "b")
    settle(inbox, claim(inbox, "a"), "pending", due=clock.now + 10)
    settle(inbox, claim(inbox, "b"), "pending", due=clock.now + 20)

    lanes = [("okta", "a"), ("okta", "b")]
    assert inbox.next_due(lanes) == clock.now + 10
    assert inbox.next_due(lanes[1:]) == clock.now + 20
    assert inbox.next_due([("other", "a")]) is None
    assert inbox.next_due([]) is None


def test_what_died_in_somebodys_hands_is_taken_alone(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """A receipt that was claimed when its process died may be what killed it: it is claimed by itself."""
    inbox.store([delivery(*"abcd")])
    fan_out(inbox, "a")
    settle(inbox, claim(inbox, limit=1))
    assert len(claim(inbox, limit=2)) == 2
    inbox.free(all_workers=True)

    assert [found.ordinal for found in claim(inbox)] == [1]
    assert [found.ordinal for found in claim(inbox)] == [2]
    assert [found.ordinal for found in claim(inbox)] == [3]


def test_what_came_before_a_suspect_is_taken_without_it(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """A suspect that is not the oldest ends the batch before itself."""
    inbox.store([delivery("a", "b", "c")])
    fan_out(inbox, "a")
    a, b, c = claim(inbox)
    inbox.release("me", [a, c])
    assert inbox.free(all_workers=True) == []

    assert claim(inbox) == [a]
    assert [found.event_id for found in claim(inbox)] == [b.event_id]
    assert claim(inbox) == [c]


def test_an_event_is_done_when_its_last_receipt_is(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Settling closes an event, and says so, only when no receipt of it is open."""
    inbox.store([delivery("a")])
    fan_out(inbox, "a", "b")
    one, other = claim(inbox), claim(inbox, "b")

    assert settle(inbox, one) == {}
    assert states(inbox) == {"a": "claimed"}
    assert settle(inbox, other) == {one[0].event_id: "done"}
    assert states(inbox) == {"a": "done"}
    assert receipts(inbox, "a") == {"a": ("done", 1), "b": ("done", 1)}


def test_an_event_with_a_dead_receipt_is_dead_in_the_end(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """It is dead when none is open; until then it is claimed."""
    inbox.store([delivery("a")])
    fan_out(inbox, "a", "b")

    assert settle(inbox, claim(inbox), "dead", error="LookupError: \0 é") == {}
    assert settle(inbox, claim(inbox, "b")) == {1: "dead"}
    assert [row["error"] for row in inbox.show("a")[0]["receipts"]] == [
        "LookupError: \\u0000 \\u00e9",
        None,
    ]


def test_a_claim_that_was_taken_over_does_not_count(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """The fence: what was freed, and perhaps claimed again, is not settled by who had it before."""
    inbox.store([delivery("a", "b")])
    fan_out(inbox, "a")
    stale = claim(inbox)
    inbox.free(all_workers=True)
    done = [Settlement(claim=found, state="done") for found in stale]

    assert inbox.settle("me", done) == ([], {})
    (fresh,) = claim(inbox)
    assert inbox.settle("me", done) == ([], {})
    assert inbox.settle("another", [Settlement(claim=fresh, state="done")]) == ([], {})
    inbox.release("me", stale)
    assert receipts(inbox, "a") == {"a": ("claimed", 0)}
    assert settle(inbox, [fresh]) == {fresh.event_id: "done"}


def test_what_is_given_back_was_not_attempted(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """A released receipt is as if it had never been claimed: it is no suspect."""
    inbox.store([delivery("a", "b")])
    fan_out(inbox, "a")
    claims = claim(inbox)

    inbox.release("me", claims)

    assert claim(inbox) == claims


def test_taking_back_what_is_not_known_to_be_in_hand(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """After a claim whose commit was in doubt a worker gives back all but what it knows of."""
    inbox.store([delivery("a", "b")])
    fan_out(inbox, "a", "b")
    known, unknown = claim(inbox)
    theirs = claim(inbox, worker="another") + claim(inbox, "b")
    assert len(theirs) == 2

    inbox.take_back("me", "okta", "a", keep={known.event_id})

    assert claim(inbox) == [unknown]


# Workers that are gone


def test_a_lease_that_ran_out(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """What a worker holds is freed when its lease has run out, and not before."""
    inbox.store([delivery("a", "b")])
    fan_out(inbox, "a")
    inbox.keep_alive("me", 30)
    inbox.keep_alive("another", 60)
    (mine, theirs) = claim(inbox, limit=1) + claim(inbox, worker="another", limit=1)
    clock.now += 29
    assert inbox.free() == []
    assert claim(inbox) == []

    clock.now += 1
    assert inbox.free() == []

    (again,) = claim(inbox, worker="another")
    assert (again.event_id, again.claims, again.attempts) == (mine.event_id, 2, 0)
    assert len(inbox.settle("another", [Settlement(claim=theirs, state="done")])[0]) == 1


def test_a_worker_that_left(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Without its row a worker holds nothing: what it had is free at once."""
    inbox.store([delivery("a")])
    fan_out(inbox, "a")
    inbox.keep_alive("me", 30)
    claim(inbox)
    inbox.leave("me")

    inbox.free()

    assert len(claim(inbox)) == 1


def test_a_lease_is_prolonged(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """A heartbeat moves the end of the lease."""
    inbox.store([delivery("a")])
    fan_out(inbox, "a")
    inbox.keep_alive("me", 30)
    claim(inbox)
    clock.now += 20
    inbox.keep_alive("me", 30)
    clock.now += 20

    inbox.free()

    assert claim(inbox, worker="another") == []


def test_what_kills_five_processes_is_dead(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """A receipt that was claimed five times more often than attempted is given up, and nothing else is."""
    inbox.store([delivery("a", "b")])
    fan_out(inbox, "a", "b")
    (b,) = claim(inbox, "b", limit=1)
    settle(inbox, [b])
    for deaths in range(5):
        assert states(inbox)["a"] == "claimed", deaths
        (found,) = claim(inbox, limit=1)
        assert found.claims == deaths + 1
        died = inbox.free(all_workers=True)

    assert died == [("okta", "a", found.event_id)]
    assert states(inbox) == {"a": "dead", "b": "claimed"}
    assert inbox.show("a")[0]["receipts"][0]["error"] == "the process died here"
    assert [found.ordinal for found in claim(inbox)] == [1]


def test_a_receiver_that_is_gone_for_a_day(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """Its receipts are dead; those of a receiver that was seen since are not."""
    inbox.store([delivery("a")])
    fan_out(inbox, "a", "b")
    inbox.see_lanes([("okta", "a"), ("okta", "b")])
    clock.now += DAY
    assert inbox.bury_orphans(DAY) == []
    clock.now += 1
    inbox.see_lanes([("okta", "b")])
    inbox.see_lanes([])

    assert [found[:2] for found in inbox.bury_orphans(DAY)] == [("okta", "a")]

    assert receipts(inbox, "a") == {"a": ("dead", 0), "b": ("pending", 0)}
    assert "not been connected" in inbox.show("a")[0]["receipts"][0]["error"]
    assert settle(inbox, claim(inbox, "b")) == {1: "dead"}


# For people


def test_counts(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """Events are counted, not receipts; the age is that of the oldest that is open."""
    assert inbox.counts() == NOTHING
    inbox.store([delivery("a", None)])
    clock.now += 10
    inbox.store([delivery("b")])
    clock.now += 5
    fan_out(inbox, "a", "b", limit=1)
    assert inbox.counts() == NOTHING | {
        "pending": 1,
        "claimed": 1,
        "dead": 1,
        "oldest_pending_seconds": 15.0,
    }

    settle(inbox, claim(inbox) + claim(inbox, "b"))

    assert inbox.counts() == NOTHING | {
        "pending": 1,
        "done": 1,
        "dead": 1,
        "oldest_pending_seconds": 5.0,
    }


@pytest.fixture
def varied(inbox: Inbox, delivery: DeliveryFactory, clock: Clock) -> Inbox:
    """Return an inbox with an event in each state, an hour between them, and one of another hook."""
    for uuid, kind in {
        "dead": "user.lifecycle.create",
        "done": "user.lifecycle.delete",
        "unwanted": "user.lifecyclex.create",
        "claimed": "user.authentication.auth_via_IDP",
    }.items():
        inbox.store([delivery(uuid, type=kind)])
        clock.now += HOUR
    inbox.fan_out(["okta"], lambda row: [] if row.type == "user.lifecyclex.create" else ["a", "b"])
    first, second, _ = claim(inbox, "b")
    settle(inbox, [first, second])
    settle(inbox, claim(inbox, limit=1), "dead", error="no")
    settle(inbox, claim(inbox, limit=1))
    inbox.store([delivery("pending", type="group.lifecycle.create")])
    inbox.store([delivery("elsewhere", hook="other")])
    return inbox


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, {"elsewhere", "pending", "claimed", "unwanted", "done", "dead"}),
        ({"uuids": ("done", "dead", "nowhere")}, {"done", "dead"}),
        ({"states": ("done",)}, {"done", "unwanted"}),
        ({"states": ("dead", "pending"), "hook": "okta"}, {"dead", "pending"}),
        ({"hook": "other"}, {"elsewhere"}),
        ({"patterns": ("user.lifecycle.create",)}, {"dead", "elsewhere"}),
        ({"patterns": ("user.lifecycle.*",)}, {"dead", "done", "elsewhere"}),
        ({"patterns": ("user.lifecycle.*", "group.lifecycle.create")}, None),
        ({"patterns": ("USER.lifecycle.*", "User.Lifecycle.Create")}, set()),
        ({"patterns": ("user.authentication.*",)}, {"claimed"}),
        ({"patterns": ("user_lifecycle.*", "%", "user.%.*", "user.lifecycle")}, set()),
        ({"patterns": ("nothing.*", "*"), "states": ("dead",)}, {"dead"}),
        ({"unreceived": True}, {"unwanted"}),
    ],
    ids=str,
)
def test_choosing_events(varied: Inbox, chosen: dict[str, Any], expected: set[str] | None) -> None:
    """Events are chosen by uuid, state, hook and whole segments of their type, all together."""
    if expected is None:
        expected = {"dead", "done", "elsewhere", "pending"}

    assert {row["uuid"] for row in varied.find(Selection(**chosen))} == expected


def test_choosing_events_by_time(varied: Inbox, clock: Clock) -> None:
    """``since`` is in, ``until`` is out."""
    begin = clock.now - 4 * HOUR

    found = varied.find(Selection(since=begin + HOUR, until=begin + 3 * HOUR))

    assert [row["uuid"] for row in found] == ["unwanted", "done"]
    assert [row["received_at"] for row in found] == [begin + 2 * HOUR, begin + HOUR]


def test_events_are_found_newest_first(varied: Inbox) -> None:
    """No more than the limit, the newest first."""
    assert [row["uuid"] for row in varied.find(Selection(), limit=2)] == ["elsewhere", "pending"]


def test_showing_an_event(varied: Inbox, clock: Clock) -> None:
    """An event is shown with its receipts and all that Okta sent of it."""
    (shown,) = varied.show("dead")

    assert shown["state"] == "dead"
    assert shown["type"] == CREATED
    assert shown["raw"] == {"uuid": "dead", "eventType": CREATED}
    assert [(row["receiver"], row["state"], row["error"]) for row in shown["receipts"]] == [
        ("a", "dead", "no"),
        ("b", "done", None),
    ]
    assert varied.show("nowhere") == []


def test_lanes(varied: Inbox, clock: Clock) -> None:
    """Each receiver that was ever connected is listed with its receipts by state."""
    varied.see_lanes([("okta", "b"), ("okta", "a"), ("okta", "idle")])

    found = varied.lanes()

    assert [row["receiver"] for row in found] == ["a", "b", "idle"]
    assert {row["seen_at"] for row in found} == {clock.now}
    numbers = [[row[state] for state in STATES] for row in found]
    assert numbers == [[1, 0, 1, 1], [0, 1, 2, 0], [0, 0, 0, 0]]


# Replaying


def test_replaying_a_dead_event(varied: Inbox) -> None:
    """It gets its dead receipts back, as if never tried; the receiver that is done is left alone."""
    assert varied.replay(Selection(uuids=("dead",))) == 1

    assert states(varied)["dead"] == "claimed"
    assert receipts(varied, "dead") == {"a": ("pending", 0), "b": ("done", 1)}
    assert varied.show("dead")[0]["receipts"][0]["error"] is None


def test_replaying_a_done_event(varied: Inbox) -> None:
    """It forgets all its receipts and begins anew, with whoever is connected then."""
    assert varied.replay(Selection(uuids=("done",))) == 1

    assert states(varied)["done"] == "pending"
    assert receipts(varied, "done") == {}
    fan_out(varied, "new")
    assert receipts(varied, "done") == {"new": ("pending", 0)}


def test_replaying_an_unreadable_event(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """It is read again: a newer version may be able to."""
    inbox.store([delivery(None)])

    assert inbox.replay(Selection(states=("dead",))) == 1

    assert counts(inbox) == {"pending": 1}
    assert inbox.find(Selection())[0]["reason"] is None


def test_replaying_what_nobody_received(varied: Inbox) -> None:
    """``unreceived`` finds the done events that no receiver was connected for, and only those."""
    assert varied.replay(Selection(unreceived=True)) == 1

    assert states(varied)["unwanted"] == "pending"
    assert states(varied)["done"] == "done"


def test_what_is_open_is_not_replayed(varied: Inbox) -> None:
    """Pending and claimed events are on their way already."""
    before = states(varied)

    assert varied.replay(Selection(uuids=("pending", "claimed"))) == 0

    assert states(varied) == before


def test_replaying_for_one_receiver(varied: Inbox) -> None:
    """Its receipt is reset, done or dead; no other is, and an event that it never had is left alone."""
    assert varied.replay(Selection(hook="okta"), receiver="b") == 2

    assert receipts(varied, "done") == {"a": ("done", 1), "b": ("pending", 0)}
    assert receipts(varied, "dead") == {"a": ("dead", 1), "b": ("pending", 0)}
    assert receipts(varied, "claimed")["b"] == ("claimed", 0)
    assert states(varied)["unwanted"] == "done"
    settle(varied, claim(varied, "b"))
    assert (states(varied)["done"], states(varied)["dead"]) == ("done", "dead")


def test_replaying_for_one_receiver_while_others_are_at_work(varied: Inbox) -> None:
    """A receipt of an event that another receiver has still open can be reset, too."""
    (open_one,) = claim(varied)
    settle(varied, [open_one])

    assert varied.replay(Selection(uuids=("claimed",)), receiver="a") == 1

    assert receipts(varied, "claimed") == {"a": ("pending", 0), "b": ("claimed", 0)}


def test_a_dry_run_only_counts(varied: Inbox) -> None:
    """The number is that of a real run, and nothing changes."""
    before = states(varied)

    assert varied.replay(Selection(states=("done",)), dry_run=True) == 2
    assert varied.replay(Selection(), receiver="b", dry_run=True) == 2

    assert states(varied) == before
    assert receipts(varied, "done") == {"a": ("done", 1), "b": ("done", 1)}


def test_replaying_more_than_a_batch(inbox: Inbox, delivery: DeliveryFactory) -> None:
    """Replay goes in batches, to hold no lock for long, and reaches all."""
    inbox.store([delivery(*(f"uuid-{number}" for number in range(1203)))])
    while inbox.counts()["pending"]:
        fan_out(inbox)

    assert inbox.replay(Selection(states=("done",)), dry_run=True) == 1203
    assert inbox.replay(Selection(states=("done",))) == 1203
    assert counts(inbox) == {"pending": 1203}


# Forgetting


def prune(inbox: Inbox, clock: Clock) -> list[int]:
    """Prune as a worker does by default, and return the size of each batch."""
    sizes = []
    while size := inbox.prune(
        bodies_before=clock.now - 30 * DAY, keys_before=clock.now - 100 * DAY
    ):
        sizes.append(size)
    return sizes


def test_bodies_go_first_and_keys_later(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """After 30 days the body is gone, but a duplicate is still known; after 100 days all is gone."""
    inbox.store([delivery("a")])
    fan_out(inbox, "a")
    settle(inbox, claim(inbox))
    clock.now += 30 * DAY
    assert prune(inbox, clock) == []

    clock.now += 1
    assert prune(inbox, clock) == [1]
    assert inbox.store([delivery("a")]) == [Stored(new=0, duplicate=1)]
    (shown,) = inbox.show("a")
    assert (shown["has_body"], shown["raw"]) == (False, None)
    assert [row["state"] for row in shown["receipts"]] == ["done"]
    assert inbox.replay(Selection(uuids=("a",))) == 0

    clock.now += 70 * DAY
    assert prune(inbox, clock) == [1]
    assert inbox.store([delivery("a")]) == [Stored(new=1, duplicate=0)]


@pytest.mark.parametrize("state", ["pending", "claimed", "dead"])
def test_what_is_not_done_is_kept(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock, engine: sa.Engine, state: str
) -> None:
    """A delivery with an event that is open or dead keeps everything, however old it is."""
    inbox.store([delivery("a", "b")])
    fan_out(inbox, "a", limit=1 if state == "pending" else 2)
    settle(inbox, claim(inbox, limit=1))
    if state == "dead":
        settle(inbox, claim(inbox), "dead", error="no")
    clock.now += 1000 * DAY

    assert prune(inbox, clock) == []

    assert states(inbox) == {"a": "done", "b": state}
    assert inbox.show("b")[0]["raw"] is not None


def test_pruning_goes_in_small_batches(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock, engine: sa.Engine
) -> None:
    """No transaction of the worker's prunes more than a few hundred deliveries."""
    inbox.store([delivery(f"uuid-{number}") for number in range(603)])
    while inbox.counts()["pending"]:
        fan_out(inbox)
    clock.now += 101 * DAY

    sizes = prune(inbox, clock)

    assert len(sizes) > 1
    assert inbox.counts() == NOTHING
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM okta_hooks_delivery")) == 0


def test_pruning_dead_letters(varied: Inbox, delivery: DeliveryFactory, clock: Clock) -> None:
    """By hand only: dead letters received before a time go with their receipts, and nothing else goes."""
    varied.store([delivery(None)])
    received = clock.now - 4 * HOUR
    assert varied.prune_dead(before=received) == 0
    assert varied.prune_dead(before=clock.now, dry_run=True) == 1
    before = states(varied)

    assert varied.prune_dead(before=clock.now) == 1

    assert states(varied).keys() == before.keys() - {"dead"}
    assert varied.store([delivery("dead")]) == [Stored(new=1, duplicate=0)]


def test_a_delivery_stays_while_it_has_an_event(
    inbox: Inbox, delivery: DeliveryFactory, clock: Clock
) -> None:
    """A dead letter that came with others takes nothing of theirs along."""
    inbox.store([delivery("a", None)])
    clock.now += 1

    assert inbox.prune_dead(before=clock.now) == 1

    assert inbox.show("a")[0]["raw"] == {"uuid": "a", "eventType": CREATED}


# Several at once


def test_two_workers_settle_the_last_receipts_of_the_same_events(
    open_inbox: OpenInbox, delivery: DeliveryFactory
) -> None:
    """Neither sees the other's receipt as open: after each of several rounds every event is done."""
    one, other = open_inbox(), open_inbox()
    for begin in range(0, MANY, 100):
        one.store([delivery(*(f"uuid-{number}" for number in range(begin, begin + 100)))])
    closed: list[int] = []
    failures: list[BaseException] = []

    def work(inbox: Inbox, receiver: str) -> None:
        try:
            while claims := inbox.claim(receiver, "okta", receiver, 20):
                made = [Settlement(claim=found, state="done") for found in claims]
                counted, done = inbox.settle(receiver, made)
                assert len(counted) == len(claims)
                closed.extend(done)
        except BaseException as error:  # noqa: BLE001 - it is raised in the test
            failures.append(error)

    for _ in range(3):
        while one.fan_out(["okta"], lambda _: ["a", "b"]):
            pass
        closed.clear()
        threads = [
            threading.Thread(target=work, args=arguments)
            for arguments in ((one, "a"), (other, "b"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failures == []
        assert counts(one) == {"done": MANY}
        assert len(closed) == len(set(closed)) == MANY
        assert one.replay(Selection(states=("done",))) == MANY


def test_many_claim_from_one_lane(open_inbox: OpenInbox, delivery: DeliveryFactory) -> None:
    """No receipt is in two hands at once, and none is left over."""
    first = open_inbox()
    first.store([delivery(*(f"uuid-{number}" for number in range(200)))])
    fan_out(first, "a")
    taken: list[int] = []
    barrier = threading.Barrier(4)

    def work(inbox: Inbox, worker: str) -> None:
        inbox.open()
        barrier.wait()
        while claims := claim(inbox, worker=worker, limit=7):
            taken.extend(found.event_id for found in claims)

    threads = [
        threading.Thread(target=work, args=(open_inbox(), f"worker-{number}"))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == len(set(taken)) == 200


def test_two_processes_store_the_same_events_at_once(
    open_inbox: OpenInbox, delivery: DeliveryFactory
) -> None:
    """Okta's retry may reach another process: each event is new to one of them, and nobody waits for ever."""
    batches = [[f"uuid-{number}" for number in range(100)] for _ in range(4)]
    batches[1].reverse()
    stored: list[Stored] = []
    barrier = threading.Barrier(4)

    def work(inbox: Inbox, uuids: list[str]) -> None:
        inbox.open()
        barrier.wait()
        for begin in range(0, 100, 25):
            stored.extend(inbox.store([delivery(*uuids[begin : begin + 25])]))

    threads = [threading.Thread(target=work, args=(open_inbox(), uuids)) for uuids in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(one.new for one in stored) == 100
    assert sum(one.duplicate for one in stored) == 300


def test_an_error_quotes_no_values(open_inbox: OpenInbox, delivery: DeliveryFactory) -> None:
    """The database's words are passed on, without what was to be stored."""
    bad = impossible(delivery("a", personal="personal"))

    with pytest.raises(InboxUnavailable) as raised:
        open_inbox().store([bad])

    assert "personal" not in f"{raised.value} {raised.value.__cause__}"
    assert "personal" not in repr(bad)


def test_events_of_one_delivery_are_claimed_in_okta_s_order(
    inbox: Inbox, delivery: DeliveryFactory
) -> None:
    """What came together goes to a receiver in the order in which Okta put it, whatever the uuids."""
    inbox.store([delivery("c", "a", "d", "b")])
    fan_out(inbox, "a")

    assert [item.ordinal for item in claim(inbox)] == [0, 1, 2, 3]
