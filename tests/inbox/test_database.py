from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox import Inbox, metadata
from okta_hooks.inbox.intake import Stored
from tests.support import claim, fan_out, impossible, settle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from okta_hooks.inbox.intake import NewDelivery
    from tests.support import Clock

    OpenInbox = Callable[..., Inbox]
    DeliveryFactory = Callable[..., NewDelivery]


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
        inbox.intake.store([delivery("a")])

    assert raised.value.is_transient
    assert "s3cret" not in str(raised.value)


def test_it_opens_once_the_database_is_there(tmp_path: Path, delivery: DeliveryFactory) -> None:
    """A first try that failed is no obstacle to the next."""
    (tmp_path / "folder").touch()
    inbox = Inbox(f"sqlite:///{tmp_path}/folder/inbox.sqlite3")
    with pytest.raises(InboxUnavailable):
        inbox.open()
    (tmp_path / "folder").unlink()

    assert inbox.intake.store([delivery("a")]) == [Stored(new=1, duplicate=0)]
    inbox.close()


OPEN_IN_EIGHT = """
import os, sys
from okta_hooks.inbox import Inbox, metadata
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
    assert open_inbox().intake.store([delivery("a")]) == [Stored(new=1, duplicate=0)]


def test_an_older_schema_is_brought_up_to_date(
    open_inbox: OpenInbox, delivery: DeliveryFactory, engine: sa.Engine
) -> None:
    """What a newer version has added appears on opening; what is there stays, and what is done is counted."""
    older = open_inbox()
    older.intake.store([delivery("a"), delivery("d", "e")])
    fan_out(older, "a", limit=2)
    settle(older, claim(older, limit=1))
    older.close()
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE okta_hooks_delivery DROP COLUMN secret"))
        connection.execute(sa.text("DROP INDEX okta_hooks_event_dead"))
        connection.execute(sa.text("DROP TABLE okta_hooks_cursor"))
        connection.execute(sa.text("DROP TABLE okta_hooks_total"))
        connection.execute(sa.text("DROP TABLE okta_hooks_attempt"))
        connection.execute(sa.text("DROP TABLE okta_hooks_attempt_hour"))
        for column in ("receipt DROP COLUMN ended_at", "event DROP COLUMN duplicates"):
            connection.execute(sa.text(f"ALTER TABLE okta_hooks_{column}"))
        connection.execute(sa.text("UPDATE okta_hooks_meta SET schema_version = 0"))

    newer = open_inbox()

    assert newer.intake.store([delivery("a", "b")]) == [Stored(new=1, duplicate=1)]
    found = sa.inspect(engine)
    assert "secret" in {column["name"] for column in found.get_columns("okta_hooks_delivery")}
    assert found.has_table("okta_hooks_cursor")
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT schema_version FROM okta_hooks_meta")) == 6
    assert newer.overview.counts().done == 1
    assert {row.receiver: row.done for row in newer.totals.attempts()} == {"a": 0}
    with engine.begin() as connection:
        # Not by the inspector, which warns of an index that has an expression.
        connection.execute(sa.text("DROP INDEX okta_hooks_event_dead"))
        receipts = sa.text("SELECT sum(receipts) FROM okta_hooks_total WHERE receiver = 'a'")
        assert connection.scalar(receipts) == 1


def test_a_newer_schema_is_left_alone(
    open_inbox: OpenInbox, delivery: DeliveryFactory, engine: sa.Engine
) -> None:
    """In a rolling deploy an older process works beside a newer one, whose version stays noted."""
    open_inbox().open()
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE okta_hooks_meta SET schema_version = 99"))
        connection.execute(sa.text("ALTER TABLE okta_hooks_event ADD COLUMN later TEXT"))

    older = open_inbox()

    assert older.intake.store([delivery("a")]) == [Stored(new=1, duplicate=0)]
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT schema_version FROM okta_hooks_meta")) == 99


def test_tables_made_by_hand(
    open_inbox: OpenInbox, delivery: DeliveryFactory, engine: sa.Engine
) -> None:
    """``metadata`` is what Alembic needs: all its tables bear our prefix, and they are all there is."""
    metadata.create_all(engine)

    assert open_inbox().intake.store([delivery("a")]) == [Stored(new=1, duplicate=0)]

    names = sa.inspect(engine).get_table_names()
    assert set(names) == set(metadata.tables)
    assert all(name.startswith("okta_hooks_") for name in names)


def test_an_error_quotes_no_values(open_inbox: OpenInbox, delivery: DeliveryFactory) -> None:
    """The database's words are passed on, without what was to be stored."""
    bad = impossible(delivery("a", personal="personal"))

    with pytest.raises(InboxUnavailable) as raised:
        open_inbox().intake.store([bad])

    assert "personal" not in f"{raised.value} {raised.value.__cause__}"
    assert "personal" not in repr(bad)


def test_password_in_the_query_of_the_url(caplog: pytest.LogCaptureFixture, inbox_url: str) -> None:
    """What is logged of the inbox's URL has no query: a password may stand there, too."""
    caplog.set_level("INFO", logger="okta_hooks")
    if inbox_url.startswith("postgresql"):
        separator = "&" if "?" in inbox_url else "?"
        inbox_url += f"{separator}sslpassword=hush"
    inbox = Inbox(inbox_url)
    inbox.open()
    inbox.close()

    assert "The inbox is" in caplog.text
    assert "hush" not in caplog.text


def test_what_was_attempted_before_it_was_written_down_by_hours(
    open_inbox: OpenInbox, delivery: DeliveryFactory, engine: sa.Engine, clock: Clock
) -> None:
    """It belongs to no hour: after an upgrade, the chart of this hour has what has happened since."""
    older = open_inbox()
    older.intake.store([delivery("a", "b", "c")])
    fan_out(older, "a", limit=2)
    settle(older, claim(older))
    older.close()
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE okta_hooks_attempt_hour"))
        connection.execute(sa.text("UPDATE okta_hooks_meta SET schema_version = 5"))

    newer = open_inbox()
    fan_out(newer, "a")
    settle(newer, claim(newer))

    assert newer.totals.attempts()[0].done == 3
    assert [one.handled for one in newer.attempt_hours.chart(clock.now, clock.now)] == [1]
