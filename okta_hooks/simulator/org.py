"""One org: the lock over its hooks, its deliveries and its System Log, and the API to them.

It has no thread of its own. :meth:`Org.settle` delivers in the caller's thread, at once, and asks no clock what is
to come when; a :class:`~okta_hooks.simulator.Simulator` runs :meth:`Org.keep_delivering` in threads.
"""

from __future__ import annotations

import copy
import random
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from okta_hooks import calling
from okta_hooks.testing import make_id, sample_event, warn_if_unknown
from okta_hooks.wire.limits import MOST_EVENTS_A_DAY

from . import errors, outgoing
from .access import Access
from .api_faults import ApiFaults
from .deliveries import PlannedDeliveries
from .emitter import Emitter, check_how, receiving
from .hook_body import make_bodies, read_settings, read_status
from .hook_registry import HookRegistry
from .log_events import event_of_hook, failed_verification
from .previews import preview_of
from .quota import Quota
from .sending import Sending
from .system_log import SystemLog, read_query

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from okta_hooks.catalog import EventType

    from .deliveries import PlannedDelivery
    from .event_hooks import SimulatedHook
    from .system_log import Page


class Recent(NamedTuple):
    """What an org has done last, the last first; ``deliveries`` and ``pending`` by the id of the hook."""

    events: list[dict[str, Any]]
    deliveries: dict[str, list[dict[str, Any]]]
    pending: Mapping[str, int]


class Org:
    """An Okta org that exists in this process only. It may be used from several threads.

    :param url: What it calls itself; a :class:`~okta_hooks.simulator.Simulator` sets its own.
    :param custom_url: The URL of its custom domain, which it names beside the other, if it has one.
    :param token: The API token.
    :param seed: Equal seeds give equal ids and events, in equal order of calls.
    :param http_hooks: Whether a hook's URL may be ``http:``. Okta's may not.
    :param clock: Returns the time, an aware datetime; of it depend all times that are told, what is due
        (though not for :meth:`settle`), the retention of the log, and the rate limit.
    :param send: Sends requests to hooks instead of HTTP: see :func:`~okta_hooks.simulator.app_sender`.
    :param timeout: How long a hook may take to answer over HTTP, in seconds.
    :param batch_seconds: How long a delivery waits for more events to come with it.
    :param batch_size: How many events are in a delivery at most. Okta documents no number.
    :param change_seconds: How long a hook that was created, changed or verified gets nothing of what happens.
        At Okta it may be minutes.
    :param quota: How many events that hooks ask for are delivered in 24 hours at most.
    """

    def __init__(
        self,
        *,
        url: str = "https://example.okta.com",
        custom_url: str | None = None,
        token: str = "simulator",  # noqa: S107 - for an org that holds nothing
        seed: int | None = None,
        http_hooks: bool = False,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        send: calling.Send | None = None,
        timeout: float = calling.TIMEOUT,
        batch_seconds: float = 0.5,
        batch_size: int = 100,
        change_seconds: float = 0,
        quota: int = MOST_EVENTS_A_DAY,
    ) -> None:
        self.url = url
        self.custom_url = custom_url
        self.token = token
        self.http_hooks = http_hooks
        self.clock = clock
        self.send = send or calling.HttpSender(timeout)
        self._random = random.Random(seed)
        # For ids that depend on how deliveries end, so that these do not change the ids of the next events.
        self._traffic = random.Random(None if seed is None else f"traffic {seed}")
        # For ids of requests, of which a client that polls makes more in one run than in another.
        self._requests = random.Random(None if seed is None else f"requests {seed}")
        self.id = make_id("00o", random.Random(url if seed is None else seed))
        #: With what else than its token its API may be used, over HTTP.
        self.access = Access(random.Random(None if seed is None else f"access {seed}"))
        #: What requests to its API meet, over HTTP.
        self.api_faults = ApiFaults()
        self._change = timedelta(seconds=change_seconds)
        self._hooks = HookRegistry(self._random)
        self._log = SystemLog()
        self._deliveries = PlannedDeliveries(
            self._traffic, batch=timedelta(seconds=batch_seconds), batch_size=batch_size
        )
        self._emitter = Emitter(self._log, self._deliveries, Quota(quota), self._traffic)
        # Guards the four above. It is never held while a hook is called.
        self._changed = threading.Condition(threading.RLock())
        self._sending = Sending(
            self._deliveries,
            self._hooks,
            self._changed,
            send=lambda request: self.send(request),  # noqa: PLW0108 - it may be replaced meanwhile
            clock=lambda: self.clock(),  # noqa: PLW0108 - so may it
            request=self._request,
            log=self._log_of_hook,
        )

    def hooks(self) -> list[dict[str, Any]]:
        """Return all hooks, as the API shows them."""
        with self._changed:
            return [hook.as_json(self.url) for hook in self._hooks]

    def hook(self, hook_id: str) -> dict[str, Any]:
        """Return one hook.

        :raises RequestRefused: if there is none of that id; so do all methods that take an id.
        """
        with self._changed:
            return self._hooks.get(hook_id).as_json(self.url)

    def create_hook(self, body: object) -> dict[str, Any]:
        """Register a hook: it is active, and not verified yet.

        :param body: The JSON object that Okta takes.
        :raises RequestRefused: if something in it cannot be, or the org has enough active hooks.
        """
        settings = read_settings(body, http_hooks=self.http_hooks)
        with self._changed:
            hook = self._hooks.add(settings, self.clock())
            self._log_of_hook("event_hook.created", hook)
            return hook.as_json(self.url)

    def replace_hook(self, hook_id: str, body: object) -> dict[str, Any]:
        """Replace all that an admin says of a hook. A changed channel has to be verified again.

        The hook keeps its secret if the body has none. A ``status`` in the body is applied.

        :raises RequestRefused: if something in it cannot be, or the org has enough active hooks.
        :return: the hook, with the time of the change before this one.
        """
        with self._changed:
            replaced = self._hooks.get(hook_id).settings
            settings = read_settings(body, http_hooks=self.http_hooks, replaced=replaced)
            hook = self._hooks.replace(hook_id, settings, is_active=read_status(body))
            answer = hook.as_json(self.url)
            self._updated(hook, "event_hook.updated")
            return answer

    def delete_hook(self, hook_id: str) -> None:
        """Delete a hook.

        :raises RequestRefused: if it is active: Okta wants it deactivated first.
        """
        with self._changed:
            self._log_of_hook("event_hook.deleted", self._hooks.remove(hook_id))

    def activate_hook(self, hook_id: str) -> dict[str, Any]:
        """Make a hook active.

        :raises RequestRefused: if the org has enough active hooks.
        """
        with self._changed:
            return self._updated(self._hooks.activate(hook_id), "event_hook.activated")

    def deactivate_hook(self, hook_id: str) -> dict[str, Any]:
        """Make a hook inactive: nothing is delivered to it any more."""
        with self._changed:
            return self._updated(self._hooks.deactivate(hook_id), "event_hook.deactivated")

    def verify_hook(self, hook_id: str) -> dict[str, Any]:
        """Ask the hook's endpoint to prove that it expects this org; once more if it fails.

        :raises RequestRefused: if it does not, or the org has enough active hooks.
        """
        with self._changed:
            hook = self._hooks.get(hook_id)
            settings = hook.settings
            challenge = make_id("", self._traffic) + make_id("", self._traffic)
            request = outgoing.verification(hook, challenge, make_id("", self._traffic))
        complaint = outgoing.verify(self.send, request, challenge, self.clock)
        if complaint:
            with self._changed:
                self._log_of_hook("event_hook.verified", hook, **failed_verification(complaint))
            raise errors.not_verified(settings.name, complaint)
        with self._changed:
            hook = self._hooks.get(hook_id)
            # Its channel may have been replaced while the old endpoint answered.
            if hook.settings.channel == settings.channel:
                self._hooks.verify(hook)
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
        for body in make_bodies(name, url, event_types, headers or {}, auth_header, secret):
            created = self.create_hook(body)
            self.verify_hook(created["id"])
            hook_ids.append(created["id"])
        return hook_ids

    def log(self, /, **arguments: str) -> Page:
        """Return a page of the System Log.

        :param arguments: As ``GET /api/v1/logs`` has them: ``since``, ``until``, ``filter``, ``q``,
            ``sortOrder``, ``limit``, ``after``.
        :raises RequestRefused: if one is not as Okta takes it.
        """
        now = self.clock()
        query = read_query(arguments, now)
        with self._changed:
            return self._log.page(query, now)

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
            ``"log_only"`` (in the log, and meant for no hook),
            ``"timeout"`` (the hook gets each delivery, but its first answer is too late, so it comes once more),
            ``"unavailable"`` (each delivery is answered 503 before it reaches the hook, twice).
        :param delay: How much later than usual it is sent, in seconds.
        :param overrides: As for :func:`okta_hooks.testing.make_event`, ``nulls`` included.
        :return: the events, as they are delivered.
        :raises TypeError: if an override names no key of an event.
        :raises ValueError: if a fault is none of these, or a number is none that can be.
        :warns UnknownEventTypeWarning: if Okta is not known to have that type.
        """
        check_how(count, faults, delay)
        warn_if_unknown(event_type, stacklevel=2)
        with self._changed:
            now = self.clock()
            hooks = [] if "log_only" in faults else self._hooks_for(event_type)
            overrides.setdefault("published", now)
            events = [
                sample_event(event_type, seed=self._random, **overrides) for _ in range(count)
            ]
            self._emitter.emit(events, hooks, faults=faults, delay=delay, now=now)
            self._changed.notify_all()
            # A copy, since the caller may change them.
            return copy.deepcopy(events)

    def preview(
        self, hook_id: str, event_type: EventType | str, *, uuid: str | None = None, **edits: Any
    ) -> dict[str, Any]:
        """Send a hook what the Preview of Okta's Admin Console does: a past event, which may be edited.

        It is a delivery of its own that the hook's filter does not keep back. The log has nothing of it.

        :param event_type: One of the hook's.
        :param uuid: Which event of the log; by default the last one of the type, or sample data if there is none.
        :param edits: Other values of its keys, as the overrides of :func:`okta_hooks.testing.make_event`.
        :return: the event, as it is delivered: with every key, null where there is nothing.
        :raises RequestRefused: if the hook gets no events of that type now.
        :raises TypeError: if an edit names no key of an event.
        :raises ValueError: if the log has no such event.
        """
        with self._changed:
            now = self.clock()
            hook = self._hooks.get(hook_id)
            if hook not in self._hooks_for(event_type):
                raise errors.invalid("preview", f"The hook does not get {event_type} now")
            event = preview_of(self._log, event_type, uuid, edits, now=now, rng=self._random)
            self._emitter.preview(event, hook, now)
            self._changed.notify_all()
            return copy.deepcopy(event)

    def deliveries(self) -> list[dict[str, Any]]:
        """Return all deliveries since the start, in the order in which they were planned."""
        with self._changed:
            return self._deliveries.as_json()

    def recent(self, count: int) -> Recent:
        """Return what has happened last: no more than that, however long the log is.

        :param count: How many events of the log.
        """
        with self._changed:
            return Recent(
                events=self._log.latest(count),
                deliveries=self._deliveries.latest(),
                pending=self._deliveries.pending(),
            )

    def deliver_due(self) -> None:
        """Deliver what is due by the clock, in the caller's thread."""
        self._sending.deliver_due()

    def settle(self) -> None:
        """Deliver all that is pending, in the caller's thread, whatever the clock says.

        What was not held back comes first, then what was, the shortest delay first; within that
        it is the order in which things happened. How long ago they did makes no difference.
        It comes back when nothing is pending any more and no other thread has a delivery in hand.

        :raises RuntimeError: if it is called by what it delivers to, and so would wait for itself.
        """
        self._sending.settle()

    def keep_delivering(self, stopping: threading.Event) -> None:
        """Deliver what is due, as time passes, until told to stop and woken.

        Several threads may do so: each hook gets one delivery after the other.
        """
        self._sending.keep_delivering(stopping)

    def wake(self) -> None:
        """Let the threads that deliver look at the clock."""
        with self._changed:
            self._changed.notify_all()

    def new_request_id(self) -> str:
        """Return an id for a request that the API has got."""
        with self._changed:
            return make_id("", self._requests)

    def new_error_id(self) -> str:
        """Return an id for an error object."""
        with self._changed:
            return make_id("oae", self._traffic)

    def _hooks_for(self, event_type: str) -> list[SimulatedHook]:
        """Return the hooks that are to get what happens, if their filters let it through."""
        return receiving(self._hooks, event_type, self.clock(), self._change)

    def _updated(self, hook: SimulatedHook, event_type: str) -> dict[str, Any]:
        hook.last_updated = self.clock()
        self._log_of_hook(event_type, hook)
        return hook.as_json(self.url)

    def _log_of_hook(self, event_type: str, hook: SimulatedHook, **overrides: Any) -> None:
        now = self.clock()
        self._log.record(event_of_hook(event_type, hook, now, self._traffic, **overrides), now)

    def _request(self, hook: SimulatedHook, delivery: PlannedDelivery) -> calling.Request:
        return outgoing.delivery(
            hook, delivery, self.url, self.clock(), request_id=make_id("", self._traffic)
        )
