from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from okta_hooks import catalog
from okta_hooks.simulator.company import ACTIONS, GROUPS, Company, NotPossible

if TYPE_CHECKING:
    from collections.abc import Callable

    from okta_hooks.simulator import Org

ADA = "ada@example.com"


@pytest.fixture
def company(org: Org) -> Company:
    """Return the company of an org that nobody listens to."""
    return Company(org)


def happened(org: Org) -> list[tuple[str, str, str, list[str]]]:
    """Return type, actor, result and targets of each event of the log."""
    return [
        (
            event["eventType"],
            event["actor"]["displayName"],
            event["outcome"]["reason"] or event["outcome"]["result"],
            [target["displayName"] for target in event["target"] or ()],
        )
        for event in org.log().events
    ]


def test_what_happens_to_a_person_is_logged_as_at_okta(company: Company, org: Org) -> None:
    """Each action has Okta's event type, who did it, and the person; it leads to the state that has the next."""
    for action in ("sign-in", "suspend", "unsuspend", "deactivate", "activate"):
        company.act(ADA, action)
    company.move(ADA, "Finance", into=True)
    company.move(ADA, "Finance", into=False)

    admin = "IT desk"
    assert happened(org) == [
        ("user.session.start", "Ada", "SUCCESS", []),
        ("user.lifecycle.suspend", admin, "SUCCESS", ["Ada"]),
        ("user.lifecycle.unsuspend", admin, "SUCCESS", ["Ada"]),
        ("user.lifecycle.deactivate", admin, "SUCCESS", ["Ada"]),
        ("user.lifecycle.activate", admin, "SUCCESS", ["Ada"]),
        ("group.user_membership.add", admin, "SUCCESS", ["Ada", "Finance"]),
        ("group.user_membership.remove", admin, "SUCCESS", ["Ada", "Finance"]),
    ]


def test_failures_to_sign_in_lock_a_person_out(company: Company, org: Org) -> None:
    """Five failures are logged, then the lock, which an admin takes away."""
    company.act(ADA, "fail")
    assert [action for action in company.people[0].actions if action.startswith("un")] == ["unlock"]
    company.act(ADA, "unlock")

    assert happened(org) == [
        *[("user.session.start", "Ada", "INVALID_CREDENTIALS", [])] * 5,
        ("user.account.lock", "Ada", "LOCKED_OUT", ["Ada"]),
        ("user.account.unlock_by_admin", "IT desk", "SUCCESS", ["Ada"]),
    ]


def test_joiners_are_created_and_activated(company: Company, org: Org) -> None:
    """Each gets an address of their own, whatever they are called, and a name if none was said."""
    names = ["Zoë  O'Neil", "Zoe O Neil", "中文", "", *[""] * 8]
    joined = [company.join(name) for name in names]

    assert [person.login for person in joined[:4]] == [
        "zoe.o.neil@example.com",
        "zoe.o.neil.2@example.com",
        "somebody@example.com",
        "annie.easley@example.com",
    ]
    assert joined[0].name == "Zoë O'Neil"
    assert len({person.name for person in joined}) == len(joined)
    assert happened(org)[:2] == [
        ("user.lifecycle.create", "IT desk", "SUCCESS", ["Zoë O'Neil"]),
        ("user.lifecycle.activate", "IT desk", "SUCCESS", ["Zoë O'Neil"]),
    ]


def test_a_flood_is_a_thousand_events(company: Company, org: Org) -> None:
    """They are in the log at once."""
    company.flood()

    assert [event[0] for event in happened_all(org)] == ["user.session.start"] * 1000


def happened_all(org: Org) -> list[tuple[Any, ...]]:
    return [(event["eventType"],) for event in org.log(limit="1000").events]


@pytest.mark.parametrize(
    "deed",
    [lambda company: company.act(ADA, "sign-in"), Company.join, Company.flood],
    ids=["sign-in", "join", "flood"],
)
def test_faults_are_of_what_happens_while_they_are_on(
    company: Company, org: Org, deed: Callable[[Company], object]
) -> None:
    """A fault that is on has its effect; one that is off again has none."""
    types = ["user.session.start", "user.lifecycle.activate"]
    hook_ids = []
    for on in (True, False):
        company.switch("log_only", on=on)
        org.register("https://app.example.com/okta", types, name=str(on))
        deed(company)
        (event,) = org.recent(1).events
        hook_ids.append("targetEventHookIds" in event["debugContext"]["debugData"])

    assert hook_ids == [False, True]


@pytest.mark.parametrize(
    "wish",
    [
        lambda company: company.act("nobody@example.com", "suspend"),
        lambda company: company.act(ADA, "unsuspend"),
        lambda company: company.act(ADA, "promote"),
        lambda company: company.move(ADA, "Engineering", into=True),
        lambda company: company.move(ADA, "Finance", into=False),
        lambda company: company.move(ADA, "Marketing", into=True),
        lambda company: company.switch("earthquake", on=True),
        lambda company: company.join("x" * 101),
        lambda company: [company.join() for _ in range(100)],
    ],
)
def test_what_cannot_happen_does_not(company: Company, org: Org, wish: Any) -> None:
    """It is refused with a reason, and the log has nothing of it."""
    with pytest.raises(NotPossible, match=r"\.$"):
        wish(company)

    assert {event for event, *_ in happened(org)} <= {
        "user.lifecycle.create",
        "user.lifecycle.activate",
    }


def test_everything_that_happens_is_delivered_to_hooks() -> None:
    """Okta has each of the event types, and delivers them."""
    types = {action.event_type for action in ACTIONS.values()} | {
        "user.lifecycle.create",
        "group.user_membership.add",
        "group.user_membership.remove",
    }
    entries = {name: catalog.get(name) for name in types}

    assert {name for name, entry in entries.items() if entry and entry.event_hook_eligible} == types
    assert len(GROUPS) == 3
