"""The events of an org: what the log has of each, which hooks get it, and what is over the quota."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from okta_hooks.logs import plain_logger

from .log_events import object_at, quota_warning, with_debug_data

if TYPE_CHECKING:
    import random
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from .deliveries import PlannedDeliveries
    from .event_hooks import SimulatedHook
    from .hook_registry import HookRegistry
    from .quota import Quota
    from .system_log import SystemLog

logger = plain_logger(__name__)

FAULTS: Final = ("duplicate", "reorder", "lost", "log_only", "timeout", "unavailable")


def check_how(count: int, faults: Collection[str], delay: float) -> None:
    """Check what the caller of :meth:`~okta_hooks.simulator.Org.emit` says of how events are emitted."""
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


def receiving(
    hooks: HookRegistry, event_type: str, now: datetime, change: timedelta
) -> list[SimulatedHook]:
    """Return the hooks that get an event now, if their filters let it through; say why others do not.

    :param change: How long a hook that was changed gets nothing.
    """
    asking = hooks.receiving(event_type)
    if not asking:
        logger.warning(
            "No hook that is active and verified asks for %(event_type)s.",
            {"event_type": event_type},
        )
    changed = [hook for hook in asking if hook.last_updated <= now < hook.last_updated + change]
    for hook in changed:
        logger.warning(
            "%(registered_id)s was changed less than %(seconds)g s ago, and does not get %(event_type)s yet.",
            {
                "registered_id": hook.id,
                "seconds": change.total_seconds(),
                "event_type": event_type,
            },
        )
    return [hook for hook in asking if hook not in changed]


class Emitter:
    """Puts events into the log, and plans their deliveries.

    It is not locked: the org does that.

    :param rng: Draws what an event of the org's own holds.
    """

    def __init__(
        self, log: SystemLog, deliveries: PlannedDeliveries, quota: Quota, rng: random.Random
    ) -> None:
        self._log = log
        self._deliveries = deliveries
        self._quota = quota
        self._rng = rng

    def emit(
        self,
        events: list[dict[str, Any]],
        hooks: Sequence[SimulatedHook],
        *,
        faults: Collection[str],
        delay: float,
        now: datetime,
    ) -> None:
        """Emit events of one type. The ids of the hooks are put into the debug data that they have.

        :param hooks: Get those that their filters let through.
        :param faults: As for :meth:`~okta_hooks.simulator.Org.emit`, as is ``delay``.
        """
        # All filters are asked before anything is changed: an error of one leaves nothing half done.
        meant = [[hook for hook in hooks if hook.settings.lets_through(event)] for event in events]
        for event, getting in zip(events, meant, strict=True):
            logged = event
            if getting:
                hook_ids = ",".join(hook.id for hook in getting)
                logged = with_debug_data(event, targetEventHookIds=hook_ids)
                # A delivery without debug data, as a preview has none, stays without; the log always has it.
                if object_at(event, "debugContext", "debugData") is not None:
                    event["debugContext"] = logged["debugContext"]
            self._log.record(logged, now)
        asked = [event for event, getting in zip(events, meant, strict=True) if getting]
        within_quota = {id(event) for event in asked[: self._spend_quota(len(asked), now)]}
        for hook in hooks:
            wanted = [
                event for event, getting in zip(events, meant, strict=True) if hook in getting
            ]
            if len(wanted) < len(events):
                logger.info(
                    "The filter of %(registered_id)s keeps back %(count)d of %(total)d %(event_type)s.",
                    {
                        "registered_id": hook.id,
                        "count": len(events) - len(wanted),
                        "total": len(events),
                        "event_type": events[0]["eventType"],
                    },
                )
            self._deliveries.plan(
                hook,
                [event for event in wanted if id(event) in within_quota],
                faults=faults,
                delay=timedelta(seconds=delay),
                now=now,
            )

    def preview(self, event: dict[str, Any], hook: SimulatedHook, now: datetime) -> None:
        """Plan the delivery of a preview, whatever the hook's filter says. The log has nothing of it."""
        if self._spend_quota(1, now):
            self._deliveries.plan_preview(hook, event, now)

    def _spend_quota(self, count: int, now: datetime) -> int:
        """Return how many of some events are delivered; the log is warned once before others are not."""
        allowed, is_warned = self._quota.spend(count, now)
        if is_warned:
            self._log.record(quota_warning(self._quota.most, now, self._rng), now)
        if allowed < count:
            logger.warning(
                "The quota of %(limit)d events in 24 hours is used up: %(count)d are not delivered.",
                {"limit": self._quota.most, "count": count - allowed},
            )
        return allowed
