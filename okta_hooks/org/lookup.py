"""What the connected receivers need, held against what is registered at an Okta org: planned, applied, verified.

A plan is a value, and making one asks nobody: only :class:`~okta_hooks.org.client.Org` talks.
https://developer.okta.com/docs/api/openapi/okta-management/management/tag/EventHook/
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from okta_hooks import catalog
from okta_hooks.exceptions import OktaRefused, SubscriptionImpossible, VerificationFailed
from okta_hooks.receivers import matches, why_never

from .client import MOST_EVENT_TYPES, RegisteredHook

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from flask import Flask

    from okta_hooks.receivers import Receivers

    from .client import Org

_STATES: Final = ("status", "verification")
_MOST_LOOKS: Final = 10
_SECONDS_BETWEEN_LOOKS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Undeliverable:
    """A pattern of a receiver under which Okta delivers nothing, and why."""

    receiver: str
    pattern: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What the connected receivers need of a hook at Okta: see :func:`demand`."""

    patterns: frozenset[str]
    types: tuple[str, ...]
    undeliverable: tuple[Undeliverable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What of a hook will be different, apart from its event types. None stands for nothing."""

    what: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a hook at Okta gets in step with the receivers.

    ``live`` is the hook as the org has it, or None if it is to be created.
    ``name``, ``url``, ``auth_header`` (None without a secret) and ``types`` are what it will have;
    ``kept`` names what else an administrator has set, which stays.
    """

    live: RegisteredHook | None
    name: str
    url: str
    auth_header: str | None
    types: tuple[str, ...]
    add: tuple[str, ...]
    remove: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    kept: tuple[str, ...] = ()
    undeliverable: tuple[Undeliverable, ...] = ()
    rotates: bool = False

    @property
    def replaces(self) -> bool:
        """Whether what is said of a live hook is replaced, and its secret with it."""
        is_other = any(change.what not in _STATES for change in self.changes)
        return self.live is not None and bool(self.add or self.remove or is_other or self.rotates)

    @property
    def action(self) -> Literal["create", "change", "nothing"]:
        """What :func:`apply` will do."""
        if self.live is None:
            return "create"
        return "change" if self.replaces or self.changes else "nothing"

    @property
    def is_in_step(self) -> bool:
        """Whether there is nothing to do."""
        return self.action == "nothing"


def shown(url: str) -> str:
    """Return a URL without what may be secret in it: user, password, query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if host else parts.path


def shown_change(change: Change) -> Change:
    """Return a change as it may be printed: of a URL, what :func:`shown` leaves."""
    if change.what != "URL":
        return change
    before, after = (each and shown(each) for each in (change.before, change.after))
    hidden = f"{after} (what is not shown of it differs)"
    return replace(change, before=before, after=hidden if before == after else after)


def demand(receivers: Receivers, app: Flask) -> Demand:
    """Return what Okta must deliver so that every connected receiver gets its events.

    :param app: The application: a receiver may be connected for one only.
    """
    patterns_of = {
        receiver.name: receivers.patterns_of(receiver, app) for receiver in receivers.connected(app)
    }
    return Demand(
        patterns=frozenset(pattern for patterns in patterns_of.values() for pattern in patterns),
        types=needed_types(receivers, app),
        undeliverable=tuple(
            Undeliverable(receiver=receiver, pattern=pattern, reason=reason)
            for receiver, patterns in patterns_of.items()
            for pattern in patterns
            if (reason := why_never(pattern)) is not None
        ),
    )


def needed_types(receivers: Receivers, app: Flask) -> tuple[str, ...]:
    """Return the event types that Okta must deliver so that every connected receiver gets its events.

    A pattern stands for what is generally available below it; a type in beta must be named exactly.

    :param app: The application: a receiver may be connected for one only.
    """
    patterns = {
        pattern
        for receiver in receivers.connected(app)
        for pattern in receivers.patterns_of(receiver, app)
    }
    return tuple(
        sorted(
            name
            for name, entry in catalog.entries().items()
            if entry.event_hook_eligible
            and (
                name in patterns
                or (entry.stage == "ga" and any(matches(pattern, name) for pattern in patterns))
            )
        )
    )


def find(
    registered: Sequence[RegisteredHook],
    *,
    name: str | None = None,
    url: str | None = None,
    ids: Collection[str] = (),
    path: str | None = None,
) -> list[RegisteredHook]:
    """Return those of an org's hooks that deliver to one hook of an app: the first way that finds any.

    :param name: The name at Okta.
    :param url: The whole URL, with or without a slash at its end.
    :param ids: The ids of hooks at Okta whose deliveries have arrived.
    :param path: The path alone: other apps of the same org may have the same.
    """
    if name is not None:
        return [hook for hook in registered if hook.name == name]
    if url is not None:
        return [hook for hook in registered if hook.url and _same(hook.url, url)]
    known = [hook for hook in registered if hook.id in ids]
    if known or path is None:
        return known
    return [hook for hook in registered if hook.url and _same(urlsplit(hook.url).path, path)]


def choose(
    registered: Sequence[RegisteredHook],
    *,
    hook: str,
    name: str | None = None,
    url: str | None = None,
    path: str | None = None,
    creates: bool = True,
) -> RegisteredHook | None:
    """Return the one hook that is meant: by its name; else by its URL; if neither is said, by its path.

    :param hook: What it would be called if it is created and has no other name: its name in the app.
    :param creates: Whether it is to be created if there is none.
    :return: None if there is none, and it can be created at the URL, or is not to be.
    :raises SubscriptionImpossible: if there are several, or there is none and it cannot.
    """
    found = find(registered, name=name, url=url, path=path)
    if name is not None:
        # One of the name may be to move to the URL, one at the URL to get the name.
        at_url = find(registered, url=url) if url else []
        both = [hook for hook in found if hook in at_url]
        found = both or [*found, *at_url]
    only = the_one(found, name=name)
    if only is not None or not creates:
        return only
    if url is None:
        raise SubscriptionImpossible(
            f"{none_found(name=name, path=path)}: say with --url where Okta is to deliver to."
        )
    if name is None and find(registered, name=hook):
        raise SubscriptionImpossible(
            f"The org has a hook named {hook!r}, at another URL: "
            f"--name {hook} moves that one, and another --name creates one beside it."
        )
    return None


def the_one(found: Sequence[RegisteredHook], *, name: str | None) -> RegisteredHook | None:
    """Return what was found if it is one hook, or None if it is none.

    :param name: The name at Okta by which it was sought, or None.
    :raises SubscriptionImpossible: if there are several.
    """
    if len(found) > 1:
        listed = ", ".join(
            f"{hook.name!r} ({hook.id}) at {shown(hook.url or '')}" for hook in found
        )
        cure = "say which with --name" if name is None else "give one another name at Okta"
        raise SubscriptionImpossible(f"Several hooks of the org may be meant, {listed}: {cure}.")
    return found[0] if found else None


def none_found(*, name: str | None = None, url: str | None = None, path: str | None = None) -> str:
    """Return in words, without a full stop, that there is no hook of this name, else of this URL, else of this path."""
    if name is not None:
        return f"No event hook of the org is named {name!r}"
    if url is not None:
        return f"No event hook of the org delivers to {shown(url)}"
    if path is not None:
        return f"No event hook of the org delivers to the path {path}"
    return "The path of the hook is not known, so none of the org's is found by it"


def plan(
    needed: Demand,
    live: RegisteredHook | None,
    *,
    name: str,
    url: str | None,
    auth_header: str | None,
    rotates: bool = False,
) -> Plan:
    """Compare what the receivers need with a live hook.

    What it is subscribed to and some receiver takes stays, even if the catalogue does not have it:
    a type in beta under a pattern, or one that is newer.

    :param live: The hook as the org has it, or None if there is none.
    :param name: What it is to be called.
    :param url: Where it is to deliver to, or None for where it does.
    :param auth_header: What is to hold the secret, or None if there is no secret.
    :param rotates: Whether the secret is to be put out anew, though nothing else changes.
    :raises SubscriptionImpossible: if no hook can be like that.
    """
    if not needed.patterns:
        raise SubscriptionImpossible(
            "No receivers are connected, so there is nothing to subscribe to."
        )
    before = dict.fromkeys(live.event_types) if live else {}
    received = {name for name in before if any(matches(each, name) for each in needed.patterns)}
    types = tuple(sorted(received.union(needed.types)))
    if not types:
        reasons = "; ".join(f"{each.pattern}: {each.reason}" for each in needed.undeliverable)
        raise SubscriptionImpossible(
            f"Okta delivers nothing that the receivers are connected to ({reasons})."
        )
    if len(types) > MOST_EVENT_TYPES:
        raise SubscriptionImpossible(
            f"The receivers take {len(types)} event types, and Okta gives a hook {MOST_EVENT_TYPES} at most: "
            "connect them to fewer, or divide them among two hooks."
        )
    target = url or (live and live.url)
    if not target:
        raise SubscriptionImpossible("The hook has no URL at Okta: say it with --url.")
    if live and live.url and _same(live.url, target):
        target = live.url
    return Plan(
        live=live,
        name=name,
        url=target,
        auth_header=auth_header,
        types=types,
        add=tuple(each for each in types if each not in before),
        remove=tuple(each for each in before if each not in received),
        changes=_changes(live, name, target, auth_header) if live else (),
        kept=_kept(live, types) if live else (),
        undeliverable=needed.undeliverable,
        rotates=rotates and live is not None and auth_header is not None,
    )


def _changes(
    live: RegisteredHook, name: str, url: str, auth_header: str | None
) -> tuple[Change, ...]:
    is_same_header = (live.auth_header or "").lower() == (auth_header or "").lower()
    compared = [
        Change(what="name", before=live.name, after=name),
        Change(what="URL", before=live.url, after=url),
        Change(
            what="header of the secret",
            before=live.auth_header,
            after=live.auth_header if is_same_header else auth_header,
        ),
        Change(what="status", before=live.status, after="ACTIVE"),
        Change(what="verification", before=live.verification_status, after="VERIFIED"),
    ]
    return tuple(change for change in compared if change.before != change.after)


def _kept(live: RegisteredHook, types: Collection[str]) -> tuple[str, ...]:
    config = live.channel.config if live.channel else None
    filters = (_filter(live, types) or {}).get("eventFilterMap") or ()
    return (
        *(("description",) if live.description else ()),
        *(f"header {header.key}" for header in (config.headers if config else ())),
        *(f"filter of {entry['event']}" for entry in filters),
    )


def _filter(live: RegisteredHook, types: Collection[str]) -> dict[str, Any] | None:
    """Return an administrator's filters as far as they are for these types.

    https://developer.okta.com/docs/guides/event-hook-filtering/main/
    """
    given = (live.events.filter if live.events else None) or {}
    entries = given.get("eventFilterMap")
    kept = [
        entry
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict) and entry.get("event") in types
    ]
    return {**given, "eventFilterMap": kept} if kept else None


def body(plan: Plan, secret: str | None) -> dict[str, Any]:
    """Return what Okta takes to create or replace the hook of a plan. It holds the secret.

    A replacement drops what it does not mention, so what an administrator has set is mentioned.

    :param secret: The first live one: Okta never tells the one that it has.
    """
    live = plan.live
    config = live.channel.config if live and live.channel else None
    events: dict[str, Any] = {"type": "EVENT_TYPE", "items": list(plan.types)}
    if live and (kept := _filter(live, plan.types)):
        events["filter"] = kept
    target: dict[str, Any] = {
        "uri": plan.url,
        "headers": [
            {"key": header.key, "value": header.value}
            for header in (config.headers if config else ())
        ],
    }
    if plan.auth_header is not None:
        target["authScheme"] = {"type": "HEADER", "key": plan.auth_header, "value": secret}
    made = {
        "name": plan.name,
        "events": events,
        "channel": {"type": "HTTP", "version": "1.0.0", "config": target},
    }
    if live and live.description:
        made["description"] = live.description
    return made


def apply(
    org: Org,
    plan: Plan,
    secret: str | None,
    *,
    verifies: bool = True,
    tell: Callable[[str], Any],
    wait: Callable[[float], Any] = time.sleep,
) -> RegisteredHook:
    """Do what a plan says, and return the hook as the org has it then.

    :param secret: As for :func:`body`.
    :param verifies: Whether to let Okta ask the endpoint. After any replacement it asks again:
        its request holds the secret that deliveries will hold.
    :param tell: Is called with a line for a person after each step.
    :param wait: As for :func:`verify`.
    :raises VerificationFailed: if all is done but that.
    :raises SubscriptionImpossible: if the hook is gone.
    :raises OktaRefused: if the org does not do it. So does whatever talks to it.
    """
    hook = plan.live
    if hook is None:
        hook = org.create_hook(body(plan, secret))
        tell(f"Created: {hook.id}.")
    elif plan.replaces:
        hook = _of_live(hook, lambda live: org.replace_hook(live.id, body(plan, secret)))
        tell("Changed.")
    if not hook.is_active:
        hook = _of_live(hook, lambda live: org.activate_hook(live.id))
        tell("Activated.")
    if verifies and (plan.replaces or not hook.is_verified):
        try:
            hook = verify(org, hook, wait=wait)
        except VerificationFailed as error:
            # The replacement stays, and the hook may be VERIFIED still: Okta delivers, with this secret.
            raise VerificationFailed(
                error.url,
                error.reason,
                has_new_secret=plan.replaces and plan.auth_header is not None,
            ) from error
        tell("Verified.")
    return hook


def verify(
    org: Org, hook: RegisteredHook, *, wait: Callable[[float], Any] = time.sleep
) -> RegisteredHook:
    """Let Okta ask the endpoint of a hook, and return the hook once it is verified.

    :param wait: Sleeps for so many seconds, if Okta takes its time to say so.
    :raises VerificationFailed: if the endpoint did not answer as it should, or Okta takes too long.
    :raises SubscriptionImpossible: if the hook is gone.
    """
    url = hook.url or ""
    try:
        asked = _of_live(hook, lambda live: org.verify_hook(live.id))
    except OktaRefused as error:
        if error.status != HTTPStatus.BAD_REQUEST:
            raise
        raise VerificationFailed(url, str(error)) from error
    for _ in range(_MOST_LOOKS):
        if asked.is_verified:
            return asked
        wait(_SECONDS_BETWEEN_LOOKS)
        asked = next((each for each in org.hooks() if each.id == hook.id), asked)
    seconds = _MOST_LOOKS * _SECONDS_BETWEEN_LOOKS
    raise VerificationFailed(
        url,
        f"Okta has no complaint, and after {seconds:.0f} s the hook is {asked.verification_status}",
    )


def _of_live(
    hook: RegisteredHook, call: Callable[[RegisteredHook], RegisteredHook]
) -> RegisteredHook:
    try:
        return call(hook)
    except OktaRefused as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        raise SubscriptionImpossible(
            f"The hook {hook.name!r} ({hook.id}) has been deleted at Okta in the meantime: plan again."
        ) from error


def _same(one: str, other: str) -> bool:
    return one.rstrip("/") == other.rstrip("/")
