from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox import Inbox
from okta_hooks.inbox.claims import Settlement
from tests.support import claim, fan_out

from .support import HOSTILE, NEW, SHORT, administrate

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.inbox.intake import NewDelivery

    DeliveryFactory = Callable[..., NewDelivery]

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


def test_a_role_with_hostile_settings(
    hostile: str, postgresql_url: str, delivery: DeliveryFactory
) -> None:
    """What a role sets does not matter, but for the schema: events are stored, claimed, settled there."""
    url = sa.make_url(postgresql_url).set(username=hostile).render_as_string()
    inbox = Inbox(url)

    for uuid_ in "abc":
        assert inbox.intake.store([delivery(uuid_, text="é ☃ 𝄞")]) == NEW
        threading.Event().wait(0.35)  # longer than a session may be idle
    fan_out(inbox, "r")
    assert len(claim(inbox, "r", worker="w", limit=10)) == 3
    with inbox.database.transaction(seconds=8.0) as connection:
        asked = connection.exec_driver_sql(f"SELECT {ASKED}").one()
        connection.exec_driver_sql("SELECT pg_sleep(0.35)")
        threading.Event().wait(0.35)
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
    assert SHORT.strip("'") not in timeouts
    assert timeouts.pop() == "0"
    assert "0" not in timeouts
    assert inbox.deliveries.load(1)[1] is not None
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


def test_a_schema_with_a_percent_sign(
    postgresql: sa.Engine, postgresql_url: str, delivery: DeliveryFactory
) -> None:
    """A name of a schema is no placeholder, nor is what an error says: receipts are claimed and settled there."""
    name = sa.make_url(postgresql_url).database
    administrate(
        postgresql,
        'CREATE SCHEMA "ten%%ant"',
        f'ALTER DATABASE {name} SET search_path = "ten%%ant", public',
        database=name,
    )
    inbox = Inbox(postgresql_url)
    assert inbox.intake.store([delivery("a")]) == NEW
    fan_out(inbox, "%s")

    (claimed,) = claim(inbox, "%s")
    inbox.claims.settle("me", [Settlement(claim=claimed, state="dead", error="%(x)s \\ 100 %")])

    (receipt,) = inbox.overview.show("a")[0].receipts
    assert (receipt.state, receipt.error) == ("dead", "%(x)s \\ 100 %")
    inbox.close()
