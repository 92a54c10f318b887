"""What the chaos asks of the inbox, and does with it."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import sqlalchemy as sa

from okta_hooks.inbox.tables import STATES, worker

from .chaos_site import PATIENCE

if TYPE_CHECKING:
    from okta_hooks.inbox import Inbox


def drain(inbox: Inbox) -> dict[str, int]:
    """Wait until every event is closed, or no more are for a while."""
    best, since = sys.maxsize, time.monotonic()
    while True:
        counts = inbox.overview.counts()
        if counts.open < best:
            best, since = counts.open, time.monotonic()
        if not counts.open or time.monotonic() - since > PATIENCE:
            return {state: getattr(counts, state) for state in STATES}
        time.sleep(0.2)


def end_leases_of(url: str, pids: set[int]) -> None:
    engine = sa.create_engine(sa.make_url(url).set(drivername=f"{_kind(url)}"))
    with engine.begin() as connection:
        for worker_id in connection.scalars(sa.select(worker.c.id)).all():
            if int(worker_id.split(":")[1]) in pids:
                mine = worker.c.id == worker_id
                connection.execute(worker.update().where(mine).values(alive_until=0))
    engine.dispose()


def _kind(url: str) -> str:
    return "sqlite" if url.startswith("sqlite") else "postgresql+psycopg"
