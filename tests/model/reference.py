"""What the guarantees say, as a memory beside the inbox: each change of the inbox is held against it.

See docs/guarantees.md. The text of each :class:`~tests.model.simulation.Violation` is the rule that is broken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.exceptions import Reject
from okta_hooks.inbox.claims import DEATHS_ALLOWED, DIED_HERE
from okta_hooks.inbox.tables import CLAIMED, DEAD, DONE, PENDING
from okta_hooks.inbox.workers import NOT_CONNECTED
from okta_hooks.work.lease import LEASE_SECONDS
from okta_hooks.work.retry import LONGEST_WAIT

from .processes import KEYS_KEPT, MAX_ATTEMPTS, RECEIVERS, RETENTION, Process
from .rows import Rows
from .simulation import Violation

if TYPE_CHECKING:
    from okta_hooks.inbox.claims import Claim, Settlement

    from .model import Model
    from .processes import Run, Slot
    from .rows import DeliveryRow, EventRow, ReceiptRow

DAY: Final = 24 * 3600.0
SECONDS_TO_TRUST: Final = 600.0
#: Some steps of less than a minute, which nobody has to notice, are no jump together.
SMALLEST_JUMP: Final = 600.0
SECONDS_TO_WATCH: Final = 10.0


@dataclass(eq=False)
class Hold:
    """A receipt that a worker holds, from one claim on."""

    process: Process
    event_id: int
    receiver: str
    run: Run | None = None
    #: When the worker was about to call the receiver.
    attempted_at: float | None = None
    has_begun: bool = False
    is_settled: bool = False
    #: Whether it was settled because the receiver did not return: what still runs of it is nobody's business.
    is_given_up: bool = False
    #: Why the worker holds it no more, though it was not settled.
    lost_by: str | None = None
    claim: Claim | None = None


class Reference:
    """Remembers what happened, and says what may."""

    def __init__(self, simulation: Model) -> None:
        self._simulation = simulation
        self.rows = Rows()
        self.acknowledged: set[str] = set()
        self.holds: dict[tuple[int, str], Hold] = {}
        self._of_claim: dict[int, Hold] = {}
        self._deaths: dict[tuple[int, str], int] = {}
        self._beats: dict[str, float] = {}
        self.processes: dict[str, Process] = {}
        #: When a receiver was last connected in a process that is not any more.
        self.connected_at: dict[str, float] = {}
        self.settlements = 0
        self.runs = 0
        self.given_up = 0

    # What processes report of themselves.

    def note_claims(self, claims: list[Claim]) -> None:
        """Remember which hold is behind a claim that the package has got."""
        for claim in claims:
            hold = self.holds.get((claim.event_id, claim.receiver))
            if hold is None:
                raise self._violation("a claim is reported that is not in the database", claim)
            hold.claim = claim
            self._of_claim[id(claim)] = hold

    def hold_of(self, claim: Claim) -> Hold | None:
        """Return the hold behind a claim."""
        return self._of_claim.get(id(claim))

    def attempt(self, process: Process, claim: Claim) -> None:
        """Check that a worker is about to call a receiver: from here on, it cannot be stopped any more."""
        hold = self.hold_of(claim)
        if hold is not None:
            hold.attempted_at = self._simulation.world.now
        is_on_postgresql = process.slot.inbox.path is None
        beaten = self._beats.get(process.worker.id, -math.inf)
        if is_on_postgresql and self._simulation.world.now >= beaten + LEASE_SECONDS:
            raise self._violation("a worker whose lease has run out starts something new", claim)

    def begin(self, run: Run) -> None:
        """Check that a receiver is called."""
        self.runs += 1
        hold = run.hold
        if hold is None:
            raise self._violation("a receiver runs without a claim", run)
        if hold.is_given_up:
            return  # its thread has begun late
        if hold.has_begun:
            raise self._violation("a receiver runs twice under one claim", run)
        if hold.is_settled:
            raise self._violation("a receiver runs after its settlement", run)
        is_current = self.holds.get((hold.event_id, hold.receiver)) is hold
        if not is_current and hold.lost_by != "lease":
            raise self._violation("a receiver runs what its worker does not hold", run)
        alone = self._said_alone(run.process.worker.id, self.rows)
        if alone is not None and alone != (hold.event_id, hold.receiver):
            raise self._violation("a receiver runs beside what is said to run alone", run, alone)
        beside = [other for other in run.process.runs if _is_going_on(other)]
        if alone is not None and beside:
            raise self._violation("what is said to run alone runs beside others", run, beside)
        hold.has_begun = True
        hold.run = run

    def end(self, run: Run) -> None:
        """Take note of how a run ended."""
        run.has_ended = True

    # What a transaction has done.

    def observe(self, slot: Slot, rows: Rows, notes: dict[str, Any]) -> None:  # noqa: C901 - one rule after another
        """Check what a transaction has changed.

        :param notes: What is known of the thread that did it.
        """
        before, self.rows = self.rows, rows
        process = slot.process if notes.get("operation") is None else None
        for worker_id, worker in rows.workers.items():
            known = before.workers.get(worker_id)
            if known is None or known.alive_until != worker.alive_until:
                self._beats[worker_id] = notes.get("beats_at", self._simulation.world.now)
        for key, after in rows.receipts.items():
            was = before.receipts.get(key)
            if was is not after and was != after:
                self._check_receipt(key, was, after, process, before, notes)
        for key, gone in before.receipts.items():
            if key not in rows.receipts:
                self._check_gone_receipt(key, gone, notes)
        for event_id, one in before.events.items():
            now = rows.events.get(event_id)
            if now is None:
                self._check_gone_event(one, slot, before, notes)
            elif now.state != one.state:
                self._check_event(one, now, notes)
        for delivery_id, delivered in rows.deliveries.items():
            old = before.deliveries.get(delivery_id)
            if old is not None and old.has_body and not delivered.has_body:
                self._check_bare(delivered, slot, notes)
        self._check_rows()
        self._check_totals()

    def _check_receipt(  # noqa: C901 - one rule after another
        self,
        key: tuple[int, str],
        was: ReceiptRow | None,
        now: ReceiptRow,
        process: Process | None,
        before: Rows,
        notes: dict[str, Any],
    ) -> None:
        operation = notes.get("operation")
        if was is None:
            if now.state != PENDING or now.attempts or now.claims:
                raise self._violation("a receipt does not begin anew", now)
            self._deaths[key] = 0
        elif operation == "replay":
            if was.state not in (DONE, DEAD) or now.state != PENDING:
                raise self._violation("a replay resets what is neither done nor dead", was, now)
            self._deaths[key] = 0
        elif was.state in (DONE, DEAD):
            raise self._violation("what is done or dead changes without a replay", was, now)
        elif was.state == PENDING and now.state == CLAIMED:
            self._check_claim(key, was, now, process)
        elif was.state == PENDING and now.state == PENDING:
            if now._replace(due=was.due) != was or now.due > was.due:
                raise self._violation("a receipt that waits changes", was, now)
        elif was.state == PENDING:
            self._check_orphan(now)
        elif now.attempts == was.attempts + 1 and now.state == CLAIMED:
            # Settled, and claimed again in the same transaction.
            between = now._replace(state=PENDING, claims=was.claims, worker=None)
            self._check_settlement(key, was, between, process, notes)
            self._check_claim(key, between, now, process)
        elif now.attempts == was.attempts + 1:
            self._check_settlement(key, was, now, process, notes)
        else:
            self._check_loss(key, was, now, process, before)

    def _check_claim(
        self, key: tuple[int, str], was: ReceiptRow, now: ReceiptRow, process: Process | None
    ) -> None:
        if process is None or now.worker != process.worker.id:
            raise self._violation("a receipt is claimed by another than who claims", now)
        if now.worker not in self.rows.workers:
            raise self._violation("who is not in the list of workers claims", now)
        if now.claims != was.claims + 1 or now.attempts != was.attempts:
            raise self._violation("a claim is not counted", was, now)
        if was.due > process.slot.clock():
            raise self._violation("a receipt is claimed before it is due", was)
        self.holds[key] = Hold(process, *key)

    def _check_settlement(  # noqa: C901 - one rule after another
        self,
        key: tuple[int, str],
        was: ReceiptRow,
        now: ReceiptRow,
        process: Process | None,
        notes: dict[str, Any],
    ) -> None:
        hold = self.holds.pop(key, None)
        settlements: list[Settlement] = [
            item
            for item in notes.get("settling", ())
            if (item.claim.event_id, item.claim.receiver) == key
        ]
        if hold is None or process is not hold.process or len(settlements) != 1:
            raise self._violation("a receipt is settled by another than who holds it", was, now)
        if self.hold_of(settlements[0].claim) is not hold:
            raise self._violation("a receipt is settled for an older claim", was, now)
        if hold.is_settled:
            raise self._violation("a receipt is settled twice", was, now)
        hold.is_settled = True
        self.settlements += 1
        run = hold.run
        is_refused = now.error is not None and "refused to write" in now.error
        is_given_up = now.error is not None and "did not return within" in now.error
        if is_refused and (run is None or not run.has_ended):
            is_given_up = self._is_overdue(hold)
        hold.is_given_up = is_given_up
        if run is None and not is_given_up:
            if now.state != DEAD or self.rows.events[key[0]].state not in (DEAD, CLAIMED):
                raise self._violation("a receipt is settled without a run", was, now)
            return
        error = run.outcome if run is not None else None
        if run is not None and not run.has_ended and not is_given_up:
            raise self._violation("a receipt is settled while its receiver runs", was, now)
        is_failure = is_refused or is_given_up
        if error is None and not is_failure:
            expected = DONE
        elif isinstance(error, Reject) and not is_failure:
            expected = DEAD
        else:
            expected = DEAD if now.attempts >= MAX_ATTEMPTS else PENDING
        if now.state != expected:
            raise self._violation(f"it should be {expected} after {error!r}", was, now)
        if now.state == PENDING and not 0 <= (now.wait or 0.0) <= LONGEST_WAIT:
            raise self._violation("a receipt waits longer than anything can", now)

    def _is_overdue(self, hold: Hold) -> bool:
        timeout = RECEIVERS[hold.receiver][1].get("timeout", math.inf)
        began = math.inf if hold.attempted_at is None else hold.attempted_at
        return bool(self._simulation.world.now >= began + timeout)

    def _check_loss(  # noqa: C901, PLR0912 - one rule after another
        self,
        key: tuple[int, str],
        was: ReceiptRow,
        now: ReceiptRow,
        process: Process | None,
        before: Rows,
    ) -> None:
        hold = self.holds.pop(key, None)
        if hold is None or was.state != CLAIMED or now.attempts != was.attempts:
            raise self._violation("a receipt that nobody holds changes", was, now)
        worker_id = hold.process.worker.id
        if process is hold.process and now.state == PENDING and now.claims == was.claims - 1:
            run = hold.run
            if run is not None and not run.has_ended and not hold.process.is_abandoning:
                raise self._violation("what runs is given back", was, now)
            # Who runs it all the same was about to end, or did not get the news.
            hold.lost_by = "lease" if hold.process.is_abandoning else "released"
            return
        hold.lost_by = "lease"
        known = before.workers.get(worker_id)
        is_stopping = known is not None and known.is_stopping == 1
        if is_stopping:
            if now.state != PENDING or now.claims != was.claims - 1:
                raise self._violation("a deliberate stop counts as a death", was, now)
            return
        if not hold.process.is_dead and not self._may_lose_claims(hold.process, before):
            raise self._violation("a live worker loses what it has in hand", was, now)
        alone = self._said_alone(worker_id, before)
        if now.claims == was.claims - 1 and now.state == PENDING:
            if alone is None or alone == key:
                raise self._violation("a death does not count", was, now)
            return
        if now.claims != was.claims:
            raise self._violation("a death counts twice", was, now)
        if alone is not None and alone != key:
            raise self._violation("a death counts against a bystander", was, now)
        self._deaths[key] += 1
        if now.state == DEAD:
            self.given_up += 1
            if now.error != DIED_HERE or self._deaths[key] < DEATHS_ALLOWED:
                raise self._violation("a receipt is given up after too few deaths", was, now)
            self._check_cause(hold, was, is_said=alone == key)
        elif now.state != PENDING:
            raise self._violation("a receipt goes from one worker to another", was, now)

    def _check_cause(self, hold: Hold, was: ReceiptRow, *, is_said: bool) -> None:
        """Check that what is given up ran when its process died, and nothing beside it.

        :param is_said: Whether it was about to run, at least.
        """
        if not hold.has_begun and not is_said:
            raise self._violation("given up for deaths, and never ran", was)
        process = hold.process
        beside = [
            run
            for run in (process.ran_at_death if process.is_dead else process.runs)
            if _is_going_on(run) and run.hold is not hold
        ]
        if beside:
            raise self._violation("given up for a death beside what ran", was, beside)

    def _said_alone(self, worker_id: str, rows: Rows) -> tuple[int, str] | None:
        """Return which receipt, in the hands of a worker, is said to run there with nothing beside it."""
        said = rows.workers.get(worker_id)
        if said is None or said.alone_event is None or said.alone_receiver is None:
            return None
        key = said.alone_event, said.alone_receiver
        held = rows.receipts.get(key)
        is_current = (
            held is not None
            and held.state == CLAIMED
            and held.worker == worker_id
            and held.claims == said.alone_claims
        )
        return key if is_current else None

    def _may_lose_claims(self, process: Process, before: Rows) -> bool:
        worker_id = process.worker.id
        if worker_id not in before.workers:
            return True
        if process.slot.inbox.path is not None:
            return self._simulation.was_lock_removed
        beaten = self._beats.get(worker_id, -math.inf)
        patience = SECONDS_TO_WATCH if self._simulation.did_server_jump else LEASE_SECONDS
        return self._simulation.world.now - beaten >= patience

    def _check_orphan(self, now: ReceiptRow) -> None:
        is_connected = any(
            process.slot.connected[now.receiver]
            for process in self.processes.values()
            if not process.is_dead
        )
        last = self.connected_at.get(now.receiver, -math.inf)
        if now.state != DEAD or now.error != NOT_CONNECTED:
            raise self._violation("a receipt that waits becomes something else", now)
        if is_connected or self._simulation.world.now - last < DAY:
            raise self._violation("a receiver is given up that was there today", now)

    def _check_gone_receipt(
        self, key: tuple[int, str], gone: ReceiptRow, notes: dict[str, Any]
    ) -> None:
        self._deaths.pop(key, None)
        if gone.event_id not in self.rows.events:
            if gone.state not in (DONE, DEAD):
                raise self._violation("an open receipt vanishes", gone)
        elif gone.state != DONE:
            raise self._violation("a receipt vanishes", gone)
        elif notes.get("operation") != "replay":
            event = self.rows.events[gone.event_id]
            if self.rows.deliveries[event.delivery_id].has_body:
                raise self._violation("a receipt vanishes before its body", gone)

    def _check_gone_event(
        self, gone: EventRow, slot: Slot, before: Rows, notes: dict[str, Any]
    ) -> None:
        if gone.state == DEAD:
            if notes.get("operation") != "prune dead":
                raise self._violation("a dead letter vanishes", gone)
        elif gone.state != DONE:
            raise self._violation("an open event vanishes", gone)
        else:
            self._check_age(before.deliveries[gone.delivery_id], slot, notes, KEYS_KEPT)
        self.acknowledged.discard(gone.key)

    def _check_bare(self, delivered: DeliveryRow, slot: Slot, notes: dict[str, Any]) -> None:
        for event in self.rows.events.values():
            if event.delivery_id == delivered.id and event.state != DONE:
                raise self._violation("an event that is not done loses its body", event)
        self._check_age(delivered, slot, notes, RETENTION.total_seconds())

    def _check_age(
        self, delivered: DeliveryRow, slot: Slot, notes: dict[str, Any], seconds: float
    ) -> None:
        process = slot.process
        if process is None:
            raise self._violation("who has no worker prunes", delivered)
        back_then = self._simulation.world.now - SECONDS_TO_TRUST
        # The clock may be set between the look at it and the transaction, or to and fro while nobody looks:
        # what counts is the time that was seen, and since when.
        time, offset = notes["prunes_by"]
        trusted_since = process.worker.housekeeping._trusted_since
        was_set = abs(slot.offset_at(trusted_since) - offset) > SMALLEST_JUMP
        if was_set or trusted_since > back_then or process.started_at > back_then:
            raise self._violation("a clock that nobody can trust yet prunes", delivered)
        if time - delivered.received_at < seconds:
            raise self._violation("something is pruned too early", delivered)

    def _check_event(self, was: EventRow, now: EventRow, notes: dict[str, Any]) -> None:
        if was.state in (DONE, DEAD) and notes.get("operation") != "replay":
            raise self._violation("an event that is done or dead is opened", was, now)

    def _check_rows(self) -> None:  # noqa: C901 - one rule after another
        """Check what is so now, however it came to be."""
        rows = self.rows
        found: dict[int, set[str]] = {}
        latest = self._simulation.latest_time
        earliest = self._simulation.earliest_time()
        for receipt in rows.receipts.values():
            found.setdefault(receipt.event_id, set()).add(receipt.state)
            if receipt.event_id not in rows.events:
                raise self._violation("a receipt has no event", receipt)
            if receipt.state != PENDING:
                continue
            if not receipt.due <= latest + LONGEST_WAIT:
                raise self._violation("a receipt is due later than anything can wait", receipt)
            if receipt.wait is None and receipt.due > earliest:
                raise self._violation("what is to wait for nothing waits", receipt)
        for event in rows.events.values():
            states = found.get(event.id, set())
            is_open = PENDING in states or CLAIMED in states
            if event.state == CLAIMED and not is_open:
                raise self._violation("an event is open that nobody has to handle", event)
            if event.state == DONE and states - {DONE}:
                raise self._violation("an event is done, and not for all receivers", event)
            if event.state == DEAD and is_open:
                raise self._violation("an event is dead, and a receiver has it open", event)
            if event.state != DONE and not rows.deliveries[event.delivery_id].has_body:
                raise self._violation("an event that is not done has no body", event)

    def _check_totals(self) -> None:
        """Check the numbers that are kept of what is done."""
        rows = self.rows
        done = sum(event.state == DONE for event in rows.events.values())
        if rows.done_events != done:
            raise self._violation("the number of done events is wrong", rows.done_events, done)
        done_receipts: dict[str, int] = {}
        for receipt in rows.receipts.values():
            if receipt.state == DONE:
                done_receipts[receipt.receiver] = done_receipts.get(receipt.receiver, 0) + 1
        if {name: number for name, number in rows.done_receipts.items() if number} != done_receipts:
            raise self._violation("the number of done receipts is wrong", rows.done_receipts)

    def acknowledge(self, keys: list[str]) -> None:
        """Take note that a delivery was answered with 204."""
        there = {event.key for event in self.rows.events.values()}
        for key in keys:
            if key not in there:
                raise self._violation("what was acknowledged is not there", key)
        self.acknowledged.update(keys)

    def check_acknowledged(self) -> None:
        """Check that nothing acknowledged has vanished."""
        missing = self.acknowledged - {event.key for event in self.rows.events.values()}
        if missing:
            raise self._violation("what was acknowledged has vanished", sorted(missing))

    def _violation(self, text: str, *about: object) -> Violation:
        violation = Violation(": ".join([text, *map(repr, about)]))
        self._simulation.world.blame(text, violation)
        return violation


def _is_going_on(run: Run) -> bool:
    return not run.has_ended
