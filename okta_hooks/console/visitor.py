"""Who looks: what a host's ``authorize`` says of whoever sends a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

READ: Final = "read"
OPERATE: Final = "operate"
_ROLES: Final = (READ, OPERATE)
_PAIR: Final = 2


class NoVisitor(Exception):
    """``authorize`` has returned what means nothing, so that nobody may look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody who may look. ``name`` is who that is for the audit; None if the host does not say."""

    role: str
    name: str | None = None

    @property
    def may_operate(self) -> bool:
        """Whether they may change anything, or see what is masked."""
        return self.role == OPERATE


def visitor_of(answer: object) -> Visitor | None:
    """Return who may look by what ``authorize`` has returned; None if they may not.

    :raises NoVisitor: if that is neither None, a role, nor a pair of a role and a name.
    """
    role, name = answer if isinstance(answer, tuple) and len(answer) == _PAIR else (answer, None)
    if role is None:
        return None
    if not isinstance(role, str) or role not in _ROLES or not isinstance(name, str | None):
        raise NoVisitor(
            'authorize must return None, "read" or "operate", or a pair of that and a name, '
            f"and has returned {_told(answer, role, name)}."
        )
    return Visitor(role=role, name=name or None)


def _told(answer: object, role: object, name: object) -> str:
    """Return what is wrong with an answer, without what it says: that may be about a person."""
    if isinstance(role, str):
        kind = type(name).__name__
        return (
            f"a tuple whose name is of the type {kind}: str(...) makes it a name"
            if role in _ROLES
            else f"another role, in a value of the type {type(answer).__name__}"
        )
    return f"a value of the type {type(answer).__name__}"
