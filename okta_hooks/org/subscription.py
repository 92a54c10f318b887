"""What the connected receivers need, compared with what is registered at an Okta org: the plan.

A plan is a value, and making one asks nobody: see :mod:`~okta_hooks.org.provisioning`.
https://developer.okta.com/docs/api/openapi/okta-management/management/tag/EventHook/
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from okta_hooks import catalog
from okta_hooks.exceptions import SubscriptionImpossible
from okta_hooks.printable import printable
from okta_hooks.receivers import matches, why_never
from okta_hooks.wire.limits import MOST_EVENT_TYPES

from .hook_request import OF_OKTA
from .urls import same_url, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from flask import Flask

    from okta_hooks.receivers import Receivers

    from .hooks import RegisteredHook

ChangedField: TypeAlias = Literal["name", "url", "auth_header", "status", "verification"]
_MODELLED: Final = OF_OKTA | {"name", "description", "events", "channel"}
_LABELS: Final[Mapping[ChangedField, str]] = {
    "name": "name",
    "url": "URL",
    "auth_header": "header of the secret",
    "status": "status",
    "verification": "verification",
}


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

    field: ChangedField
    before: str | None
    after: str | None

    @property
    def what(self) -> str:
        """What is said to change, for people."""
        return _LABELS[self.field]

    @property
    def is_lifecycle(self) -> bool:
        """Whether it takes a call of its own, to activate or to verify, and no replacement of the hook."""
        return self.field in ("status", "verification")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a hook at Okta gets in step with the receivers.

    ``live`` is the hook as the org has it, or None if it is to be created.
    ``name``, ``url``, ``auth_header`` (None without a secret) and ``types`` are what it will have;
    ``kept`` names what else an administrator has set, which stays, ``lost`` what goes with a type that is removed.
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
    lost: tuple[str, ...] = ()
    undeliverable: tuple[Undeliverable, ...] = ()
    rotates: bool = False

    @property
    def replaces(self) -> bool:
        """Whether the settings of a live hook are replaced, and its secret with them."""
        is_other = any(not change.is_lifecycle for change in self.changes)
        return self.live is not None and bool(self.add or self.remove or is_other or self.rotates)

    @property
    def action(self) -> Literal["create", "change", "nothing"]:
        """What :func:`~okta_hooks.org.provisioning.apply` will do."""
        if self.live is None:
            return "create"
        return "change" if self.replaces or self.changes else "nothing"

    @property
    def is_in_step(self) -> bool:
        """Whether there is nothing to do."""
        return self.action == "nothing"

    def changes_made(self, *, verifies: bool) -> tuple[Change, ...]:
        """Return those of the changes that are made.

        :param verifies: Whether Okta is to verify the hook now.
        """
        return tuple(
            change for change in self.changes if verifies or change.field != "verification"
        )


def shown_change(change: Change) -> Change:
    """Return a change as it may be printed: of a URL, what :func:`~okta_hooks.org.urls.shown` leaves."""
    if change.field != "url":
        return change
    before, after = (each and shown(each) for each in (change.before, change.after))
    hidden = f"{after} (what is not shown of it differs)"
    return replace(change, before=before, after=hidden if before == after else after)


def described(live: RegisteredHook) -> str:
    """Return a hook in words: what it has now, but for its secret, which Okta does not tell."""
    has_secret = f"its secret in {live.auth_header}" if live.auth_header else "no secret"
    return printable(
        f"{live.name!r} ({live.id}) at {shown(live.url or '')}, {has_secret}, {live.status}, "
        f"{live.verification_status}, types {', '.join(sorted(live.event_types)) or 'none'}"
    )


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


def plan(
    needed: Demand,
    live: RegisteredHook | None,
    *,
    name: str,
    url: str | None,
    auth_header: str | None,
    rotates: bool = False,
    keeps_types: bool = False,
) -> Plan:
    """Compare what the receivers need with a live hook.

    What it is subscribed to and some receiver takes stays, even if the catalogue does not have it:
    a type in beta under a pattern, or one that is newer.

    :param live: The hook as the org has it, or None if there is none.
    :param name: What it is to be called.
    :param url: Where it is to deliver to, or None for where it does.
    :param auth_header: What is to hold the secret, or None if there is no secret.
    :param rotates: Whether the secret is to be put out anew, though nothing else changes.
    :param keeps_types: Whether the types stay that no receiver takes: another app has them, which shares the hook.
    :raises SubscriptionImpossible: if no hook can be like that.
    """
    if not needed.patterns:
        raise SubscriptionImpossible(
            "No receivers are connected, so there is nothing to subscribe to. "
            "Is the module that connects them imported where the app is made?"
        )
    before = dict.fromkeys(live.event_types) if live else {}
    received = {name for name in before if any(matches(each, name) for each in needed.patterns)}
    if keeps_types:
        received = set(before)
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
    if live and live.url and same_url(live.url, target):
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
        lost=_lost(live, types) if live else (),
        undeliverable=needed.undeliverable,
        rotates=rotates and live is not None and auth_header is not None,
    )


def _changes(
    live: RegisteredHook, name: str, url: str, auth_header: str | None
) -> tuple[Change, ...]:
    is_same_header = (live.auth_header or "").lower() == (auth_header or "").lower()
    compared = [
        Change(field="name", before=live.name, after=name),
        Change(field="url", before=live.url, after=url),
        Change(
            field="auth_header",
            before=live.auth_header,
            after=live.auth_header if is_same_header else auth_header,
        ),
        Change(field="status", before=live.status, after="ACTIVE"),
        Change(field="verification", before=live.verification_status, after="VERIFIED"),
    ]
    return tuple(change for change in compared if change.before != change.after)


def _kept(live: RegisteredHook, types: Collection[str]) -> tuple[str, ...]:
    config = live.channel.config if live.channel else None
    return (
        *(("description",) if live.description else ()),
        *(f"header {header.key}" for header in (config.headers if config else ())),
        *(f"filter of {name}" for name in _filtered(live) if name in types),
        *sorted((live.document or {}).keys() - _MODELLED),
    )


def _lost(live: RegisteredHook, types: Collection[str]) -> tuple[str, ...]:
    return tuple(f"filter of {name}" for name in _filtered(live) if name not in types)


def _filtered(live: RegisteredHook) -> list[str]:
    """Return the types that an administrator has set filters for."""
    return [str(entry.get("event")) for entry in live.filter_entries]


def lost_filters(live: RegisteredHook, types: Collection[str]) -> list[tuple[str, str]]:
    """Return the filters that go with their types, as they are at Okta: nothing else keeps them.

    :param types: Those that stay.
    """
    return [
        (str(entry.get("event")), json.dumps(entry.get("condition")))
        for entry in live.filter_entries
        if entry.get("event") not in types
    ]
