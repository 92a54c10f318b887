"""The list of events, and what one may look for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import request

from okta_hooks.inbox.selection import Selection

from .pages import render

if TYPE_CHECKING:
    from .visit import Visit

_ON_A_PAGE = 50


def show(visit: Visit) -> str:
    """Return a page of the list."""
    before = request.args.get("before", type=int)
    hook = visit.hook
    found = visit.read(
        lambda inbox: inbox.overview.find(Selection(hook=hook), limit=_ON_A_PAGE, before=before)
    )
    return render(
        "events.html", visit=visit, events=[one for one in found if one.hook in visit.hooks]
    )
