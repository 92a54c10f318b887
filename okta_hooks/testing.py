"""Sample events and deliveries, for tests and for trying things out.

Everything in them is invented, in the shape that Okta sends: actor, targets and debug data are those of the
event type's family. Names are at ``example.com``; addresses are from the ranges set aside for documentation.
"""

from __future__ import annotations

import copy
import hashlib
import random
import re
import string
import uuid
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from . import catalog
from .exceptions import UnknownEventTypeWarning

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .catalog import EventType

#: The hook at Okta that sample deliveries say they are from.
SAMPLE_SOURCE: Final = "https://example.okta.com/api/v1/eventHooks/whoSampleHook0000000"
#: When an event with a seed happened, give or take an hour.
_SEEDED_TIME: Final = datetime(2026, 8, 3, 9, 0, tzinfo=UTC)
_SOME_TYPE: Final = "user.lifecycle.create"
_BASE62: Final = string.ascii_letters + string.digits
#: The types that are people, known by their address.
_PERSONAL: Final = ("User", "AppUser")


class _Kind(NamedTuple):
    """A type of actor or target: how its ids begin, and what some are called."""

    prefix: str
    names: tuple[str, ...]


_PEOPLE = (
    "ada@example.com",
    "grace.hopper@example.com",
    "alan.turing@example.com",
    "katherine.johnson@example.com",
    "edsger.dijkstra@example.com",
    "radia.perlman@example.com",
    "zoë.müller@example.com",
)
_KINDS: Mapping[str, _Kind] = {
    "User": _Kind("00u", _PEOPLE),
    "AppUser": _Kind("0ua", _PEOPLE),
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


class _Family(NamedTuple):
    """What the events below a prefix have in common.

    ``targets`` are types, None stands for one type named after the event type.
    ``actor`` is ``"admin"``, ``"self"`` (the person it is about) or ``"system"``.
    """

    targets: tuple[str, ...] | None = None
    actor: str = "admin"
    signs_in: bool = False
    debug: Mapping[str, str] = {}


_OTHER = _Family()
_FAMILIES: Mapping[str, _Family] = {
    "app": _Family(("AppInstance",)),
    "app.oauth2": _Family(("AppInstance",), "self", debug={"grantedScopes": "openid, profile"}),
    "application": _Family(("AppInstance",)),
    "application.policy": _Family(("AppInstance",), "self"),
    "application.provision.user": _Family(("AppUser", "AppInstance"), "system"),
    "application.user_membership": _Family(("AppUser", "AppInstance", "User")),
    "device": _Family(("Device",)),
    "device.enrollment": _Family(("Device", "User"), "self"),
    "device.user": _Family(("Device", "User")),
    "group": _Family(("UserGroup",)),
    "group.application_assignment": _Family(("UserGroup", "AppInstance")),
    "group.privilege": _Family(("UserGroup", "ROLE")),
    "group.user_membership": _Family(
        ("User", "UserGroup"), debug={"threatSuspected": "false", "triggeredByGroupRuleId": "null"}
    ),
    "policy": _Family(("PolicyEntity",)),
    "policy.auth_reevaluate": _Family(("PolicyEntity", "User"), "system"),
    "policy.branch.rule": _Family(("PolicyRule", "PolicyEntity")),
    "policy.rule": _Family(("PolicyRule", "PolicyEntity")),
    "security.breached_credential": _Family(("User",), "system"),
    "security.threat": _Family((), "system"),
    "system": _Family(actor="system"),
    "system.api_token": _Family(),
    "system.email": _Family(("User",), "system"),
    "system.idp": _Family(),
    "system.log_stream": _Family(),
    "system.org": _Family((), "system", debug={"bucketName": "", "operationRateLimitType": "web"}),
    "system.sms": _Family(("User",), "system", debug={"phoneNumber": "XXX-XXX-0100"}),
    "system.voice": _Family(("User",), "system", debug={"phoneNumber": "XXX-XXX-0100"}),
    "user": _Family(("User",)),
    "user.account.lock": _Family(("User",), "self"),
    "user.account.privilege": _Family(
        ("User", "ROLE"), debug={"privilegeGranted": "Help desk administrator"}
    ),
    "user.account.report_suspicious_activity_by_enduser": _Family(("User",), "self"),
    "user.account.update_password": _Family(("User",), "self"),
    "user.authentication": _Family(("User",), "self", signs_in=True),
    "user.authentication.sso": _Family(("AppInstance", "AppUser"), "self", signs_in=True),
    "user.credential": _Family(("User",), "self"),
    "user.mfa": _Family(("User",), "self", debug={"factor": "OKTA_VERIFY_PUSH"}),
    "user.risk": _Family(("User",), "system", debug={"risk": "{level=HIGH}"}),
    "user.session": _Family((), "self", signs_in=True),
    "user.session.clear": _Family(("User",)),
}
_FAILURES: Mapping[str, tuple[str, str]] = {
    "deny": ("DENY", "Sign-on policy evaluation resulted in DENY"),
    "error": ("FAILURE", "The other side answered with an error"),
    "exceeded": ("FAILURE", "A limit was exceeded"),
    "fail": ("FAILURE", "Policy requirements are not met"),
    "failed": ("FAILURE", "The other side answered with an error"),
    "lock": ("FAILURE", "LOCKED_OUT"),
    "outside": ("FAILURE", "The address is outside the allowed range"),
    "roadblock": ("FAILURE", "Too many assignments would be removed"),
    "violation": ("RATE_LIMIT", "Too many requests"),
}


def make_event(
    event_type: EventType | str,
    /,
    *,
    seed: int | str | random.Random | None = None,
    nulls: bool = True,
    **overrides: Any,
) -> dict[str, Any]:
    """Return a sample event as Okta delivers it: one element of ``data.events``.

    Without a seed it happens now, and every call makes another event.
    A user, a group or an app of one name has the same id in all events, whatever the seed.

    :param event_type: One of Okta's, or of your own making.
    :param seed: Equal seeds give equal events of one type, time and uuid included.
        A :class:`random.Random` is drawn from instead, and the event happens now.
    :param nulls: Whether what is absent stands there as null, as Okta sends it today, or is left out as before 2023.
    :param overrides: Top-level keys, as Okta spells them (``displayMessage``) or in snake case (``display_message``).
        A value takes the place of the sample's as a whole, and may be a datetime.
        ``target`` and ``actor`` may be said in short: ``"user:ada@example.com"``, ``"group:Engineering"``,
        ``"app:Payroll"``, or any of Okta's types before the colon; ``target`` may be one, or a list of them.
    :raises TypeError: if the event type is no string, or an override names no key of an event.
    :raises ValueError: if the event type has a blank in the place of a segment, or a short form has no colon.
    :warns UnknownEventTypeWarning: if Okta is not known to have that type.
    """
    warn_if_unknown(event_type, stacklevel=2)
    return sample_event(event_type, seed=seed, nulls=nulls, **overrides)


def warn_if_unknown(event_type: str, *, stacklevel: int) -> None:
    """Warn about an event type that Okta is not known to have.

    :param stacklevel: As for :func:`warnings.warn`, of the caller.
    :raises TypeError: if it is no string.
    :raises ValueError: if there is a blank in the place of a segment.
    """
    if not isinstance(event_type, str):
        raise TypeError(f"An event type is a string such as {_SOME_TYPE!r}, not {event_type!r}.")
    if not all(segment.strip() for segment in event_type.split(".")):
        raise ValueError(f"An event type is a string such as {_SOME_TYPE!r}, not {event_type!r}.")
    if catalog.get(event_type) is None:
        near = catalog.suggest(event_type)
        warnings.warn(
            f"{event_type!r} is no event type known in Okta's release {catalog.RELEASE}."
            + (f" Is {near!r} meant?" if near else ""),
            UnknownEventTypeWarning,
            stacklevel=stacklevel + 1,
        )


def sample_event(
    event_type: str,
    /,
    *,
    seed: int | str | random.Random | None,
    nulls: bool = True,
    **overrides: Any,
) -> dict[str, Any]:
    """Do what :func:`make_event` does, whatever the type. Nothing in the event is the caller's own object."""
    if isinstance(seed, random.Random) or seed is None:
        rng = seed or random.Random()  # noqa: S311 - nothing here is a secret
        published = datetime.now(UTC)
    else:
        rng = random.Random(f"{event_type} {seed}")  # noqa: S311 - nothing here is a secret
        published = _SEEDED_TIME + timedelta(milliseconds=rng.randrange(3_600_000))
    said = {_camel(name): copy.deepcopy(value) for name, value in overrides.items()}
    if isinstance(said.get("actor"), str):
        said["actor"] = _entity(said["actor"])
    event = _sample(event_type, rng, published, said)
    for name in overrides:
        if _camel(name) not in event:
            raise TypeError(f"An event has no key {name!r}. It has: {', '.join(event)}.")
    event |= {key: value for key, value in said.items() if key != "target"}
    event = {
        key: okta_time(value) if isinstance(value, datetime) else value
        for key, value in event.items()
    }
    return event if nulls else _without_nulls(event)


def make_delivery(
    events: Iterable[Mapping[str, Any]] | Mapping[str, Any],
    *,
    source: str = SAMPLE_SOURCE,
    event_id: str | None = None,
    event_time: datetime | None = None,
    seed: int | str | random.Random | None = None,
) -> dict[str, Any]:
    """Return the envelope in which Okta posts events to a hook.

    :param events: Several events, or one.
    :param source: The URL of the hook at Okta.
    :param event_id: The envelope's ``eventId``; by default a new one.
    :param event_time: When it is sent, aware; by default now or, with a seed, always the same time.
    :param seed: As for :func:`make_event`.
    """
    if isinstance(events, Mapping):
        events = [events]
    if isinstance(seed, random.Random) or seed is None:
        rng = seed or random.Random()  # noqa: S311 - nothing here is a secret
        sent = datetime.now(UTC)
    else:
        rng = random.Random(f"delivery {seed}")  # noqa: S311 - nothing here is a secret
        sent = _SEEDED_TIME + timedelta(hours=1, seconds=8)
    return {
        "eventType": "com.okta.event_hook",
        "eventTypeVersion": "1.0",
        "cloudEventsVersion": "0.1",
        "source": source,
        "eventId": event_id or make_uuid(rng),
        "data": {"events": [dict(event) for event in events]},
        "eventTime": okta_time(event_time or sent),
        "contentType": "application/json",
    }


def okta_time(moment: datetime) -> str:
    """Return a time as Okta writes it: UTC, in milliseconds, with a ``Z``."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="milliseconds") + "Z"


def make_id(prefix: str, rng: random.Random) -> str:
    """Return 20 characters that look like an id of Okta's.

    :param prefix: What tells the ids of one kind of thing, ``"who"`` for event hooks.
    """
    return prefix + "".join(rng.choices(_BASE62, k=20 - len(prefix)))


def make_uuid(rng: random.Random) -> str:
    """Return a UUID that a seeded source can make again."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _sample(
    event_type: str, rng: random.Random, published: datetime, said: Mapping[str, Any]
) -> dict[str, Any]:
    family = _family(event_type)
    kinds = (_named_after(event_type),) if family.targets is None else family.targets
    doer = _doer(family, said)
    person = rng.choice(_PEOPLE)
    if isinstance(doer.get("alternateId"), str):
        person = doer["alternateId"]
    given: Any = [f"{kind}:{_some(kind, person, rng)}" for kind in kinds] or None
    if "target" in said:
        given = _listed(said["target"])
    # What the caller has spelt out stays as it is; what is made here may be filled in.
    targets = given and [_target(entity) for entity in given]
    made = [
        target
        for target, entity in zip(targets or (), given or (), strict=True)
        if isinstance(entity, str)
    ]
    if "target" not in said:
        for target in made:
            if target["type"] == doer.get("type"):
                target.update(doer)
    people = [target["alternateId"] for target in made if target["type"] in _PERSONAL]
    words = re.split(r"[._]", event_type)
    result, reason = next(
        (_FAILURES[word] for word in words if word in _FAILURES), ("SUCCESS", None)
    )
    request_id = "".join(rng.choices(_BASE62, k=27))
    from_web = family.actor != "system"
    debug: dict[str, Any] = dict(family.debug)
    if from_web:
        path = "/api/v1/authn" if family.signs_in else "/api/v1/" + event_type.replace(".", "/")
        debug = {
            "requestId": request_id,
            "dtHash": hashlib.sha256(request_id.encode()).hexdigest(),
            "requestUri": path,
            "threatSuspected": "false",
            "url": f"{path}?",
        } | debug
    if "update" in words and made:
        debug["changedAttributes"] = _change(made[0], rng)
    address = _address(rng) if from_web else None
    return {
        "uuid": make_uuid(rng),
        "published": okta_time(published),
        "eventType": event_type,
        "version": "0",
        "severity": "INFO" if reason is None else "WARN",
        "displayMessage": " ".join(words).capitalize(),
        "legacyEventType": None,
        "actor": _actor(family.actor, people[0] if people else person, rng),
        "client": _client(address, rng),
        "request": None,
        "device": next((_device(target) for target in made if target["type"] == "Device"), None),
        "outcome": {"result": result, "reason": reason},
        "target": targets,
        "transaction": {"type": "WEB" if from_web else "JOB", "id": request_id, "detail": {}},
        "debugContext": {"debugData": debug},
        "authenticationContext": _authentication(request_id, signs_in=family.signs_in),
        "securityContext": {
            "asNumber": 64496 if from_web else None,
            "asOrg": "example networks" if from_web else None,
            "isp": "example networks" if from_web else None,
            "domain": "example.net" if from_web else None,
            "isProxy": False if from_web else None,
            "userBehaviors": None,
        },
        "insertionTimestamp": None,
    }


def _listed(given: Any) -> Any:
    """Return the targets that the caller has said, as a list."""
    if isinstance(given, str | Mapping):
        given = [given]
    if given is not None and not (
        isinstance(given, list | tuple) and all(isinstance(each, str | Mapping) for each in given)
    ):
        raise TypeError(
            f"target is {given!r}: it may be a short form such as 'user:ada@example.com', an object, "
            "or a list of these."
        )
    return given


def _doer(family: _Family, said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return who acts on themselves, if the caller has said it."""
    actor = said.get("actor")
    if family.actor == "self" and isinstance(actor, Mapping) and actor.get("type") in _PERSONAL:
        return actor
    return {}


def _family(event_type: str) -> _Family:
    """Return the family with the longest prefix of whole segments."""
    segments = event_type.split(".")
    for length in range(len(segments), 0, -1):
        family = _FAMILIES.get(".".join(segments[:length]))
        if family is not None:
            return family
    return _OTHER


def _named_after(event_type: str) -> str:
    """Return a type of target for events of which no more is known: ``zone.create`` has a ``Zone``."""
    nouns = event_type.split(".")[:-1] or [event_type]
    noun = nouns[1] if len(nouns) > 1 and nouns[1] != "lifecycle" else nouns[0]
    return "".join(word.capitalize() for word in re.split(r"[_-]", noun))


def _some(kind: str, person: str, rng: random.Random) -> str:
    if kind in _PERSONAL:
        return person
    return rng.choice(_KINDS[kind].names) if kind in _KINDS else f"Sample {kind}"


def _entity(said: str) -> dict[str, Any]:
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
    if kind in _PERSONAL:
        words = re.split(r"[._-]", name.partition("@")[0])
        shown = " ".join(word.capitalize() for word in words)
    return {
        "id": make_id(prefix, random.Random(f"{kind}:{name}")),  # noqa: S311 - nothing here is a secret
        "type": kind,
        # This is all that Okta says of groups.
        "alternateId": "unknown" if kind == "UserGroup" else name,
        "displayName": shown,
        "detailEntry": None,
    }


def _target(given: str | Mapping[str, Any]) -> dict[str, Any]:
    return _entity(given) | {"changeDetails": None} if isinstance(given, str) else dict(given)


def _actor(kind: str, person: str, rng: random.Random) -> dict[str, Any]:
    if kind == "system":
        return _entity("SystemPrincipal:system@okta.com") | {"displayName": "Okta System"}
    if kind == "self":
        return _entity(f"User:{person}")
    return _entity(f"User:{rng.choice([other for other in _PEOPLE if other != person])}")


def _change(target: dict[str, Any], rng: random.Random) -> str:
    """Let an attribute of the target change, and return the names of what changed."""
    if target["type"] == "User":
        before: dict[str, Any] = {"title": "Engineer"}
        after: dict[str, Any] = {"title": rng.choice(["Senior engineer", "Head of engineering"])}
    else:
        before = {"name": "Formerly", "priority": 1}
        after = {"name": target["displayName"], "priority": rng.randrange(2, 9)}
    target["changeDetails"] = {"from": before, "to": after}
    return ",".join(after)


def _address(rng: random.Random) -> dict[str, Any]:
    city, country, lat, lon = rng.choice(
        [("Utrecht", "Netherlands", 52.09, 5.12), ("Montréal", "Canada", 45.51, -73.59)]
    )
    is_v6 = rng.random() < 0.2  # noqa: PLR2004 - about as many as one sees
    last = rng.randrange(1, 255)
    return {
        "ip": f"2001:db8::{last:x}" if is_v6 else f"203.0.113.{last}",
        "geographicalContext": {
            "city": city,
            "state": None,
            "country": country,
            "postalCode": None,
            "geolocation": {"lat": lat, "lon": lon},
        },
        "version": "V6" if is_v6 else "V4",
        "source": None,
    }


def _client(address: dict[str, Any] | None, rng: random.Random) -> dict[str, Any]:
    if address is None:
        keys = ("userAgent", "zone", "device", "id", "ipAddress", "geographicalContext")
        return dict.fromkeys(keys) | {"ipChain": []}
    os, browser = rng.choice([("Mac OS X", "CHROME"), ("Windows 11", "FIREFOX")])
    return {
        "userAgent": {"rawUserAgent": "Mozilla/5.0 (sample)", "os": os, "browser": browser},
        "zone": "null",
        "device": "Computer",
        "id": None,
        "ipAddress": address["ip"],
        "geographicalContext": copy.deepcopy(address["geographicalContext"]),
        "ipChain": [address],
    }


def _device(target: dict[str, Any]) -> dict[str, Any]:
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


def _authentication(request_id: str, *, signs_in: bool) -> dict[str, Any]:
    session = f"trs{request_id[:22]}"
    return {
        "authenticationProvider": "OKTA_AUTHENTICATION_PROVIDER" if signs_in else None,
        "credentialProvider": "OKTA_CREDENTIAL_PROVIDER" if signs_in else None,
        "credentialType": "PASSWORD" if signs_in else None,
        "issuer": None,
        "interface": None,
        "authenticationStep": 0,
        "externalSessionId": session,
        "rootSessionId": session,
    }


def _camel(name: str) -> str:
    """Return Okta's spelling of a key, whether it was in snake case or not."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(item) for item in value]
    return value
