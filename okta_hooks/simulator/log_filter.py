"""The language of the System Log's filters.

https://developer.okta.com/docs/reference/system-log-query/
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from . import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

#: How deep parentheses may be nested. Okta names no number.
_DEEPEST: Final = 20

Predicate: TypeAlias = "Callable[[Mapping[str, Any]], bool]"

_TOKEN: Final = re.compile(r"""[()]|"(?:[^"\\]|\\.)*"|[^\s()"]+""")


def read_filter(text: str) -> Predicate:
    """Return what a filter expression asks of an event.

    It may have ``eq`` and ``sw``, ``and``, ``or`` (which binds less) and parentheses.

    :raises RequestRefused: if it is anything else.
    """
    tokens = []
    rest = text.strip()
    while rest:
        token = _TOKEN.match(rest)
        if token is None:
            raise errors.bad_filter("A quotation mark is missing.")
        tokens.append(token[0])
        rest = rest[token.end() :].lstrip()
    reader = _FilterReader(tokens)
    predicate = reader.either()
    if reader.tokens:
        raise errors.bad_filter(f"{reader.tokens[0]} is not expected there.")
    return predicate


class _FilterReader:
    """Reads an expression from left to right."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self._depth = 0

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
        if self._next_is("("):
            self._depth += 1
            if self._depth > _DEEPEST:
                raise errors.bad_filter(
                    f"There are more than {_DEEPEST} parentheses in each other."
                )
            inner = self.either()
            self._depth -= 1
            if not self._next_is(")"):
                raise errors.bad_filter("A parenthesis is not closed.")
            return inner
        path, operator, literal = self._take(), self._take().lower(), self._take()
        try:
            value = json.loads(literal)
        except (ValueError, RecursionError):
            raise errors.bad_filter(f"{literal} is no value: strings stand in quotes.") from None
        keys = path.split(".")
        if operator == "eq":
            return lambda event: any(found == value for found in _values(event, keys))
        if operator == "sw" and isinstance(value, str):
            return lambda event: any(
                isinstance(found, str) and found.startswith(value) for found in _values(event, keys)
            )
        raise errors.bad_filter(f"The simulator knows eq and sw, not {operator}.")

    def _take(self) -> str:
        if not self.tokens:
            raise errors.bad_filter("The expression is not complete.")
        return self.tokens.pop(0)

    def _next_is(self, word: str) -> bool:
        if self.tokens and self.tokens[0].lower() == word:
            self.tokens.pop(0)
            return True
        return False


def _values(value: Any, keys: list[str]) -> Iterator[Any]:
    """Yield what stands at a path: of a list, every element is looked into."""
    if isinstance(value, list):
        for item in value:
            yield from _values(item, keys)
    elif not keys:
        yield value
    elif isinstance(value, dict) and keys[0] in value:
        yield from _values(value[keys[0]], keys[1:])
