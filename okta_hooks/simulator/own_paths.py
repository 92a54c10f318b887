"""The paths that no org of Okta's has: by them the simulator is told what is to happen, and tells what did."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from okta_hooks import catalog
from okta_hooks.exceptions import ConfigurationError

from . import errors
from .emitter import FAULTS
from .json_bodies import as_answer, no_content, read_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask, Response

    from .org import Org

_MOST_EVENTS: Final = 10_000
_PREVIEW_KEYS: Final = ("hook", "type", "uuid", "target", "overrides")
_EMIT_KEYS: Final = ("type", "count", "target", "overrides", "faults", "delay")
#: Names of parameters of `emit`, `preview` and `make_event`, which no override can have.
_NO_OVERRIDES: Final = frozenset({"self", "event_type", "count", "faults", "delay", "seed"})
_NO_EDITS: Final = frozenset({"self", "hook_id", "event_type", "uuid", "seed", "nulls"})


def add_own_paths(app: Flask, org: Org) -> None:
    """Add the paths of the simulator's own; they need no token."""

    @app.post("/simulator/events")
    def emit() -> Response:
        body = read_object('An object such as {"type": "user.lifecycle.create"}')
        return as_answer({"uuids": _emit(org, body)})

    @app.post("/simulator/previews")
    def preview() -> Response:
        body = read_object('An object such as {"hook": "who...", "type": "user.lifecycle.create"}')
        return as_answer({"uuid": _preview(org, body)})

    @app.get("/simulator/deliveries")
    def deliveries() -> Response:
        return as_answer(org.deliveries())

    @app.post("/simulator/faults")
    def add_fault() -> Response:
        body = read_object('An object such as {"status": 503}')
        _call(org.api_faults.add, "simulator fault", body)
        return no_content()

    @app.delete("/simulator/faults")
    def clear_faults() -> Response:
        org.api_faults.clear()
        return no_content()

    @app.post("/simulator/tokens")
    def add_token() -> Response:
        body = read_object('An object such as {"token": "T", "permissions": ["okta.logs.read"]}')
        _call(org.access.add_token, "simulator token", body)
        return no_content()

    @app.post("/simulator/service-apps")
    def add_service_app() -> Response:
        body = read_object('An object with "client_id", "public_key" and "scopes"')
        _call(org.access.add_service_app, "simulator service app", body)
        return no_content()


def _call(function: Callable[..., object], subject: str, body: dict[str, Any]) -> None:
    """Call a function with the keys of a body.

    :raises RequestRefused: if it takes no such key or value.
    """
    try:
        inspect.signature(function).bind(**body)
        function(**body)
    except (TypeError, ValueError, ConfigurationError) as error:
        raise errors.invalid(subject, str(error)) from error


def _unknown_keys(body: dict[str, Any], known: tuple[str, ...]) -> list[str]:
    return [f"{key}: No such key: there are {', '.join(known)}" for key in body if key not in known]


def _event_type(body: dict[str, Any], causes: list[str]) -> Any:
    event_type: Any = body.get("type")
    if "type" not in body:
        causes.append("type: The event type is needed, such as user.lifecycle.create")
    elif not isinstance(event_type, str) or catalog.get(event_type) is None:
        near = catalog.suggest(event_type) if isinstance(event_type, str) else None
        causes.append(
            f"type: {event_type!r} is none of Okta's event types"
            + (f"; is {near!r} meant?" if near else "")
        )
    return event_type


def _overrides(body: dict[str, Any], causes: list[str], excepted: frozenset[str]) -> dict[str, Any]:
    """Return the keys of the event that a body says.

    :param excepted: Names of parameters, which no override can have.
    """
    overrides = body.get("overrides") or {}
    if not isinstance(overrides, dict):
        causes.append("overrides: An object")
        return {}
    causes += [f"overrides: An event has no key {key!r}" for key in overrides if key in excepted]
    return {"target": body["target"], **overrides} if "target" in body else overrides


def _preview(org: Org, body: dict[str, Any]) -> Any:
    """Do what ``POST /simulator/previews`` says."""
    causes = _unknown_keys(body, _PREVIEW_KEYS)
    hook_id, event_type, uuid = body.get("hook"), _event_type(body, causes), body.get("uuid")
    if not isinstance(hook_id, str):
        causes.append("hook: The id of a hook is needed")
    if not isinstance(uuid, str | None):
        causes.append("uuid: A text, or none for the last event of the type")
    edits = _overrides(body, causes, _NO_EDITS)
    if causes:
        raise errors.invalid("simulator preview", *causes)
    try:
        event = org.preview(str(hook_id), event_type, uuid=uuid, **edits)
    except (TypeError, ValueError) as error:
        raise errors.invalid("simulator preview", str(error)) from error
    return event["uuid"]


def _emit(org: Org, body: dict[str, Any]) -> list[str]:
    """Do what ``POST /simulator/events`` says."""
    causes = _unknown_keys(body, _EMIT_KEYS)
    event_type = _event_type(body, causes)
    count, delay = body.get("count", 1), body.get("delay", 0)
    faults = body.get("faults") or []
    if type(count) is not int or not 1 <= count <= _MOST_EVENTS:
        causes.append(f"count: A number from 1 to {_MOST_EVENTS}")
    if type(delay) not in (int, float) or not 0 <= delay <= timedelta(days=1).total_seconds():
        causes.append("delay: A number of seconds from 0 to a day")
    if not isinstance(faults, list) or not all(fault in FAULTS for fault in faults):
        causes.append(f"faults: A list of {', '.join(FAULTS)}")
    overrides = _overrides(body, causes, _NO_OVERRIDES)
    if causes:
        raise errors.invalid("simulator event", *causes)
    try:
        events = org.emit(event_type, count=count, faults=faults, delay=delay, **overrides)
    except (TypeError, ValueError) as error:
        raise errors.invalid("simulator event", str(error)) from error
    return [event["uuid"] for event in events]
