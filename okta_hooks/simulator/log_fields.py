"""The fields of an event that a filter of the System Log may name.

https://developer.okta.com/docs/api/openapi/okta-management/management/tag/SystemLog/
"""

from __future__ import annotations

import functools
from typing import Any, Final

from okta_hooks.wire.declared import attributes_of
from okta_hooks.wire.events import LogEvent

from . import errors

#: What ``since`` and ``until`` are for.
_NOT_FILTERED: Final = "published"


def keys_of(path: str) -> tuple[str, ...]:
    """Return the JSON keys that a path of a filter leads through.

    :param path: With dots; each name as in JSON or in snake case, such as ``actor.alternate_id``.
    :raises RequestRefused: if events have no such field, or none that can be filtered by.
    """
    keys: list[str] = []
    kind: Any = LogEvent
    for name in path.split("."):
        if kind is dict:
            if not name:
                raise errors.unknown_field(path)
            keys.append(name)
            continue
        fields = {} if kind is None else fields_of(kind)
        if name not in fields:
            raise errors.unknown_field(path)
        key, kind = fields[name]
        keys.append(key)
    if keys[0] == _NOT_FILTERED:
        raise errors.unknown_field(path)
    return tuple(keys)


def is_object(keys: tuple[str, ...]) -> bool:
    """Return whether a field holds an object, or a list of objects, and so can be compared to nothing."""
    kind: Any = LogEvent
    for key in keys:
        if kind is dict:
            return False
        kind = fields_of(kind)[key][1]
        if kind is None:
            return False
    return True


@functools.cache
def fields_of(kind: Any) -> dict[str, tuple[str, Any]]:
    """Return the fields of a class by both of their names: the JSON key, and what an object there is made of.

    That is another class, ``dict`` for an object whose keys Okta does not promise, or None for a plain value.
    """
    found = {}
    for each in attributes_of(kind):
        objects = dict if each.kind is dict else each.cls
        found[each.key] = found[each.name] = (each.key, objects)
    return found
