"""Sample events and deliveries, made of the entities and by the rules of the event type's family."""

from __future__ import annotations

import copy
import hashlib
import random
import re
import uuid
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from okta_hooks import catalog
from okta_hooks.exceptions import UnknownEventTypeWarning
from okta_hooks.wire.protocol import okta_key, okta_time

from .entities import (
    BASE62,
    PEOPLE,
    PERSONAL,
    actor_of,
    change_attribute,
    device_of,
    entity,
    random_source,
    some_name,
    target_of,
)
from .families import FAILURES, Family, family_of, named_after

if TYPE_CHECKING:
    from collections.abc import Iterable

    from okta_hooks.catalog import EventType

#: The hook at Okta that sample deliveries say they are from.
SAMPLE_SOURCE: Final = "https://example.okta.com/api/v1/eventHooks/whoSampleHook0000000"
#: When an event with a seed happened, give or take an hour.
_SEEDED_TIME: Final = datetime(2026, 8, 3, 9, 0, tzinfo=UTC)
_SOME_TYPE: Final = "user.lifecycle.create"
#: About as many as one sees.
_SHARE_OF_IPV6: Final = 0.2


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
        rng = seed or random_source()
        published = datetime.now(UTC)
    else:
        rng = random_source(f"{event_type} {seed}")
        published = _SEEDED_TIME + timedelta(milliseconds=rng.randrange(3_600_000))
    said = {okta_key(name): copy.deepcopy(value) for name, value in overrides.items()}
    if isinstance(said.get("actor"), str):
        said["actor"] = entity(said["actor"])
    event = _sample(event_type, rng, published, said)
    for name in overrides:
        if okta_key(name) not in event:
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
        rng = seed or random_source()
        sent = datetime.now(UTC)
    else:
        rng = random_source(f"delivery {seed}")
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


def make_uuid(rng: random.Random) -> str:
    """Return a UUID that a seeded source can make again."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _sample(
    event_type: str, rng: random.Random, published: datetime, said: Mapping[str, Any]
) -> dict[str, Any]:
    family = family_of(event_type)
    kinds = (named_after(event_type),) if family.targets is None else family.targets
    doer = _doer(family, said)
    person = rng.choice(PEOPLE)
    if isinstance(doer.get("alternateId"), str):
        person = doer["alternateId"]
    given: Any = [f"{kind}:{some_name(kind, person, rng)}" for kind in kinds] or None
    if "target" in said:
        given = _listed(said["target"])
    # What the caller has spelt out stays as it is; what is made here may be filled in.
    targets = given and [target_of(each) for each in given]
    made = [
        target
        for target, each in zip(targets or (), given or (), strict=True)
        if isinstance(each, str)
    ]
    if "target" not in said:
        for target in made:
            if target["type"] == doer.get("type"):
                target.update(doer)
    people = [target["alternateId"] for target in made if target["type"] in PERSONAL]
    words = re.split(r"[._]", event_type)
    result, reason = next((FAILURES[word] for word in words if word in FAILURES), ("SUCCESS", None))
    request_id = "".join(rng.choices(BASE62, k=27))
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
        debug["changedAttributes"] = change_attribute(made[0], rng)
    address = _address(rng) if from_web else None
    return {
        "uuid": make_uuid(rng),
        "published": okta_time(published),
        "eventType": event_type,
        "version": "0",
        "severity": "INFO" if reason is None else "WARN",
        "displayMessage": " ".join(words).capitalize(),
        "legacyEventType": None,
        "actor": actor_of(family.actor, people[0] if people else person, rng),
        "client": _client(address, rng),
        "request": None,
        "device": next((device_of(target) for target in made if target["type"] == "Device"), None),
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


def _doer(family: Family, said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return who acts on themselves, if the caller has said it."""
    actor = said.get("actor")
    if family.actor == "self" and isinstance(actor, Mapping) and actor.get("type") in PERSONAL:
        return actor
    return {}


def _address(rng: random.Random) -> dict[str, Any]:
    city, country, lat, lon = rng.choice(
        [("Utrecht", "Netherlands", 52.09, 5.12), ("Montréal", "Canada", 45.51, -73.59)]
    )
    is_v6 = rng.random() < _SHARE_OF_IPV6
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


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(item) for item in value]
    return value
