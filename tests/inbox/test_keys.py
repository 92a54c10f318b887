from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from okta_hooks.inbox import metadata, schema
from okta_hooks.inbox.intake import Stored
from okta_hooks.inbox.keys import BY_TIME, by_time, has_key, index_by_time
from okta_hooks.inbox.tables import event
from tests.support import POSTGRESQL

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.intake import NewDelivery

    OpenInbox = Callable[..., Inbox]
    DeliveryFactory = Callable[..., NewDelivery]

UUID = "7ca6a4c0-3a5c-11ee-9a3d-0242ac120002"


@pytest.fixture(params=["this version", "an earlier version"])
def stored(
    request: pytest.FixtureRequest,
    open_inbox: OpenInbox,
    delivery: DeliveryFactory,
    engine: sa.Engine,
) -> Inbox:
    """Return an inbox with tables of this version or of an earlier one, and an event."""
    if request.param != "this version":
        # As Alembic makes them, too.
        metadata.create_all(engine)
    inbox = open_inbox()
    inbox.intake.store([delivery(UUID)])
    return inbox


def test_an_event_is_stored_once(stored: Inbox, delivery: DeliveryFactory) -> None:
    """Whichever version has made the tables, a hook's event is new once, and another hook's is its own."""
    assert stored.intake.store([delivery(UUID)]) == [Stored(new=0, duplicate=1)]
    assert stored.intake.store([delivery(UUID, hook="other")]) == [Stored(new=1, duplicate=0)]


def test_a_table_has_one_index_of_keys(stored: Inbox, engine: sa.Engine) -> None:
    """An inbox of an earlier version gets no second one, which each event would pay for."""
    unique = (
        "SELECT count(*) FROM pragma_index_list('okta_hooks_event') WHERE [unique]"
        if engine.dialect.name == "sqlite"
        else "SELECT count(*) FROM pg_index WHERE indisunique AND NOT indisprimary"
        " AND indrelid = 'okta_hooks_event'::regclass"
    )
    with engine.connect() as connection:
        assert connection.exec_driver_sql(unique).scalar() == 1
    assert stored.overview.counts().pending == 1


@POSTGRESQL
def test_an_earlier_table_gets_the_index(
    open_inbox: OpenInbox, delivery: DeliveryFactory, engine: sa.Engine
) -> None:
    """What the page on upgrading has for it changes the index while the inbox is in use, and nothing else."""
    metadata.create_all(engine)
    inbox = open_inbox()
    inbox.intake.store([delivery(UUID)])
    page = (Path(__file__).parents[2] / "docs/how-to/upgrade.md").read_text(encoding="utf-8")
    (statements,) = re.findall(r"```sql\n(CREATE UNIQUE INDEX[^`]*)```", page)

    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements.split(";\n"):
            connection.exec_driver_sql(statement)

    inspector = sa.inspect(engine)
    assert inspector.get_unique_constraints("okta_hooks_event") == []
    (index,) = (each for each in inspector.get_indexes("okta_hooks_event") if each["unique"])
    fresh = schema.described("postgresql").tables["okta_hooks_event"]
    assert index["name"] == index_by_time(fresh).name
    assert inbox.intake.store([delivery(UUID)]) == [Stored(new=0, duplicate=1)]
    check_that_a_key_is_found(engine)


@pytest.mark.usefixtures("stored")
def test_a_key_is_found_in_the_index(engine: sa.Engine) -> None:
    """No look for uuids goes through all events of a hook, whichever version has made the tables."""
    check_that_a_key_is_found(engine)


def check_that_a_key_is_found(engine: sa.Engine) -> None:
    """Check that an index leads to keys."""
    query = sa.select(event.c.id).where(event.c.hook == "okta", has_key([UUID, "another"]))
    made = query.compile(engine, compile_kwargs={"literal_binds": True})
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            plan = str(connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {made}").all())
            # Both columns are looked up: the hook alone would leave all its events.
            assert plan.count("=?") == 2, plan
        else:
            connection.exec_driver_sql("SET enable_seqscan = off")
            text = f"{made}".replace("%", "%%")
            plan = str(connection.exec_driver_sql(f"EXPLAIN {text}").all())
            condition = plan.partition("Index Cond:")[2].partition("Filter:")[0]
            assert "key" in condition, plan


def test_the_databases_agree(
    open_inbox: OpenInbox, delivery: DeliveryFactory, engine: sa.Engine
) -> None:
    """What is looked for is computed here, what is in the index there: also of keys that are no uuids."""
    keys = {UUID[:length] for length in (1, 9, 10, 12, 13, 14, 15, 17, 18, 36)} | {f"{UUID}~log"}
    open_inbox().intake.store([delivery(*sorted(keys))])

    with engine.connect() as connection:
        found = connection.execute(sa.select(event.c.key, BY_TIME)).all()
    assert {tuple(row) for row in found} == {(key, by_time(key)) for key in keys}


@given(st.lists(st.text("a-1", max_size=24), min_size=2, max_size=2, unique=True))
def test_keys_that_differ_stay_apart(keys: list[str]) -> None:
    """Nothing is taken for a duplicate because of what is put before the keys."""
    assert by_time(keys[0]) != by_time(keys[1])


def test_uuids_of_okta_are_in_order() -> None:
    """Those of version 1 come in the order of their time, over the seven minutes after which their text begins anew."""
    times = range(0x1EE3A5CFFFF0000, 0x1EE3A5D00010000, 0x1000)
    uuids = [
        str(uuid.UUID(fields=(at & 0xFFFFFFFF, at >> 32 & 0xFFFF, 0x1000 | at >> 48, 128, 0, 7)))
        for at in times
    ]
    assert sorted(uuids) != uuids
    assert sorted(uuids, key=by_time) == uuids
