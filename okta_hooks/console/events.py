"""The list of events, and what one may look for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from flask import request

from okta_hooks.inbox.event_page import Capped, EventPage
from okta_hooks.inbox.tables import DEAD, STATES
from okta_hooks.masking import masked_text

from .filters import filters_of
from .pages import render
from .visit import NotThere

if TYPE_CHECKING:
    from collections.abc import Mapping

    from okta_hooks.inbox import Inbox

    from .filters import Filters
    from .visit import Visit

_ON_A_PAGE: Final = 50
#: How many rows are looked at for a page, and to count what matches.
_MOST: Final = 10_000

_NOTHING: Final[tuple[EventPage, Capped, Mapping[int, str]]] = (
    EventPage(events=(), older=None, newer=None),
    Capped(0, has_more=False),
    {},
)


def show(visit: Visit) -> str:
    """Return a page of the list."""
    hook = visit.read(visit.one_hook)
    wanted = filters_of(request.args, hook=hook, now=time.time())
    before, after = request.args.get("before"), request.args.get("after")
    try:
        # What cannot be understood finds nothing: all events would look like an answer.
        page, number, errors = (
            _NOTHING
            if wanted.wrong
            else visit.read(lambda inbox: _find(inbox, wanted, before, after))
        )
    except ValueError as error:  # the place in the list was made up
        raise NotThere("There is no such page of the list.") from error
    return render(
        "events.html",
        visit=visit,
        filters=wanted,
        states=STATES,
        page=page,
        number=number,
        errors={key: masked_text(error) for key, error in errors.items()},
        receivers=sorted(name for _, name in visit.connected()),
        only_hook=hook if visit.hook is None else None,
        is_first=before is None and after is None,
    )


def _find(
    inbox: Inbox, wanted: Filters, before: str | None, after: str | None
) -> tuple[EventPage, Capped, Mapping[int, str]]:
    page = inbox.event_page.find(
        wanted.selection, limit=_ON_A_PAGE, before=before, after=after, most=_MOST
    )
    number = inbox.event_page.count(wanted.selection, most=_MOST)
    dead = [one.id for one in page.events if one.state == DEAD]
    failures = inbox.receipts.first_dead(dead)
    errors = {
        one.id: one.reason or f"{failures[one.id].receiver}: {failures[one.id].error or ''}"
        for one in page.events
        if one.reason or one.id in failures
    }
    return page, number, errors
