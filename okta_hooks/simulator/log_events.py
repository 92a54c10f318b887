"""One org: its hooks, its System Log, and what it delivers when.

It has no thread of its own. :meth:`Org.settle` delivers in the caller's thread, at once, and asks no clock what is
to come when; a :class:`~okta_hooks.simulator.Simulator` runs :meth:`Org.keep_delivering` in threads.
"""

from __future__ import annotations

import contextvars
import copy
import itertools
import json
import logging
import random
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from okta_hooks import calling
from okta_hooks.testing import (
    make_delivery,
    make_id,
    make_uuid,
    okta_time,
    sample_event,
    warn_if_unknown,
)

from . import errors
from .event_hooks import MOST_ACTIVE_HOOKS, MOST_EVENT_TYPES, Hook, read_settings
from .system_log import SystemLog, read_query

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from okta_hooks.catalog import EventType

    from .system_log import Page

logger = logging.getLogger(__name__)

FAULTS: Final = ("duplicate", "reorder", "lost", "log_only")
#: How long an event of the fault "reorder" is held back, for others to overtake it.
_HELD_BACK: Final = timedelta(seconds=1)
_ACCEPTED: Final = (HTTPStatus.OK, HTTPStatus.NO_CONTENT)
#: The orgs that wait for a receiver to come back, in this context: an asynchronous receiver runs in another thread,
#: to which asgiref takes the context along.
_calling_out: Final = contextvars.ContextVar[tuple["Org", ...]]("calling_out", default=())


@dataclass(slots=True, kw_only=True)
class Delivery:
    """Events on their way to one hook, and what became of them.

    ``state`` is ``"pending"``, ``"sending"``, ``"delivered"``, ``"failed"``, ``"lost"`` (by the fault of that name)
    or ``"dropped"``, if the hook was not active and verified any more.
    ``due`` is by the clock; ``after`` is how long after the events that is, and all that ``settle`` goes by.
    """

    event_id: str
    hook_id: str
    url: str
    due: datetime
    after: timedelta
    events: list[dict[str, Any]]
    state: str = "pending"
    attempts: list[calling.Attempt] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it as ``GET /simulator/deliveries`` tells it."""
        return {
            "eventId": self.event_id,
            "hookId": self.hook_id,
            "url": self.url,
            "state": self.state,
            "due": okta_time(self.due),
            "events": [
                {"uuid": event.get("uuid"), "eventType": event.get("eventType")}
                for event in self.events
            ],
            "attempts": [
                {
                    "at": okta_time(attempt.at),
                    "seconds": round(attempt.seconds, 3),
                    "status": attempt.status,
                    "error": attempt.error,
                }
                for attempt in self.attempts
            ],
        }


class Org:
    """An Okta org that exists in this process only. It may be used from several threads.

    :param url: What it calls itself; a :class:`~okta_hooks.simulator.Simulator` sets its own.
    :param token: The API token.
    :param seed: Equal seeds give equal ids and events, in equal order of calls.
    :param http_hooks: Whether a hook's URL may be ``http:``. Okta's may not.
    :param clock: Returns the time, an aware datetime; of it depend all times that are told, what is due
        (though not for :meth:`settle`), the retention of the log, and the rate limit.
    :param send: Sends requests to hooks instead of HTTP: see :func:`~okta_hooks.simulator.app_sender`.
    :param timeout: How long a hook may take to answer over HTTP, in seconds.
    :param batch_seconds: How long a delivery waits for more events to come with it.
    :param batch_size: How many events are in a delivery at most. Okta documents no number.
    """

    def __init__(
        self,
        *,
        url: str = "https://example.okta.com",
        token: str = "simulator",  # noqa: S107 - for an org that holds nothing
        seed: int | None = None,
        http_hooks: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        send: calling.Send | None = None,
        timeout: float = calling.TIMEOUT,
        batch_seconds: float = 0.5,
        batch_size: int = 100,
    ) -> None:
        self.url = url
        self.token = token
        self.http_hooks = http_hooks
        self.clock = clock
        self.send = send or calling.HttpSender(timeout)
        self.batch = timedelta(seconds=batch_seconds)
        self.batch_size = batch_size
        self._random = random.Random(seed)  # noqa: S311 - nothing here is a secret
        # For what depends on how deliveries go: it must not change what happens next.
        self._traffic = random.Random(None if seed is None else f"traffic {seed}")  # noqa: S311 - nor here
        self._hooks: dict[str, Hook] = {}
        self._log = SystemLog()
        self._deliveries: list[Delivery] = []
        self._pending: list[Delivery] = []
        # By hook, the delivery that takes what comes next.
        self._open: dict[str, Delivery] = {}
        # The hooks that are getting a delivery.
        self._busy: set[str] = set()
        # Held for every change of what is above, never while a hook is called.
        self._changed = threading.Condition(threading.RLock())

    # The management API.

    def hooks(self) -> list[dict[str, Any]]:
        """Return all hooks, as the API shows them."""
        with self._changed:
            return [hook.as_json(self.url) for hook in self._hooks.values()]

    def hook(self, hook_id: str) -> dict[str, Any]:
        """Return one hook.

        :raises RequestRefused: if there is none of that id; so do all methods that take an id.
        """
        with self._changed:
            return self._hook(hook_id).as_json(self.url)

    def create_hook(self, body: object) -> dict[str, Any]:
        """Register a hook: it is active, and not verified yet.

        :param body: The JSON object that Okta takes.
        :raises RequestRefused: if something in it cannot be, or the org has enough active hooks.
        """
        settings = read_settings(body, http_hooks=self.http_hooks)
        with self._changed:
            self._check_number_of_hooks()
            now = self.clock()
            hook = Hook(
                id=make_id("who", self._random), settings=settings, created=now, last_updated=now
            )
            self._hooks[hook.id] = hook
            self._log_of_hook("event_hook.created", hook)
            return hook.as_json(self.url)

    def replace_hook(self, hook_id: str, body: object) -> dict[str, Any]:
        """Replace all that an admin says of a hook. A new URL has to be verified again.

        :raises RequestRefused: if something in it cannot be.
        """
        settings = read_settings(body, http_hooks=self.http_hooks)
        with self._changed:
            hook = self._hook(hook_id)
            if settings.uri != hook.settings.uri:
                hook.is_verified = False
            hook.settings = settings
            return self._updated(hook, "event_hook.updated")

    def delete_hook(self, hook_id: str) -> None:
        """Delete a hook.

        :raises RequestRefused: if it is active: Okta wants it deactivated first.
        """
        with self._changed:
            hook = self._hook(hook_id)
            if hook.is_active:
                raise errors.invalid("eventHook", "status: An active event hook cannot be deleted")
            del self._hooks[hook_id]
            self._log_of_hook("event_hook.deleted", hook)

    def activate_hook(self, hook_id: str) -> dict[str, Any]:
        """Make a hook active.

        :raises RequestRefused: if the org has enough active hooks.
        """
        with self._changed:
            hook = self._hook(hook_id)
            if not hook.is_active:
                self._check_number_of_hooks()
            hook.is_active = True
            return self._updated(hook, "event_hook.activated")

    def deactivate_hook(self, hook_id: str) -> dict[str, Any]:
        """Make a hook inactive: nothing is delivered to it any more."""
        with self._changed:
            hook = self._hook(hook_id)
            hook.is_active = False
            return self._updated(hook, "event_hook.deactivated")

    def verify_hook(self, hook_id: str) -> dict[str, Any]:
        """Ask the hook's endpoint, once, to prove that it expects this org.

        :raises RequestRefused: if it does not.
        """
        with self._changed:
            hook = self._hook(hook_id)
            settings = hook.settings
            challenge = make_id("", self._traffic) + make_id("", self._traffic)
            headers = {
                "User-Agent": "Okta-Integrations",
                "Accept": "application/json",
                "X-Okta-Request-Id": make_id("", self._traffic),
                "X-Okta-Verification-Challenge": challenge,
            }
            headers = hook.added_to(headers)
        request = calling.Request(method="GET", url=settings.uri, headers=headers)
        attempts: list[calling.Attempt] = []
        answer = calling.attempt(self.send, request, self.clock, attempts)
        complaint = _complaint(attempts[-1], answer, challenge)
        if complaint:
            raise errors.invalid(
                "eventHook",
                f"Unable to verify event hook. Hook {settings.name} execution failed",
                complaint,
            )
        with self._changed:
            hook = self._hook(hook_id)
            # It may have been moved while its old endpoint answered.
            hook.is_verified = hook.is_verified or hook.settings.uri == settings.uri
            return self._updated(hook, "event_hook.verified")

    def register(
        self,
        url: str,
        event_types: Iterable[str],
        *,
        secret: str | None = None,
        auth_header: str = "Authorization",
        headers: Mapping[str, str] | None = None,
        name: str = "Simulated",
    ) -> list[str]:
        """Create hooks for one URL, verify them, and return their ids.

        There are several if there are more event types than one hook may have; no two have one in common.

        :param secret: What the URL expects in ``auth_header``; by default, nothing.
        :raises RequestRefused: if one cannot be created or verified.
        """
        hook_ids = []
        wanted = list(dict.fromkeys(event_types))
        for number, start in enumerate(range(0, len(wanted), MOST_EVENT_TYPES), 1):
            scheme = {"type": "HEADER", "key": auth_header, "value": secret}
            listed = [{"key": key, "value": value} for key, value in (headers or {}).items()]
            created = self.create_hook(
                {
                    "name": f"{name} {number}",
                    "events": {
                        "type": "EVENT_TYPE",
                        "items": wanted[start : start + MOST_EVENT_TYPES],
                    },
                    "channel": {
                        "type": "HTTP",
                        "version": "1.0.0",
                        "config": {
                            "uri": url,
                            "headers": listed,
                            "authScheme": None if secret is None else scheme,
                        },
                    },
                }
            )
            self.verify_hook(created["id"])
            hook_ids.append(created["id"])
        return hook_ids

    # The System Log.

    def log(self, /, **arguments: str) -> Page:
        """Return a page of the System Log.

        :param arguments: As ``GET /api/v1/logs`` has them: ``since``, ``until``, ``filter``, ``q``,
            ``sortOrder``, ``limit``, ``after``.
        :raises RequestRefused: if one is not as Okta takes it.
        """
        with self._changed:
            now = self.clock()
            return self._log.page(read_query(arguments, now), now)

    # What happens, and its delivery.

    def emit(
        self,
        event_type: EventType | str,
        *,
        count: int = 1,
        faults: Collection[str] = (),
        delay: float = 0,
        **overrides: Any,
    ) -> list[dict[str, Any]]:
        """Let something happen: it is in the log at once, and due at the hooks that want it.

        :param count: How often it happens.
        :param faults: Any of ``"duplicate"`` (each delivery comes twice, the second time under another ``eventId``),
            ``"reorder"`` (last first, one a delivery, and after what happens next),
            ``"lost"`` (never sent, though the log says that it was meant to be),
            ``"log_only"`` (in the log, and meant for no hook).
        :param delay: How much later than usual it is sent, in seconds.
        :param overrides: As for :func:`okta_hooks.testing.make_event`, ``nulls`` included.
        :return: the events, as they are delivered.
        :raises TypeError: if an override names no key of an event.
        :raises ValueError: if a fault is none of these, or a number is none that can be.
        :warns UnknownEventTypeWarning: if Okta is not known to have that type.
        """
        _check_how(count, faults, delay)
        warn_if_unknown(event_type, stacklevel=2)
        with self._changed:
            hooks = [] if "log_only" in faults else self._hooks_for(event_type)
            overrides.setdefault("published", self.clock())
            events = [
                sample_event(event_type, seed=self._random, **overrides) for _ in range(count)
            ]
            hook_ids = ",".join(hook.id for hook in hooks)
            for event in events:
                logged = event
                if hook_ids:
                    logged = _with_debug_data(event, targetEventHookIds=hook_ids)
                    # A delivery may do without debug data, as a preview does; the log always tells.
                    if _at(event, "debugContext", "debugData") is not None:
                        event["debugContext"] = logged["debugContext"]
                self._persist(logged)
            if not hooks and "log_only" not in faults:
                logger.warning("No hook that is active and verified asks for %s.", event_type)
            for hook in hooks:
                self._plan(hook, events, faults, timedelta(seconds=delay))
            self._changed.notify_all()
            # The caller may do with them what they like.
            return copy.deepcopy(events)

    def deliveries(self) -> list[dict[str, Any]]:
        """Return all deliveries since the start, in the order in which they were planned."""
        with self._changed:
            return [delivery.as_json() for delivery in self._deliveries]

    def deliver_due(self) -> None:
        """Deliver what is due by the clock, in the caller's thread."""
        while (delivery := self._take(self.clock())) is not None:
            self._deliver(delivery)

    def settle(self) -> None:
        """Deliver all that is pending, in the caller's thread, whatever the clock says.

        What was not held back comes first, then what was, the shortest delay first; within that
        it is the order in which things happened. How long ago they did makes no difference.
        It comes back when nothing is pending any more and no other thread has a delivery in hand.

        :raises RuntimeError: if it is called by what it delivers to, and so would wait for itself.
        """
        if self in _calling_out.get():
            raise RuntimeError("A receiver cannot settle the org that is delivering to it.")
        while True:
            with self._changed:
                delivery = self._take(None)
                if delivery is None:
                    if not self._busy:
                        return
                    self._changed.wait()
                    continue
            self._deliver(delivery)

    @contextmanager
    def calling_out(self) -> Iterator[None]:
        """Keep what runs meanwhile from settling this org: it would wait for itself."""
        token = _calling_out.set((*_calling_out.get(), self))
        try:
            yield
        finally:
            _calling_out.reset(token)

    def keep_delivering(self, stopping: threading.Event) -> None:
        """Deliver what is due, as time passes, until told to stop and woken.

        Several threads may do so: each hook gets one delivery after the other.
        """
        while True:
            with self._changed:
                if stopping.is_set():
                    return
                delivery = self._take(self.clock())
                if delivery is None:
                    self._changed.wait(self._seconds_to_next())
                    continue
            try:
                self._deliver(delivery)
            except Exception:
                logger.exception("A delivery could not be made.")

    def wake(self) -> None:
        """Let the threads that deliver look at the clock."""
        with self._changed:
            self._changed.notify_all()

    def new_error_id(self) -> str:
        """Return an id for an error object."""
        with self._changed:
            return make_id("oae", self._traffic)

    def _hook(self, hook_id: str) -> Hook:
        try:
            return self._hooks[hook_id]
        except KeyError:
            raise errors.no_such_hook(hook_id) from None

    def _hooks_for(self, event_type: str) -> list[Hook]:
        """Return the hooks that are to get what happens."""
        return [
            hook
            for hook in self._hooks.values()
            if hook.receives and event_type in hook.settings.event_types
        ]

    def _check_number_of_hooks(self) -> None:
        if sum(hook.is_active for hook in self._hooks.values()) >= MOST_ACTIVE_HOOKS:
            raise errors.invalid(
                "eventHook", f"An org has at most {MOST_ACTIVE_HOOKS} active event hooks"
            )

    def _updated(self, hook: Hook, event_type: str) -> dict[str, Any]:
        hook.last_updated = self.clock()
        self._log_of_hook(event_type, hook)
        return hook.as_json(self.url)

    def _log_of_hook(self, event_type: str, hook: Hook, **overrides: Any) -> None:
        target = {
            "id": hook.id,
            "type": "EventHook",
            "alternateId": hook.settings.name,
            "displayName": hook.settings.name,
            "detailEntry": None,
            "changeDetails": None,
        }
        overrides = {"published": self.clock(), "target": target, **overrides}
        self._persist(sample_event(event_type, seed=self._traffic, **overrides))

    def _persist(self, event: dict[str, Any]) -> None:
        now = self.clock()
        self._log.append(_as_logged(event, now), now)

    def _plan(
        self, hook: Hook, events: list[dict[str, Any]], faults: Collection[str], delay: timedelta
    ) -> None:
        if not delay and not set(faults) & {"duplicate", "reorder", "lost"}:
            for event in events:
                self._join(hook, event)
            return
        after = self.batch + delay
        groups: Iterator[list[dict[str, Any]]] = _batches(events, self.batch_size)
        if "reorder" in faults:
            after += _HELD_BACK
            groups = ([event] for event in reversed(events))
        for group in groups:
            for _ in range(2 if "duplicate" in faults else 1):
                self._add(hook, group, after, is_lost="lost" in faults)

    def _join(self, hook: Hook, event: dict[str, Any]) -> None:
        """Put an event into the delivery that its hook is about to get.

        Whether that is due already does not matter, so that a slow machine makes no other deliveries.
        """
        delivery = self._open.get(hook.id)
        if delivery is None or len(delivery.events) >= self.batch_size:
            delivery = self._open[hook.id] = self._add(hook, [], self.batch)
        delivery.events.append(event)

    def _add(
        self, hook: Hook, events: list[dict[str, Any]], after: timedelta, *, is_lost: bool = False
    ) -> Delivery:
        delivery = Delivery(
            event_id=make_uuid(self._traffic),
            hook_id=hook.id,
            url=hook.settings.uri,
            due=self.clock() + after,
            after=after,
            events=list(events),
            state="lost" if is_lost else "pending",
        )
        self._deliveries.append(delivery)
        if not is_lost:
            self._pending.append(delivery)
        return delivery

    def _ready(self) -> list[Delivery]:
        return [delivery for delivery in self._pending if delivery.hook_id not in self._busy]

    def _take(self, now: datetime | None) -> Delivery | None:
        """Take the next delivery, and let its hook be busy until it is made.

        :param now: Only one that is due by then, and whichever is due first.
        """
        with self._changed:
            if now is None:
                delivery = min(self._ready(), key=lambda ready: ready.after, default=None)
            else:
                delivery = min(self._ready(), key=lambda ready: ready.due, default=None)
            if delivery is None or (now is not None and delivery.due > now):
                return None
            self._pending.remove(delivery)
            if self._open.get(delivery.hook_id) is delivery:
                del self._open[delivery.hook_id]
            self._busy.add(delivery.hook_id)
            delivery.state = "sending"
            return delivery

    def _seconds_to_next(self) -> float | None:
        due = min((delivery.due for delivery in self._ready()), default=None)
        return None if due is None else max((due - self.clock()).total_seconds(), 0)

    def _deliver(self, delivery: Delivery) -> None:
        state = "failed"
        try:
            with self.calling_out():
                state = self._send(delivery)
        finally:
            with self._changed:
                delivery.state = state
                self._busy.remove(delivery.hook_id)
                self._changed.notify_all()

    def _send(self, delivery: Delivery) -> str:
        """Send a delivery, and return what became of it."""
        with self._changed:
            hook = self._hooks.get(delivery.hook_id)
            if hook is None or not hook.receives:
                return "dropped"
            delivery.url = hook.settings.uri
            request = self._request(hook, delivery)
        try:
            calling.deliver(self.send, request, self.clock, delivery.attempts)
        finally:
            state = self._conclude(hook, delivery)
        return state

    def _conclude(self, hook: Hook, delivery: Delivery) -> str:
        """Tell what became of a delivery that was sent, and return it."""
        last = delivery.attempts[-1]
        if last.status in _ACCEPTED:
            logger.info("%d events to %s: %d.", len(delivery.events), delivery.url, last.status)
            return "delivered"
        reason = last.error or f"The endpoint answered {last.status}"
        logger.warning("%d events to %s: %s.", len(delivery.events), delivery.url, reason)
        with self._changed:
            self._log_failure(hook, delivery, reason)
        return "failed"

    def _request(self, hook: Hook, delivery: Delivery) -> calling.Request:
        envelope = make_delivery(
            delivery.events,
            source=f"{self.url}/api/v1/eventHooks/{hook.id}",
            event_id=delivery.event_id,
            event_time=self.clock(),
        )
        headers = {
            "User-Agent": f"Okta Hook Service v1.0.0 - {hook.id}",
            "Accept": "application/json",
            "Content-Type": "application/json",
            "X-Okta-Request-Id": make_id("", self._traffic),
        }
        body = json.dumps(envelope, separators=(",", ":")).encode()
        return calling.Request(
            method="POST", url=hook.settings.uri, headers=hook.added_to(headers), body=body
        )

    def _log_failure(self, hook: Hook, delivery: Delivery, reason: str) -> None:
        debug_data = {"eventId": delivery.event_id, "attempts": str(len(delivery.attempts))}
        if delivery.attempts[-1].status is not None:
            debug_data["httpStatus"] = str(delivery.attempts[-1].status)
        self._log_of_hook(
            "event_hook.delivery",
            hook,
            actor="SystemPrincipal:system@okta.com",
            severity="WARN",
            outcome={"result": "FAILURE", "reason": reason[:255]},
            debug_context={"debugData": debug_data},
        )


def _check_how(count: int, faults: Collection[str], delay: float) -> None:
    """Check what the caller says of how something happens."""
    if isinstance(faults, str):
        raise TypeError(f"faults is a list: write [{faults!r}], not {faults!r}.")
    if unknown := set(faults) - set(FAULTS):
        raise ValueError(
            f"No such fault: {', '.join(sorted(unknown))}. There are: {', '.join(FAULTS)}."
        )
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count!r}.")
    if delay < 0:
        raise ValueError(f"delay is a number of seconds from 0, not {delay!r}.")


def _complaint(
    attempt: calling.Attempt, answer: calling.Answer | None, challenge: str
) -> str | None:
    """Return what is wrong with the answer to a challenge."""
    if answer is None:
        return f"There was no answer: {attempt.error}"
    if answer.status != HTTPStatus.OK:
        return f"The endpoint answered {answer.status}, not 200"
    try:
        document = json.loads(answer.body)
    except ValueError:
        return "The answer is not JSON"
    if not isinstance(document, dict) or document.get("verification") != challenge:
        return "The answer does not have the challenge at verification"
    return None


def _as_logged(event: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return a delivered event in the form of the System Log: the hops are the request's there."""
    logged = {**event, "insertionTimestamp": okta_time(now)}
    client = event.get("client")
    if isinstance(client, dict) and "ipChain" in client:
        logged["client"] = {key: value for key, value in client.items() if key != "ipChain"}
        logged["request"] = {"ipChain": client["ipChain"]}
    return logged


def _with_debug_data(event: dict[str, Any], **data: str) -> dict[str, Any]:
    context = _at(event, "debugContext") or {}
    known = _at(event, "debugContext", "debugData") or {}
    return {**event, "debugContext": {**context, "debugData": {**known, **data}}}


def _at(event: dict[str, Any], *keys: str) -> dict[str, Any] | None:
    """Return the object at a path, if there is one."""
    found: Any = event
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _batches(events: list[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    rest = iter(events)
    while batch := list(itertools.islice(rest, size)):
        yield batch
