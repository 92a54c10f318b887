"""The audit: who has revealed, replayed, pruned, paused or resumed what, when and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flask import request

from .pages import render
from .visit import NotThere

if TYPE_CHECKING:
    from .visit import Visit

_ON_A_PAGE: Final = 50
_DAY: Final = 24 * 3600.0
_IDS: Final = 2**63


def show(visit: Visit) -> str:
    """Return a page of the audit."""
    before = request.args.get("before", type=int)
    if before is not None and not 0 <= before < _IDS:
        raise NotThere("There is no such page of the audit.")
    hooks = visit.shown_hooks
    entries, reveals = visit.read(
        lambda inbox: (
            inbox.audit.entries(limit=_ON_A_PAGE + 1, before=before, hooks=hooks),
            inbox.audit.number("reveal", since=inbox.clock() - _DAY, hooks=hooks),
        )
    )
    shown = entries[:_ON_A_PAGE]
    return render(
        "audit.html",
        visit=visit,
        entries=shown,
        reveals=reveals,
        older=shown[-1].id if len(entries) > _ON_A_PAGE else None,
        is_first=before is None,
    )
