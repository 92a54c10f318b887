"""Who works at the inbox: the workers that are alive, and which receivers are connected anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from .claims import DEATHS_ALLOWED, DIED_HERE
from .pauses import is_paused
from .statements import close_events
from .tables import CLAIMED, DEAD, PENDING, lane, receipt, worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from .claims import Claim
    from .database import Database

NOT_CONNECTED: Final = "its receiver has not been connected for a day"

_BATCH: Final = 500


#: What workers do: call receivers for what is due, send tickets for it to a task queue, or call them for tickets.
THREAD: Final = "thread"
RELAY: Final = "relay"
TASK: Final = "task"


class Listed(NamedTuple):
    """A worker in the list.

    ``kind`` is None for one of version 0.1, ``broker_away_since`` is of a relay, in seconds since the epoch,
    ``clock_ahead`` is by how many seconds the clock of its host was ahead of the database's when it last wrote.
    """

    worker: str
    kind: str | None
    broker_away_since: float | None
    clock_ahead: float | None

    @property
    def host(self) -> str:
        """The name of its host."""
        return self.worker.rsplit(":", 2)[0]


class DeadReceipt(NamedTuple):
    """A receipt that was given up without an attempt."""

    hook: str
    receiver: str
    event_id: int


class Workers:
    """Keeps the list of workers, and takes receipts back from those that are gone.

    Its methods raise :exc:`InboxUnavailable` if the database does not do what it is asked.

    :param clock: Returns the time, in seconds since the epoch.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def beat(self, worker_id: str, seconds: float, kind: str = THREAD) -> None:
        """Note that a worker is alive, and enter it into the list if it is not there.

        :param seconds: How long it is to count as alive for workers of version 0.1, which go by that time.
        :param kind: What it does: :data:`THREAD`, :data:`RELAY` or :data:`TASK`.
        """
        now = self._database.now(self._clock)
        with self._database.transaction() as connection:
            # Only now: a clock that was read before a connection was waited for would be behind the database's.
            statement = self._database.insert(worker).values(
                id=worker_id,
                alive_until=now + seconds,
                kind=kind,
                clock_ahead=self._clock() - now,
            )
            changed = {
                name: statement.excluded[name] for name in ("alive_until", "kind", "clock_ahead")
            }
            connection.execute(
                statement.on_conflict_do_update(index_elements=[worker.c.id], set_=changed)
            )

    def note_broker(self, worker_id: str, away_since: float | None) -> None:
        """Note since when the broker of a relay takes nothing, in seconds since the epoch; None: it does."""
        with self._database.transaction() as connection:
            connection.execute(
                worker.update().where(worker.c.id == worker_id).values(broker_away_since=away_since)
            )

    def listed(self) -> list[Listed]:
        """Return who is in the list, in no order: those that are gone may be there still."""
        with self._database.reading() as connection:
            return [Listed(*row) for row in connection.execute(_LISTED)]

    def living(self, *, seconds: float | None = None) -> list[Listed]:
        """Return those in the list that have sent a heartbeat within their lease, by the clock of the database.

        This is for people and metrics: who takes receipts from a worker has watched it for longer. On SQLite
        workers have no heartbeat.

        :param seconds: What it may take, as for :meth:`.Database.reading`.
        """
        query = _LISTED.where(worker.c.alive_until >= self._database.now(self._clock))
        with self._database.reading(seconds=seconds) as connection:
            return [Listed(*row) for row in connection.execute(query)]

    def beats(self) -> tuple[dict[str, float], set[str]]:
        """Return what shows which workers are alive.

        :return: for each worker in the list a number that changes with each of its heartbeats,
            and the ids of those whose ``alive_until`` is past by the database's clock.
        """
        is_expired = (worker.c.alive_until < self._database.now(self._clock)).label("is_expired")
        with self._database.reading() as connection:
            rows = connection.execute(
                sa.select(worker.c.id, worker.c.alive_until, is_expired)
            ).all()
        return (
            {row.id: row.alive_until for row in rows},
            {row.id for row in rows if row.is_expired},
        )

    def is_listed(self, worker_id: str) -> bool:
        """Return whether a worker is in the list: one that is not can claim nothing."""
        query = sa.select(worker.c.id).where(worker.c.id == worker_id)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def is_stopping(self, worker_id: str) -> bool:
        """Return whether a worker is marked as being stopped."""
        query = sa.select(worker.c.id).where(worker.c.id == worker_id, worker.c.is_stopping == 1)
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def lead(self, worker_id: str) -> list[DeadReceipt]:
        """Make a worker the only one in the list, and take every receipt back that another has claimed.

        :return: as :meth:`free`.
        """
        with self._database.transaction() as connection:
            dead = self._free(connection, receipt.c.worker.is_distinct_from(worker_id))
            connection.execute(worker.delete())
            now = self._database.now(self._clock)
            connection.execute(worker.insert().values(id=worker_id, alive_until=now, kind=THREAD))
        return dead

    def mark_stopping(self, worker_id: str | None = None) -> None:
        """Mark a worker as being stopped.

        If its process ends before it has given back its claims, that counts as a death with none of them.

        :param worker_id: None: all that are in the list.
        """
        which = sa.true() if worker_id is None else worker.c.id == worker_id
        with self._database.transaction() as connection:
            connection.execute(worker.update().where(which).values(is_stopping=1))

    def mark_processes_stopping(self, beginnings: Iterable[str]) -> None:
        """Mark the workers of some processes as being stopped.

        :param beginnings: What the ids of the workers begin with, for each process.
        """
        ids = [each.worker for each in self.listed() if each.worker.startswith(tuple(beginnings))]
        with self._database.transaction() as connection:
            connection.execute(worker.update().where(worker.c.id.in_(ids)).values(is_stopping=1))

    def mark_alone(self, worker_id: str, claim: Claim | None) -> None:
        """Mark one claim of a worker as running with nothing beside it; with None, undo that.

        If the worker dies before the claim is settled, it died of that, and of nothing else that it had claimed.
        Once the claim is settled the mark means nothing: ``claims`` no longer matches.
        """
        with self._database.transaction() as connection:
            connection.execute(
                worker.update()
                .where(worker.c.id == worker_id)
                .values(
                    alone_event=claim and claim.event_id,
                    alone_receiver=claim and claim.receiver,
                    alone_claims=claim and claim.claims,
                )
            )

    def leave(self, worker_id: str) -> None:
        """Take a worker off the list. What it has claimed goes to others, and counts no death by that."""
        with self._database.transaction() as connection:
            _locked(connection, worker.c.id == worker_id)
            connection.execute(
                receipt.update()
                .where(receipt.c.state == CLAIMED, receipt.c.worker == worker_id)
                .values(state=PENDING, worker=None, claims=receipt.c.claims - 1)
            )
            connection.execute(worker.delete().where(worker.c.id == worker_id))

    def free(self, gone: Mapping[str, float]) -> list[DeadReceipt]:
        """Take receipts back from workers that are gone, and from those that are not in the list.

        Attempts do not count by this; but a receipt that five processes died with is dead,
        if it ran alone in the last of them.

        :param gone: The workers that are gone, each with its last heartbeat as :meth:`beats` showed it:
            they are taken off the list. One that has sent another since is not gone.
        :return: the receipts that are dead now.
        """
        listed = sa.select(worker.c.id)
        with self._database.reading() as connection:
            held = sa.select(receipt.c.event_id).where(
                receipt.c.state == CLAIMED, receipt.c.worker.not_in(listed)
            )
            if not gone and connection.execute(held.limit(1)).first() is None:
                return []
        is_silent = [
            (worker.c.id == worker_id) & (worker.c.alive_until == beat)
            for worker_id, beat in gone.items()
        ]
        with self._database.transaction() as connection:
            silent = _locked(connection, sa.or_(sa.false(), *is_silent))
            dead = self._free(
                connection, receipt.c.worker.not_in(listed.where(worker.c.id.not_in(silent)))
            )
            connection.execute(worker.delete().where(worker.c.id.in_(silent)))
        return dead

    def _free(self, connection: sa.Connection, of_gone: Any) -> list[DeadReceipt]:
        lost = (receipt.c.state == CLAIMED) & of_gone
        connection.execute(
            receipt.update()
            .where(lost, _STOPPED | (_BESIDE_ONE_ALONE & ~_ALONE))
            .values(state=PENDING, worker=None, claims=receipt.c.claims - 1)
        )
        died_too_often = receipt.c.claims - receipt.c.attempts >= DEATHS_ALLOWED
        rows = connection.execute(
            receipt.update()
            .where(lost, died_too_often, _ALONE)
            .values(state=DEAD, worker=None, error=DIED_HERE)
            .returning(receipt.c.hook, receipt.c.receiver, receipt.c.event_id)
        ).all()
        connection.execute(receipt.update().where(lost).values(state=PENDING, worker=None))
        close_events(self._database, connection, sorted({row.event_id for row in rows}))
        return [DeadReceipt(*row) for row in rows]

    def see_receivers(self, receivers: Sequence[tuple[str, str]]) -> None:
        """Note that these receivers, each a hook and a name, are connected somewhere, now."""
        if not receivers:
            return
        statement = self._database.insert(lane)
        now = self._clock()
        rows = [
            {"hook": hook, "receiver": name, "seen_at": now} for hook, name in sorted(receivers)
        ]
        with self._database.transaction() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[lane.c.hook, lane.c.receiver],
                    set_={"seen_at": statement.excluded.seen_at, "unseen": 0.0},
                ),
                rows,
            )

    def note_unconnected(
        self, connected: Sequence[tuple[str, str]], watched_seconds: float
    ) -> None:
        """Add to the time for which receivers have been watched without being connected.

        :param connected: The receivers, each a hook and a name, that are connected here.
        :param watched_seconds: How long the calling worker has watched since it last called this.
            Time in which nobody watched does not count: the worker was paused, or the database away.
        """
        others = sa.tuple_(lane.c.hook, lane.c.receiver).not_in(list(connected))
        # Every worker calls this, but for those that run receivers for tickets: each adds its share.
        calling = sa.or_(worker.c.kind.is_(None), worker.c.kind != TASK)
        workers = sa.select(sa.func.count()).select_from(worker).where(calling).scalar_subquery()
        share = watched_seconds / sa.case((workers > 0, workers), else_=1)
        with self._database.transaction() as connection:
            connection.execute(
                lane.update()
                .where(others)
                .values(unseen=sa.func.coalesce(lane.c.unseen, 0.0) + share)
            )

    def dead_letter_orphans(self, seconds: float) -> list[DeadReceipt]:
        """Make dead letters of pending receipts whose receivers were watched so long without being connected anywhere.

        One small batch: call again until there are none. Those of a receiver that is paused wait until it is resumed.

        :return: the receipts that are dead now.
        """
        lost = (
            sa.select(receipt.c.hook, receipt.c.receiver, receipt.c.event_id)
            .join(lane, (lane.c.hook == receipt.c.hook) & (lane.c.receiver == receipt.c.receiver))
            .where(
                receipt.c.state == PENDING,
                lane.c.unseen >= seconds,
                ~is_paused(lane.c.hook, lane.c.receiver),
            )
            .order_by(receipt.c.event_id, receipt.c.receiver)
            .limit(_BATCH)
            .with_for_update(skip_locked=True, of=receipt)
        )
        with self._database.transaction() as connection:
            rows = connection.execute(lost).all()
            if rows:
                connection.execute(
                    _DEAD_LETTER,
                    [{"of_event": r.event_id, "of_receiver": r.receiver} for r in rows],
                )
                close_events(self._database, connection, sorted({row.event_id for row in rows}))
        return [DeadReceipt(*row) for row in rows]


_LISTED: Final = sa.select(
    worker.c.id, worker.c.kind, worker.c.broker_away_since, worker.c.clock_ahead
)
_beside: Final = receipt.alias()


def _is_alone(table: Any) -> Any:
    """Return whether a receipt is what its worker runs with nothing beside it."""
    return (
        (worker.c.id == table.c.worker)
        & (worker.c.alone_event == table.c.event_id)
        & (worker.c.alone_receiver == table.c.receiver)
        & (worker.c.alone_claims == table.c.claims)
    )


_STOPPED: Final = sa.exists().where(worker.c.id == receipt.c.worker, worker.c.is_stopping == 1)
_ALONE: Final = sa.exists().where(_is_alone(receipt))
_BESIDE_ONE_ALONE: Final = sa.exists().where(
    _beside.c.worker == receipt.c.worker, _beside.c.state == CLAIMED, _is_alone(_beside)
)
_DEAD_LETTER: Final = (
    receipt.update()
    .where(
        receipt.c.event_id == sa.bindparam("of_event"),
        receipt.c.receiver == sa.bindparam("of_receiver"),
    )
    .values(state=DEAD, error=NOT_CONNECTED)
)


def _locked(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Sequence[str]:
    """Return the ids of the workers for which that is true, and let none of them change until the transaction ends.

    Whoever takes receipts from a worker does this first: with one order for all, none waits for another in a circle.
    """
    query = sa.select(worker.c.id).where(condition).order_by(worker.c.id)
    return connection.scalars(query.with_for_update()).all()
