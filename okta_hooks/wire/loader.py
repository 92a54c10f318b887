"""Functions that read usual objects without marshmallow, generated from the schemas."""

from __future__ import annotations

import dataclasses
import functools
from datetime import datetime
from typing import TYPE_CHECKING, Any

from marshmallow import fields

from .fields import _OURS, _Free, _Object, _schema, _Text, _Tuple

if TYPE_CHECKING:
    from collections.abc import Callable

#: What a field takes without marshmallow: a test of `v`, and what `v` becomes. `load` is the loader of its class.
_STRAIGHT: dict[type, tuple[str, str]] = {
    _Text: ("type(v) is str", "v"),
    fields.Integer: ("type(v) is int", "v"),
    fields.Float: ("type(v) is float and v - v == 0", "v"),  # NaN and the infinite are no numbers
    fields.Boolean: ("type(v) is bool", "v"),
    fields.AwareDateTime: ("type(v) is str and v[-1:] == 'Z'", "fromisoformat(v)"),
    _Free: ("type(v) is dict", "v.copy()"),
    _Object: ("type(v) is dict", "{load}(v)"),
    _Tuple: (
        "type(v) is list",
        "tuple([{load}(e) if type(e) is dict else {load}_element(e) for e in v])",
    ),
}


@functools.cache
def _loader(cls: type) -> Callable[..., Any]:
    """Write a function that does what the schema of a class does, in a straight line.

    It takes an object, and by keyword the fields that are made here.
    What it cannot take as it is goes through the schema's field;
    if that refuses it, the function raises ``ValidationError`` or ``ValueError``.
    """
    ours = [field.name for field in dataclasses.fields(cls) if field.name in _OURS.get(cls, ())]
    # A frozen class takes longer to set its attributes than all the rest: an instance becomes one when it has them.
    thawed = type(cls.__name__, (), {"__slots__": cls.__slots__})  # type: ignore[attr-defined]
    known: dict[str, Any] = {
        "thawed": thawed,
        "cls": cls,
        "fromisoformat": datetime.fromisoformat,
    }
    lines = [f"def load({', '.join(['data', *ours])}):", "made = thawed()", "get = data.get"]
    lines += [f"made.{name} = {name}" for name in ours]
    schema = _schema(cls)
    for name, field in schema.fields.items():
        load, otherwise = f"load_{name}", f"{name}_otherwise"
        known[otherwise] = field.deserialize
        one = field.inner if isinstance(field, _Tuple) else field
        if isinstance(one, _Object):
            known |= {load: _loader(one.cls), f"{load}_element": one.deserialize}
        test, value = _STRAIGHT[type(field)]
        nothing = "()" if isinstance(field, _Tuple) else "None"
        null = f"{nothing} if v is None else " if field.allow_none else ""
        key = str(field.data_key)
        lines.append(f"v = get({key!r})")
        lines += [f"if v is None: v = get({alias!r})" for alias in schema.aliases.get(key, ())]
        lines.append(f"made.{name} = {value.format(load=load)} if {test} else {null}{otherwise}(v)")
    lines += ["made.__class__ = cls", "return made"]
    exec("\n    ".join(lines), known)  # noqa: S102 - as dataclasses do: of the declarations above, and nothing else
    made: Callable[..., Any] = known["load"]
    return made
