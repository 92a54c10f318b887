"""The registration: what the hooks are at Okta, compared with what their receivers need; and who delivers to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from okta_hooks.exceptions import (
    ConfigurationError,
    OktaRefused,
    OktaUnavailable,
    SubscriptionImpossible,
    as_sentence,
)
from okta_hooks.org.credentials import OrgNotConfigured
from okta_hooks.org.planning import plan_for
from okta_hooks.org.subscription import shown_change
from okta_hooks.org.urls import shown

from .pages import render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from okta_hooks.inbox import Inbox
    from okta_hooks.org.hooks import RegisteredHook
    from okta_hooks.org.subscription import Change, Plan

    from .visit import Visit

#: How long the page waits for Okta.
SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AtOkta:
    """What a hook of the app is at Okta: a plan, or why there is none."""

    hook: str
    plan: Plan | None = None
    warnings: Sequence[str] = ()
    why_not: str | None = None

    @property
    def changes(self) -> Sequence[Change]:
        """What of it will be different, without what may be secret."""
        return [] if self.plan is None else [shown_change(each) for each in self.plan.changes]

    @property
    def url(self) -> str:
        """Where it delivers to, without what may be secret."""
        return "" if self.plan is None else shown(self.plan.url)

    @property
    def condition(self) -> str:
        """What is said of it in a word or two."""
        if self.plan is None:
            return "not known"
        live = self.plan.live
        if live is None:
            return "not registered"
        if not live.is_active:
            return "inactive"
        if not live.is_verified:
            return "not verified"
        return "in step" if self.plan.is_in_step else "out of step"


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """When one of a hook's secrets first and last came with a delivery; None if it has not. ``number`` is from 1."""

    number: int
    first_at: float | None
    last_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who delivers to a hook: the hooks at Okta, as their URLs, when last, and with which secrets."""

    hook: str
    sources: Sequence[str]
    last_at: float | None
    secrets: Sequence[Use]


def show(visit: Visit) -> str:
    """Return the page. It is the only one that asks Okta."""
    hooks = visit.shown_hooks
    tags = {hook: visit.state.secret_lists[hook] for hook in hooks}
    numbers = {hook: len(visit.state.secrets[hook]) for hook in hooks}
    senders: list[Sender] = []
    if visit.state.settings.inbox is not None:
        senders = visit.read(
            lambda inbox: [_sender(inbox, hook, tags[hook], numbers[hook]) for hook in hooks]
        )
    found, trouble = _ask(visit, hooks)
    return render(
        "registration.html",
        visit=visit,
        senders={one.hook: one for one in senders},
        found=found,
        trouble=trouble,
        hooks=hooks,
    )


def _sender(inbox: Inbox, hook: str, tag: int, secrets: int) -> Sender:
    used = inbox.hours.secret_use(hook, tag)
    return Sender(
        hook=hook,
        sources=sorted(map(shown, inbox.hours.sources(hook))),
        last_at=inbox.hours.last_by_hook().get(hook),
        secrets=[
            Use(
                number=number + 1,
                first_at=used[number][0] if number in used else None,
                last_at=used[number][1] if number in used else None,
            )
            for number in range(secrets)
        ],
    )


def _ask(visit: Visit, hooks: Sequence[str]) -> tuple[Mapping[str, AtOkta], str | None]:
    """Return what the hooks are at Okta, or why that is not known: None for both if no org is configured."""
    try:
        registered = visit.org.hooks(visit.state.settings, SECONDS)
    except OrgNotConfigured:
        return {}, None
    except ConfigurationError as error:
        return {}, str(error)
    except (OktaRefused, OktaUnavailable) as error:
        return {}, as_sentence(error)
    found = {hook: _compared(visit, hook, registered) for hook in hooks}
    visit.org.note({hook: one.condition for hook, one in found.items()})
    return found, None


def _compared(visit: Visit, hook: str, registered: Sequence[RegisteredHook]) -> AtOkta:
    try:
        made, warnings = plan_for(visit.app, visit.state, hook, registered)
    except SubscriptionImpossible as error:
        return AtOkta(hook=hook, why_not=error.reason)
    return AtOkta(hook=hook, plan=made, warnings=warnings)
