"""Reading what Okta sends, tolerantly: bytes to an envelope, one element of it to a ``LogEvent``.

The schemas are generated from the dataclasses in :mod:`okta_hooks.wire.events`: a new field is declared there, once.
From the schemas in turn functions are generated that read what is of the plain types, twenty times as fast;
marshmallow reads the rest, and is the judge of every error.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import UnionType
from typing import Any, NamedTuple, NotRequired, TypedDict, get_args, get_origin, get_type_hints

from marshmallow import EXCLUDE, Schema, ValidationError, fields, pre_load

from okta_hooks.exceptions import UnreadableDelivery, UnreadableEvent

from .events import ALIASES, Envelope, LogEvent

try:
    import msgspec
except ImportError:  # it comes with the extra `fast`
    msgspec = None  # type: ignore[assignment]

#: Fields that are made here, not read from a key of Okta's.
_OURS: dict[type, set[str]] = {LogEvent: {"raw", "problems"}, Envelope: {"events", "text"}}
_SURROGATE = re.compile("[\ud800-\udfff]")
#: The longest text, in characters, that is kept in a column of its own.
_LONGEST = 200


def load_delivery(body: bytes, *, keys_only: bool = False) -> Envelope:
    """Read the body of a delivery, without looking into its events.

    :param body: The request body: JSON in UTF-8 (UTF-16 and UTF-32 are recognised too).
    :param keys_only: Whether of the events nothing matters but what identifies them, and :func:`event_keys`.
        Then msgspec reads them if it is installed, and nothing else is there.
    :raises UnreadableDelivery: if it is not JSON, or has no list at ``data.events``.
    """
    document, text = (_read_keys(body) if keys_only else None) or _read(body)
    events = _events(document)
    if events is None:
        raise UnreadableDelivery("The body has no list at data.events.")
    try:
        envelope: Envelope = _loader(Envelope)(document, events=tuple(events), text=text)
    except (ValidationError, ValueError):
        known, _ = _load(_schema(Envelope), document)
        envelope = Envelope(**known, events=tuple(events), text=text)
    return envelope


def _read(body: bytes) -> tuple[Any, str]:
    """Return what a body says, and the body as text that can be written in UTF-8."""
    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass")
        document = json.loads(text)
    except (ValueError, RecursionError):
        # `from None`: the decoder's error carries the whole body.
        raise UnreadableDelivery("The body is not JSON that can be read.") from None
    try:
        text.encode()
    except UnicodeEncodeError:
        # JSON text has other than printable characters only in strings, so an escape stands for the same.
        text = _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return document, text


class _KeysOfEvent(TypedDict):
    uuid: str
    eventType: str
    published: NotRequired[str | None]


class _KeysOfData(TypedDict):
    events: list[_KeysOfEvent]


class _Keys(TypedDict):
    data: _KeysOfData
    eventId: NotRequired[str | None]
    eventID: NotRequired[str | None]
    source: NotRequired[str | None]


_keys = msgspec and msgspec.json.Decoder(_Keys)
#: So many digits among the bytes that are looked at are a number of more than 4,096: Python reads 4,300.
_LONG_NUMBER = re.compile(rb"[0-9]{16}")
_STRIDE = 256


def _read_keys(body: bytes) -> tuple[Any, str] | None:
    """Return what :func:`_read` does, with only these keys, by msgspec, which makes nothing of the rest.

    None where its judgement might differ from the standard library's, or it is not installed.
    """
    if _keys is None or _LONG_NUMBER.search(body[::_STRIDE]):
        return None
    try:
        document = _keys.decode(body)
        text = body.decode()
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    # Another event is known by all that it says.
    if all(is_plain(raw["uuid"]) for raw in document["data"]["events"]):
        return document, text
    return None


def _events(document: Any) -> list[Any] | None:
    data = document.get("data") if isinstance(document, dict) else None
    events = data.get("events") if isinstance(data, dict) else None
    return events if isinstance(events, list) else None


def is_plain(text: str) -> bool:
    """Return whether a text can be in a column of its own, and tell an event from others."""
    return 0 < len(text) <= _LONGEST and text.isascii() and text.isprintable()


class EventKeys(NamedTuple):
    """What the inbox has columns for: the type, and when it happened, in seconds since the epoch."""

    event_type: str
    published: float | None


def event_keys(raw: object) -> EventKeys:
    """Read of an event only what the inbox needs: quick enough to do it before the answer.

    :param raw: As for :func:`load_event`.
    :raises UnreadableEvent: as :func:`load_event`, for the same events.
    """
    if not isinstance(raw, (dict, Mapping)):  # a dict is told quicker
        raise UnreadableEvent("The event is not a JSON object.")
    event_type = raw.get("eventType")
    if not isinstance(event_type, str):
        event_type = load_event(raw).event_type
    try:
        published = datetime.fromisoformat(raw["published"])
        if published.tzinfo is None:
            published = published.replace(tzinfo=UTC)
        return EventKeys(event_type, published.timestamp())
    except (KeyError, TypeError, ValueError, OverflowError):
        return EventKeys(event_type, None)


def load_event(raw: object) -> LogEvent:
    """Read one event.

    What does not fit its field is None (an element of a list that is no object is dropped),
    and ``problems`` of the event names it.

    :param raw: An element of ``data.events``, as :func:`json.loads` made it.
    :raises UnreadableEvent: if it is no object, or has no ``eventType`` that is text.
    """
    if not isinstance(raw, (dict, Mapping)):  # a dict is told quicker
        raise UnreadableEvent("The event is not a JSON object.")
    try:
        event: LogEvent = _loader(LogEvent)(raw, raw=dict(raw), problems={})
    except (ValidationError, ValueError):
        known, problems = _load(_schema(LogEvent), raw)
        if known.get("event_type") is None:
            # `from None`: marshmallow's error carries the event.
            raise UnreadableEvent("The event has no eventType, or one that is not text.") from None
        event = LogEvent(**known, raw=dict(raw), problems=problems)
    return event


def load_object(cls: Any, raw: object) -> tuple[Any, dict[str, Any]]:
    """Read any object of Okta's into a dataclass, as tolerantly as an event.

    :param cls: Its attributes are Okta's keys in snake case.
    :return: the object, or None if ``raw`` is none or lacks what the class requires; and marshmallow's messages.
    """
    if not isinstance(raw, Mapping):
        return None, {"_schema": ["Not a valid object."]}
    known, problems = _load(_schema(cls), raw)
    required = {
        item.name for item in dataclasses.fields(cls) if item.default is dataclasses.MISSING
    }
    return (None if required - known.keys() else cls(**known)), problems


class _Tolerant(Schema):
    """The base of the generated schemas: ignores what it does not know, reads aliases."""

    aliases: Mapping[str, tuple[str, ...]] = {}

    class Meta:
        """Okta adds keys without notice."""

        unknown = EXCLUDE

    @pre_load
    def _read_aliases(self, data: Any, **_: Any) -> Any:
        for key, aliases in self.aliases.items():
            spelt = [alias for alias in aliases if data.get(alias) is not None]
            if spelt and data.get(key) is None:
                data = {**data, key: data[spelt[0]]}
        return data


class _Text(fields.String):
    """A string. Okta sends ``version`` and ``postalCode`` as numbers, too."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                value = str(value)
            except ValueError as error:  # more digits than Python writes out
                raise self.make_error("invalid") from error
        return super()._deserialize(value, *args, **kwargs)


class _Free(fields.Dict):
    """An object whose keys Okta does not promise. An empty string stands for none."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if value == "":
            return None
        return super()._deserialize(value, *args, **kwargs)  # type: ignore[no-untyped-call]


class _Object(fields.Field[Any]):
    """An object that becomes a dataclass, from whatever part of it did fit."""

    def __init__(self, cls: type, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cls = cls
        self.schema = _schema(cls)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if value == "" and self.allow_none:  # in a list, neither null nor "" is an element
            return None
        if not isinstance(value, Mapping):
            raise ValidationError("Not a valid object.")
        known, problems = _load(self.schema, value)
        made = self.cls(**known)
        if problems:
            raise ValidationError(problems, valid_data=made)
        return made


class _Tuple(fields.List[Any]):
    """A list that becomes a tuple, empty for null, without the elements that do not fit."""

    def deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return tuple(super().deserialize(value, *args, **kwargs) or ())
        except ValidationError as error:
            kept: Any = tuple(error.valid_data or ())
            raise ValidationError(error.messages, valid_data=kept) from error


def _load(schema: Schema, data: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what fits, and marshmallow's messages for what does not."""
    try:
        return schema.load(data), {}
    except ValidationError as error:
        known: Any = error.valid_data
        return known, error.normalized_messages()  # type: ignore[no-untyped-call]


@functools.cache
def _schema(cls: type) -> _Tolerant:
    """Make the schema of a dataclass; once, because that is slow and an instance is thread-safe."""
    hints = get_type_hints(cls)
    declared = [field for field in dataclasses.fields(cls) if field.name not in _OURS.get(cls, ())]
    members: dict[str, Any] = {
        field.name: _field(
            hints[field.name],
            data_key=_camel(field.name),
            required=field.default is dataclasses.MISSING,
        )
        for field in declared
    }
    aliases = {
        _camel(field.name): field.metadata[ALIASES]
        for field in declared
        if field.metadata.get(ALIASES)
    }
    made: type[_Tolerant] = type(
        f"{cls.__name__}Schema", (_Tolerant,), {**members, "aliases": aliases}
    )
    return made()


def _field(hint: Any, *, data_key: str, required: bool) -> fields.Field[Any]:
    """Return the field that an annotation stands for."""
    options: Any = {"data_key": data_key, "required": required, "allow_none": not required}
    bare: Any = get_args(hint)[0] if get_origin(hint) is UnionType else hint  # `X | None`
    if get_origin(bare) is tuple:
        of = get_args(bare)[0]
        return _Tuple(_Text() if of is str else _Object(of), **options)
    if get_origin(bare) is dict:
        return _Free(**options)
    if isinstance(bare, type) and dataclasses.is_dataclass(bare):
        return _Object(bare, **options)
    made: fields.Field[Any] = _PLAIN[bare](**options)
    return made


_PLAIN: dict[type, Any] = {
    str: _Text,
    int: functools.partial(fields.Integer, strict=True),
    float: fields.Float,
    bool: fields.Boolean,
    datetime: functools.partial(fields.AwareDateTime, format="iso", default_timezone=UTC),
}


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


def _camel(name: str) -> str:
    """Return Okta's spelling of one of our names: ``from_`` is ``from``, ``event_type`` ``eventType``."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(word.capitalize() for word in rest)
