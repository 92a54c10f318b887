"""The language of the System Log's filters.

https://developer.okta.com/docs/reference/system-log-query/
"""

from __future__ import annotations

import json
import operator
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from . import errors
from .log_fields import is_object, keys_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: How deep parentheses may be nested. Okta names no number.
_DEEPEST: Final = 20

Predicate: TypeAlias = "Callable[[Mapping[str, Any]], bool]"
Comparison: TypeAlias = "Callable[[Any, Any], bool]"

_TOKEN: Final = re.compile(r"""\s*(?:(?P<token>[()]|"(?:[^"\\]|\\.)*"|[^\s()"]+)|(?P<end>\Z))""")

_OF_STRINGS: Final[Mapping[str, Comparison]] = {
    "co": lambda found, value: value in found,
    "sw": lambda found, value: bool(found.startswith(value)),
    "ew": lambda found, value: bool(found.endswith(value)),
}
_OF_ORDER: Final[Mapping[str, Comparison]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_OPERATORS: Final = ("eq", "ne", *_OF_STRINGS, "pr", *_OF_ORDER)
#: What Okta names as unsupported.
_UNSUPPORTED: Final = {
    ("co", ("debugContext", "debugData", "url")),
    ("co", ("debugContext", "debugData", "requestUri")),
}


class _Token(NamedTuple):
    """A word of an expression, and where it stands."""

    text: str
    position: int


def read_log_filter(text: str) -> Predicate:
    """Return what a filter expression asks of an event.

    It may have ``eq``, ``ne``, ``co``, ``sw``, ``ew``, ``pr``, ``gt``, ``ge``, ``lt`` and ``le``,
    ``not`` before parentheses, ``and``, ``or`` (which binds less) and parentheses.

    :raises RequestRefused: if it is anything else, or names a field that events do not have.
    """
    reader = _FilterReader(text)
    predicate = reader.either()
    reader.expect_end()
    return predicate


class _FilterReader:
    """Reads an expression from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._next = 0
        self._depth = 0

    def _split(self) -> Iterator[_Token]:
        position = 0
        while True:
            found = _TOKEN.match(self._text, position)
            if found is None:
                position = len(self._text) - len(self._text[position:].lstrip())
                raise self._refusal(f"A quotation mark is missing from position {position} on")
            if found.lastgroup == "end":
                return
            yield _Token(found["token"], found.start("token"))
            position = found.end()

    def expect_end(self) -> None:
        if self._next < len(self._tokens):
            token = self._tokens[self._next]
            raise self._refusal(f"{token.text!r} is not expected at position {token.position}")

    def either(self) -> Predicate:
        options = [self.both()]
        while self._next_is("or"):
            options.append(self.both())
        return lambda event: any(option(event) for option in options)

    def both(self) -> Predicate:
        parts = [self.one()]
        while self._next_is("and"):
            parts.append(self.one())
        return lambda event: all(part(event) for part in parts)

    def one(self) -> Predicate:
        if self._next_is("not"):
            if not self._next_is("("):
                raise self._refusal("Parentheses are missing after 'not'")
            inner = self._rest_of_parentheses()
            return lambda event: not inner(event)
        if self._next_is("("):
            return self._rest_of_parentheses()
        return self._comparison()

    def _rest_of_parentheses(self) -> Predicate:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._refusal(f"There are more than {_DEEPEST} parentheses in each other")
        inner = self.either()
        self._depth -= 1
        if not self._next_is(")"):
            raise self._refusal("A parenthesis is not closed")
        return inner

    def _comparison(self) -> Predicate:
        path = self._take().text
        keys = keys_of(path)
        token = self._take()
        name = token.text.lower()
        if name not in _OPERATORS:
            raise self._refusal(
                f"Unrecognized attribute operator '{token.text}' at position {token.position}. "
                f"Expected: {','.join(_OPERATORS)}"
            )
        if name == "pr":
            return lambda event: any(_is_present(found) for found in _values(event, keys))
        value = self._value()
        compare = _comparison_of(name, value)
        if compare is None or is_object(keys) or (name, keys) in _UNSUPPORTED:
            raise errors.unsupported_comparison(name, path)
        if name == "ne":
            return lambda event: not any(found == value for found in _values(event, keys))
        return lambda event: any(compare(found, value) for found in _values(event, keys))

    def _value(self) -> str | float | bool | None:
        token = self._take()
        try:
            value = json.loads(token.text)
        except (ValueError, RecursionError):
            value = ()
        if not isinstance(value, str | int | float | bool | None):
            raise self._refusal(
                f"{token.text!r} at position {token.position} is no value: strings stand in quotes"
            )
        return value

    def _take(self) -> _Token:
        if self._next == len(self._tokens):
            raise self._refusal("The expression is not complete")
        self._next += 1
        return self._tokens[self._next - 1]

    def _next_is(self, word: str) -> bool:
        is_next = self._next < len(self._tokens) and self._tokens[self._next].text.lower() == word
        self._next += is_next
        return is_next

    def _refusal(self, cause: str) -> errors.RequestRefused:
        return errors.bad_filter(self._text, cause)


def _comparison_of(name: str, value: object) -> Comparison | None:
    """Return how an operator compares what an event has with a value, or None if it takes no such value."""
    if name in ("eq", "ne"):
        return operator.eq
    if isinstance(value, bool | None):
        return None
    if name in _OF_STRINGS:
        kinds: tuple[type, ...] = (str,)
        compare = _OF_STRINGS[name]
    else:
        kinds = (str,) if isinstance(value, str) else (int, float)
        compare = _OF_ORDER[name]
    if not isinstance(value, kinds):
        return None
    return lambda found, value: (
        isinstance(found, kinds) and not isinstance(found, bool) and compare(found, value)
    )


def _is_present(value: object) -> bool:
    return value is not None and value not in ("", {})


def _values(value: Any, keys: tuple[str, ...]) -> Iterator[Any]:
    """Yield what stands at a path: of a list, every element is looked into."""
    if isinstance(value, list):
        for item in value:
            yield from _values(item, keys)
    elif not keys:
        yield value
    elif isinstance(value, dict) and keys[0] in value:
        yield from _values(value[keys[0]], keys[1:])
