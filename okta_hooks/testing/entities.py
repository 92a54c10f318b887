"""The actors and targets of sample events: people, groups, apps and other things in an org."""

from __future__ import annotations

import random
import re
import string
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE62: Final = string.ascii_letters + string.digits
#: The types of entities that are people, known by their address.
PERSONAL: Final = ("User", "AppUser")


class _Kind(NamedTuple):
    """A type of actor or target: how its ids begin, and what some are called."""

    prefix: str
    names: tuple[str, ...]


PEOPLE: Final = (
    "ada@example.com",
    "grace.hopper@example.com",
    "alan.turing@example.com",
    "katherine.johnson@example.com",
    "edsger.dijkstra@example.com",
    "radia.perlman@example.com",
    "zoë.müller@example.com",
)
_KINDS: Mapping[str, _Kind] = {
    "User": _Kind("00u", PEOPLE),
    "AppUser": _Kind("0ua", PEOPLE),
    "UserGroup": _Kind("00g", ("Engineering", "Finance", "Field sales")),
    "AppInstance": _Kind("0oa", ("Payroll", "Wiki", "Ticket desk")),
    "PolicyEntity": _Kind("00p", ("Default policy", "Contractors")),
    "PolicyRule": _Kind("0pr", ("Default rule", "Off the network")),
    "Device": _Kind("guo", ("A laptop", "A phone")),
    "ROLE": _Kind("ra1", ("Help desk administrator", "Read-only administrator")),
    "EventHook": _Kind("who", ("Offboarding",)),
}
#: What may stand before the colon of ``user:ada@example.com``, next to Okta's own names of types.
_SHORT: Mapping[str, str] = {
    "user": "User",
    "appuser": "AppUser",
    "group": "UserGroup",
    "app": "AppInstance",
    "policy": "PolicyEntity",
    "rule": "PolicyRule",
    "device": "Device",
    "role": "ROLE",
}


def random_source(seed: str | None = None) -> random.Random:
    """Return a source of random numbers for sample data: the same ones for the same seed, other ones without."""
    return random.Random(seed)  # noqa: S311 - nothing in sample data is a secret


def make_id(prefix: str, rng: random.Random) -> str:
    """Return 20 characters that look like an id of Okta's.

    :param prefix: What tells the ids of one kind of thing, ``"who"`` for event hooks.
    """
    return prefix + "".join(rng.choices(BASE62, k=20 - len(prefix)))


def some_name(kind: str, person: str, rng: random.Random) -> str:
    """Return the name of some entity of a kind: a person if it is personal."""
    if kind in PERSONAL:
        return person
    return rng.choice(_KINDS[kind].names) if kind in _KINDS else f"Sample {kind}"


def entity(said: str) -> dict[str, Any]:
    """Return the actor or target that a short form such as ``user:ada@example.com`` stands for."""
    before, colon, name = said.partition(":")
    if not (colon and before and name):
        raise ValueError(
            f"{said!r} is no short form: write a type, a colon and a name, as user:ada@example.com."
        )
    try:
        said.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{said!r} is no text: it has a lone surrogate.") from None
    kind = _SHORT.get(before.lower(), before)
    prefix = _KINDS[kind].prefix if kind in _KINDS else kind[:3].lower()
    shown = name
    if kind in PERSONAL:
        words = re.split(r"[._-]", name.partition("@")[0])
        shown = " ".join(word.capitalize() for word in words)
    return {
        "id": make_id(prefix, random_source(f"{kind}:{name}")),
        "type": kind,
        # This is all that Okta says of groups.
        "alternateId": "unknown" if kind == "UserGroup" else name,
        "displayName": shown,
        "detailEntry": None,
    }


def target_of(given: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return a target as an event has it, from a short form or an object."""
    return entity(given) | {"changeDetails": None} if isinstance(given, str) else dict(given)


def actor_of(kind: str, person: str, rng: random.Random) -> dict[str, Any]:
    """Return who did it: an administrator other than the person, unless a family says ``"self"`` or ``"system"``."""
    if kind == "system":
        return entity("SystemPrincipal:system@okta.com") | {"displayName": "Okta System"}
    if kind == "self":
        return entity(f"User:{person}")
    return entity(f"User:{rng.choice([other for other in PEOPLE if other != person])}")


def change_attribute(target: dict[str, Any], rng: random.Random) -> str:
    """Let an attribute of the target change, and return the names of what changed."""
    if target["type"] == "User":
        before: dict[str, Any] = {"title": "Engineer"}
        after: dict[str, Any] = {"title": rng.choice(["Senior engineer", "Head of engineering"])}
    else:
        before = {"name": "Formerly", "priority": 1}
        after = {"name": target["displayName"], "priority": rng.randrange(2, 9)}
    target["changeDetails"] = {"from": before, "to": after}
    return ",".join(after)


def device_of(target: dict[str, Any]) -> dict[str, Any]:
    """Return what an event says of the device that is one of its targets."""
    return {
        "id": target["id"],
        "name": target["displayName"],
        "platform": "MACOS",
        "osVersion": "15.5",
        "managed": True,
        "registered": True,
        "deviceIntegrator": None,
        "diskEncryptionType": "ALL_INTERNAL_VOLUMES",
        "screenLockType": "BIOMETRIC",
        "jailbreak": None,
        "secureHardwarePresent": True,
    }
