"""Dead letters: by receiver and error; and replaying or pruning them, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from flask import request

from okta_hooks.audit import doing
from okta_hooks.inbox.dead_letters import DeadChoice
from okta_hooks.inbox.event_page import MOST_LOOKED_AT
from okta_hooks.masking import masked_text

from .pages import render
from .visit import NotThere

if TYPE_CHECKING:
    from collections.abc import Sequence

    from okta_hooks.inbox import Inbox
    from okta_hooks.inbox.dead_letters import DeadGroup, DeadPage, Step
    from okta_hooks.inbox.event_page import Capped

    from .visit import Visit

    _Action = Literal["replay", "prune"]

_ON_A_PAGE: Final = 50
#: How many are replayed or pruned by one request.
BATCH: Final = 200
#: How many may be chosen one by one.
_MOST_CHOSEN: Final = 200
#: How many rows are looked at for those of a group: each error is taken apart.
_MOST_OF_GROUP: Final = 5000
#: Of more of these the audit says how many.
_MOST_NAMED: Final = 10
_LONGEST_ID: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which dead letters are meant, as it stands in a form or a URL: those of ``ids``, else of a group, else all.

    ``until`` is when somebody was told how many these are, in seconds since the epoch: what dies later is not meant.
    """

    hook: str
    receiver: str
    group: str | None
    ids: tuple[int, ...]
    until: float | None

    @property
    def most(self) -> int:
        """How many rows are looked at for a page of it, or to count it."""
        return MOST_LOOKED_AT if self.group is None else _MOST_OF_GROUP

    def meant(self, inbox: Inbox) -> DeadChoice:
        """Return it as the inbox understands it.

        :raises NotThere: if none of the events that were chosen is there any more.
        """
        choice = DeadChoice(hook=self.hook, receiver=self.receiver, until=self.until)
        if not self.ids:
            return replace(choice, group=self.group)
        uuids = tuple(one.uuid for one in inbox.overview.by_ids(self.ids) if one.hook == self.hook)
        if not uuids:
            raise NotThere("None of the events that were chosen is in the inbox any more.")
        return replace(choice, uuids=uuids)


def show(visit: Visit) -> str:
    """Return the groups of dead letters."""
    hooks = visit.shown_hooks
    lanes = visit.read(lambda inbox: inbox.dead_letters.lanes(hooks))
    return render(
        "dead_letters.html",
        visit=visit,
        lanes=[(lane, [(one, masked_text(one.sample)) for one in lane.groups]) for lane in lanes],
        number=sum(lane.number for lane in lanes),
    )


def show_group(visit: Visit) -> str:
    """Return the dead letters of a group, or all of a receiver."""
    choice = _chosen(visit)
    before = request.args.get("before")
    try:
        group, page, number = visit.read(lambda inbox: _look(inbox, choice, before))
    except (ValueError, OverflowError) as error:  # the place in the list was made up
        raise NotThere("There is no such page of the list.") from error
    return render(
        "dead_group.html",
        visit=visit,
        choice=choice,
        error=masked_text(group.sample) if group else None,
        letters=[(one, masked_text(one.error or "")) for one in page.letters],
        page=page,
        number=number,
        before=before,
    )


def _look(
    inbox: Inbox, choice: Choice, before: str | None
) -> tuple[DeadGroup | None, DeadPage, Capped]:
    meant = choice.meant(inbox)
    group = _group(inbox, choice)
    page = inbox.dead_letters.find(meant, limit=_ON_A_PAGE, before=before, most=choice.most)
    return group, page, inbox.dead_letters.count(meant, up_to=choice.most, most=choice.most)


def _group(inbox: Inbox, choice: Choice) -> DeadGroup | None:
    if choice.group is None:
        return None
    lanes = inbox.dead_letters.lanes([choice.hook], choice.receiver)
    groups = (group for lane in lanes for group in lane.groups)
    return next((one for one in groups if one.key == choice.group), None)


def preview(visit: Visit) -> str:
    """Return how many would be replayed or pruned, and ask whether to."""
    action, asked = _action(), _chosen(visit)

    def look(inbox: Inbox) -> tuple[Choice, DeadGroup | None, Capped]:
        choice = replace(asked, until=inbox.clock())
        meant = choice.meant(inbox)
        number = inbox.dead_letters.count(meant, up_to=choice.most, most=choice.most)
        return choice, _group(inbox, choice), number

    choice, group, number = visit.read(look)
    return render(
        "dead_preview.html",
        visit=visit,
        action=action,
        choice=choice,
        error=masked_text(group.sample) if group else None,
        number=number,
        batch=BATCH,
    )


def run(visit: Visit) -> str:
    """Replay or prune one batch, and return how far that is."""
    action, choice = _action(), _chosen(visit)
    after = request.form.get("after") or None
    before, total = _number("number"), _number("total")
    with visit.acting() as inbox:
        if choice.until is None:
            choice = replace(choice, until=inbox.clock())
        try:
            step = _step(visit, inbox, action, choice, after)
        except (ValueError, OverflowError) as error:  # the place to go on at was made up
            raise NotThere("There is nothing to go on with.") from error
    return render(
        "dead_run.html",
        visit=visit,
        action=action,
        choice=choice,
        number=before + step.number,
        total=total,
        next=step.next,
    )


def _step(visit: Visit, inbox: Inbox, action: _Action, choice: Choice, after: str | None) -> Step:
    meant = choice.meant(inbox)
    with doing(
        visit.app,
        inbox,
        action,
        _subject(choice, meant),
        who=visit.who,
        via="console",
        hook=choice.hook,
        reason=visit.reason,
    ) as done:
        act = inbox.dead_letters.replay if action == "replay" else inbox.dead_letters.prune
        step = act(meant, after, most=BATCH)
        done.number = step.number
    return step


def _subject(choice: Choice, meant: DeadChoice) -> str:
    of = f"of {choice.receiver}" if choice.receiver else "that could not be read"
    if meant.uuids:
        more = len(meant.uuids) - _MOST_NAMED
        named = [*meant.uuids[:_MOST_NAMED], *([f"and {more} more"] if more > 0 else [])]
        return f"dead letters {of}: {' '.join(named)}"
    if choice.group:
        return f"dead letters {of}, group {choice.group}"
    return f"all dead letters {of}"


def _action() -> _Action:
    action = request.form.get("action")
    if action == "replay":
        return "replay"
    if action == "prune":
        return "prune"
    raise NotThere("Dead letters can be replayed or pruned.")


def _number(name: str) -> int:
    """Return a number of dead letters that a page has put into a form; 0 if it is none that it would."""
    given = request.form.get(name, "")
    return int(given) if given.isdecimal() and len(given) <= _LONGEST_ID else 0


def _chosen(visit: Visit) -> Choice:
    """Return which are meant.

    :raises NotThere: if the hook is none of the console's, or a form names no receiver, be it by an empty name.
    """
    hook = request.values.get("hook", "")
    if hook not in visit.hooks:
        raise NotThere("There is no such hook.")
    if request.method == "POST" and "receiver" not in request.form:
        raise NotThere("Nothing says whose dead letters are meant.")
    return Choice(
        hook=hook,
        receiver=request.values.get("receiver", ""),
        group=request.values.get("group") or None,
        ids=_ids(request.form.getlist("id")),
        until=request.form.get("until", type=float),
    )


def _ids(given: Sequence[str]) -> tuple[int, ...]:
    """Return the events that were chosen one by one; none if no such choice was made.

    :raises NotThere: if it is none that a page offers: it must not be taken for all.
    """
    ids = [one for one in given if one.isascii() and one.isdecimal() and len(one) <= _LONGEST_ID]
    if len(ids) < len(given) or len(given) > _MOST_CHOSEN:
        raise NotThere("These dead letters cannot be chosen.")
    return tuple(map(int, ids))
