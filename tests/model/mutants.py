"""Faults that are put into the package on purpose: the model has to find each."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from unittest import mock

import sqlalchemy as sa

from okta_hooks.exceptions import InboxUnavailable
from okta_hooks.inbox import assignments, claims, statements, upkeep, workers
from okta_hooks.inbox.assignments import Assignments
from okta_hooks.inbox.intake import Stored
from okta_hooks.inbox.tables import PENDING, event, receipt, worker
from okta_hooks.inbox.workers import Workers
from okta_hooks.inbox.writer import Writer
from okta_hooks.work import lane, lease, retry
from okta_hooks.work.alone import Permit, Permits
from okta_hooks.work.fan_out import FanOut
from okta_hooks.work.housekeeping import Housekeeping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def _changed(owner: Any, name: str, value: Any) -> Iterator[None]:
    with mock.patch.object(owner, name, value):
        yield


@contextmanager
def settles_without_the_fence() -> Iterator[None]:
    """Let a settlement count, whoever has the receipt in hand now."""
    found = re.subn(
        r" AND okta_hooks_receipt\.claims = .* = \{worker\}", " AND {worker} <> ''", claims._SETTLE
    )
    assert found[1] == 1
    with _changed(claims, "_SETTLE", found[0]):
        yield


@contextmanager
def counts_stops_as_deaths() -> Iterator[None]:
    """Forget who was stopping when receipts are freed."""
    free = Workers._free

    def forgetful(self: Workers, connection: sa.Connection, of_gone: Any) -> Any:
        connection.execute(worker.update().values(is_stopping=None))
        return free(self, connection, of_gone)

    with _changed(Workers, "_free", forgetful):
        yield


@contextmanager
def goes_by_the_clock() -> Iterator[None]:
    """Let what waits for nothing be due when the clock says that it was stored."""
    assign = FanOut._assign
    # Each thread of the model has its own: another one may go on while this one assigns.
    now: ContextVar[float] = ContextVar("now")

    def dated(self: FanOut, decided: Any) -> Any:
        now.set(self._resources.inbox.clock())
        return assign(self, decided)

    with (
        _changed(FanOut, "_assign", dated),
        _changed(assignments, "_due_at_once", lambda _: now.get()),
    ):
        yield


@contextmanager
def claims_unlisted() -> Iterator[None]:
    """Let workers claim that are not in the list."""
    listed = " AND EXISTS (SELECT 1 FROM okta_hooks_worker WHERE id = {mark})"
    assert claims._DUE.count(listed) == 1
    with _changed(claims, "_DUE", claims._DUE.replace(listed, " AND {mark} <> ''")):
        yield


@contextmanager
def prunes_by_any_clock() -> Iterator[None]:
    """Trust the clock, whatever it says."""
    with (
        _changed(Housekeeping, "_is_clock_trusted", lambda _: True),
        _changed(Housekeeping, "_prune", lambda self, _: self.prune()),
        _changed(Housekeeping, "prune", _prune_now),
    ):
        yield


def _prune_now(self: Any) -> int:
    now = self._inbox.clock()
    count: int = self._inbox.upkeep.prune(
        bodies_before=now - 30 * 86400.0, keys_before=now - 100 * 86400.0
    )
    return count


@contextmanager
def assigns_again() -> Iterator[None]:
    """Give events their receipts though another worker has done so meanwhile."""
    assign = Assignments.assign

    def overwriting(self: Assignments, decided: Any, worker_id: str = "") -> Any:
        ids = [item.event.event_id for item in decided]
        with self._database.transaction() as connection:
            connection.execute(receipt.delete().where(receipt.c.event_id.in_(ids)))
            connection.execute(event.update().where(event.c.id.in_(ids)).values(state=PENDING))
        return assign(self, decided, worker_id)

    with _changed(Assignments, "assign", overwriting):
        yield


@contextmanager
def acknowledges_before_the_commit() -> Iterator[None]:
    """Answer 204 whatever the database says."""
    store = Writer._store

    def hopeful(self: Writer, batch: Any) -> Any:
        try:
            return store(self, batch)
        except InboxUnavailable:
            return [Stored(new=0, duplicate=0)]

    with _changed(Writer, "_store", hopeful):
        yield


@contextmanager
def waits_as_long_as_asked() -> Iterator[None]:
    """Let a receiver ask for any time to wait."""
    with _changed(retry, "LONGEST_WAIT", float("inf")):
        yield


@contextmanager
def gives_up_early() -> Iterator[None]:
    """Make a dead letter of what was in hand at two deaths."""
    with _changed(workers, "DEATHS_ALLOWED", 2):
        yield


@contextmanager
def gives_up_bystanders() -> Iterator[None]:
    """Give up whatever was in hand at five deaths, whether it ran or not."""
    alone, beside = workers._ALONE, workers._BESIDE_ONE_ALONE
    with _changed(workers, "_ALONE", alone | ~beside):
        yield


@contextmanager
def counts_against_bystanders() -> Iterator[None]:
    """Count a death against all that was in hand, though one receipt was said to run alone."""
    with _changed(workers, "_BESIDE_ONE_ALONE", sa.false()):
        yield


@contextmanager
def runs_beside_suspects() -> Iterator[None]:
    """Let others begin while a suspect runs, and mark nothing of it."""
    begin = Permits._begin

    def impatient(self: Permits) -> Permit:
        with _changed(self, "_patience", 0.0):
            begin(self)
        return Permit()

    with _changed(Permits, "_begin", impatient):
        yield


@contextmanager
def forgets_what_is_in_doubt() -> Iterator[None]:
    """Never ask again for a claim whose commit was not heard of."""
    with _changed(lane.Lane, "is_in_doubt", property(lambda _: False)):
        yield


@contextmanager
def leaves_events_open() -> Iterator[None]:
    """Close no event."""
    with _changed(
        statements, "_CLOSE", statements._CLOSE.replace(" WHERE id", " WHERE 1 = 0 AND id")
    ):
        yield


@contextmanager
def takes_from_the_living() -> Iterator[None]:
    """Take a worker for dead as soon as it is looked at."""
    with _changed(lease._Watch, "gone", lambda _, beats, __, ___: set(beats)):
        yield


@contextmanager
def runs_without_a_lease() -> Iterator[None]:
    """Never mind whether the lease has run out."""
    with _changed(lease.RowLease, "holds", lambda _: True):
        yield


@contextmanager
def replays_what_is_open() -> Iterator[None]:
    """Reset receipts that somebody holds."""
    reset = upkeep.Upkeep.reset

    def greedy(self: Any, connection: sa.Connection, rows: Any, name: str | None) -> None:
        ids = [row.id for row in rows]
        connection.execute(
            receipt.update()
            .where(receipt.c.event_id.in_(ids))
            .values(state=PENDING, claims=0, attempts=0)
        )
        reset(self, connection, rows, name)

    with _changed(upkeep.Upkeep, "reset", greedy):
        yield


class Mutant(NamedTuple):
    """A fault, and how it is looked for.

    ``rules_broken`` are those that it breaks, of which one is found first.
    ``prefer`` is what its histories prefer, so that it is found soon, and ``seed`` that of one that finds it at once.
    """

    change: Callable[[], AbstractContextManager[None]]
    database: str
    rules_broken: str
    prefer: dict[str, float]
    seed: int


MUTANTS: Final[dict[str, Mutant]] = {
    "settles without the fence": Mutant(
        settles_without_the_fence,
        "SQLite",
        "settled by another|settled for an older|done or dead changes|that nobody holds|that waits",
        {"remove_lock": 15.0, "start": 4.0},
        31,
    ),
    "counts stops as deaths": Mutant(
        counts_stops_as_deaths,
        "SQLite",
        "stop counts as a death",
        {"stop": 6.0, "settle_down": 0.3, "freeze": 3.0},
        100,
    ),
    "goes by the clock": Mutant(
        goes_by_the_clock,
        "SQLite",
        "to wait for nothing waits",
        {"jump": 4.0},
        5,
    ),
    "claims unlisted": Mutant(
        claims_unlisted,
        "SQLite",
        "not in the list",
        {"remove_lock": 10.0, "start": 3.0},
        18,
    ),
    "prunes by any clock": Mutant(
        prunes_by_any_clock,
        "SQLite",
        "nobody can trust",
        {"jump": 4.0, "die": 3.0, "settle_down": 3.0},
        17,
    ),
    "assigns again": Mutant(
        assigns_again,
        "PostgreSQL",
        "vanishes|is opened",
        {"deliver": 4.0, "start": 5.0},
        6,
    ),
    "acknowledges before the commit": Mutant(
        acknowledges_before_the_commit,
        "SQLite",
        "what was acknowledged is not there",
        {},
        14,
    ),
    "waits as long as asked": Mutant(
        waits_as_long_as_asked,
        "SQLite",
        "longer than anything|later than anything",
        {},
        22,
    ),
    "gives up early": Mutant(
        gives_up_early,
        "SQLite",
        "too few deaths",
        {"poison": 3.0, "die": 12.0, "finish": 0.3, "settle_down": 0.0},
        19,
    ),
    "gives up bystanders": Mutant(
        gives_up_bystanders,
        "SQLite",
        "given up for",
        {"poison": 3.0, "die": 12.0, "finish": 0.3, "settle_down": 0.0},
        26,
    ),
    "counts against bystanders": Mutant(
        counts_against_bystanders,
        "SQLite",
        "counts against a bystander",
        {"poison": 3.0, "die": 12.0, "finish": 0.3, "settle_down": 0.0},
        100,
    ),
    "runs beside suspects": Mutant(
        runs_beside_suspects,
        "SQLite",
        "beside what is said to run alone|runs beside others",
        {"poison": 3.0, "die": 12.0, "finish": 0.3, "settle_down": 0.0},
        4,
    ),
    "forgets what is in doubt": Mutant(
        forgets_what_is_in_doubt,
        "SQLite",
        "never comes to an end",
        {"fail": 5.0, "settle_down": 15.0, "deliver": 0.6, "die": 0.0, "stop": 0.0, "poison": 0.0},
        119,
    ),
    "leaves events open": Mutant(
        leaves_events_open,
        "SQLite",
        "nobody has to handle",
        {},
        45,
    ),
    "takes from the living": Mutant(
        takes_from_the_living,
        "PostgreSQL",
        "a live worker loses|never comes to an end",
        {"start": 5.0, "finish": 0.3, "settle_down": 0.0},
        1,
    ),
    "runs without a lease": Mutant(
        runs_without_a_lease,
        "PostgreSQL",
        "starts something new",
        {"cut_off": 4.0},
        17,
    ),
    "replays what is open": Mutant(
        replays_what_is_open,
        "SQLite",
        "neither done nor dead|number of done",
        {"replay": 20.0, "deliver": 0.4, "finish": 0.4},
        6,
    ),
}
