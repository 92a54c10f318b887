"""What the dataclasses in :mod:`okta_hooks.wire.events` declare: the keys of Okta's objects, and what stands there."""

from __future__ import annotations

import dataclasses
import functools
from types import UnionType
from typing import Any, Final, NamedTuple, get_args, get_origin, get_type_hints

from .events import ALIASES, Envelope, LogEvent
from .protocol import okta_key

#: The attributes that the parser adds: no key of Okta's stands for them.
_MADE_HERE: Final[dict[type, frozenset[str]]] = {
    LogEvent: frozenset({"raw", "problems"}),
    Envelope: frozenset({"events", "text"}),
}


class Unfit(Exception):
    """A value is not what is declared: the schema has to read the whole object."""


class Declared(NamedTuple):
    """One attribute that is read from an object.

    ``kind`` is ``str``, ``int``, ``float``, ``bool``, ``datetime``, ``dict`` for an object whose keys Okta does not
    promise, ``object`` for one that becomes a dataclass, or ``tuple`` for a list of these or of texts.
    ``cls`` is that dataclass, or None.
    """

    name: str
    key: str
    aliases: tuple[str, ...]
    is_required: bool
    kind: type
    cls: type | None


@functools.cache
def attributes_of(cls: type) -> tuple[Declared, ...]:
    """Return the attributes of a dataclass that are read from an object of Okta's, in their order."""
    hints = get_type_hints(cls)
    return tuple(
        Declared(
            field.name,
            okta_key(field.name),
            tuple(field.metadata.get(ALIASES, ())),
            field.default is dataclasses.MISSING,
            *_kind_of(hints[field.name]),
        )
        for field in dataclasses.fields(cls)
        if field.name not in made_here(cls)
    )


def made_here(cls: type) -> frozenset[str]:
    """Return the names of the attributes of a dataclass that the parser adds."""
    return _MADE_HERE.get(cls, frozenset())


def _kind_of(hint: Any) -> tuple[type, type | None]:
    bare: Any = get_args(hint)[0] if get_origin(hint) is UnionType else hint  # `X | None`
    if get_origin(bare) is tuple:
        return tuple, _dataclass(get_args(bare)[0])
    if get_origin(bare) is dict:
        return dict, None
    made = _dataclass(bare)
    return (bare, None) if made is None else (object, made)


def _dataclass(hint: Any) -> type | None:
    return hint if isinstance(hint, type) and dataclasses.is_dataclass(hint) else None
