"""The tables as others may make them: ``okta_hooks.inbox.metadata``."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from okta_hooks.inbox import metadata

PARTIAL = {
    "okta_hooks_delivery_body": "body IS NOT NULL",
    "okta_hooks_event_pending": "state = 'pending'",
    "okta_hooks_event_claimed": "state = 'claimed'",
    "okta_hooks_event_dead": "state = 'dead'",
    "okta_hooks_event_hook": "state = 'pending'",
    "okta_hooks_receipt_due": "state = 'pending'",
    "okta_hooks_receipt_worker": "state = 'claimed'",
    "okta_hooks_receipt_dead": "state = 'dead'",
}


@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_partial_indexes(name: str) -> None:
    """Alembic and ``create_all`` make the same indexes as the library, on either database."""
    dialect = sa.make_url(f"{name}://").get_dialect()()
    found = {}
    for table in metadata.tables.values():
        for index in table.indexes:
            ddl = str(sa.schema.CreateIndex(index).compile(dialect=dialect))
            if " WHERE " in ddl:
                found[index.name] = ddl.partition(" WHERE ")[2]

    assert found == PARTIAL


def test_ids_of_sqlite_never_come_back() -> None:
    """The tables whose ids are remembered elsewhere have AUTOINCREMENT."""
    dialect = sa.make_url("sqlite://").get_dialect()()
    tables = {
        table.name
        for table in metadata.tables.values()
        if "AUTOINCREMENT" in str(sa.schema.CreateTable(table).compile(dialect=dialect))
    }

    assert tables == {"okta_hooks_delivery", "okta_hooks_event", "okta_hooks_audit"}
