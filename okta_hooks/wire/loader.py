"""Functions that read an object of Okta's into its dataclass without marshmallow, if its values are of the usual types.

They are generated from the schemas in :mod:`okta_hooks.wire.fields`, one for each class, and twenty times as fast.
"""

from __future__ import annotations

import dataclasses
import functools
from datetime import datetime
from typing import TYPE_CHECKING, Any

from marshmallow import fields

from .fields import MADE_HERE, FreeObject, Object, Text, Tuple, schema_of

if TYPE_CHECKING:
    from collections.abc import Callable

#: For each kind of field the source of a test of a value `v` that needs no marshmallow, and of what becomes of it.
#: `{load}` is the function for the class of the field's objects.
_FAST_PATHS: dict[type, tuple[str, str]] = {
    Text: ("type(v) is str", "v"),
    fields.Integer: ("type(v) is int", "v"),
    fields.Float: ("type(v) is float and v - v == 0", "v"),  # false of NaN and the infinities
    fields.Boolean: ("type(v) is bool", "v"),
    fields.AwareDateTime: ("type(v) is str and v[-1:] == 'Z'", "fromisoformat(v)"),
    FreeObject: ("type(v) is dict", "v.copy()"),
    Object: ("type(v) is dict", "{load}(v)"),
    Tuple: (
        "type(v) is list",
        "tuple([{load}(e) if type(e) is dict else {load}_element(e) for e in v])",
    ),
}


@functools.cache
def loader_of(cls: type) -> Callable[..., Any]:
    """Generate the function that reads one object as the schema of a class does.

    It takes the object, and by keyword the attributes that :data:`~okta_hooks.wire.fields.MADE_HERE` names.
    It has one line for each key, without a loop or a call where the value is of the expected type.
    Any other value goes through the schema's field; if that refuses it, the function raises
    ``ValidationError`` or ``ValueError``, and the schema has to read the whole object.

    :param cls: One of the dataclasses in :mod:`okta_hooks.wire.events`.
    """
    made_here = [
        field.name for field in dataclasses.fields(cls) if field.name in MADE_HERE.get(cls, ())
    ]
    # The __init__ of a frozen dataclass sets each attribute by object.__setattr__, which takes longer than all the
    # rest. So the attributes are set on an instance of a class with the same slots, which then changes its class.
    mutable = type(cls.__name__, (), {"__slots__": cls.__slots__})  # type: ignore[attr-defined]
    names: dict[str, Any] = {
        "mutable": mutable,
        "cls": cls,
        "fromisoformat": datetime.fromisoformat,
    }
    lines = [f"def load({', '.join(['data', *made_here])}):", "made = mutable()", "get = data.get"]
    lines += [f"made.{name} = {name}" for name in made_here]
    schema = schema_of(cls)
    for name, field in schema.fields.items():
        load, otherwise = f"load_{name}", f"{name}_otherwise"
        names[otherwise] = field.deserialize
        inner = field.inner if isinstance(field, Tuple) else field
        if isinstance(inner, Object):
            names |= {load: loader_of(inner.cls), f"{load}_element": inner.deserialize}
        test, value = _FAST_PATHS[type(field)]
        empty = "()" if isinstance(field, Tuple) else "None"
        null = f"{empty} if v is None else " if field.allow_none else ""
        key = str(field.data_key)
        lines.append(f"v = get({key!r})")
        lines += [f"if v is None: v = get({alias!r})" for alias in schema.aliases.get(key, ())]
        lines.append(f"made.{name} = {value.format(load=load)} if {test} else {null}{otherwise}(v)")
    lines += ["made.__class__ = cls", "return made"]
    exec("\n    ".join(lines), names)  # noqa: S102 - as dataclasses do: the source is made of our declarations alone
    loader: Callable[..., Any] = names["load"]
    return loader
