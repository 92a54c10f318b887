"""Whether what is done for every event takes longer when there is much in the tables."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from okta_hooks.inbox.assignments import Assignment
from okta_hooks.inbox.claims import Settlement
from okta_hooks.inbox.contradictions import Match
from okta_hooks.inbox.intake import NewDelivery, NewEvent
from okta_hooks.inbox.tables import delivery, event
from okta_hooks.wire.events import Delivery

from .figures import turns
from .stock import EVERY_RANDOM, HOOKS, check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from okta_hooks.inbox.claims import Claim

    from .figures import Figures
    from .stock import Stock

    Call = Callable[[], object]

STORE: Final = "milliseconds to store a delivery of 100 events"
STORE_RANDOM: Final = "milliseconds to store a delivery of 100 events, all their keys of version 4"
COMPARE: Final = "milliseconds to find 100 events of the log that are stored already"
FAN_OUT: Final = "milliseconds to fan out 20 events"
CLAIM: Final = "milliseconds to claim 20 receipts"
SETTLE: Final = "milliseconds to settle 20 receipts"
PRUNE: Final = "milliseconds to delete 20 deliveries, and the bodies of 20"
#: One value is the mean of so many one after another: some of them have to write a checkpoint.
_IN_A_ROW: Final = 10
_EVENTS: Final = 100
_CLAIMED: Final = 20
#: How many deliveries each batch deletes, and of how many it forgets the body: the small inbox has not many.
_PRUNED: Final = 20
_MOST_BATCHES: Final = 20
#: Among the keys of most: the index begins with the hook.
_HOOK: Final = HOOKS[0]
#: Of its own: what waits in the inbox is not handed out.
_HOOK_OF_CLAIMS: Final = "grown"
_RECEIVER: Final = "no-op"
_WORKER: Final = "me"
#: What was stored meanwhile: a table of so many events keeps its size.
_EMPTY: Final = (
    "DELETE FROM okta_hooks_receipt WHERE event_id > {events}",
    "DELETE FROM okta_hooks_event WHERE id > {events}",
    "DELETE FROM okta_hooks_delivery WHERE id > {deliveries}",
    f"DELETE FROM okta_hooks_total WHERE hook = '{_HOOK_OF_CLAIMS}'",  # noqa: S608 - our own name
)
#: Okta's cap, 400,000 events in 24 hours, in tenths of microseconds.
_TICKS_BETWEEN: Final = 24 * 3600 * 10_000_000 // 400_000
_TICKS_TO_1970: Final = 0x01B21DD213814000


def measure(figures: Figures, filled: Sequence[Stock], *, times: int) -> None:
    """Do all that is done for every event in a small inbox and in a large one, in turn."""
    as_okta, random = _uuids_of_okta(), (str(uuid.uuid4()) for _ in itertools.count())
    for one in filled:
        one.inbox.workers.beat(_WORKER, 3600)
    for one in turns(filled, times):
        for item, uuids in ((STORE, as_okta), (STORE_RANDOM, random)):
            news = [_delivery(_HOOK, uuids, _EVENTS) for _ in range(_IN_A_ROW)]
            _note(figures, one, item, [partial(one.inbox.intake.store, [new]) for new in news])
            _note(figures, one, COMPARE, [partial(_compare, one, new) for new in news])
        one.inbox.intake.store([_delivery(_HOOK_OF_CLAIMS, as_okta, _CLAIMED * _IN_A_ROW)])
        claimed: list[list[Claim]] = []
        _note(figures, one, FAN_OUT, [partial(_fan_out, one)] * _IN_A_ROW)
        _note(figures, one, CLAIM, [partial(_claim, one, claimed)] * _IN_A_ROW)
        _note(figures, one, SETTLE, [partial(_settle, one, claims) for claims in claimed])
        with one.engine.begin() as connection:
            for statement in _EMPTY:
                connection.exec_driver_sql(
                    statement.format(events=one.events, deliveries=one.deliveries)
                )
    for one in turns(filled, min(times, _MOST_BATCHES)):
        _note(figures, one, PRUNE, [_batch(one)])
    for one in filled:
        one.inbox.workers.leave(_WORKER)
        check(one)


def _note(figures: Figures, one: Stock, item: str, calls: Sequence[Call]) -> None:
    began = time.perf_counter()
    for call in calls:
        call()
    took = time.perf_counter() - began
    figures.note(f"{item}, {one.kind}", f"{one.events:,} events", took * 1000 / len(calls))


def _uuids_of_okta() -> Iterator[str]:
    """Yield uuids of events that come at Okta's cap: most are of version 1, some of version 4."""
    first = _TICKS_TO_1970 + int(time.time()) * 10_000_000
    for number in itertools.count():
        if number % EVERY_RANDOM == 0:
            yield str(uuid.uuid4())
            continue
        ticks = first + number * _TICKS_BETWEEN
        low, middle, high = ticks & 0xFFFFFFFF, ticks >> 32 & 0xFFFF, ticks >> 48
        yield f"{low:08x}-{middle:04x}-1{high:03x}-8000-{number % 16:012x}"


def _delivery(hook: str, uuids: Iterator[str], number: int) -> NewDelivery:
    received = Delivery(event_id=None, source=None, via="hook", received_at=datetime.now(UTC))
    events = [
        NewEvent(key=key, type="user.session.start", published=1.7e9)
        for key in itertools.islice(uuids, number)
    ]
    body = json.dumps({"data": {"events": _raw(events)}}).ljust(100_000)
    return NewDelivery(hook=hook, delivery=received, body=body, events=tuple(events))


def _raw(events: Sequence[NewEvent]) -> list[dict[str, Any]]:
    """Return events as Okta has them."""
    return [{"uuid": each.key, "eventType": each.type} for each in events]


def _compare(one: Stock, new: NewDelivery) -> None:
    found = one.inbox.contradictions.compare(new, _raw(new.events))
    if len(found) != _EVENTS or Match.FROM_LOG in found.values():
        raise RuntimeError(f"They are stored, and were not found: {found}")


def _fan_out(one: Stock) -> None:
    events = one.inbox.assignments.unassigned([_HOOK_OF_CLAIMS], limit=_CLAIMED)
    assigned = [Assignment(event=event, receivers=(_RECEIVER,)) for event in events]
    _all(one.inbox.assignments.assign(assigned))


def _claim(one: Stock, claimed: list[list[Claim]]) -> None:
    claimed.append(one.inbox.claims.claim(_WORKER, _HOOK_OF_CLAIMS, _RECEIVER, _CLAIMED))
    _all(claimed[-1])


def _settle(one: Stock, claims: Sequence[Claim]) -> None:
    settlements = [Settlement(claim=claim, state="done") for claim in claims]
    counted, _ = one.inbox.claims.settle(_WORKER, settlements)
    _all(counted)


def _all(done: Sequence[object]) -> None:
    if len(done) != _CLAIMED:
        raise RuntimeError(f"{len(done)} instead of {_CLAIMED}.")


def _batch(one: Stock) -> Call:
    """Return what prunes as many deliveries in either inbox."""
    at = delivery.c.received_at
    is_done = ~sa.exists().where(event.c.delivery_id == delivery.c.id, event.c.state != "done")
    with one.engine.connect() as connection:
        oldest, with_body = (
            connection.scalars(
                sa.select(at).where(*where).order_by(at).offset(_PRUNED).limit(1)
            ).one()
            for where in ((), (delivery.c.body.is_not(None), is_done))
        )

    def prune() -> None:
        number = one.inbox.upkeep.prune(bodies_before=with_body, keys_before=oldest)
        if number != 2 * _PRUNED:
            raise RuntimeError(f"{number} deliveries were pruned instead of {2 * _PRUNED}.")

    return prune
