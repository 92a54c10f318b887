"""A small company in an org: its people, their groups, and what happens to them.

The events are those that Okta logs for it: https://developer.okta.com/docs/reference/api/event-types/
"""

from __future__ import annotations

import re
import threading
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from okta_hooks.exceptions import OktaHooksError
from okta_hooks.testing.entities import PEOPLE, entity

from .emitter import FAULTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .org import Org

ACTIVE: Final = "ACTIVE"
LOCKED_OUT: Final = "LOCKED_OUT"
SUSPENDED: Final = "SUSPENDED"
DEACTIVATED: Final = "DEPROVISIONED"  # what Okta's API calls it
GROUPS: Final = ("Engineering", "Finance", "Field sales")
#: As many sign-ins in a row lock somebody out when they fail.
FAILURES: Final = 5
FLOOD: Final = 1000
_MOST_PEOPLE: Final = 100
_LONGEST_NAME: Final = 100
#: Those who join without a name being said.
_JOINERS: Final = (
    "Annie Easley",
    "Barbara Liskov",
    "Evelyn Boyd Granville",
    "Frances Allen",
    "Hedy Lamarr",
    "Ken Thompson",
    "Margaret Hamilton",
    "Niklaus Wirth",
)
_ADMIN: Final = entity("user:it.desk@example.com") | {"displayName": "IT desk"}


class NotPossible(OktaHooksError):
    """That cannot happen to anybody in the company now. The message is for whoever asked for it."""


class Action(NamedTuple):
    """What may be done to a person.

    :param label: What a button says.
    :param before: In which states.
    :param after: The state that follows.
    :param event_type: What Okta logs.
    """

    label: str
    before: tuple[str, ...]
    after: str
    event_type: str


ACTIONS: Final[Mapping[str, Action]] = {
    "sign-in": Action("Sign in", (ACTIVE,), ACTIVE, "user.session.start"),
    "fail": Action("Fail to sign in", (ACTIVE,), LOCKED_OUT, "user.account.lock"),
    "unlock": Action("Unlock", (LOCKED_OUT,), ACTIVE, "user.account.unlock_by_admin"),
    "suspend": Action("Suspend", (ACTIVE, LOCKED_OUT), SUSPENDED, "user.lifecycle.suspend"),
    "unsuspend": Action("Unsuspend", (SUSPENDED,), ACTIVE, "user.lifecycle.unsuspend"),
    "deactivate": Action(
        "Deactivate", (ACTIVE, LOCKED_OUT, SUSPENDED), DEACTIVATED, "user.lifecycle.deactivate"
    ),
    "activate": Action("Activate", (DEACTIVATED,), ACTIVE, "user.lifecycle.activate"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who works there, or has."""

    login: str
    name: str
    status: str = ACTIVE
    groups: frozenset[str] = frozenset()

    @property
    def actions(self) -> dict[str, Action]:
        """What may be done to them now."""
        return {name: action for name, action in ACTIONS.items() if self.status in action.before}

    def as_entity(self) -> dict[str, Any]:
        """Return them as an event has them as its actor."""
        return entity(f"user:{self.login}") | {"displayName": self.name}


class Company:
    """The people of an org, and which faults what happens to them has. It may be used from several threads."""

    def __init__(self, org: Org) -> None:
        self._org = org
        self._lock = threading.Lock()
        self._faults: frozenset[str] = frozenset()
        self._people: dict[str, Person] = {}
        for number, login in enumerate(PEOPLE):
            name = entity(f"user:{login}")["displayName"]
            groups = frozenset({GROUPS[number % len(GROUPS)]})
            self._people[login] = Person(login=login, name=name, groups=groups)

    @property
    def people(self) -> tuple[Person, ...]:
        """Everybody, in the order in which they joined."""
        with self._lock:
            return tuple(self._people.values())

    @property
    def faults(self) -> frozenset[str]:
        """What goes wrong with whatever happens from now on, as for :meth:`~okta_hooks.simulator.Org.emit`."""
        return self._faults

    def switch(self, fault: str, *, on: bool) -> None:
        """Switch a fault on or off."""
        if fault not in FAULTS:
            raise NotPossible(f"There is no fault {fault!r}.")
        with self._lock:
            self._faults = self._faults | {fault} if on else self._faults - {fault}

    def join(self, name: str = "") -> Person:
        """Let somebody join: their account is created and activated.

        :param name: What they are called; without it, somebody whom nobody has thought of.
        """
        name = " ".join(name.split())
        if len(name) > _LONGEST_NAME:
            raise NotPossible(f"A name has at most {_LONGEST_NAME} characters here.")
        with self._lock:
            if len(self._people) >= _MOST_PEOPLE:
                raise NotPossible(f"The company has {_MOST_PEOPLE} people, and no desk left.")
            name = name or self._somebody()
            person = Person(login=self._free_login(name), name=name)
            self._people[person.login] = person
            for event_type in ("user.lifecycle.create", "user.lifecycle.activate"):
                self._happens(event_type, person)
        return person

    def act(self, login: str, action: str) -> None:
        """Let something of :data:`ACTIONS` happen to a person."""
        with self._lock:
            person = self._find(login)
            if action not in person.actions:
                raise NotPossible(f"That cannot happen to {person.name} now.")
            chosen = ACTIONS[action]
            self._people[login] = replace(person, status=chosen.after)
            if action == "sign-in":
                self._signs_in(person)
                return
            if action == "fail":
                outcome = {"result": "FAILURE", "reason": "INVALID_CREDENTIALS"}
                self._signs_in(person, count=FAILURES, outcome=outcome, severity="WARN")
                self._happens(chosen.event_type, person, actor=person.as_entity())
                return
            self._happens(chosen.event_type, person)

    def move(self, login: str, group: str, *, into: bool) -> None:
        """Put a person into a group, or take them out of it."""
        if group not in GROUPS:
            raise NotPossible(f"There is no group {group!r}.")
        with self._lock:
            person = self._find(login)
            if person.status == DEACTIVATED or (group in person.groups) is into:
                raise NotPossible(f"That cannot happen to {person.name} now.")
            groups = person.groups | {group} if into else person.groups - {group}
            self._people[login] = replace(person, groups=groups)
            change = "add" if into else "remove"
            self._happens(f"group.user_membership.{change}", person, f"group:{group}")

    def flood(self) -> None:
        """Let :data:`FLOOD` sign-ins happen at once."""
        self._org.emit("user.session.start", count=FLOOD, faults=self._faults)

    def _find(self, login: str) -> Person:
        person = self._people.get(login)
        if person is None:
            raise NotPossible("There is no such person: the simulator may have been started anew.")
        return person

    def _somebody(self) -> str:
        known = {person.name for person in self._people.values()}
        free = (name for name in _JOINERS if name not in known)
        return next(free, f"Colleague {len(self._people) + 1}")

    def _free_login(self, name: str) -> str:
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        local = ".".join(re.findall("[a-z0-9]+", plain)) or "somebody"
        login, number = f"{local}@example.com", 1
        while login in self._people:
            number += 1
            login = f"{local}.{number}@example.com"
        return login

    def _signs_in(self, person: Person, **more: Any) -> None:
        self._org.emit("user.session.start", actor=person.as_entity(), faults=self._faults, **more)

    def _happens(
        self,
        event_type: str,
        person: Person,
        also: str | None = None,
        actor: Mapping[str, Any] = _ADMIN,
    ) -> None:
        targets = [person.as_entity() | {"changeDetails": None}]
        if also is not None:
            targets.append(entity(also) | {"changeDetails": None})
        self._org.emit(event_type, actor=actor, target=targets, faults=self._faults)
