"""Okta's expression language, as far as Okta documents it for filters of event hooks.

https://help.okta.com/en-us/Content/topics/automation-hooks/event-hooks-el.htm
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Okta's name of each field that a filter may ask for, and where an event has it.
_OF_AN_EVENT: Final = {
    "event.eventType": ("eventType",),
    "event.outcome.reason": ("outcome", "reason"),
    "event.outcome.result": ("outcome", "result"),
    "event.actor.id": ("actor", "id"),
    "event.actor.type": ("actor", "type"),
    "event.actor.alternateId": ("actor", "alternateId"),
    "event.actor.displayName": ("actor", "displayName"),
    "event.debugData.changedAttributes": ("debugContext", "debugData", "changedAttributes"),
}
_OF_A_TARGET: Final = {name: (name,) for name in ("id", "type", "alternateId", "displayName")}
_TARGETS: Final = "event.target"
#: So that a body cannot exhaust Python's stack.
_DEEPEST: Final = 20
_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
        |(?P<number>\d+(?:\.\d+)?)
        |(?P<name>[A-Za-z_]\w*)
        |(?P<symbol>\.\?\[|&&|\|\||[=!<>]=|[().\]!<>])
        |(?P<end>\Z)
    )""",
    re.VERBOSE | re.ASCII,
)
_EQUALITY: Final = {"==": operator.eq, "eq": operator.eq, "!=": operator.ne, "ne": operator.ne}
_ORDER: Final = {
    ">": operator.gt,
    "gt": operator.gt,
    ">=": operator.ge,
    "ge": operator.ge,
    "<": operator.lt,
    "lt": operator.lt,
    "<=": operator.le,
    "le": operator.le,
}
_LITERALS: Final = {
    "true": ("boolean", True),
    "false": ("boolean", False),
    "null": ("null", None),
}

#: Tells whether a condition is true of an event.
Condition: TypeAlias = Callable[[Mapping[str, Any]], bool]


class UnsupportedExpressionError(ValueError):
    """An expression is not of the part of the language that is known here."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class _Term:
    """A part of an expression: what kind of value it has, and how that is got from an event, or from a target of one.

    The kinds are ``boolean``, ``number``, ``text``, ``null`` and ``targets``.
    """

    kind: str
    of: Callable[[Any], Any]


def read_condition(expression: str) -> Condition:
    """Return what an expression says.

    :raises UnsupportedExpressionError: if it is no condition in the part of the language that is known here.
    """
    return _Parser(expression).condition()


class _Parser:
    """Reads one expression, by recursive descent. What it binds closest comes last."""

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = list(self._split())
        self._next = 0
        self._depth = 0
        #: Whether names are those of a target, within the brackets of a selection.
        self._in_target = False

    def condition(self) -> Condition:
        term = self._either()
        if self._token.kind != "end":
            raise self._unsupported("an end is expected")
        return self._need("boolean", term, 0).of

    def _split(self) -> Iterable[_Token]:
        at = 0
        while True:
            found = _TOKEN.match(self._expression, at)
            if found is None or found.lastgroup is None:
                raise self._unsupported("no such sign is known", at)
            yield _Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup))
            if found.lastgroup == "end":
                return
            at = found.end()

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _is(self, *texts: str, ahead: int = 0) -> bool:
        """Return whether a token is one of these symbols, or of these words in any case."""
        token = self._tokens[min(self._next + ahead, len(self._tokens) - 1)]
        return token.kind in {"symbol", "name"} and token.text.lower() in texts

    def _accept(self, *texts: str) -> bool:
        found = self._is(*texts)
        self._next += found
        return found

    def _expect(self, text: str) -> None:
        if not self._accept(text):
            raise self._unsupported(f"{text} is expected")

    def _unsupported(self, why: str, at: int | None = None) -> UnsupportedExpressionError:
        rest = self._expression[self._token.at if at is None else at :].strip()
        return UnsupportedExpressionError(
            f"{why} at {rest[:40]!r}" if rest else f"{why} at the end"
        )

    def _boolean(self) -> _Term:
        began = self._token.at
        return self._need("boolean", self._either(), began)

    def _need(self, kind: str, term: _Term, at: int) -> _Term:
        if term.kind != kind:
            need = "targets are" if kind == "targets" else f"a {kind} is"
            raise self._unsupported(f"{need} needed, and there is a {term.kind}", at)
        return term

    def _either(self) -> _Term:
        return self._joined(self._all, any, "or", "||")

    def _all(self) -> _Term:
        return self._joined(self._comparison, all, "and", "&&")

    def _joined(
        self, read: Callable[[], _Term], join: Callable[[Iterable[Any]], bool], *signs: str
    ) -> _Term:
        began = self._token.at
        first = read()
        if not self._is(*signs):
            return first
        terms = [self._need("boolean", first, began)]
        while self._accept(*signs):
            began = self._token.at
            terms.append(self._need("boolean", read(), began))
        return _Term("boolean", lambda scope: join(term.of(scope) for term in terms))

    def _comparison(self) -> _Term:
        began = self._token.at
        left = self._negation()
        sign = self._token.text.lower()
        if not self._is(*_EQUALITY, *_ORDER):
            return left
        self._next += 1
        right = self._negation()
        kinds = {left.kind, right.kind}
        if sign in _ORDER and kinds != {"number"}:
            raise self._unsupported(f"{sign} is for numbers", began)
        if "targets" in kinds or (len(kinds) > 1 and kinds != {"text", "null"}):
            raise self._unsupported(f"{left.kind} {sign} {right.kind} is not known", began)
        compare = {**_EQUALITY, **_ORDER}[sign]
        return _Term("boolean", lambda scope: compare(left.of(scope), right.of(scope)))

    def _negation(self) -> _Term:
        began = self._token.at
        count = 0
        while self._accept("!", "not"):
            count += 1
        term = self._value()
        if count:
            self._need("boolean", term, began)
        return _Term("boolean", lambda scope: not term.of(scope)) if count % 2 else term

    def _value(self) -> _Term:
        depth = self._depth
        self._go_deeper()
        term = self._applied(self._plain_value())
        self._depth = depth
        return term

    def _go_deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._unsupported(f"more than {_DEEPEST} brackets in or after each other")

    def _plain_value(self) -> _Term:
        token = self._token
        if self._accept("("):
            term = self._either()
            self._expect(")")
            return term
        if token.kind == "text":
            self._next += 1
            quote = token.text[0]
            return _constant("text", token.text[1:-1].replace(quote * 2, quote))
        if token.kind == "number":
            self._next += 1
            return _constant("number", float(token.text))
        if self._accept(*_LITERALS):
            return _constant(*_LITERALS[token.text.lower()])
        if token.kind == "name":
            return self._field()
        raise self._unsupported("a value is expected")

    def _field(self) -> _Term:
        began = self._token.at
        names = [self._name()]
        while self._is(".") and not self._is("(", ahead=2):
            self._next += 1
            names.append(self._name())
        path = ".".join(names)
        if path == _TARGETS and not self._in_target:
            return _Term("targets", lambda event: _objects(event.get("target")))
        known = _OF_A_TARGET if self._in_target else _OF_AN_EVENT
        if path not in known:
            where = "a target" if self._in_target else "an event"
            names = [*known] if self._in_target else [*known, _TARGETS]
            raise self._unsupported(f"of {where}, Okta's filters know {', '.join(names)}", began)
        return _Term("text", lambda scope: _found(scope, known[path]))

    def _name(self) -> str:
        if self._token.kind != "name":
            raise self._unsupported("a name is expected")
        self._next += 1
        return self._tokens[self._next - 1].text

    def _applied(self, term: _Term) -> _Term:
        """Return a term with the selections and methods that follow it."""
        while True:
            began = self._token.at
            if self._accept(".?["):
                # A selection of a selection is a call within a call, as brackets in brackets are.
                self._go_deeper()
                term = self._selection(self._need("targets", term, began))
            elif self._is("."):
                term = self._method(term)
            else:
                return term

    def _selection(self, targets: _Term) -> _Term:
        self._in_target = True
        wanted = self._boolean()
        self._in_target = False
        self._expect("]")
        return _Term("targets", lambda event: list(filter(wanted.of, targets.of(event))))

    def _method(self, term: _Term) -> _Term:
        began = self._token.at
        self._expect(".")
        name = self._name()
        self._expect("(")
        if name == "size" and term.kind == "targets":
            self._expect(")")
            return _Term("number", lambda event: len(term.of(event)))
        if name == "contains" and term.kind == "text":
            at = self._token.at
            part = self._need("text", self._value(), at)
            self._expect(")")
            return _Term("boolean", lambda scope: _contains(term.of(scope), part.of(scope)))
        raise self._unsupported(f"of a {term.kind}, no such method is known", began)


def _constant(kind: str, value: Any) -> _Term:
    return _Term(kind, lambda _: value)


def _objects(value: Any) -> list[Any]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _found(scope: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        scope = scope.get(key) if isinstance(scope, Mapping) else None
    return scope


def _contains(whole: Any, part: Any) -> bool:
    return isinstance(whole, str) and isinstance(part, str) and part in whole
