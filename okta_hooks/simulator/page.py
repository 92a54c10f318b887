"""The page for people: the company, its buttons, the hooks and what they answered.

Whatever acts is a POST of the page's own. Nothing of an event or a hook is trusted: templates escape it,
and what would not show, or would turn the direction of text, is spelt out.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from flask import Blueprint, redirect, render_template, request, url_for

from okta_hooks.printable import printable

from .callers import check_own_page
from .company import FLOOD, GROUPS, Company, NotPossible
from .log_events import object_at

if TYPE_CHECKING:
    from flask import Flask, Response
    from werkzeug.wrappers import Response as BaseResponse

    from .org import Org

_EVENTS: Final = 12
_LONGEST_TEXT: Final = 200
_OKTA_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", re.ASCII)
_READING: Final = ("GET", "HEAD", "OPTIONS")
_STATUSES: Final = {
    "ACTIVE": "Active",
    "LOCKED_OUT": "Locked out",
    "SUSPENDED": "Suspended",
    "DEPROVISIONED": "Deactivated",
}
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # With no referrer at all, a browser would send "Origin: null" of the page's own forms.
    "Referrer-Policy": "same-origin",
}


class Fault(NamedTuple):
    """A fault as the page offers it."""

    label: str
    meaning: str


FAULTS: Final = {
    "timeout": Fault("Time-out", "The first answer counts as too late: the delivery comes again."),
    "unavailable": Fault("503", "Both attempts are answered 503 before they reach the hook."),
    "lost": Fault("Lost", "The delivery is never sent; the log says that it was meant to be."),
    "duplicate": Fault("Duplicate", "Each delivery comes twice, under another eventId."),
    "reorder": Fault("Swapped order", "The last event comes first, and later than what follows."),
}


class Happened(NamedTuple):
    """An event of the log, as the page tells it; ``time`` is the part of ``published`` that is not the day."""

    published: str
    time: str
    event_type: str
    about: str
    failure: str
    hooks: int


class Sent(NamedTuple):
    """A delivery, as the page tells it. ``state`` is one word that a style sheet knows."""

    state: str
    events: int
    types: str
    answers: str


class HookView(NamedTuple):
    """A hook of the org, as the page tells it."""

    id: str
    name: str
    url: str
    status: str
    receives: bool
    types: int
    pending: int
    sent: list[Sent]


def add_page(app: Flask, org: Org) -> None:
    """Add the page at ``/``, and what its buttons do, below ``/simulator/page/``."""
    company = Company(org)
    page = Blueprint(
        "simulator_page",
        __name__,
        template_folder="templates",
        static_folder="static",
        static_url_path="/simulator/static",
    )

    @page.before_request
    def check_page() -> None:
        if request.method not in _READING:
            check_own_page()

    @page.after_request
    def protect(response: Response) -> Response:
        response.headers.update(HEADERS)
        return response

    @page.errorhandler(NotPossible)
    def tell(why: NotPossible) -> tuple[str, int]:
        return _render(org, company, notice=str(why)), HTTPStatus.CONFLICT

    @page.get("/")
    def show() -> str:
        return _render(org, company)

    _add_buttons(page, company)
    app.register_blueprint(page)


def _add_buttons(page: Blueprint, company: Company) -> None:
    @page.post("/simulator/page/joiners")
    def join() -> BaseResponse:
        company.join(_value("name"))
        return _back()

    @page.post("/simulator/page/people")
    def act() -> BaseResponse:
        login = _value("login")
        if "into" in request.form:
            company.move(login, _value("into"), into=True)
        elif "out_of" in request.form:
            company.move(login, _value("out_of"), into=False)
        else:
            company.act(login, _value("act"))
        return _back()

    @page.post("/simulator/page/floods")
    def flood() -> BaseResponse:
        company.flood()
        return _back()

    @page.post("/simulator/page/faults")
    def switch() -> BaseResponse:
        if "on" in request.form:
            company.switch(_value("on"), on=True)
        else:
            company.switch(_value("off"), on=False)
        return _back()


def _value(name: str) -> str:
    return request.form.get(name, "")


def _back() -> BaseResponse:
    return redirect(url_for("simulator_page.show"), HTTPStatus.SEE_OTHER)


def _render(org: Org, company: Company, notice: str = "") -> str:
    recent = org.recent(_EVENTS)
    return render_template(
        "okta_hooks_simulator/page.html",
        url=org.url,
        notice=_shown(notice),
        people=[
            (person, _shown(person.name), _STATUSES[person.status]) for person in company.people
        ],
        groups=GROUPS,
        faults=FAULTS,
        switched_on=company.faults,
        flood=f"{FLOOD:,}",
        hooks=[
            _hook(hook, recent.pending.get(hook["id"], 0), recent.deliveries.get(hook["id"], []))
            for hook in org.hooks()
        ],
        happened=[_happened(event) for event in recent.events],
    )


def _shown(value: object) -> str:
    """Return what a page shows of a value from elsewhere: not more than fits, and without effects."""
    text = value if isinstance(value, str) else "" if value is None else str(value)
    cut = text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
    return printable(cut)


def _hook(hook: dict[str, Any], pending: int, deliveries: list[dict[str, Any]]) -> HookView:
    status, verification = hook["status"], hook["verificationStatus"]
    return HookView(
        id=hook["id"],
        name=_shown(hook["name"]),
        url=_shown(hook["channel"]["config"]["uri"]),
        status=f"{status.lower()}, {verification.lower()}",
        receives=(status, verification) == ("ACTIVE", "VERIFIED"),
        types=len(hook["events"]["items"]),
        pending=pending,
        sent=[_sent(delivery) for delivery in deliveries],
    )


def _sent(delivery: dict[str, Any]) -> Sent:
    types = list(dict.fromkeys(_shown(event["eventType"]) for event in delivery["events"]))
    more = f" and {len(types) - 1} more" if len(types) > 1 else ""
    answers = ", then ".join(
        f"{attempt['status'] or attempt['error']} after {attempt['seconds']:.2f}\N{NO-BREAK SPACE}s"
        for attempt in delivery["attempts"]
    )
    return Sent(
        state=delivery["state"],
        events=len(delivery["events"]),
        types=(types[0] if types else "") + more,
        answers=_shown(answers or "no answer yet"),
    )


def _happened(event: dict[str, Any]) -> Happened:
    target = next(iter(event.get("target") or ()), None) or event.get("actor") or {}
    outcome = event.get("outcome") or {}
    meant = (object_at(event, "debugContext", "debugData") or {}).get("targetEventHookIds")
    published = _shown(event.get("published"))
    return Happened(
        published=published,
        time=published[11:19] if _OKTA_TIME.fullmatch(published) else published,
        event_type=_shown(event.get("eventType")),
        about=_shown(target.get("displayName") if isinstance(target, dict) else target),
        failure=_shown(outcome.get("reason") if isinstance(outcome, dict) else outcome),
        hooks=len(meant.split(",")) if isinstance(meant, str) and meant else 0,
    )
