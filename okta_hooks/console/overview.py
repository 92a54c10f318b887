"""The overview: whether all is well, and where to go if it is not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from okta_hooks.inbox.counters import RECOVERED
from okta_hooks.inbox.gauges import Held
from okta_hooks.settings import CELERY
from okta_hooks.work.lease import at_work

from .pages import render

if TYPE_CHECKING:
    from collections.abc import Sequence

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.gauges import Arrived
    from okta_hooks.work.lease import AtWork

    from .visit import Visit

#: What an org may deliver in 24 hours: https://help.okta.com/en-us/content/topics/automation-hooks/event-hooks.htm
QUOTA: Final = 400_000
_LATE_SECONDS: Final = 300.0
_SILENT_SECONDS: Final = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the overview shows. ``waiting`` are the events of each hook that have no receipts."""

    now: float
    receivers: Sequence[Held]
    waiting: Sequence[Held]
    arrived: Sequence[Arrived]
    at_work: AtWork
    recovered: int
    bytes: int

    @property
    def open(self) -> int:
        """How much waits for receivers, or is in the hands of one."""
        return sum(one.pending + one.claimed for one in (*self.receivers, *self.waiting))

    @property
    def dead(self) -> int:
        """How many dead letters there are."""
        return sum(one.dead for one in (*self.receivers, *self.waiting))

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest of what is open has waited."""
        return max((one.oldest_seconds for one in (*self.receivers, *self.waiting)), default=0.0)

    @property
    def received_24h(self) -> int:
        """How many new events have come within 24 hours."""
        return sum(one.events_24h for one in self.arrived)

    @property
    def last_at(self) -> float | None:
        """When the last delivery came."""
        return max((one.last_at for one in self.arrived if one.last_at is not None), default=None)


def show(visit: Visit) -> str:
    """Return the overview."""
    hooks = visit.shown_hooks
    connected = visit.connected()
    figures = visit.read(lambda inbox: _figures(inbox, hooks))
    known = {(one.hook, one.receiver) for one in figures.receivers}
    figures = replace(
        figures,
        receivers=[
            *figures.receivers,
            *(
                Held(hook=hook, receiver=name)
                for hook, name in connected
                if (hook, name) not in known
            ),
        ],
    )
    return render(
        "overview.html",
        visit=visit,
        figures=figures,
        connected=connected,
        engine=visit.state.settings.worker,
        needs_relay=visit.state.settings.worker == CELERY,
        quota=QUOTA,
        late_seconds=_LATE_SECONDS,
        silent_seconds=_SILENT_SECONDS,
    )


def _figures(inbox: Inbox, hooks: Sequence[str]) -> Figures:
    held = [one for one in inbox.gauges.held(hooks) if one.hook in hooks]
    counted = inbox.counters.all()
    return Figures(
        now=inbox.clock(),
        receivers=[one for one in held if one.receiver],
        waiting=[one for one in held if not one.receiver],
        arrived=inbox.gauges.arrived(hooks),
        at_work=at_work(inbox),
        recovered=sum(
            number for one, number in counted.items() if one.kind == RECOVERED and one.hook in hooks
        ),
        bytes=inbox.space.bytes(),
    )
