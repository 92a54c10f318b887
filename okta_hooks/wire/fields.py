"""The marshmallow schemas of the dataclasses in :mod:`okta_hooks.wire.events`, generated from their annotations."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load

from .declared import Unfit, attributes_of

if TYPE_CHECKING:
    from .declared import Declared


class _TolerantSchema(Schema):
    """The base of the generated schemas: it ignores unknown keys, and reads a field from its aliases too."""

    aliases: Mapping[str, tuple[str, ...]] = {}

    class Meta:
        """Okta adds keys without notice."""

        unknown = EXCLUDE

    @pre_load
    def _read_aliases(self, data: Any, **_: Any) -> Any:
        for key, aliases in self.aliases.items():
            present = [alias for alias in aliases if data.get(alias) is not None]
            if present and data.get(key) is None:
                data = {**data, key: data[present[0]]}
        return data


class Text(fields.String):
    """A string. Okta sends ``version`` and ``postalCode`` as numbers, too."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                value = str(value)
            except ValueError as error:  # more digits than Python writes out
                raise self.make_error("invalid") from error
        return super()._deserialize(value, *args, **kwargs)


class FreeObject(fields.Dict):
    """An object whose keys Okta does not promise. An empty string stands for none."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if value == "":
            return None
        return super()._deserialize(value, *args, **kwargs)  # type: ignore[no-untyped-call]


class Object(fields.Field[Any]):
    """An object that becomes a dataclass, made of those of its values that fit."""

    def __init__(self, cls: type, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cls = cls
        self.schema = schema_of(cls)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if value == "" and self.allow_none:  # an element of a list may be neither null nor ""
            return None
        if not isinstance(value, Mapping):
            raise ValidationError("Not a valid object.")
        known, problems = load_fitting(self.schema, value)
        made = self.cls(**known)
        if problems:
            raise ValidationError(problems, valid_data=made)
        return made


class Tuple(fields.List[Any]):
    """A list that becomes a tuple, empty for null, without the elements that do not fit."""

    def deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        """Read a list: here and not in ``_deserialize``, which marshmallow does not call for null."""
        try:
            return tuple(super().deserialize(value, *args, **kwargs) or ())
        except ValidationError as error:
            kept: Any = tuple(error.valid_data or ())
            raise ValidationError(error.messages, valid_data=kept) from error


def load_fitting(schema: Schema, data: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what fits, and marshmallow's messages for what does not."""
    try:
        return schema.load(data), {}
    except ValidationError as error:
        known: Any = error.valid_data
        return known, error.normalized_messages()  # type: ignore[no-untyped-call]


def load_attribute(cls: type, name: str, value: Any) -> Any:
    """Return what the schema of a dataclass makes of the value of one attribute.

    :raises Unfit: if it refuses that.
    """
    try:
        return schema_of(cls).fields[name].deserialize(value)
    except ValidationError:
        # `from None`: the error carries the value.
        raise Unfit from None


@functools.cache
def schema_of(cls: type) -> _TolerantSchema:
    """Return the schema of a dataclass. It is generated once, which is slow, and may be used by many threads."""
    declared = attributes_of(cls)
    members: dict[str, Any] = {each.name: _field_of(each) for each in declared}
    aliases = {each.key: each.aliases for each in declared if each.aliases}
    made: type[_TolerantSchema] = type(
        f"{cls.__name__}Schema", (_TolerantSchema,), {**members, "aliases": aliases}
    )
    return made()


def _field_of(declared: Declared) -> fields.Field[Any]:
    """Return the field that reads an attribute."""
    options: Any = {
        "data_key": declared.key,
        "required": declared.is_required,
        "allow_none": not declared.is_required,
    }
    if declared.kind is tuple:
        return Tuple(Text() if declared.cls is None else Object(declared.cls), **options)
    if declared.cls is not None:
        return Object(declared.cls, **options)
    made: fields.Field[Any] = _PLAIN[declared.kind](**options)
    return made


_PLAIN: dict[type, Any] = {
    str: Text,
    int: functools.partial(fields.Integer, strict=True),
    float: fields.Float,
    bool: fields.Boolean,
    datetime: functools.partial(fields.AwareDateTime, format="iso", default_timezone=UTC),
    dict: FreeObject,
}
