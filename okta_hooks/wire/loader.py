"""Functions that read an object of Okta's into its dataclass without marshmallow, if its values are of the usual types.

They are generated, one for each class, and twenty times as fast. What they do not read themselves is left to the
schemas in :mod:`okta_hooks.wire.fields`, and marshmallow is imported then.
"""

from __future__ import annotations

import functools
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from .declared import Unfit, attributes_of, made_here

if TYPE_CHECKING:
    from collections.abc import Callable

#: For each kind of attribute the source of a test of a value `v` that needs no marshmallow, and of what becomes of it.
#: `{load}` is the function for the class of its objects.
_FAST_PATHS: Final[dict[type, tuple[str, str]]] = {
    str: ("type(v) is str", "v"),
    int: ("type(v) is int", "v"),
    float: ("type(v) is float and v - v == 0", "v"),  # false of NaN and the infinities
    bool: ("type(v) is bool", "v"),
    datetime: ("type(v) is str and v[-1:] == 'Z'", "fromisoformat(v)"),
    dict: ("type(v) is dict", "v.copy()"),
    object: ("type(v) is dict", "{load}(v)"),
    tuple: ("type(v) is list", "tuple([{load}(e) if type(e) is dict else refuse(e) for e in v])"),
}


@functools.cache
def loader_of(cls: type) -> Callable[..., Any]:
    """Generate the function that reads one object as the schema of a class does.

    It takes the object, and by keyword the attributes that the parser adds.
    It has one line for each key, without a loop or a call where the value is of the expected type.
    Any other value goes through the schema's field; if that refuses it, the function raises
    :exc:`.Unfit` or ``ValueError``, and the schema has to read the whole object.

    :param cls: One of the dataclasses in :mod:`okta_hooks.wire.events`.
    """
    added = sorted(made_here(cls))
    # The __init__ of a frozen dataclass sets each attribute by object.__setattr__, which takes longer than all the
    # rest. So the attributes are set on an instance of a class with the same slots, which then changes its class.
    mutable = type(cls.__name__, (), {"__slots__": cls.__slots__})  # type: ignore[attr-defined]
    names: dict[str, Any] = {
        "mutable": mutable,
        "cls": cls,
        "fromisoformat": datetime.fromisoformat,
        "refuse": _refuse,
        "by_schema": functools.partial(_by_schema, cls),
    }
    lines = [f"def load({', '.join(['data', *added])}):", "made = mutable()", "get = data.get"]
    lines += [f"made.{name} = {name}" for name in added]
    for each in attributes_of(cls):
        load = f"load_{each.name}"
        if each.cls is not None:
            names[load] = loader_of(each.cls)
        test, value = _FAST_PATHS[each.kind]
        empty = "()" if each.kind is tuple else "None"
        null = "" if each.is_required else f"{empty} if v is None else "
        otherwise = f"{null}by_schema({each.name!r}, v)"
        lines.append(f"v = get({each.key!r})")
        lines += [f"if v is None: v = get({alias!r})" for alias in each.aliases]
        lines.append(f"made.{each.name} = {value.format(load=load)} if {test} else {otherwise}")
    lines += ["made.__class__ = cls", "return made"]
    exec("\n    ".join(lines), names)  # noqa: S102 - as dataclasses do: the source is made of our declarations alone
    loader: Callable[..., Any] = names["load"]
    return loader


def _by_schema(cls: type, name: str, value: Any) -> Any:
    from .fields import load_attribute  # marshmallow, which most events do not need

    return load_attribute(cls, name, value)


def _refuse(element: object) -> Any:
    """Refuse an element of a list that is no object."""
    raise Unfit(type(element).__name__)
