"""What the Preview of the Admin Console sends: a past event, which may be edited, or a sample where there is none.

https://developer.okta.com/docs/concepts/event-hooks/
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from okta_hooks.testing import sample_event
from okta_hooks.wire.events import LogEvent
from okta_hooks.wire.protocol import okta_key

from .log_events import as_delivered
from .log_fields import fields_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from .system_log import SystemLog


def preview_of(
    log: SystemLog,
    event_type: str,
    uuid: str | None,
    edits: Mapping[str, Any],
    *,
    now: datetime,
    rng: random.Random,
) -> dict[str, Any]:
    """Return the event that a preview sends. It has every key, null where there is nothing.

    :param uuid: Which event of the log; None for the last of the type, or a sample if the log has none.
    :param edits: As the overrides of :func:`okta_hooks.testing.make_event`.
    :param rng: Draws the sample.
    :raises TypeError: if an edit names no key of an event.
    :raises ValueError: if the log has no event of the type with that uuid, or an edit cannot be.
    """
    # Before anything is drawn from `rng`: what cannot be does not change what comes next.
    edited = sample_event(event_type, seed=random.Random(0), nulls=True, **edits)
    past = log.find(event_type, uuid, now)
    if past is not None:
        event = _with_nulls(as_delivered(past), LogEvent)
    elif uuid is not None:
        raise ValueError(f"The log has no {event_type} with the uuid {uuid!r}.")
    else:
        event = sample_event(
            event_type, seed=rng, published=now, actor=None, target=None, debug_context=None
        )
    return {**event, **{okta_key(name): edited[okta_key(name)] for name in edits}}


def _with_nulls(value: Any, kind: Any) -> Any:
    """Return JSON with the keys that are missing in it.

    :param kind: What an object is made of, as in :func:`~okta_hooks.simulator.log_fields.fields_of`.
    """
    if isinstance(value, list):
        return [_with_nulls(each, kind) for each in value]
    if not isinstance(value, dict) or kind in (dict, None):
        return value
    kinds = dict(fields_of(kind).values())
    return {key: _with_nulls(value.get(key), kinds.get(key)) for key in (*kinds, *value)}
