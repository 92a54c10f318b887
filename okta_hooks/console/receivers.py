"""The receivers: how each does, and what it is told to do: to pause, and to go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from flask import redirect, request, url_for

from okta_hooks.audit import doing
from okta_hooks.inbox.gauges import Held
from okta_hooks.masking import masked_text

from .charts import DAY, HOUR, Chart, chart
from .pages import render
from .visit import NotThere

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from werkzeug.wrappers import Response

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.attempt_hours import Attempted
    from okta_hooks.inbox.dead_letters import DeadLane
    from okta_hooks.inbox.pauses import Pause
    from okta_hooks.inbox.receipts import Retried
    from okta_hooks.receivers import Receiver

    from .visit import Visit

    _Key = tuple[str, str]

#: Which share of the attempts of this hour and the last must fail for a receiver to be said to.
_SHARE_OF_FAILING: Final = 0.1
_MOST_RETRIED: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the inbox knows of receivers, by hook and name: of 24 hours, and of this hour and the last."""

    held: Mapping[_Key, Held]
    seen: Mapping[_Key, float]
    paused: Mapping[_Key, Pause]
    of_day: Mapping[_Key, Attempted]
    lately: Mapping[_Key, Attempted]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A receiver: what it has to do, and how that goes.

    ``connected`` is None if it is not connected in this process; ``seen_at`` is when it last was anywhere, in seconds
    since the epoch.
    """

    held: Held
    connected: Receiver | None
    patterns: Sequence[str] = ()
    seen_at: float | None = None
    pause: Pause | None = None
    of_day: Attempted | None = None
    lately: Attempted | None = None

    @property
    def is_failing(self) -> bool:
        """Whether many of its attempts have failed lately."""
        return self.lately is not None and (
            self.lately.failed >= _SHARE_OF_FAILING * self.lately.number > 0
        )

    @property
    def conditions(self) -> list[str]:
        """What is said of it, each in a word."""
        found = ["paused"] if self.pause is not None else []
        if self.is_failing:
            found.append("failing")
        if self.connected is None:
            found.append("orphan")
        return found


def known_of(inbox: Inbox, hooks: Sequence[str]) -> Known:
    """Return what the inbox knows of the receivers of some hooks."""
    now = inbox.clock()
    return Known(
        held={
            (one.hook, one.receiver): one for one in inbox.gauges.held(hooks) if one.hook in hooks
        },
        seen={key: at for key, at in inbox.overview.last_seen().items() if key[0] in hooks},
        paused={(one.hook, one.receiver): one for one in inbox.pauses.paused()},
        of_day=_by_key(inbox.attempt_hours.receivers(now - DAY, now, hooks=hooks)),
        lately=_by_key(inbox.attempt_hours.receivers(now - HOUR, now, hooks=hooks)),
    )


def _by_key(found: Sequence[Attempted]) -> Mapping[_Key, Attempted]:
    return {(one.hook, one.receiver): one for one in found}


def rows_of(visit: Visit, known: Known) -> list[Row]:
    """Return each receiver that is connected here, or has been anywhere; those in trouble first."""
    connected = visit.connected()
    keys = {*connected, *known.seen, *(key for key in known.held if key[1])}
    found = [
        Row(
            held=known.held.get(key) or Held(hook=key[0], receiver=key[1]),
            connected=connected.get(key),
            patterns=_patterns(visit, key[0], connected.get(key)),
            seen_at=known.seen.get(key),
            pause=known.paused.get(key),
            of_day=known.of_day.get(key),
            lately=known.lately.get(key),
        )
        for key in sorted(keys)
    ]
    return sorted(found, key=lambda one: (not one.is_failing, not one.held.dead))


def _patterns(visit: Visit, hook: str, receiver: Receiver | None) -> list[str]:
    if receiver is None:
        return []
    return sorted(visit.state.hooks[hook].receivers.patterns_of(receiver, visit.app))


def show(visit: Visit) -> str:
    """Return the list of receivers."""
    hooks = visit.shown_hooks
    known = visit.read(lambda inbox: known_of(inbox, hooks))
    return render("receivers.html", visit=visit, rows=rows_of(visit, known))


@dataclass(frozen=True, slots=True, kw_only=True)
class _More:
    """What the page of one receiver has besides."""

    known: Known
    lane: DeadLane | None
    retried: Sequence[Retried]
    hours: Sequence[Attempted]
    now: float


def show_one(visit: Visit) -> str:
    """Return the page of one receiver."""
    hook, name = _asked(visit)
    more = visit.read(lambda inbox: _more(inbox, hook, name))
    charts = _charts(more)
    return render(
        "receiver.html",
        visit=visit,
        row=_row(visit, more.known, hook, name),
        lane=more.lane,
        groups=[(one, masked_text(one.sample)) for one in (more.lane.groups if more.lane else ())],
        retried=[(one, masked_text(one.error or "")) for one in more.retried],
        charts=charts,
    )


def _more(inbox: Inbox, hook: str, name: str) -> _More:
    now = inbox.clock()
    lanes = inbox.dead_letters.lanes([hook], name)
    hours = inbox.attempt_hours.receivers(now - DAY, now, "hour", hooks=[hook])
    return _More(
        known=known_of(inbox, [hook]),
        lane=lanes[0] if lanes else None,
        retried=inbox.receipts.retried(hook, name, limit=_MOST_RETRIED),
        hours=[one for one in hours if one.receiver == name],
        now=now,
    )


def _charts(more: _More) -> list[Chart]:
    first = int((more.now - DAY) // HOUR)
    starts = [hour * HOUR for hour in range(first, int(more.now // HOUR) + 1)]
    by_hour = {int(one.begin): one for one in more.hours}
    none = [by_hour.get(start) for start in starts]
    return [
        chart("Succeeded", "good", starts, [one.done if one else 0 for one in none], HOUR),
        chart("Failed", "bad", starts, [one.failed if one else 0 for one in none], HOUR),
    ]


def _asked(visit: Visit) -> tuple[str, str]:
    """Return the receiver that is asked for: its hook and its name.

    :raises NotThere: if there is no such hook.
    """
    hook, name = request.args.get("hook", ""), request.args.get("name", "")
    if hook not in visit.hooks or not name:
        raise NotThere("There is no such receiver.")
    return hook, name


def _row(visit: Visit, known: Known, hook: str, name: str) -> Row:
    for row in rows_of(visit, known):
        if (row.held.hook, row.held.receiver) == (hook, name):
            return row
    raise NotThere("No receiver of that name is connected, or was ever.")


def pause(visit: Visit) -> Response:
    """Let nobody claim receipts of a receiver."""
    return _change(visit, "pause")


def resume(visit: Visit) -> Response:
    """Let receipts of a receiver be claimed again."""
    return _change(visit, "resume")


def _change(visit: Visit, action: Literal["pause", "resume"]) -> Response:
    hook, name = _asked(visit)
    _row(visit, visit.read(lambda inbox: known_of(inbox, [hook])), hook, name)
    who, reason = visit.who, visit.reason
    with (
        visit.acting() as inbox,
        doing(
            visit.app, inbox, action, name, who=who, via="console", hook=hook, reason=reason
        ) as done,
    ):
        if action == "pause":
            done.number = int(inbox.pauses.pause(hook, name, who=who, reason=reason))
        else:
            done.number = int(inbox.pauses.resume(hook, name))
    return redirect(url_for(".receiver", hook=hook, name=name, done=action), 303)
