"""The fields of an event that a filter of the System Log may name.

https://developer.okta.com/docs/api/openapi/okta-management/management/tag/SystemLog/
"""

from __future__ import annotations

import dataclasses
import functools
from types import UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints

from okta_hooks.wire.events import LogEvent
from okta_hooks.wire.fields import MADE_HERE
from okta_hooks.wire.protocol import okta_key

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
    hints = get_type_hints(kind)
    found = {}
    for field in dataclasses.fields(kind):
        if field.name in MADE_HERE.get(kind, ()):
            continue
        key = okta_key(field.name)
        found[key] = found[field.name] = (key, _object_in(hints[field.name]))
    return found


def _object_in(hint: Any) -> Any:
    """Return the class of the objects in a field, ``dict`` for any object, None for a plain value."""
    if isinstance(hint, UnionType):
        (hint,) = (each for each in get_args(hint) if each is not type(None))
    if get_origin(hint) is tuple:
        hint = get_args(hint)[0]
    if get_origin(hint) is dict:
        return dict
    return hint if dataclasses.is_dataclass(hint) else None
